/**
 * PersistentVolume: storage of the cluster, given to one claim at a time. Where it lies is fixed;
 * what becomes of it when the claim goes may change.
 */
import { type FieldError, forbidden, invalid, notSupported, required } from '#api/field-error.ts';
import { labelProblems, subdomainProblems } from '#api/names.ts';
import { validateObjectMeta } from '#api/object-meta.ts';
import { compareQuantities, quantityValue } from '#api/quantity.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { inThousandths } from '../amounts.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { changeMember, fillIn } from '../fill-in.ts';
import { validateStrictNodeSelector } from '../node-selector-validation.ts';
import { validateDriverName } from '../storage/driver-name.ts';
import type {
  CSIPersistentVolumeSource,
  ISCSIPersistentVolumeSource,
  PersistentVolume,
  PersistentVolumeSpec,
} from '../types/core-v1.ts';
import { validateLocalPath } from '../value-validation.ts';
import { hubView } from '../view.ts';
import { isStorageSource, validateStorageSource } from '../volumes/storage-sources.ts';
import {
  classProblems,
  validateAccessModes,
  volumeModes,
} from './persistent-volume-claim-validation.ts';
import {
  classColumns,
  formatAccessModes,
  volumeColumn,
  volumeModeColumn,
} from './volume-columns.ts';
import { volumeWarnings } from './volume-warnings.ts';

const reclaimPolicies = ['Delete', 'Recycle', 'Retain'];

export function persistentVolumeResource(): Resource {
  return defineResource<PersistentVolume>({
    kind: 'PersistentVolume',
    plural: 'persistentvolumes',
    singular: 'persistentvolume',
    shortNames: ['pv'],
    categories: [],
    namespaced: false,
    storagePrefix: 'persistentvolumes',
    views: [
      hubView<PersistentVolume>({
        group: '',
        version: 'v1',
        definition: 'io.k8s.api.core.v1.PersistentVolume',
        setDefaults: setVolumeDefaults,
      }),
    ],
    hasStatus: true,
    specChanged: () => false,
    prepareForCreate: (volume, { now }) => ({
      ...volume,
      status: { phase: 'Pending', lastPhaseTransitionTime: now },
    }),
    prepareForUpdate: (next, old) => ({ ...next, status: old.status }),
    prepareForStatusUpdate: (next, old, { now }) => ({
      ...next,
      spec: old.spec,
      ...statusWithTime(next.status, old.status, now),
    }),
    metadataRechecked: 'whole',
    validate: validateVolume,
    validateUpdate: validateVolumeUpdate,
    warnings: (volume) => volumeWarnings(volume),
    columns: volumeColumns(),
    selectableFields: { name: ({ metadata }) => metadata.name ?? '' },
  });
}

/** The time of the last change of phase, unless the writer says another. */
function statusWithTime(
  status: PersistentVolume['status'],
  old: PersistentVolume['status'],
  now: string,
): Pick<PersistentVolume, 'status'> {
  const said = status?.lastPhaseTransitionTime;
  const before = old?.lastPhaseTransitionTime;
  if (status?.phase === old?.phase) {
    if (said !== undefined || before === undefined) return {};
    return { status: { ...status, lastPhaseTransitionTime: before } };
  }
  if (said !== undefined && said !== before) return {};
  return { status: { ...status, lastPhaseTransitionTime: now } };
}

function volumeColumns(): Resource<PersistentVolume>['columns'] {
  return [
    nameColumn(),
    volumeColumn('Capacity', 'Size.', ({ spec }) => spec?.capacity?.['storage'] ?? '0'),
    volumeColumn('Access Modes', 'How it may be mounted.', ({ spec }) =>
      formatAccessModes(spec?.accessModes),
    ),
    volumeColumn(
      'Reclaim Policy',
      'What happens to it when its claim is deleted.',
      ({ spec }) => spec?.persistentVolumeReclaimPolicy ?? '',
    ),
    volumeColumn('Status', 'Available, Bound, Released or Failed.', ({ metadata, status }) =>
      metadata.deletionTimestamp === undefined ? (status?.phase ?? '') : 'Terminating',
    ),
    volumeColumn('Claim', 'Claim that it is bound to.', ({ spec }) => {
      const claim = spec?.claimRef;
      return claim === undefined ? '' : `${claim.namespace ?? ''}/${claim.name ?? ''}`;
    }),
    ...classColumns('Class that it belongs to.'),
    volumeColumn('Reason', 'Why it failed.', ({ status }) => status?.reason ?? ''),
    ageColumn(),
    volumeModeColumn(),
  ];
}

