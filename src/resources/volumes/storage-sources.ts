/**
 * What is wrong with a volume of a storage system: of clouds, of Ceph, Fibre Channel and the like,
 * in upstream's words. Most of these have no driver in Kubernetes any more; their objects are
 * checked all the same. Pure; used for volumes of pods and for PersistentVolumes, which name the
 * namespaces of what they refer to.
 */
import { type FieldError, invalid, notSupported, required } from '#api/field-error.ts';
import { labelProblems } from '#api/names.ts';
import type {
  AzureDiskVolumeSource,
  FCVolumeSource,
  FlockerVolumeSource,
  PersistentVolumeSpec,
  QuobyteVolumeSource,
  SecretReference,
  Volume,
} from '../types/core-v1.ts';

/** What has to be said of each, in upstream's order. */
const needed = {
  gcePersistentDisk: ['pdName'],
  awsElasticBlockStore: ['volumeID'],
  glusterfs: ['endpoints', 'path'],
  flocker: [],
  rbd: ['monitors', 'image'],
  quobyte: [],
  cephfs: ['monitors'],
  cinder: ['volumeID'],
  fc: [],
  flexVolume: ['driver'],
  azureFile: ['secretName', 'shareName'],
  vsphereVolume: ['volumePath'],
  photonPersistentDisk: ['pdID'],
  portworxVolume: ['volumeID'],
  azureDisk: ['diskName', 'diskURI'],
  scaleIO: ['gateway', 'system', 'volumeName'],
  storageos: ['volumeName'],
} as const;

export type StorageSource = keyof typeof needed;
type Sources = Pick<PersistentVolumeSpec, StorageSource> | Pick<Volume, StorageSource>;

export function isStorageSource(name: string): name is StorageSource {
  return Object.hasOwn(needed, name);
}

/** `field` is that of the volume. */
export function validateStorageSource(
  sources: Sources,
  name: StorageSource,
  { field, persistent }: { readonly field: string; readonly persistent: boolean },
): FieldError[] {
  const source = sources[name];
  if (source === undefined) return [];
  const at = `${field}.${name === 'gcePersistentDisk' ? 'persistentDisk' : name}`;
  // Each of them is an object whose members are looked up by names that it has.
  const members = source as unknown as Readonly<Record<string, unknown>>;
  const missing = needed[name].filter((one) => isEmpty(members[one]));
  return [
    ...missing.map((one) => required(`${at}.${one}`)),
    ...validateMore(sources, at, persistent),
    ...validateDisk(sources, at),
  ];
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
}

function validateDisk(sources: Sources, at: string): FieldError[] {
  const { gcePersistentDisk, awsElasticBlockStore, azureDisk, fc, flocker, quobyte } = sources;
  const { partition = 0 } = gcePersistentDisk ?? awsElasticBlockStore ?? {};
  if (partition < 0 || partition > 255) {
    return [invalid(`${at}.partition`, partition, 'must be between 1 and 255, inclusive')];
  }
  if (azureDisk !== undefined) return validateAzureDisk(azureDisk, at);
  if (fc !== undefined) return validateFC(fc, at);
  if (flocker !== undefined) return validateFlocker(flocker, at);
  return quobyte === undefined ? [] : validateQuobyte(quobyte, at);
}

function validateMore(sources: Sources, at: string, persistent: boolean): FieldError[] {
  const { glusterfs, cinder, flexVolume, azureFile, storageos } = sources;
  const errors: FieldError[] = [];
  if (glusterfs !== undefined && 'endpointsNamespace' in glusterfs) {
    errors.push(...validateEndpointsNamespace(glusterfs.endpointsNamespace, at));
  }
  if (azureFile !== undefined && 'secretNamespace' in azureFile) {
    if (azureFile.secretNamespace === '') errors.push(required(`${at}.secretNamespace`));
  }
  for (const key of Object.keys(flexVolume?.options ?? {})) {
    const [namespace = ''] = key.split('/');
    if (!/\.(kubernetes|k8s)\.io$/.test(`.${namespace.toLowerCase()}`)) continue;
    const detail = 'kubernetes.io and k8s.io namespaces are reserved';
    errors.push(invalid(`${at}.options[${key}]`, key, detail));
  }
  if (storageos !== undefined) {
    for (const key of ['volumeName', 'volumeNamespace'] as const) {
      const name = storageos[key];
      if (!name) continue;
      errors.push(...labelProblems(name).map((problem) => invalid(`${at}.${key}`, name, problem)));
    }
  }
  const secretRef: SecretReference | undefined = cinder?.secretRef ?? storageos?.secretRef;
  if (secretRef === undefined) return errors;
  if (!secretRef.name) errors.push(required(`${at}.secretRef.name`));
  if (persistent && !secretRef.namespace) errors.push(required(`${at}.secretRef.namespace`));
  return errors;
}

