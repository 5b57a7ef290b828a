/**
 * StorageClass and VolumeAttributesClass: by whom and with what parameters volumes are made, and
 * what may be changed about them later. Both say the same for as long as they exist.
 */
import {
  duplicate,
  type FieldError,
  forbidden,
  invalid,
  notSupported,
  required,
} from '#api/field-error.ts';
import { qualifiedNameProblems } from '#api/names.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { fillAbsent } from '../fill-in.ts';
import { sameShapeView } from '../legacy-view.ts';
import { oldLabelMessage } from '../node-label-warnings.ts';
import { textColumn } from '../text-column.ts';
import type { TopologySelectorLabelRequirement, TopologySelectorTerm } from '../types/core-v1.ts';
import type { StorageClass, VolumeAttributesClass } from '../types/storage-v1.ts';
import { hubView } from '../view.ts';
import { validateDriverName } from './driver-name.ts';

const parametersMax = 512;
const parametersBytesMax = 256 * 1024;
const reclaimPolicies = ['Delete', 'Retain'];
const bindingModes = ['Immediate', 'WaitForFirstConsumer'];
const defaultAnnotations = [
  'storageclass.kubernetes.io/is-default-class',
  'storageclass.beta.kubernetes.io/is-default-class',
];

export function storageClassResource(): Resource {
  const view = hubView<StorageClass>({
    group: 'storage.k8s.io',
    version: 'v1',
    definition: 'io.k8s.api.storage.v1.StorageClass',
    setDefaults: (storageClass) =>
      fillAbsent(storageClass, { reclaimPolicy: 'Delete', volumeBindingMode: 'Immediate' }),
  });
  return defineResource<StorageClass>({
    kind: 'StorageClass',
    plural: 'storageclasses',
    singular: 'storageclass',
    shortNames: ['sc'],
    categories: [],
    namespaced: false,
    storagePrefix: 'storageclasses',
    views: [view, sameShapeView(view, { version: 'v1beta1' })],
    hasStatus: false,
    specChanged: () => false,
    validate: validateStorageClass,
    validateUpdate: validateStorageClassUpdate,
    warnings: ({ allowedTopologies = [] }) =>
      allowedTopologies.flatMap(({ matchLabelExpressions = [] }, index) =>
        matchLabelExpressions.flatMap(({ key }, at) => {
          const message = oldLabelMessage(key);
          const field = `allowedTopologies[${index}].matchLabelExpressions[${at}].key`;
          return message === undefined ? [] : [`${field}: ${message}`];
        }),
      ),
    columns: [
      {
        ...nameColumn<StorageClass>(),
        cell: ({ metadata: { name = '', annotations } }) =>
          defaultAnnotations.some((key) => annotations?.[key] === 'true')
            ? `${name} (default)`
            : name,
      },
      textColumn({
        name: 'Provisioner',
        description: 'Who makes the volumes.',
        cell: ({ provisioner }) => provisioner,
      }),
      textColumn({
        name: 'ReclaimPolicy',
        description: 'What becomes of a volume that nobody claims any more.',
        cell: ({ reclaimPolicy = 'Delete' }) => reclaimPolicy,
      }),
      textColumn({
        name: 'VolumeBindingMode',
        description: 'When volumes are made and bound.',
        cell: ({ volumeBindingMode = 'Immediate' }) => volumeBindingMode,
      }),
      {
        name: 'AllowVolumeExpansion',
        type: 'string',
        description: 'Whether volumes may grow.',
        priority: 0,
        cell: ({ allowVolumeExpansion = false }) => allowVolumeExpansion,
      },
      ageColumn(),
    ],
  });
}

function validateStorageClass(storageClass: StorageClass): FieldError[] {
  const { provisioner = '', parameters, reclaimPolicy, volumeBindingMode } = storageClass;
  const errors: FieldError[] = [];
  if (provisioner === '') errors.push(required('provisioner', ''));
  else {
    for (const problem of qualifiedNameProblems(provisioner.toLowerCase())) {
      errors.push(invalid('provisioner', provisioner, problem));
    }
  }
  errors.push(...validateParameters(parameters, 'parameters'));
  if (reclaimPolicy && !reclaimPolicies.includes(reclaimPolicy)) {
    errors.push(notSupported('reclaimPolicy', reclaimPolicy, reclaimPolicies));
  }
  if (!volumeBindingMode) errors.push(required('volumeBindingMode'));
  else if (!bindingModes.includes(volumeBindingMode)) {
    errors.push(notSupported('volumeBindingMode', volumeBindingMode, bindingModes));
  }
  return [...errors, ...validateTopologies(storageClass.allowedTopologies ?? [])];
}

