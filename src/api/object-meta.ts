/**
 * Validation of metadata, the same for every kind: names, namespaces, labels, annotations, owners,
 * finalizers, and what an update may not touch. The server calls it for each write; kinds call
 * `validateLabels` and the like for templates.
 */
import { type FieldError, forbidden, invalid, required, tooLong } from './field-error.ts';
import {
  byteLength,
  labelProblems,
  labelValueProblems,
  type NameRule,
  nameProblems,
  qualifiedNameProblems,
} from './names.ts';
import { type ObjectMeta, type OwnerReference, parseGroupVersion } from './object.ts';

const annotationBytesMax = 256 * 1024;

const standardFinalizers: ReadonlySet<string> = new Set([
  'kubernetes',
  'orphan',
  'foregroundDeletion',
]);

const notStandard = 'name is neither a standard finalizer name nor is it fully qualified';

export interface ObjectMetaRules {
  readonly namespaced: boolean;
  readonly nameRule: NameRule;
  /** Path of the metadata; default `metadata`. */
  readonly field?: string;
}

export function validateObjectMeta(
  meta: ObjectMeta,
  { namespaced, nameRule, field = 'metadata' }: ObjectMetaRules,
): FieldError[] {
  const errors: FieldError[] = [];
  if (meta.generateName) {
    for (const problem of nameProblems(meta.generateName, nameRule, { generated: true })) {
      errors.push(invalid(`${field}.generateName`, meta.generateName, problem));
    }
  }
  if (!meta.name) {
    errors.push(required(`${field}.name`, 'name or generateName is required'));
  } else {
    for (const problem of nameProblems(meta.name, nameRule, { generated: false })) {
      errors.push(invalid(`${field}.name`, meta.name, problem));
    }
  }
  errors.push(...validateNamespace(meta.namespace, namespaced, `${field}.namespace`));
  if (meta.generation !== undefined && meta.generation < 0) {
    errors.push(
      invalid(`${field}.generation`, meta.generation, 'must be greater than or equal to 0'),
    );
  }
  errors.push(...validateLabels(meta.labels, `${field}.labels`));
  errors.push(...validateAnnotations(meta.annotations, `${field}.annotations`));
  errors.push(...validateOwnerReferences(meta.ownerReferences, `${field}.ownerReferences`));
  errors.push(...validateFinalizers(meta.finalizers, `${field}.finalizers`));
  return errors;
}

function validateNamespace(
  namespace: string | undefined,
  namespaced: boolean,
  field: string,
): FieldError[] {
  if (!namespaced) return namespace ? [forbidden(field, 'not allowed on this type')] : [];
  if (!namespace) return [required(field)];
  return labelProblems(namespace).map((problem) => invalid(field, namespace, problem));
}

export function validateLabels(labels: ObjectMeta['labels'], field: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const key in labels) {
    const value = labels[key] ?? '';
    for (const problem of qualifiedNameProblems(key)) errors.push(invalid(field, key, problem));
    for (const problem of labelValueProblems(value)) errors.push(invalid(field, value, problem));
  }
  return errors;
}

export function validateAnnotations(
  annotations: ObjectMeta['annotations'],
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  let bytes = 0;
  for (const key in annotations) {
    const value = annotations[key] ?? '';
    for (const problem of qualifiedNameProblems(key.toLowerCase())) {
      errors.push(invalid(field, key, problem));
    }
    bytes += byteLength(key) + byteLength(value);
  }
  if (bytes > annotationBytesMax) errors.push(tooLong(field, annotationBytesMax));
  return errors;
}

function validateOwnerReferences(
  references: readonly OwnerReference[] | undefined,
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  let controller: OwnerReference | undefined;
  for (const reference of references ?? []) {
    errors.push(...validateOwnerReference(reference, field));
    if (reference.controller !== true) continue;
    if (controller !== undefined) {
      errors.push(
        invalid(
          field,
          references,
          `Only one reference can have Controller set to true. Found "true" in references for ${controller.kind}/${controller.name} and ${reference.kind}/${reference.name}`,
        ),
      );
    }
    controller = reference;
  }
  return errors;
}

