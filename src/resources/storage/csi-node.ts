/**
 * CSINode and CSIStorageCapacity: which drivers a node has, and how much storage is left where.
 * Drivers and kubelets write them; the scheduler reads them.
 */
import { duplicate, type FieldError, invalid, required, tooLong } from '#api/field-error.ts';
import { qualifiedNameProblems, subdomainProblems } from '#api/names.ts';
import { parseQuantity } from '#api/quantity.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { changeMember, nullWhereEmpty } from '../fill-in.ts';
import { validateLabelSelector } from '../label-selector-validation.ts';
import { sameShapeView } from '../legacy-view.ts';
import { oldLabelMessage, termWarnings } from '../node-label-warnings.ts';
import { createdAtColumn } from '../text-column.ts';
import type { CSINode, CSINodeDriver, CSIStorageCapacity } from '../types/storage-v1.ts';
import { validateNotNegative } from '../value-validation.ts';
import { hubView } from '../view.ts';
import { validateDriverName } from './driver-name.ts';

type Topology = NonNullable<CSIStorageCapacity['nodeTopology']>;

const nodeIdBytesMax = 256;

export function csiNodeResource(): Resource {
  const view = hubView<CSINode>({
    group: 'storage.k8s.io',
    version: 'v1',
    definition: 'io.k8s.api.storage.v1.CSINode',
  });
  return defineResource<CSINode>({
    kind: 'CSINode',
    plural: 'csinodes',
    singular: 'csinode',
    shortNames: [],
    categories: [],
    namespaced: false,
    storagePrefix: 'csinodes',
    allowUnconditionalUpdate: false,
    metadataRechecked: 'whole',
    views: [view, sameShapeView(view, { version: 'v1beta1' })],
    hasStatus: false,
    specChanged: () => false,
    prepareForCreate: withDrivers,
    prepareForUpdate: (next) => withDrivers(next),
    validate: validateNode,
    validateUpdate: validateNodeUpdate,
    columns: [
      nameColumn(),
      {
        name: 'Drivers',
        type: 'integer',
        description: 'Number of drivers on the node.',
        priority: 0,
        cell: ({ spec }) => (spec.drivers ?? []).length,
      },
      ageColumn(),
    ],
  });
}

function withDrivers(node: CSINode): CSINode {
  return changeMember(node, 'spec', (spec) => nullWhereEmpty(spec, 'drivers'));
}

function validateNode({ spec }: CSINode): FieldError[] {
  const names = new Set<string>();
  return (spec?.drivers ?? []).flatMap((driver, index) => {
    const at = `spec.drivers[${index}]`;
    const errors = validateNodeDriver(driver, at);
    if (names.has(driver.name)) errors.push(duplicate(`${at}.name`, driver.name));
    names.add(driver.name);
    return errors;
  });
}

function validateNodeDriver(driver: CSINodeDriver, field: string): FieldError[] {
  const { name, nodeID, allocatable } = driver;
  const topologyKeys = driver.topologyKeys ?? [];
  const errors = validateDriverName(name, `${field}.name`);
  if (nodeID === '') errors.push(required(`${field}.nodeID`));
  if (Buffer.byteLength(nodeID) > nodeIdBytesMax) {
    errors.push(tooLong(`${field}.nodeID`, nodeIdBytesMax));
  }
  errors.push(...validateNotNegative(allocatable?.count, `${field}.allocatable.count`));
  for (const [index, key] of topologyKeys.entries()) {
    if (key === '') errors.push(required(`${field}.topologyKeys`));
    if (topologyKeys.indexOf(key) !== index) {
      errors.push(duplicate(`${field}.topologyKeys`, key));
    }
    for (const problem of key === '' ? [] : qualifiedNameProblems(key)) {
      errors.push(invalid(`${field}.topologyKeys`, key, problem));
    }
  }
  return errors;
}

/** A driver may come and go, but not change, except for how many volumes it takes. */
function validateNodeUpdate(next: CSINode, old: CSINode): FieldError[] {
  const fixed = ({ allocatable: _allocatable, ...rest }: CSINodeDriver) => rest;
  return (next.spec?.drivers ?? []).flatMap((driver) => {
    const before = old.spec?.drivers?.find(({ name }) => name === driver.name);
    if (before === undefined || jsonEqual(fixed(driver), fixed(before))) return [];
    return [invalid('spec.drivers', fixed(driver), 'field is immutable')];
  });
}

export function csiStorageCapacityResource(): Resource {
  const view = hubView<CSIStorageCapacity>({
    group: 'storage.k8s.io',
    version: 'v1',
    definition: 'io.k8s.api.storage.v1.CSIStorageCapacity',
  });
  return defineResource<CSIStorageCapacity>({
    kind: 'CSIStorageCapacity',
    plural: 'csistoragecapacities',
    singular: 'csistoragecapacity',
    shortNames: [],
    categories: [],
    namespaced: true,
    storagePrefix: 'csistoragecapacities',
    allowUnconditionalUpdate: false,
    views: [view, sameShapeView(view, { version: 'v1beta1' })],
    hasStatus: false,
    specChanged: () => false,
    validate: validateCapacity,
    validateUpdate: (next, old) =>
      (['nodeTopology', 'storageClassName'] as const)
        .filter((field) => !jsonEqual(next[field], old[field]))
        .map((field) => invalid(field, next[field], 'field is immutable')),
    warnings: ({ nodeTopology }) => topologyWarnings(nodeTopology ?? {}),
    columns: [nameColumn(), createdAtColumn()],
  });
}

function topologyWarnings({ matchLabels, matchExpressions = [] }: Topology): string[] {
  const labels = Object.keys(matchLabels ?? {}).flatMap((key) => {
    const message = oldLabelMessage(key);
    return message === undefined ? [] : [`nodeTopology.matchLabels.${key}: ${message}`];
  });
  const field = 'nodeTopology';
  return [...termWarnings({ matchExpressions }, field, { checksValues: false }), ...labels];
}

function validateCapacity(hub: CSIStorageCapacity): FieldError[] {
  const { storageClassName = '', nodeTopology } = hub;
  const errors = subdomainProblems(storageClassName).map((problem) =>
    invalid('storageClassName', storageClassName, problem),
  );
  for (const field of ['capacity', 'maximumVolumeSize'] as const) {
    const value = hub[field];
    if (value === undefined || (parseQuantity(value)?.nano ?? 0n) >= 0n) continue;
    errors.push(invalid(field, value, 'must be greater than or equal to 0'));
  }
  return [...errors, ...validateLabelSelector(nodeTopology, 'nodeTopology')];
}
