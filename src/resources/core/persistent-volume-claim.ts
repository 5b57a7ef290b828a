/**
 * PersistentVolumeClaim: a wish for storage of some size and manner. It is bound to a volume for
 * good; what may change afterwards is in `persistent-volume-claim-validation.ts`.
 */
import { type FieldError, invalid, notSupported, required } from '#api/field-error.ts';
import { qualifiedNameProblems } from '#api/names.ts';
import { compareQuantities, quantityValue } from '#api/quantity.ts';
import { type Column, defineResource, type Resource } from '#api/resource.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { without } from '../fill-in.ts';
import type { PersistentVolumeClaim } from '../types/core-v1.ts';
import { hubView } from '../view.ts';
import { setPersistentVolumeClaimDefaults } from './persistent-volume-claim-defaults.ts';
import { validateClaimSpec, validateClaimUpdate } from './persistent-volume-claim-validation.ts';
import {
  classColumns,
  formatAccessModes,
  volumeColumn,
  volumeModeColumn,
} from './volume-columns.ts';
import { claimWarnings } from './volume-warnings.ts';

const knownSources = ['/PersistentVolumeClaim', 'snapshot.storage.k8s.io/VolumeSnapshot'];

export function persistentVolumeClaimResource(): Resource {
  return defineResource<PersistentVolumeClaim>({
    kind: 'PersistentVolumeClaim',
    plural: 'persistentvolumeclaims',
    singular: 'persistentvolumeclaim',
    shortNames: ['pvc'],
    categories: [],
    namespaced: true,
    storagePrefix: 'persistentvolumeclaims',
    views: [
      hubView<PersistentVolumeClaim>({
        group: '',
        version: 'v1',
        definition: 'io.k8s.api.core.v1.PersistentVolumeClaim',
        setDefaults: setPersistentVolumeClaimDefaults,
      }),
    ],
    hasStatus: true,
    specChanged: () => false,
    prepareForCreate: (claim) => ({
      ...withBothSources(withKnownSource(claim)),
      status: { phase: 'Pending' },
    }),
    prepareForUpdate: (next, old) => ({
      ...withBothSources(
        (old.spec?.dataSource ?? old.spec?.dataSourceRef) ? next : withKnownSource(next),
      ),
      status: old.status,
    }),
    prepareForStatusUpdate: (next, old) => ({ ...next, spec: old.spec }),
    validate: ({ spec }) => validateClaimSpec(spec ?? {}, 'spec'),
    validateUpdate: validateClaimUpdate,
    validateStatusUpdate: validateClaimStatus,
    warnings: (claim) => claimWarnings(claim),
    columns: claimColumns(),
    selectableFields: { name: ({ metadata }) => metadata.name ?? '' },
  });
}

function claimColumns(): readonly Column<PersistentVolumeClaim>[] {
  return [
    nameColumn(),
    volumeColumn('Status', 'Pending, Bound or Lost.', ({ metadata, status }) =>
      metadata.deletionTimestamp === undefined ? (status?.phase ?? '') : 'Terminating',
    ),
    volumeColumn('Volume', 'Volume that it is bound to.', ({ spec }) => spec?.volumeName ?? ''),
    volumeColumn('Capacity', 'Size of the volume.', ({ spec, status }) =>
      spec?.volumeName ? (status?.capacity?.['storage'] ?? '0') : '',
    ),
    volumeColumn('Access Modes', 'How it may be mounted.', ({ spec, status }) =>
      spec?.volumeName ? formatAccessModes(status?.accessModes) : '',
    ),
    ...classColumns('Class that provides it.'),
    ageColumn(),
    volumeModeColumn(),
  ];
}

/** The older field is for claims and snapshots; anything else in it counts as nothing. */
function withKnownSource(claim: PersistentVolumeClaim): PersistentVolumeClaim {
  const { dataSource, dataSourceRef } = claim.spec ?? {};
  if (claim.spec === undefined || dataSource === undefined || dataSourceRef !== undefined) {
    return claim;
  }
  const wanted = `${dataSource.apiGroup ?? ''}/${dataSource.kind}`;
  if (knownSources.includes(wanted)) return claim;
  return { ...claim, spec: without(claim.spec, 'dataSource') };
}

/** The newer field says what the older one says, and the other way round, within a namespace. */
function withBothSources(claim: PersistentVolumeClaim): PersistentVolumeClaim {
  const { spec } = claim;
  const { dataSource, dataSourceRef } = spec ?? {};
  if (spec === undefined || dataSourceRef?.namespace) return claim;
  if (dataSource !== undefined && dataSourceRef === undefined) {
    return { ...claim, spec: { ...spec, dataSourceRef: dataSource } };
  }
  if (dataSource === undefined && dataSourceRef !== undefined) {
    const { namespace: _, ...local } = dataSourceRef;
    return { ...claim, spec: { ...spec, dataSource: local } };
  }
  return claim;
}

const resizeStates = [
  'ControllerResizeInProgress',
  'ControllerResizeInfeasible',
  'NodeResizeInProgress',
  'NodeResizeInfeasible',
  'NodeResizePending',
];

function validateClaimStatus({ spec, status }: PersistentVolumeClaim): FieldError[] {
  const errors: FieldError[] = [];
  if ((spec?.accessModes ?? []).length === 0) errors.push(required('Spec.accessModes'));
  for (const [name, amount] of Object.entries(status?.capacity ?? {})) {
    errors.push(...validateAmount(amount, `status.capacity[${name}]`));
  }
  const states = 'status.allocatedResourceStatuses';
  for (const [name, state] of Object.entries(status?.allocatedResourceStatuses ?? {})) {
    errors.push(...validateResourceName(name, states));
    if (!resizeStates.includes(state)) errors.push(notSupported(states, name, resizeStates));
  }
  for (const [name, amount] of Object.entries(status?.allocatedResources ?? {})) {
    const wrong = validateResourceName(name, 'status.allocatedResources');
    if (wrong.length > 0) errors.push(...wrong);
    else errors.push(...validateAmount(amount, `status.allocatedResources[${name}]`));
  }
  return errors;
}

function validateAmount(amount: string, field: string): FieldError[] {
  if (compareQuantities(amount, '0') >= 0) return [];
  return [invalid(field, quantityValue(amount), 'must be a valid resource quantity')];
}

/** Of its own names Kubernetes allows only `storage` here. */
function validateResourceName(name: string, field: string): FieldError[] {
  const problems = qualifiedNameProblems(name);
  if (problems.length > 0) return problems.map((problem) => invalid(field, name, problem));
  const native = !name.includes('/') || name.includes('kubernetes.io/');
  return native && name !== 'storage' ? [notSupported(field, name, ['storage'])] : [];
}