function setVolumeDefaults(volume: PersistentVolume): PersistentVolume {
  const next = changeMember(volume, 'spec', (spec) =>
    fillIn(setSourceDefaults(changeMember(spec, 'capacity', inThousandths)), {
      persistentVolumeReclaimPolicy: 'Retain',
      // An empty text is not absent here: it is refused.
      ...(spec.volumeMode === undefined ? { volumeMode: 'Filesystem' } : {}),
    }),
  );
  const status = fillIn(next.status ?? {}, { phase: 'Pending' });
  return status === next.status ? next : { ...next, status };
}

function setSourceDefaults(given: PersistentVolumeSpec): PersistentVolumeSpec {
  let spec = changeMember(given, 'hostPath', (hostPath) =>
    hostPath.type === undefined ? { ...hostPath, type: '' } : hostPath,
  );
  spec = changeMember(spec, 'iscsi', (source) => fillIn(source, { iscsiInterface: 'default' }));
  spec = changeMember(spec, 'rbd', (source) =>
    fillIn(source, { pool: 'rbd', user: 'admin', keyring: '/etc/ceph/keyring' }),
  );
  spec = changeMember(spec, 'azureDisk', (source) =>
    fillIn(source, { cachingMode: 'ReadWrite', kind: 'Shared', fsType: 'ext4', readOnly: false }),
  );
  return changeMember(spec, 'scaleIO', (source) =>
    fillIn(source, { storageMode: 'ThinProvisioned', fsType: 'xfs' }),
  );
}

/** Fields of a spec that say where the storage is; one of them stands. */
const sources = [
  'hostPath',
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'glusterfs',
  'flocker',
  'nfs',
  'rbd',
  'quobyte',
  'cephfs',
  'iscsi',
  'cinder',
  'fc',
  'flexVolume',
  'azureFile',
  'vsphereVolume',
  'photonPersistentDisk',
  'portworxVolume',
  'azureDisk',
  'scaleIO',
  'local',
  'storageos',
  'csi',
] as const;

function validateVolume({ metadata, spec = {} }: PersistentVolume): FieldError[] {
  const errors = validateAccessModes(spec.accessModes ?? [], 'spec.accessModes', { detail: '' });
  errors.push(...validateCapacity(spec.capacity));
  const { persistentVolumeReclaimPolicy: policy, storageClassName, volumeMode } = spec;
  if (policy && !reclaimPolicies.includes(policy)) {
    const field = 'spec.persistentVolumeReclaimPolicy';
    errors.push(notSupported(field, policy, reclaimPolicies));
  }
  if (spec.nodeAffinity !== undefined) {
    const at = 'spec.nodeAffinity.required';
    const { required: nodes } = spec.nodeAffinity;
    if (nodes === undefined) errors.push(required(at, 'must specify required node constraints'));
    else errors.push(...validateStrictNodeSelector(nodes, at));
  }
  errors.push(...validateSource(spec, metadata.name ?? ''));
  if (spec.hostPath?.path === '/' && policy === 'Recycle') {
    const detail = "may not be 'recycle' for a hostPath mount of '/'";
    errors.push(forbidden('spec.persistentVolumeReclaimPolicy', detail));
  }
  if (storageClassName) errors.push(...classProblems(storageClassName, 'spec.storageClassName'));
  if (volumeMode !== undefined && !volumeModes.includes(volumeMode)) {
    errors.push(notSupported('spec.volumeMode', volumeMode, volumeModes));
  }
  return [...errors, ...validateAttributesClass(spec)];
}