function validateOwnerReference(reference: OwnerReference, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const { group, version } = parseGroupVersion(reference.apiVersion ?? '');
  if (version === '') {
    errors.push(invalid(`${field}.apiVersion`, reference.apiVersion, 'version must not be empty'));
  }
  for (const key of ['kind', 'name', 'uid'] as const) {
    if (!reference[key]) {
      errors.push(invalid(`${field}.${key}`, reference[key] ?? '', 'must not be empty'));
    }
  }
  if (reference.kind === 'Event' && (group === '' || group === 'events.k8s.io')) {
    const which = `${group}/${version}, Kind=Event`;
    errors.push(invalid(field, reference, `${which} is disallowed from being an owner`));
  }
  return errors;
}

function validateFinalizers(
  finalizers: readonly string[] | undefined,
  field: string,
): FieldError[] {
  const errors: FieldError[] = [];
  for (const [index, finalizer] of (finalizers ?? []).entries()) {
    const problems = qualifiedNameProblems(finalizer);
    errors.push(...problems.map((problem) => invalid(field, finalizer, problem)));
    if (!finalizer.includes('/') && !standardFinalizers.has(finalizer)) {
      errors.push(invalid(`${field}[${index}]`, finalizer, notStandard));
    }
  }
  if (finalizers?.includes('orphan') && finalizers.includes('foregroundDeletion')) {
    const detail = 'finalizer orphan and foregroundDeletion cannot be both set';
    errors.push(invalid(field, finalizers, detail));
  }
  return errors;
}

export function validateFinalizerName(finalizer: string, field: string): FieldError[] {
  const errors = qualifiedNameProblems(finalizer).map((problem) =>
    invalid(field, finalizer, problem),
  );
  if (errors.length === 0 && !finalizer.includes('/') && !standardFinalizers.has(finalizer)) {
    errors.push(invalid(field, finalizer, notStandard));
  }
  return errors;
}

/**
 * What an update may not change. Fields that the request left out count as unchanged; the server
 * fills them in from the stored object.
 */
export function validateObjectMetaUpdate(
  next: ObjectMeta,
  old: ObjectMeta,
  field = 'metadata',
): FieldError[] {
  const errors: FieldError[] = [];
  const fixed = [
    'name',
    'namespace',
    'uid',
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
  ] as const;
  for (const key of fixed) {
    if (next[key] === undefined || next[key] === '' || next[key] === old[key]) continue;
    errors.push(invalid(`${field}.${key}`, next[key], 'field is immutable'));
  }
  if ((next.generation ?? 0) < (old.generation ?? 0) && next.generation !== undefined) {
    errors.push(invalid(`${field}.generation`, next.generation, 'must not be decremented'));
  }
  errors.push(...validateNewFinalizers(next, old, field));
  errors.push(...validateLabels(next.labels, `${field}.labels`));
  errors.push(...validateAnnotations(next.annotations, `${field}.annotations`));
  errors.push(...validateOwnerReferences(next.ownerReferences, `${field}.ownerReferences`));
  errors.push(...validateFinalizers(next.finalizers, `${field}.finalizers`));
  return errors;
}

function validateNewFinalizers(next: ObjectMeta, old: ObjectMeta, field: string): FieldError[] {
  if (old.deletionTimestamp === undefined) return [];
  const added = (next.finalizers ?? []).filter((one) => !old.finalizers?.includes(one));
  if (added.length === 0) return [];
  const found = `[]string{${added.map((one) => JSON.stringify(one)).join(', ')}}`;
  return [
    forbidden(
      `${field}.finalizers`,
      `no new finalizers can be added if the object is being deleted, found new finalizers ${found}`,
    ),
  ];
}