function validateParameters(
  parameters: Readonly<Record<string, string>> | undefined,
  field: string,
): FieldError[] {
  const entries = Object.entries(parameters ?? {});
  if (entries.length > parametersMax) {
    const detail = `may not be more than ${parametersMax} bytes`;
    return [{ type: 'FieldValueTooLong', field, detail }];
  }
  let bytes = 0;
  const errors: FieldError[] = [];
  for (const [key, value] of entries) {
    if (key === '') errors.push(invalid(field, key, 'field can not be empty.'));
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > parametersBytesMax) {
    const detail = `may not be more than ${parametersBytesMax} bytes`;
    errors.push({ type: 'FieldValueTooLong', field, detail });
  }
  return errors;
}

function validateTopologies(terms: readonly TopologySelectorTerm[]): FieldError[] {
  const errors: FieldError[] = [];
  // To upstream, a term that says nothing is one that was said already.
  const said = new Set([saidBy([])]);
  for (const [index, { matchLabelExpressions = [] }] of terms.entries()) {
    const keys = new Set<string>();
    for (const [place, { key, values = [] }] of matchLabelExpressions.entries()) {
      const at = `allowedTopologies[${index}].matchLabelExpressions[${place}]`;
      for (const problem of qualifiedNameProblems(key)) {
        errors.push(invalid(`${at}.key`, key, problem));
      }
      if (values.length === 0) errors.push(required(`${at}.values`));
      for (const [position, value] of values.entries()) {
        if (values.indexOf(value) === position) continue;
        errors.push(duplicate(`${at}.values[${position}]`, value));
      }
      if (keys.has(key)) errors.push(duplicate(`${at}.key`, key));
      keys.add(key);
    }
    const text = saidBy(matchLabelExpressions);
    if (said.has(text)) {
      errors.push(duplicate(`allowedTopologies[${index}].matchLabelExpressions`, ''));
    }
    said.add(text);
  }
  return errors;
}

/** What expressions say, whatever the order. */
function saidBy(expressions: readonly TopologySelectorLabelRequirement[]): string {
  const texts = expressions.map(({ key, values = [] }) =>
    JSON.stringify([key, [...new Set(values)].sort()]),
  );
  return texts.sort().join();
}

function validateStorageClassUpdate(next: StorageClass, old: StorageClass): FieldError[] {
  const errors: FieldError[] = [];
  for (const field of ['parameters', 'provisioner', 'reclaimPolicy'] as const) {
    if (jsonEqual(next[field], old[field])) continue;
    errors.push(invalid(field, next[field] ?? null, 'field is immutable'));
  }
  if (next.volumeBindingMode !== old.volumeBindingMode) {
    errors.push(invalid('volumeBindingMode', next.volumeBindingMode, 'field is immutable'));
  }
  return errors;
}

export function volumeAttributesClassResource(): Resource {
  const view = hubView<VolumeAttributesClass>({
    group: 'storage.k8s.io',
    version: 'v1',
    definition: 'io.k8s.api.storage.v1.VolumeAttributesClass',
  });
  return defineResource<VolumeAttributesClass>({
    kind: 'VolumeAttributesClass',
    plural: 'volumeattributesclasses',
    singular: 'volumeattributesclass',
    shortNames: ['vac'],
    categories: [],
    namespaced: false,
    storagePrefix: 'volumeattributesclasses',
    views: [view, sameShapeView(view, { version: 'v1beta1' })],
    hasStatus: false,
    specChanged: () => false,
    validate: ({ driverName = '', parameters = {} }) => {
      const errors = validateDriverName(driverName, 'driverName');
      if (Object.keys(parameters).length > 0) {
        return [...errors, ...validateParameters(parameters, 'parameters')];
      }
      return [...errors, required('parameters', 'must contain at least one key/value pair')];
    },
    validateUpdate: (next, old) =>
      (['driverName', 'parameters'] as const)
        .filter((field) => !jsonEqual(next[field], old[field]))
        .map((field) => forbidden(field, `updates to ${field} are forbidden.`)),
    columns: [
      nameColumn(),
      textColumn({
        name: 'DriverName',
        description: 'Who applies the attributes.',
        cell: ({ driverName }) => driverName,
      }),
      ageColumn(),
    ],
  });
}
