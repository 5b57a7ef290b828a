/**
 * PersistentVolumeClaim: a wish for storage of some size and manner. It is bound to a volume for
 * good; what may change afterwards is in `persistent-volume-claim-validation.ts`.
 */
import { type FieldError, invalid, required } from '#api/field-error.ts';
import { compareQuantities } from '#api/quantity.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import type { PersistentVolumeClaim } from '../types/core-v1.ts';
import { hubView } from '../view.ts';
import { setPersistentVolumeClaimDefaults } from './persistent-volume-claim-defaults.ts';
import { validateClaimSpec, validateClaimUpdate } from './persistent-volume-claim-validation.ts';
import { formatAccessModes, volumeColumn } from './volume-columns.ts';
import { claimWarnings } from './volume-warnings.ts';

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
      ...withBothSources(claim),
      status: { phase: 'Pending' },
    }),
    prepareForUpdate: (next, old) => ({ ...withBothSources(next), status: old.status }),
    prepareForStatusUpdate: (next, old) => ({ ...next, spec: old.spec }),
    validate: ({ spec }) => validateClaimSpec(spec ?? {}, 'spec'),
    validateUpdate: validateClaimUpdate,
    validateStatusUpdate: validateClaimStatus,
    warnings: (claim) => claimWarnings(claim),
    columns: [
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
      volumeColumn(
        'StorageClass',
        'Class that provides it.',
        ({ metadata, spec }) =>
          metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] ??
          spec?.storageClassName ??
          '',
      ),
      volumeColumn(
        'VolumeAttributesClass',
        'Class of its attributes.',
        ({ spec }) => spec?.volumeAttributesClassName ?? '<unset>',
      ),
      ageColumn(),
      {
        ...volumeColumn<PersistentVolumeClaim>(
          'VolumeMode',
          'Filesystem or Block.',
          ({ spec }) => spec?.volumeMode ?? '<unset>',
        ),
        priority: 1,
      },
    ],
    selectableFields: { name: ({ metadata }) => metadata.name ?? '' },
  });
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

function validateClaimStatus({ spec, status }: PersistentVolumeClaim): FieldError[] {
  const errors: FieldError[] = [];
  if ((spec?.accessModes ?? []).length === 0) errors.push(required('Spec.accessModes'));
  for (const [name, amount] of Object.entries(status?.capacity ?? {})) {
    if (compareQuantities(amount, '0') >= 0) continue;
    const detail = 'must be a valid resource quantity';
    errors.push(invalid(`status.capacity[${name}]`, amount, detail));
  }
  return errors;
}
