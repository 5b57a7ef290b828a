/**
 * Validation of Jobs: counts, modes that fit each other, a selector that no other Job shares.
 * The policies for failed and successful pods have a file of their own; so have changes.
 */
import { type FieldError, invalid, notSupported, required, tooLong } from '#api/field-error.ts';
import { byteLength, labelProblems, subdomainProblems } from '#api/names.ts';
import { labelSelectorMatches } from '#api/selectors.ts';
import { templateWarnings, workloadNameWarnings } from '#resources/core/pod/warnings.ts';
import { validatePodTemplate } from '../core/pod/spec-validation.ts';
import { validateLabelSelector } from '../label-selector-validation.ts';
import type { Job, JobSpec } from '../types/batch-v1.ts';
import { validateNotNegative } from '../value-validation.ts';
import { validatePodFailurePolicy, validateSuccessPolicy } from './job-policy-validation.ts';

export const jobNameLabels = ['job-name', 'batch.kubernetes.io/job-name'] as const;
export const controllerUidLabels = [
  'controller-uid',
  'batch.kubernetes.io/controller-uid',
] as const;

const completionsSoftMax = 100_000;
const parallelismSoftMax = 10_000;
const indexedParallelismMax = 100_000;
const failedIndexesMax = 100_000;
const failedIndexesHighMax = 10_000;
const managedByMax = 63;
const replacementPolicies = ['Failed', 'TerminatingOrFailed'];

export function validateJob(job: Job): FieldError[] {
  const { metadata, spec } = job;
  if (spec === undefined) return [required('spec.selector'), required('spec.template')];
  const errors = [...validateGeneratedSelector(job, spec), ...validateJobSpec(spec, 'spec')];
  const { selector } = spec;
  if (selector === undefined) errors.push(required('spec.selector'));
  else errors.push(...validateLabelSelector(selector, 'spec.selector'));
  const { labels } = spec.template?.metadata ?? {};
  if (isWellFormed(selector) && !labelSelectorMatches(selector, labels)) {
    const detail = '`selector` does not match template `labels`';
    errors.push(invalid('spec.template.metadata.labels', labels ?? null, detail));
  }
  if (spec.completionMode === 'Indexed' && (spec.completions ?? 0) > 0) {
    const hostname = `${metadata.name ?? ''}-${(spec.completions ?? 0) - 1}`;
    if (labelProblems(hostname).length > 0) {
      const detail = `will not able to create pod with invalid DNS label: ${hostname}`;
      errors.push(invalid('metadata.name', metadata.name, detail));
    }
  }
  return errors;
}

function validateGeneratedSelector({ metadata }: Job, spec: JobSpec): FieldError[] {
  const { selector, template } = spec;
  if (spec.manualSelector === true || selector === undefined) return [];
  const { name = '', uid = '' } = metadata;
  const errors: FieldError[] = uid === '' ? [required('metadata.uid')] : [];
  const expected = [
    [controllerUidLabels[0], uid],
    [jobNameLabels[0], name],
    [controllerUidLabels[1], uid],
    [jobNameLabels[1], name],
  ] as const;
  const labels = template?.metadata?.labels ?? {};
  for (const [label, value] of expected) {
    const field = `spec.template.metadata.labels[${label}]`;
    const actual = labels[label];
    if (actual === undefined) errors.push(required(field, `must be '${value}'`));
    else if (actual !== value) errors.push(invalid(field, labels, `must be '${value}'`));
  }
  if (isWellFormed(selector) && !labelSelectorMatches(selector, Object.fromEntries(expected))) {
    errors.push(invalid('spec.selector', selector, '`selector` not auto-generated'));
  }
  return errors;
}

/** One that is not is refused as such; what it matches cannot be said. */
function isWellFormed(selector: JobSpec['selector']): boolean {
  return validateLabelSelector(selector, '').length === 0;
}

/** What also holds for the Jobs that a CronJob makes. */
export function validateJobSpec(spec: JobSpec, field: string): FieldError[] {
  return [
    ...validateCounts(spec, field),
    ...validateManagedBy(spec.managedBy, `${field}.managedBy`),
    ...validateCompletionMode(spec, field),
    ...validatePodFailurePolicy(spec, `${field}.podFailurePolicy`),
    ...validateSuccessPolicy(spec, `${field}.successPolicy`),
    ...validateReplacementPolicy(spec, `${field}.podReplacementPolicy`),
    ...validatePodTemplate(spec.template ?? {}, `${field}.template`),
    ...validateRestartPolicy(spec, `${field}.template.spec.restartPolicy`),
  ];
}

function validateCounts(spec: JobSpec, field: string): FieldError[] {
  const counts = [
    'parallelism',
    'completions',
    'activeDeadlineSeconds',
    'backoffLimit',
    'ttlSecondsAfterFinished',
    'backoffLimitPerIndex',
    'maxFailedIndexes',
  ] as const;
  const errors = counts.flatMap((count) => validateNotNegative(spec[count], `${field}.${count}`));
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined) {
    const detail = 'when maxFailedIndexes is specified';
    errors.push(required(`${field}.backoffLimitPerIndex`, detail));
  }
  return errors;
}

