/**
 * What may change in a Job: its pace, whether it is suspended, how long it may take. The template
 * may change in where pods go and what they ask for, while the Job is suspended and has no pods.
 */
import { type FieldError, invalid } from '#api/field-error.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import type { Job, JobSpec } from '../types/batch-v1.ts';
import type { Affinity, Container, PodSpec, PodTemplateSpec } from '../types/core-v1.ts';
import { validateJob } from './job-validation.ts';

const fixed = [
  'completionMode',
  'podFailurePolicy',
  'backoffLimitPerIndex',
  'managedBy',
  'successPolicy',
] as const;

export function validateJobUpdate(next: Job, old: Job): FieldError[] {
  const { spec } = next;
  if (spec === undefined || old.spec === undefined) return [];
  // Upstream looks at the whole once more here.
  const errors = [...validateJob(next), ...validateCompletions(spec, old.spec)];
  if (!jsonEqual(spec.selector, old.spec.selector)) {
    errors.push(invalid('spec.selector', spec.selector, 'field is immutable'));
  }
  errors.push(...validateTemplate(spec.template, old));
  for (const key of fixed) {
    if (jsonEqual(spec[key], old.spec[key])) continue;
    errors.push(invalid(`spec.${key}`, spec[key], 'field is immutable'));
  }
  return errors;
}

function validateCompletions(spec: JobSpec, old: JobSpec): FieldError[] {
  const { completions, completionMode, parallelism } = spec;
  if (completions === old.completions) return [];
  const field = 'spec.completions';
  if (completionMode !== 'Indexed') return [invalid(field, completions, 'field is immutable')];
  if (completions === undefined || completions === parallelism) return [];
  return [invalid(field, completions, 'can only be modified in tandem with spec.parallelism')];
}

function validateTemplate(template: PodTemplateSpec | undefined, old: Job): FieldError[] {
  const before = old.spec?.template;
  if (!isOpen(old)) {
    if (jsonEqual(template, before)) return [];
    return [invalid('spec.template', template, 'field is immutable')];
  }
  if (jsonEqual(fixedSpec(template?.spec), fixedSpec(before?.spec))) return [];
  return [invalid('spec.template.spec', template?.spec, 'field is immutable')];
}

/** Suspended, and nothing runs: not started yet, or the suspension has taken effect. */
function isOpen({ spec, status }: Job): boolean {
  if (spec?.suspend !== true || (status?.active ?? 0) > 0) return false;
  const suspended = status?.conditions?.some(
    ({ type, status: value }) => type === 'Suspended' && value === 'True',
  );
  return status?.startTime === undefined || suspended === true;
}

/** The pods without what may change: where they go, and how much they ask for. */
function fixedSpec(spec: PodSpec | undefined): object {
  const {
    affinity,
    nodeSelector: _selector,
    tolerations: _tolerations,
    schedulingGates: _gates,
    containers,
    initContainers,
    ...rest
  } = spec ?? { containers: [] };
  const withoutResources = (list: readonly Container[] | undefined): readonly object[] =>
    (list ?? []).map(({ resources: _resources, ...container }) => container);
  return {
    ...rest,
    affinity: otherAffinity(affinity),
    containers: withoutResources(containers),
    initContainers: withoutResources(initContainers),
  };
}

function otherAffinity(affinity: Affinity | undefined): object {
  const { nodeAffinity: _, ...others } = affinity ?? {};
  return others;
}
