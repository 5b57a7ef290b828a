/**
 * Validation of volumes: unique names, exactly one source, and what each source needs.
 * Whether the named Secrets, ConfigMaps and claims exist is not asked; the kubelet finds out.
 */
import {
  duplicate,
  type FieldError,
  forbidden,
  invalid,
  notSupported,
  required,
} from '#api/field-error.ts';
import { labelProblems } from '#api/names.ts';
import { compareQuantities } from '#api/quantity.ts';
import type {
  DownwardAPIVolumeFile,
  KeyToPath,
  ProjectedVolumeSource,
  Volume,
  VolumeProjection,
} from '#resources/types/core-v1.ts';
import { validateLocalPath } from '#resources/value-validation.ts';
import { isStorageSource, validateStorageSource } from '#resources/volumes/storage-sources.ts';
import { validateClaimSpec } from '../persistent-volume-claim-validation.ts';
import { validateFieldRef, validateResourceFieldRef } from './env-validation.ts';

const hostPathTypes = [
  '',
  'BlockDevice',
  'CharDevice',
  'Directory',
  'DirectoryOrCreate',
  'File',
  'FileOrCreate',
  'Socket',
];

const pullPolicies = ['Always', 'IfNotPresent', 'Never'];

const downwardFieldPaths = [
  'metadata.annotations',
  'metadata.labels',
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
];

export interface ExaminedVolumes {
  readonly errors: readonly FieldError[];
  /** Those that containers can mount: what is wrong with the others hides them. */
  readonly sound: ReadonlyMap<string, Volume>;
}

export function examineVolumes(volumes: readonly Volume[], field: string): ExaminedVolumes {
  const errors: FieldError[] = [];
  const sound = new Map<string, Volume>();
  const names = new Set<string>();
  for (const [index, volume] of volumes.entries()) {
    const at = `${field}[${index}]`;
    const own = validateSource(volume, at);
    errors.push(...own);
    const problems = labelProblems(volume.name);
    if (own.length + problems.length === 0) sound.set(volume.name, volume);
    if (!volume.name) errors.push(required(`${at}.name`));
    else {
      for (const problem of problems) errors.push(invalid(`${at}.name`, volume.name, problem));
      if (names.has(volume.name)) errors.push(duplicate(`${at}.name`, volume.name));
    }
    names.add(volume.name);
  }
  return { errors, sound };
}

function validateSource(volume: Volume, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const sources = namesOf(volume).filter((name) => name !== 'name');
  if (sources.length === 0) return [required(field, 'must specify a volume type')];
  for (const extra of sources.slice(1)) {
    errors.push(forbidden(`${field}.${extra}`, 'may not specify more than 1 volume type'));
  }
  if (sources.length > 1) return errors;
  const [source = ''] = sources;
  if (isStorageSource(source)) {
    return [...errors, ...validateStorageSource(volume, source, { field, persistent: false })];
  }
  return [...errors, ...validateFileSource(volume, field), ...validateOtherSource(volume, field)];
}

/** Members that are there. */
function namesOf(object: object): readonly string[] {
  const members = object as Readonly<Record<string, unknown>>;
  return Object.keys(object).filter((name) => members[name] !== undefined);
}

function validateFileSource(volume: Volume, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const { secret, configMap, downwardAPI, projected } = volume;
  if (secret !== undefined) {
    if (!secret.secretName) errors.push(required(`${field}.secret.secretName`));
    errors.push(...validateMode(secret.defaultMode, `${field}.secret.defaultMode`));
    errors.push(...validateItems(secret.items ?? [], `${field}.secret.items`));
  }
  if (configMap !== undefined) {
    if (!configMap.name) errors.push(required(`${field}.configMap.name`));
    errors.push(...validateMode(configMap.defaultMode, `${field}.configMap.defaultMode`));
    errors.push(...validateItems(configMap.items ?? [], `${field}.configMap.items`));
  }
  if (downwardAPI !== undefined) {
    const at = `${field}.downwardAPI`;
    errors.push(...validateMode(downwardAPI.defaultMode, `${at}.defaultMode`));
    for (const file of downwardAPI.items ?? []) errors.push(...validateDownwardFile(file, at));
  }
  if (projected !== undefined) errors.push(...validateProjected(projected, `${field}.projected`));
  return errors;
}

