/**
 * Validation of claims for volumes, also of those that a StatefulSet has templates for: how much,
 * in which ways it may be mounted, from which class or source. A claim stays what it was; a bound
 * one may ask for more.
 */
import { type FieldError, forbidden, invalid, notSupported, required } from '#api/field-error.ts';
import { labelProblems, subdomainProblems } from '#api/names.ts';
import { compareQuantities } from '#api/quantity.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { validateLabelSelector } from '../label-selector-validation.ts';
import type { PersistentVolumeClaim, PersistentVolumeClaimSpec } from '../types/core-v1.ts';

export const accessModes = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod'];
export const volumeModes = ['Block', 'Filesystem'];

export function validateClaimSpec(
  spec: Partial<PersistentVolumeClaimSpec>,
  field: string,
): FieldError[] {
  const { storageClassName, volumeMode, volumeAttributesClassName } = spec;
  const errors = validateAccessModes(spec.accessModes ?? [], `${field}.accessModes`, {
    detail: 'at least 1 access mode is required',
  });
  errors.push(...validateLabelSelector(spec.selector, `${field}.selector`));
  const storage = spec.resources?.requests?.['storage'];
  if (storage === undefined) errors.push(required(`${field}.resources[storage]`));
  else if (compareQuantities(storage, '0') <= 0) {
    errors.push(invalid(`${field}.resources[storage]`, storage, 'must be greater than zero'));
  }
  if (storageClassName)
    errors.push(...classProblems(storageClassName, `${field}.storageClassName`));
  if (volumeMode !== undefined && !volumeModes.includes(volumeMode)) {
    errors.push(notSupported(`${field}.volumeMode`, volumeMode, volumeModes));
  }
  errors.push(...validateSources(spec, field));
  if (volumeAttributesClassName) {
    const at = `${field}.volumeAttributesClassName`;
    errors.push(...classProblems(volumeAttributesClassName, at));
  }
  return errors;
}

export function validateAccessModes(
  modes: readonly string[],
  field: string,
  { detail }: { readonly detail: string },
): FieldError[] {
  const errors: FieldError[] = modes.length === 0 ? [required(field, detail)] : [];
  for (const mode of modes) {
    if (!accessModes.includes(mode)) errors.push(notSupported(field, mode, accessModes));
  }
  const known = modes.filter((mode) => accessModes.includes(mode));
  if (known.includes('ReadWriteOncePod') && new Set(known).size > 1) {
    errors.push(forbidden(field, 'may not use ReadWriteOncePod with other access modes'));
  }
  return errors;
}

export function classProblems(name: string, field: string): FieldError[] {
  return subdomainProblems(name).map((problem) => invalid(field, name, problem));
}

interface Source {
  readonly apiGroup?: string | undefined;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string | undefined;
}

function validateSources(
  { dataSource, dataSourceRef }: Partial<PersistentVolumeClaimSpec>,
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  if (dataSource !== undefined) errors.push(...validateSource(dataSource, `${field}.dataSource`));
  if (dataSourceRef !== undefined) {
    errors.push(...validateSource(dataSourceRef, `${field}.dataSourceRef`));
  }
  if (dataSource === undefined || dataSourceRef === undefined) return errors;
  if (dataSourceRef.namespace) {
    const detail = 'may not be specified when dataSourceRef.namespace is specified';
    errors.push(invalid(field, `${field}.dataSource`, detail));
  } else if (!sameSource(dataSource, dataSourceRef)) {
    errors.push(invalid(field, `${field}.dataSource`, 'must match dataSourceRef'));
  }
  return errors;
}

function sameSource(a: Source, b: Source): boolean {
  return a.kind === b.kind && a.name === b.name && (a.apiGroup ?? '') === (b.apiGroup ?? '');
}

function validateSource({ apiGroup, kind, name, namespace }: Source, field: string): FieldError[] {
  const errors: FieldError[] = [];
  if (!name) errors.push(required(`${field}.name`));
  if (!kind) errors.push(required(`${field}.kind`));
  if (!apiGroup && kind !== 'PersistentVolumeClaim') {
    const detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
    errors.push(invalid(field, kind ?? '', detail));
  }
  if (apiGroup) errors.push(...classProblems(apiGroup, `${field}.apiGroup`));
  if (namespace) {
    const at = `${field}.namespace`;
    errors.push(...labelProblems(namespace).map((problem) => invalid(at, namespace, problem)));
  }
  return errors;
}

export function validateClaimUpdate(
  next: PersistentVolumeClaim,
  old: PersistentVolumeClaim,
): FieldError[] {
  const errors: FieldError[] = [];
  const before: Partial<PersistentVolumeClaimSpec> = old.spec ?? {};
  const after: Partial<PersistentVolumeClaimSpec> = next.spec ?? {};
  if (!jsonEqual(fixedParts(after, old), fixedParts(before, old))) {
    const detail =
      'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims';
    errors.push(forbidden('spec', detail));
  }
  const size = after.resources?.requests?.['storage'] ?? '0';
  const oldSize = before.resources?.requests?.['storage'] ?? '0';
  const real = old.status?.capacity?.['storage'] ?? '0';
  if (compareQuantities(size, oldSize) < 0 && compareQuantities(size, real) <= 0) {
    const detail = 'field can not be less than status.capacity';
    errors.push(forbidden('spec.resources.requests.storage', detail));
  }
  if (after.volumeMode !== before.volumeMode) {
    errors.push(invalid('volumeMode', after.volumeMode, 'field is immutable'));
  }
  return errors;
}

/** What may not change: a volume and a class may still be given once, a bound claim may grow. */
function fixedParts(spec: Partial<PersistentVolumeClaimSpec>, old: PersistentVolumeClaim): object {
  const { volumeName, storageClassName, resources, volumeAttributesClassName, ...rest } = spec;
  const bound = old.status?.phase === 'Bound';
  const { storage: _, ...others } = resources?.requests ?? {};
  return {
    ...rest,
    volumeName: old.spec?.volumeName ? (volumeName ?? '') : '',
    storageClassName: old.spec?.storageClassName === undefined ? '' : (storageClassName ?? null),
    resources: bound ? { ...resources, requests: others } : (resources ?? {}),
    volumeAttributesClassName: bound ? '' : (volumeAttributesClassName ?? ''),
  };
}