function validateAttributesClass(spec: PersistentVolumeSpec): FieldError[] {
  const { volumeAttributesClassName: name, csi } = spec;
  if (name === undefined) return [];
  const at = 'spec.volumeAttributesClassName';
  const errors =
    name === '' ? [required(at, 'an empty string is disallowed')] : classProblems(name, at);
  if (csi !== undefined) return errors;
  const detail = 'has to be specified when using volumeAttributesClassName';
  return [...errors, required('spec.csi', detail)];
}

function validateCapacity(given: PersistentVolumeSpec['capacity']): FieldError[] {
  const errors: FieldError[] = [];
  const capacity = given ?? {};
  const entries = Object.entries(capacity);
  if (entries.length === 0) errors.push(required('spec.capacity'));
  if (capacity['storage'] === undefined || entries.length > 1) {
    errors.push(notSupported('spec.capacity', '', ['storage']));
  }
  for (const [name, amount] of entries) {
    if (compareQuantities(amount, '0') > 0) continue;
    const at = `spec.capacity[${name}]`;
    const value = quantityValue(amount);
    if (value < 0) errors.push(invalid(at, value, 'must be a valid resource quantity'));
    errors.push(invalid(at, amount, 'must be greater than zero'));
  }
  return errors.map((error) =>
    error.type === 'FieldValueNotSupported' ? { ...error, badValue: given ?? null } : error,
  );
}

const csiSecrets = [
  'controllerPublishSecretRef',
  'controllerExpandSecretRef',
  'nodePublishSecretRef',
  'nodeExpandSecretRef',
] as const;

function validateSource(spec: PersistentVolumeSpec, name: string): FieldError[] {
  const given = sources.filter((source) => spec[source] !== undefined);
  if (given.length === 0) return [required('spec', 'must specify a volume type')];
  const errors = given
    .slice(1)
    .map((source) => forbidden(`spec.${source}`, 'may not specify more than 1 volume type'));
  const { hostPath, nfs, local, iscsi, csi, nodeAffinity } = spec;
  if (hostPath !== undefined) {
    if (!hostPath.path) errors.push(required('spec.hostPath.path'));
    else errors.push(...backsteps(hostPath.path, 'spec.hostPath.path'));
  }
  if (nfs !== undefined) {
    if (!nfs.server) errors.push(required('spec.nfs.server'));
    if (!nfs.path) errors.push(required('spec.nfs.path'));
    else if (!nfs.path.startsWith('/')) {
      errors.push(invalid('spec.nfs.path', nfs.path, 'must be an absolute path'));
    }
  }
  if (local !== undefined) {
    if (!local.path) errors.push(required('spec.local.path'));
    else errors.push(...backsteps(local.path, 'spec.local.path'));
    if (nodeAffinity === undefined) {
      errors.push(required('spec.nodeAffinity', 'Local volume requires node affinity'));
    }
  }
  if (iscsi !== undefined) errors.push(...validateISCSI(iscsi, name));
  if (csi !== undefined) errors.push(...validateCSI(csi));
  const [first = ''] = given;
  if (!isStorageSource(first)) return errors;
  const options = { field: 'spec', persistent: true };
  return [...errors, ...validateStorageSource(spec, first, options)];
}

function validateCSI(csi: CSIPersistentVolumeSource): FieldError[] {
  const errors = validateDriverName(csi.driver, 'spec.csi.driver');
  if (!csi.volumeHandle) errors.push(required('spec.csi.volumeHandle'));
  for (const key of csiSecrets) {
    const secret = csi[key];
    if (secret === undefined) continue;
    const { name = '', namespace = '' } = secret;
    const at = `spec.csi.${key}`;
    errors.push(...validateName(name, `${at}.name`, subdomainProblems));
    errors.push(...validateName(namespace, `${at}.namespace`, labelProblems));
  }
  return errors;
}