function validateEndpointsNamespace(name: string | undefined, at: string): FieldError[] {
  if (name === undefined) return [];
  const field = `${at}.endpointsNamespace`;
  if (name !== '') return labelProblems(name).map((problem) => invalid(field, name, problem));
  const detail = 'if the endpointnamespace is set, it must be a valid namespace name';
  return [invalid(field, name, detail)];
}

const cachingModes = ['None', 'ReadOnly', 'ReadWrite'];
const diskKinds = ['Dedicated', 'Managed', 'Shared'];
const managedURI =
  '/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}';
const blobURI = 'https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd';

function validateAzureDisk(disk: AzureDiskVolumeSource, at: string): FieldError[] {
  const { cachingMode, kind, diskURI = '' } = disk;
  const errors: FieldError[] = [];
  if (cachingMode !== undefined && !cachingModes.includes(cachingMode)) {
    errors.push(notSupported(`${at}.cachingMode`, cachingMode, cachingModes));
  }
  if (kind === undefined) return errors;
  if (!diskKinds.includes(kind)) errors.push(notSupported(`${at}.kind`, kind, diskKinds));
  const [prefix, form] =
    kind === 'Managed' ? ['/subscriptions/', managedURI] : ['https://', blobURI];
  if (!diskURI.startsWith(prefix)) errors.push(notSupported(`${at}.diskURI`, diskURI, [form]));
  return errors;
}

function validateFC(
  { targetWWNs = [], wwids = [], lun }: FCVolumeSource,
  at: string,
): FieldError[] {
  const errors: FieldError[] = [];
  const field = `${at}.targetWWNs`;
  if (targetWWNs.length === 0 && wwids.length === 0) {
    errors.push(required(field, 'must specify either targetWWNs or wwids, but not both'));
  }
  if (targetWWNs.length === 0) return errors;
  if (wwids.length > 0) {
    const detail = 'targetWWNs and wwids can not be specified simultaneously';
    errors.push(invalid(field, targetWWNs, detail));
  }
  if (lun === undefined) {
    errors.push(required(`${at}.lun`, 'lun is required if targetWWNs is specified'));
  } else if (lun < 0 || lun > 255) {
    errors.push(invalid(`${at}.lun`, lun, 'must be between 0 and 255, inclusive'));
  }
  return errors;
}

function validateFlocker({ datasetName, datasetUUID }: FlockerVolumeSource, at: string) {
  const errors: FieldError[] = [];
  if (!datasetName && !datasetUUID) {
    errors.push(required(at, 'one of datasetName and datasetUUID is required'));
  }
  if (datasetName && datasetUUID) {
    const detail = 'datasetName and datasetUUID can not be specified simultaneously';
    errors.push(invalid(at, 'resource', detail));
  }
  if (datasetName?.includes('/') === true) {
    errors.push(invalid(`${at}.datasetName`, datasetName, "must not contain '/'"));
  }
  return errors;
}

const pairs = 'must be a host:port pair or multiple pairs separated by commas';
const tenantBytesMax = 64;

function validateQuobyte(quobyte: QuobyteVolumeSource, at: string): FieldError[] {
  const { registry = '', tenant = '', volume } = quobyte;
  const errors: FieldError[] = [];
  if (registry === '') {
    errors.push(required(`${at}.registry`, pairs));
  } else if (tenant.length > tenantBytesMax) {
    const detail = 'must be a UUID and may not exceed a length of 64 characters';
    errors.push(required(`${at}.tenant`, detail));
  } else {
    for (const pair of registry.split(',')) {
      if (/^([^:[\]]*|\[[^[\]]*\]):[^:[\]]*$/.test(pair)) continue;
      errors.push(invalid(`${at}.registry`, registry, pairs));
    }
  }
  if (!volume) errors.push(required(`${at}.volume`));
  return errors;
}