function validateOtherSource(volume: Volume, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const { emptyDir, hostPath, persistentVolumeClaim, nfs, csi, ephemeral } = volume;
  if (emptyDir?.sizeLimit !== undefined && compareQuantities(emptyDir.sizeLimit, '0') < 0) {
    const detail = 'SizeLimit field must be a valid resource quantity';
    errors.push(forbidden(`${field}.emptyDir.sizeLimit`, detail));
  }
  if (hostPath !== undefined) {
    if (!hostPath.path) errors.push(required(`${field}.hostPath.path`));
    else if (hostPath.path.split('/').includes('..')) {
      errors.push(invalid(`${field}.hostPath.path`, hostPath.path, "must not contain '..'"));
    }
    if (!hostPathTypes.includes(hostPath.type ?? '')) {
      errors.push(notSupported(`${field}.hostPath.type`, hostPath.type, hostPathTypes));
    }
  }
  if (persistentVolumeClaim !== undefined && !persistentVolumeClaim.claimName) {
    errors.push(required(`${field}.persistentVolumeClaim.claimName`));
  }
  if (nfs !== undefined) {
    if (!nfs.server) errors.push(required(`${field}.nfs.server`));
    if (!nfs.path) errors.push(required(`${field}.nfs.path`));
    if (!nfs.path?.startsWith('/')) {
      errors.push(invalid(`${field}.nfs.path`, nfs.path ?? '', 'must be an absolute path'));
    }
  }
  if (csi !== undefined && !csi.driver) errors.push(required(`${field}.csi.driver`));
  if (csi?.nodePublishSecretRef !== undefined && !csi.nodePublishSecretRef.name) {
    errors.push(required(`${field}.csi.nodePublishSecretRef.name`));
  }
  errors.push(...validateBlockSource(volume, field));
  if (ephemeral !== undefined) {
    const at = `${field}.ephemeral.volumeClaimTemplate`;
    const { volumeClaimTemplate: template } = ephemeral;
    errors.push(
      ...(template === undefined ? [required(at)] : validateClaimSpec(template.spec, `${at}.spec`)),
    );
  }
  return errors;
}

function validateBlockSource({ iscsi, image }: Volume, field: string): FieldError[] {
  const errors: FieldError[] = [];
  if (iscsi !== undefined) {
    if (!iscsi.targetPortal) errors.push(required(`${field}.iscsi.targetPortal`));
    if (!iscsi.iqn) errors.push(required(`${field}.iscsi.iqn`));
    else if (!/^(iqn|eui|naa)/.test(iscsi.iqn)) {
      const detail = 'must be valid format starting with iqn, eui, or naa';
      errors.push(invalid(`${field}.iscsi.iqn`, iscsi.iqn, detail));
    }
    if (iscsi.lun < 0 || iscsi.lun > 255) {
      errors.push(invalid(`${field}.iscsi.lun`, iscsi.lun, 'must be between 0 and 255, inclusive'));
    }
  }
  if (image !== undefined) {
    if (!image.reference) errors.push(required(`${field}.image.reference`));
    if (!pullPolicies.includes(image.pullPolicy ?? '')) {
      errors.push(notSupported(`${field}.image.pullPolicy`, image.pullPolicy, pullPolicies));
    }
  }
  return errors;
}

function validateMode(mode: number | undefined, field: string): FieldError[] {
  if (mode === undefined || (mode >= 0 && mode <= 0o777)) return [];
  return [invalid(field, mode, 'must be a number between 0 and 0777 (octal), both inclusive')];
}