function validateName(
  name: string,
  field: string,
  problems: (name: string) => readonly string[],
): FieldError[] {
  if (name === '') return [required(field)];
  return problems(name).map((problem) => invalid(field, name, problem));
}

const targetBytesMax = 64;

function validateISCSI(iscsi: ISCSIPersistentVolumeSource, name: string): FieldError[] {
  const { targetPortal, iqn, lun = 0, secretRef, initiatorName } = iscsi;
  const errors: FieldError[] = targetPortal ? [] : [required('spec.iscsi.targetPortal')];
  if (initiatorName !== undefined && `${name}:${targetPortal}`.length > targetBytesMax) {
    const detail = `Total length of <volume name>:<iscsi.targetPortal> must be under ${targetBytesMax} characters if iscsi.initiatorName is specified.`;
    errors.push(invalid('spec.iscsi.targetportal', targetPortal, detail));
  }
  if (!iqn) errors.push(required('spec.iscsi.iqn'));
  else if (!isQualifiedName(iqn))
    errors.push(invalid('spec.iscsi.iqn', iqn, 'must be valid format'));
  if (lun < 0 || lun > 255) {
    errors.push(invalid('spec.iscsi.lun', lun, 'must be between 0 and 255, inclusive'));
  }
  const withSecret = iscsi.chapAuthDiscovery === true || iscsi.chapAuthSession === true;
  if (withSecret && secretRef === undefined) errors.push(required('spec.iscsi.secretRef'));
  if (secretRef?.name === '') errors.push(required('spec.iscsi.secretRef.name'));
  if (initiatorName !== undefined && !isQualifiedName(initiatorName)) {
    errors.push(invalid('spec.iscsi.initiatorname', initiatorName, 'must be valid format'));
  }
  return errors;
}

/** Names of iSCSI nodes in their three forms; the first needs a part after its colon. */
function isQualifiedName(name: string): boolean {
  if (name.startsWith('iqn')) return /iqn\.\d{4}-\d{2}\.[a-zA-Z0-9.-]+:[^,;*&$|\s]+$/.test(name);
  return /^eui.[a-zA-Z0-9]{16}$/.test(name) || /^naa.[a-zA-Z0-9]{32}$/.test(name);
}

/** `..` in a path, which may be absolute here. */
function backsteps(path: string, field: string): FieldError[] {
  return validateLocalPath(path.replace(/^\/+/, ''), field).map((error) => ({
    ...error,
    badValue: path,
  }));
}

function validateVolumeUpdate(next: PersistentVolume, old: PersistentVolume): FieldError[] {
  // Upstream looks at the whole once more here.
  const rules = { namespaced: false, nameRule: 'subdomain' } as const;
  const errors: FieldError[] = [
    ...validateObjectMeta(next.metadata, rules),
    ...validateVolume(next),
  ];
  if (sources.some((source) => !jsonEqual(next.spec?.[source], old.spec?.[source]))) {
    const detail = 'spec.persistentvolumesource is immutable after creation';
    errors.push(forbidden('spec.persistentvolumesource', detail));
  }
  if (next.spec?.volumeMode !== old.spec?.volumeMode) {
    errors.push(invalid('volumeMode', next.spec?.volumeMode, 'field is immutable'));
  }
  if (hadAttributesClass(old) && !hadAttributesClass(next)) {
    const detail = 'update from non-nil value to nil is forbidden';
    errors.push(forbidden('spec.volumeAttributesClassName', detail));
  }
  const before = old.spec?.nodeAffinity;
  if (before !== undefined && !jsonEqual(next.spec?.nodeAffinity, before)) {
    errors.push(
      invalid(
        'nodeAffinity',
        next.spec?.nodeAffinity,
        'field is immutable, except for updating from beta label to GA',
      ),
    );
  }
  return errors;
}

function hadAttributesClass({ spec }: PersistentVolume): boolean {
  return spec?.volumeAttributesClassName !== undefined;
}
