/**
 * DeviceClass and ResourceSlice: kinds of devices that may be asked for, and the devices that a
 * driver has to give, on one node or within reach of several.
 */
import { type FieldError, invalid, required, tooMany } from '#api/field-error.ts';
import { qualifiedNameProblems } from '#api/names.ts';
import { defineResource, type Resource, type WriteContext } from '#api/resource.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { isExtendedResource } from '../extended-resource.ts';
import { changeMember, fillIn, mapItems } from '../fill-in.ts';
import { validateStrictNodeSelector } from '../node-selector-validation.ts';
import { validateDriverName } from '../storage/driver-name.ts';
import { textColumn } from '../text-column.ts';
import type { Device, DeviceClass, ResourceSlice } from '../types/resource-v1.ts';
import { hubView } from '../view.ts';
import { validateConfiguration, validatePoolName, validateSet } from './device-parts.ts';
import { validateDeviceSelectors } from './device-request.ts';
import {
  validateCounterName,
  validateCounters,
  validateDevice,
  validateNodeName,
} from './device-validation.ts';

const devicesMax = 128;
const advancedDevicesMax = 64;
const counterSetsMax = 8;
const configMax = 32;

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
    validate: validateClass,
    columns: [nameColumn(), ageColumn()],
  });
}

function validateClass({ spec = {} }: Partial<DeviceClass>): FieldError[] {
  const { selectors = [], config = [], extendedResourceName: name } = spec;
  const errors = [...validateDeviceSelectors(selectors, 'spec.selectors')];
  if (config.length > configMax) {
    errors.push(tooMany('spec.config', config.length, configMax));
  } else {
    errors.push(
      ...config.flatMap((one, index) => validateConfiguration(one, `spec.config[${index}]`)),
    );
  }
  if (name === undefined || isExtendedResourceName(name)) return errors;
  const detail = 'must be a valid extended resource name';
  return [...errors, invalid('spec.extendedResourceName', name, detail)];
}

/** One that is of somebody else, and that quotas can count. */
function isExtendedResourceName(name: string): boolean {
  return isExtendedResource(name) && qualifiedNameProblems(`requests.${name}`).length === 0;
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
      hubView<ResourceSlice>({
        group: 'resource.k8s.io',
        version: 'v1',
        definition: 'io.k8s.api.resource.v1.ResourceSlice',
        setDefaults: setSliceDefaults,
      }),
    ],
    hasStatus: false,
    validate: validateSlice,
    validateUpdate: validateSliceUpdate,
    warnings: driverWarnings,
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

/** Since when a taint is there, where nobody said. */
function setSliceDefaults(slice: ResourceSlice, { now }: WriteContext): ResourceSlice {
  return changeMember(slice, 'spec', (spec) =>
    changeMember(spec, 'devices', (devices) =>
      mapItems(devices, (device) =>
        changeMember(device, 'taints', (taints) =>
          mapItems(taints, (taint) => fillIn(taint, { timeAdded: now })),
        ),
      ),
    ),
  );
}

function validateSlice({ spec }: ResourceSlice): FieldError[] {
  const { driver = '', pool, devices = [], sharedCounters = [] } = spec;
  const errors = [
    ...validateDriverName(driver, 'spec.driver'),
    ...validatePool(pool),
    ...validatePlaces(spec),
  ];
  if (spec.sharedCounters !== undefined && spec.devices !== undefined) {
    const detail = 'only one of `sharedCounters` or `devices` is allowed';
    errors.push(invalid('spec', '', detail));
  }
  const placed = spec.perDeviceNodeSelection === true;
  return [
    ...errors,
    ...validateSet(devices, 'spec.devices', {
      itemsMax: devices.some(isAdvanced) ? advancedDevicesMax : devicesMax,
      judge: (device, field) => validateDevice(device, field, { placed }),
      key: ({ name }) => name,
    }),
    ...validateSet(sharedCounters, 'spec.sharedCounters', {
      itemsMax: counterSetsMax,
      judge: ({ name, counters }, field) => [
        ...validateCounterName(name, `${field}.name`),
        ...validateCounters(counters, `${field}.counters`),
      ],
      key: ({ name }) => name,
    }),
  ];
}

/** Whether a device has what makes slices large, so that there are fewer of it. */
function isAdvanced({ taints = [], consumesCounters = [], attributes = {} }: Device): boolean {
  if (taints.length > 0 || consumesCounters.length > 0) return true;
  return Object.values(attributes).some(
    (one) => one?.bools ?? one?.ints ?? one?.strings ?? one?.versions,
  );
}

function validatePlaces(spec: ResourceSlice['spec']): FieldError[] {
  const { nodeName, nodeSelector } = spec;
  const errors: FieldError[] = [];
  if (nodeName === '') {
    const detail = 'must be either unset or set to a non-empty string';
    errors.push(invalid('spec.nodeName', '', detail));
  } else if (nodeName !== undefined) {
    errors.push(...validateNodeName(nodeName, 'spec.nodeName'));
  }
  if (nodeSelector !== undefined) {
    errors.push(...validateStrictNodeSelector(nodeSelector, 'spec.nodeSelector'));
    const terms = nodeSelector.nodeSelectorTerms ?? [];
    if (terms.length !== 1) {
      const at = 'spec.nodeSelector.nodeSelectorTerms';
      errors.push(invalid(at, terms, 'must have exactly one node selector term'));
    }
  }
  for (const key of ['allNodes', 'perDeviceNodeSelection'] as const) {
    if (spec[key] !== false) continue;
    errors.push(invalid(`spec.${key}`, false, 'must be either unset or set to true'));
  }
  const places = [
    ...(nodeName ? ['`nodeName`'] : []),
    ...(nodeSelector === undefined ? [] : ['`nodeSelector`']),
    ...(spec.allNodes === true ? ['`allNodes`'] : []),
    ...(spec.perDeviceNodeSelection === true ? ['`perDeviceNodeSelection`'] : []),
  ];
  const choice =
    'exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required';
  if (places.length === 0) return [...errors, required('spec', choice)];
  if (places.length === 1) return errors;
  const detail = `${choice}, but multiple fields are set`;
  return [...errors, invalid('spec', `{${places.join(', ')}}`, detail)];
}

function validatePool(pool: Partial<ResourceSlice['spec']['pool']> = {}): FieldError[] {
  const { name = '', resourceSliceCount = 0, generation = 0 } = pool;
  const errors = validatePoolName(name, 'spec.pool.name');
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

function validateSliceUpdate({ spec }: ResourceSlice, { spec: old }: ResourceSlice): FieldError[] {
  const fixed = [
    ['pool.name', spec.pool?.name ?? '', old.pool?.name ?? ''],
    ['driver', spec.driver ?? '', old.driver ?? ''],
    ['nodeName', spec.nodeName ?? null, old.nodeName ?? null],
  ] as const;
  return fixed
    .filter(([, value, before]) => value !== before)
    .map(([key, value]) => invalid(`spec.${key}`, value, 'field is immutable'));
}

function driverWarnings({ spec }: ResourceSlice): readonly string[] {
  const { driver = '' } = spec;
  if (driver === driver.toLowerCase()) return [];
  return [
    `spec.driver: driver names should be lowercase; ${JSON.stringify(driver)} contains uppercase characters`,
  ];
}
