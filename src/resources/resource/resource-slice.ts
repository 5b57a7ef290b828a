/**
 * DeviceClass and ResourceSlice: kinds of devices that may be asked for, and the devices that a
 * driver has to give, on one node or within reach of several.
 */
import { type FieldError, invalid, required, tooMany } from '#api/field-error.ts';
import { labelProblems, subdomainProblems } from '#api/names.ts';
import { validateUnique } from '#api/object-meta.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { textColumn } from '../text-column.ts';
import type { DeviceClass, ResourceSlice } from '../types/resource-v1.ts';
import { hubView } from '../view.ts';
import { validateDeviceSelectors } from './device-request.ts';

const devicesMax = 128;

export function deviceClassResource(): Resource {
  return defineResource<DeviceClass>({
    kind: 'DeviceClass',
    plural: 'deviceclasses',
    singular: 'deviceclass',
    shortNames: [],
    categories: [],
    namespaced: false,
    storagePrefix: 'deviceclasses',
    views: [
      hubView({
        group: 'resource.k8s.io',
        version: 'v1',
        definition: 'io.k8s.api.resource.v1.DeviceClass',
      }),
    ],
    hasStatus: false,
    validate: ({ spec }) => validateDeviceSelectors(spec?.selectors ?? [], 'spec.selectors'),
    columns: [nameColumn(), ageColumn()],
  });
}

export function resourceSliceResource(): Resource {
  return defineResource<ResourceSlice>({
    kind: 'ResourceSlice',
    plural: 'resourceslices',
    singular: 'resourceslice',
    shortNames: [],
    categories: [],
    namespaced: false,
    storagePrefix: 'resourceslices',
    metadataRechecked: 'change',
    views: [
      hubView({
        group: 'resource.k8s.io',
        version: 'v1',
        definition: 'io.k8s.api.resource.v1.ResourceSlice',
      }),
    ],
    hasStatus: false,
    validate: validateSlice,
    validateUpdate: (next, old) =>
      (['driver', 'nodeName'] as const)
        .filter((key) => !jsonEqual(next.spec[key], old.spec[key]))
        .map((key) => invalid(`spec.${key}`, next.spec[key] ?? '', 'field is immutable')),
    columns: [
      nameColumn(),
      textColumn({
        name: 'Node',
        description: 'The node that has the devices.',
        cell: ({ spec }) => spec.nodeName ?? '<unset>',
      }),
      textColumn({
        name: 'Driver',
        description: 'The driver that gives them.',
        cell: ({ spec }) => spec.driver,
      }),
      textColumn({
        name: 'Pool',
        description: 'The pool that they belong to.',
        cell: ({ spec }) => spec.pool.name,
      }),
      ageColumn(),
    ],
    selectableFields: {
      'spec.nodeName': ({ spec }) => spec.nodeName ?? '',
      'spec.driver': ({ spec }) => spec.driver,
    },
  });
}

function validateSlice({ spec }: ResourceSlice): FieldError[] {
  const { driver, pool, devices = [] } = spec;
  const errors: FieldError[] =
    driver === ''
      ? [required('spec.driver')]
      : subdomainProblems(driver).map((problem) => invalid('spec.driver', driver, problem));
  errors.push(...validatePool(pool));
  const places = [
    ['nodeName', (spec.nodeName ?? '') !== ''],
    ['nodeSelector', spec.nodeSelector !== undefined],
    ['allNodes', spec.allNodes === true],
    ['perDeviceNodeSelection', spec.perDeviceNodeSelection === true],
  ] as const;
  const given = places.filter(([, set]) => set).map(([name]) => name);
  const choice =
    'exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required';
  if (given.length === 0 && (spec.sharedCounters ?? []).length === 0) {
    errors.push(required('spec', choice));
  }
  if (given.length > 1) errors.push(invalid('spec', `{${given.join(', ')}}`, choice));
  if (devices.length > devicesMax) {
    return [...errors, tooMany('spec.devices', devices.length, devicesMax)];
  }
  const names = devices.map(({ name }, index) => ({
    field: `spec.devices[${index}].name`,
    value: name,
  }));
  for (const { field, value } of names) {
    if (value === '') errors.push(required(field));
    else errors.push(...labelProblems(value).map((problem) => invalid(field, value, problem)));
  }
  return [...errors, ...validateUnique(names)];
}

function validatePool(pool: ResourceSlice['spec']['pool']): FieldError[] {
  const { name, resourceSliceCount, generation } = pool;
  const errors: FieldError[] = name === '' ? [required('spec.pool.name')] : [];
  for (const part of name === '' ? [] : name.split('/')) {
    for (const problem of subdomainProblems(part)) {
      errors.push(invalid('spec.pool.name', part, problem));
    }
  }
  if (resourceSliceCount <= 0) {
    const at = 'spec.pool.resourceSliceCount';
    errors.push(invalid(at, resourceSliceCount, 'must be greater than zero'));
  }
  if (generation < 0) {
    const detail = 'must be greater than or equal to zero';
    errors.push(invalid('spec.pool.generation', generation, detail));
  }
  return errors;
}