/** A name of a domain, a slash and a path. */
function validateManagedBy(managedBy: string | undefined, field: string): FieldError[] {
  if (managedBy === undefined) return [];
  const errors: FieldError[] = [];
  const slash = managedBy.indexOf('/');
  const [domain, path] = [managedBy.slice(0, slash), managedBy.slice(slash + 1)];
  if (managedBy === '') errors.push(required(field));
  else if (slash <= 0 || path === '') {
    const detail = 'must be a domain-prefixed path (such as "acme.io/foo")';
    errors.push(invalid(field, managedBy, detail));
  } else {
    errors.push(...subdomainProblems(domain).map((text) => invalid(field, domain, text)));
    if (!/^[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$/.test(path)) {
      const detail =
        "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
      errors.push(invalid(field, path, detail));
    }
  }
  if (byteLength(managedBy) > managedByMax) errors.push(tooLong(field, managedByMax));
  return errors;
}

function validateCompletionMode(spec: JobSpec, field: string): FieldError[] {
  const { completionMode = 'NonIndexed', backoffLimitPerIndex, maxFailedIndexes } = spec;
  if (completionMode === 'Indexed') return validateIndexed(spec, field);
  if (completionMode !== 'NonIndexed') {
    const choices = ['NonIndexed', 'Indexed'];
    return [notSupported(`${field}.completionMode`, completionMode, choices)];
  }
  const errors: FieldError[] = [];
  const detail = 'requires indexed completion mode';
  if (backoffLimitPerIndex !== undefined) {
    errors.push(invalid(`${field}.backoffLimitPerIndex`, backoffLimitPerIndex, detail));
  }
  if (maxFailedIndexes !== undefined) {
    errors.push(invalid(`${field}.maxFailedIndexes`, maxFailedIndexes, detail));
  }
  return errors;
}

function validateIndexed(spec: JobSpec, field: string): FieldError[] {
  const errors: FieldError[] = [];
  const { completions, parallelism = 0, maxFailedIndexes, backoffLimitPerIndex } = spec;
  if (completions === undefined) {
    errors.push(required(`${field}.completions`, 'when completion mode is Indexed'));
  }
  if (parallelism > indexedParallelismMax) {
    const detail = `must be less than or equal to ${indexedParallelismMax} when completion mode is Indexed`;
    errors.push(invalid(`${field}.parallelism`, parallelism, detail));
  }
  const at = `${field}.maxFailedIndexes`;
  if (completions !== undefined && (maxFailedIndexes ?? 0) > completions) {
    errors.push(invalid(at, maxFailedIndexes, 'must be less than or equal to completions'));
  }
  if ((maxFailedIndexes ?? 0) > failedIndexesMax) {
    errors.push(invalid(at, maxFailedIndexes, `must be less than or equal to ${failedIndexesMax}`));
  }
  if ((completions ?? 0) <= completionsSoftMax || backoffLimitPerIndex === undefined) return errors;
  const many = `when completions are above ${completionsSoftMax} and used with backoff limit per index`;
  if (maxFailedIndexes === undefined) {
    errors.push(required(at, `must be specified when completions is above ${completionsSoftMax}`));
  }
  if (parallelism > parallelismSoftMax) {
    const detail = `must be less than or equal to ${parallelismSoftMax} ${many}`;
    errors.push(invalid(`${field}.parallelism`, parallelism, detail));
  }
  if ((maxFailedIndexes ?? 0) > failedIndexesHighMax) {
    const detail = `must be less than or equal to ${failedIndexesHighMax} ${many}`;
    errors.push(invalid(at, maxFailedIndexes, detail));
  }
  return errors;
}

function validateReplacementPolicy(spec: JobSpec, field: string): FieldError[] {
  const { podReplacementPolicy: policy, podFailurePolicy } = spec;
  if (policy === undefined) return [];
  const choices = podFailurePolicy === undefined ? replacementPolicies : ['Failed'];
  return choices.includes(policy) ? [] : [notSupported(field, policy, choices)];
}

function validateRestartPolicy(spec: JobSpec, field: string): FieldError[] {
  const policy = spec.template?.spec?.restartPolicy ?? '';
  if (policy === '' || policy === 'Always') {
    return [required(field, 'valid values: "OnFailure", "Never"')];
  }
  if (policy !== 'OnFailure' && policy !== 'Never') {
    return [notSupported(field, policy, ['OnFailure', 'Never'])];
  }
  if (spec.podFailurePolicy === undefined || policy === 'Never') return [];
  return [invalid(field, policy, 'only "Never" is supported when podFailurePolicy is specified')];
}

export function jobWarnings({ metadata, spec }: Job, old: Job | undefined): string[] {
  if (old !== undefined && metadata.generation === old.metadata.generation) return [];
  const warnings: string[] = [];
  if (old === undefined) warnings.push(...workloadNameWarnings(metadata.name));
  return [...warnings, ...jobSpecWarnings(spec, 'spec')];
}

export function jobSpecWarnings(spec: JobSpec | undefined, field: string): string[] {
  const { completionMode, completions = 0, parallelism = 0 } = spec ?? {};
  const ofTemplate = templateWarnings(spec?.template, `${field}.template`);
  if (completionMode !== 'Indexed') return ofTemplate;
  if (completions <= completionsSoftMax || parallelism <= parallelismSoftMax) return ofTemplate;
  return [
    ...ofTemplate,
    `${field}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail`,
  ];
}