function validateItems(items: readonly KeyToPath[], field: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [index, { key, path, mode }] of items.entries()) {
    const at = `${field}[${index}]`;
    if (!key) errors.push(required(`${at}.key`));
    if (!path) errors.push(required(`${at}.path`));
    else errors.push(...validateLocalPath(path, `${at}.path`));
    errors.push(...validateMode(mode, `${at}.mode`));
  }
  return errors;
}

function validateDownwardFile(file: DownwardAPIVolumeFile, field: string): FieldError[] {
  const errors: FieldError[] = [];
  if (!file.path) errors.push(required(`${field}.path`));
  else errors.push(...validateLocalPath(file.path, `${field}.path`));
  if (file.fieldRef !== undefined) {
    errors.push(...validateFieldRef(file.fieldRef, downwardFieldPaths, `${field}.fieldRef`));
    if (file.resourceFieldRef !== undefined) {
      const detail = 'fieldRef and resourceFieldRef can not be specified simultaneously';
      errors.push(invalid(field, 'resource', detail));
    }
  } else if (file.resourceFieldRef !== undefined) {
    const at = `${field}.resourceFieldRef`;
    if (!file.resourceFieldRef.containerName) errors.push(required(`${at}.containerName`));
    else errors.push(...validateResourceFieldRef(file.resourceFieldRef, at));
  } else {
    errors.push(required(field, 'one of fieldRef and resourceFieldRef is required'));
  }
  errors.push(...validateMode(file.mode, `${field}.mode`));
  return errors;
}

function validateProjected(source: ProjectedVolumeSource, field: string): FieldError[] {
  const errors = validateMode(source.defaultMode, `${field}.defaultMode`);
  const { sources = [] } = source;
  for (const [index, projection] of sources.entries()) {
    errors.push(...validateProjection(projection, `${field}.sources[${index}]`));
  }
  const taken = new Set<string>();
  const take = (path: string, shown: string): void => {
    if (path && taken.has(path)) errors.push(invalid(field, shown, 'conflicting duplicate paths'));
    taken.add(path);
  };
  for (const { secret, configMap, downwardAPI } of sources) {
    for (const { path } of secret?.items ?? []) take(path, secret?.name ?? '');
    for (const { path } of configMap?.items ?? []) take(path, configMap?.name ?? '');
    for (const { path } of downwardAPI?.items ?? []) take(path, path);
  }
  return errors;
}

function validateProjection(projection: VolumeProjection, field: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const extra of namesOf(projection).slice(1)) {
    errors.push(
      forbidden(`${field}.${extra}`, 'may not specify more than 1 volume type per source'),
    );
  }
  const { secret, configMap, serviceAccountToken: token, downwardAPI } = projection;
  if (secret !== undefined) {
    if (!secret.name) errors.push(required(`${field}.secret.name`));
    errors.push(...validateItems(secret.items ?? [], `${field}.secret.items`));
  }
  if (configMap !== undefined) {
    if (!configMap.name) errors.push(required(`${field}.configMap.name`));
    errors.push(...validateItems(configMap.items ?? [], `${field}.configMap.items`));
  }
  for (const file of downwardAPI?.items ?? []) {
    errors.push(...validateDownwardFile(file, `${field}.downwardAPI`));
  }
  if (token !== undefined) {
    const seconds = token.expirationSeconds ?? 3600;
    const at = `${field}.serviceAccountToken`;
    if (seconds < 600) {
      const detail = 'may not specify a duration less than 10 minutes';
      errors.push(invalid(`${at}.expirationSeconds`, seconds, detail));
    }
    if (seconds > 2 ** 32) {
      const detail = 'may not specify a duration larger than 2^32 seconds';
      errors.push(invalid(`${at}.expirationSeconds`, seconds, detail));
    }
    if (!token.path) errors.push(required(`${at}.path`));
    else errors.push(...validateLocalPath(token.path, `${at}.path`));
  }
  return errors;
}
