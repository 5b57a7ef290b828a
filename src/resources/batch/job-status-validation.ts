/**
 * Validation of what controllers write into the status of a Job: counters that only grow, ends that
 * are final, conditions that do not contradict each other. Several rules are only asked where what
 * they speak of has changed, so that a status of an older controller can still be written.
 */
import { duplicate, type FieldError, invalid, invalidWhole, required } from '#api/field-error.ts';
import { timeMs } from '#api/timestamp.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import type { Job, JobSpec, JobStatus } from '../types/batch-v1.ts';
import { validateNotNegative } from '../value-validation.ts';
import { firstShared, readIndexes } from './job-indexes.ts';

/** What the rules ask about a status. */
interface Facts {
  readonly status: JobStatus;
  readonly complete: boolean;
  readonly failed: boolean;
  readonly finished: boolean;
  readonly failureTarget: boolean;
  readonly criteriaMet: boolean;
}

function factsOf({ status = {} }: Job): Facts {
  const has = (type: string): boolean => hasCondition(status, type, 'True');
  const [complete, failed] = [has('Complete'), has('Failed')];
  return {
    status,
    complete,
    failed,
    finished: complete || failed,
    failureTarget: has('FailureTarget'),
    criteriaMet: has('SuccessCriteriaMet'),
  };
}

function hasCondition(status: JobStatus, type: string, value: string): boolean {
  return status.conditions?.some((one) => one.type === type && one.status === value) ?? false;
}

export function validateJobStatusUpdate(next: Job, old: Job): FieldError[] {
  const [now, before] = [factsOf(next), factsOf(old)];
  const spec: JobSpec = old.spec ?? { template: {} };
  return [
    ...validateCounts(now.status),
    ...validateEnd(now, before),
    ...validateFinished(now, before, spec),
    ...validateIndexes(now.status, before.status, spec),
    ...validateCriteria(now, spec),
    ...validateHistory(now, before, spec),
  ];
}

function changed(now: JobStatus, before: JobStatus, key: keyof JobStatus): boolean {
  return !jsonEqual(now[key], before[key]);
}

function validateCounts(status: JobStatus): FieldError[] {
  const counts = ['active', 'succeeded', 'failed', 'ready', 'terminating'] as const;
  const errors = counts.flatMap((count) => validateNotNegative(status[count], `status.${count}`));
  const seen = new Set<string>();
  for (const list of ['succeeded', 'failed'] as const) {
    for (const [index, uid] of (status.uncountedTerminatedPods?.[list] ?? []).entries()) {
      const field = `status.uncountedTerminatedPods.${list}[${index}]`;
      if (uid === '') errors.push(invalid(field, uid, 'must not be empty'));
      else if (seen.has(uid)) errors.push(duplicate(field, uid));
      seen.add(uid);
    }
  }
  return errors;
}

const conditions = 'status.conditions';

function validateEnd(now: Facts, before: Facts): FieldError[] {
  const { status, complete, failed } = now;
  const errors: FieldError[] = [];
  const completeChanged = complete !== before.complete;
  if ((completeChanged || failed !== before.failed) && complete && failed) {
    errors.push(invalidWhole(conditions, 'cannot set Complete=True and Failed=true conditions'));
  }
  const targetChanged = now.failureTarget !== before.failureTarget;
  if ((completeChanged || targetChanged) && complete && now.failureTarget) {
    const detail = 'cannot set Complete=True and FailureTarget=true conditions';
    errors.push(invalidWhole(conditions, detail));
  }
  const field = 'status.completionTime';
  const { completionTime, startTime } = status;
  const timeChanged = changed(status, before.status, 'completionTime');
  if (completeChanged || timeChanged) {
    if (completionTime !== undefined && !complete) {
      const detail = 'cannot set completionTime when there is no Complete=True condition';
      errors.push(invalid(field, completionTime, detail));
    }
    if (completionTime === undefined && complete) {
      errors.push(required(field, 'completionTime is required for Complete jobs'));
    }
  }
  const startChanged = changed(status, before.status, 'startTime');
  const [startMs, endMs] = [timeMs(startTime), timeMs(completionTime)];
  if (timeChanged || startChanged) {
    if (startMs !== undefined && endMs !== undefined && endMs < startMs) {
      errors.push(invalid(field, completionTime, 'must be equal to or after `startTime`'));
    }
  }
  const failedChanged = failed !== before.failed || changed(status, before.status, 'failedIndexes');
  if (failedChanged && failed && !now.failureTarget) {
    const detail = 'cannot set Failed=True condition without the FailureTarget=true condition';
    errors.push(invalidWhole(conditions, detail));
  }
  const criteriaChanged = now.criteriaMet !== before.criteriaMet;
  if ((completeChanged || criteriaChanged) && complete && !now.criteriaMet) {
    const detail =
      'cannot set Complete=True condition without the SuccessCriteriaMet=true condition';
    errors.push(invalidWhole(conditions, detail));
  }
  return errors;
}

function validateFinished(now: Facts, before: Facts, spec: JobSpec): FieldError[] {
  const { status, finished } = now;
  if (!finished) return validateReady(now.status, before.status);
  const errors: FieldError[] = [];
  const ends = finished !== before.finished;
  const asks = (key: keyof JobStatus): boolean => ends || changed(status, before.status, key);
  const { active = 0, terminating = 0, uncountedTerminatedPods: uncounted } = status;
  if (asks('active') && active > 0) {
    errors.push(invalid('status.active', active, 'active>0 is invalid for finished job'));
  }
  const nothingToDo = spec.suspend === true && spec.completions === 0;
  if (asks('startTime') && !nothingToDo && status.startTime === undefined) {
    errors.push(required('status.startTime', 'startTime is required for finished job'));
  }
  const left = (uncounted?.failed?.length ?? 0) + (uncounted?.succeeded?.length ?? 0);
  if (asks('uncountedTerminatedPods') && left > 0) {
    const field = 'status.uncountedTerminatedPods';
    errors.push(invalid(field, uncounted, 'must be empty for finished job'));
  }
  if (asks('terminating') && terminating > 0) {
    const detail = 'terminating>0 is invalid for finished job';
    errors.push(invalid('status.terminating', terminating, detail));
  }
  return [...errors, ...validateReady(status, before.status)];
}

function validateReady(status: JobStatus, before: JobStatus): FieldError[] {
  const { ready = 0, active = 0 } = status;
  if (!changed(status, before, 'ready') && !changed(status, before, 'active')) return [];
  if (ready <= active) return [];
  return [invalid('status.ready', ready, 'cannot set more ready pods than active')];
}

function validateIndexes(status: JobStatus, before: JobStatus, spec: JobSpec): FieldError[] {
  const errors: FieldError[] = [];
  const { completedIndexes = '', failedIndexes } = status;
  const { completions, backoffLimitPerIndex, completionMode } = spec;
  const completedChanged = changed(status, before, 'completedIndexes');
  const failedChanged = changed(status, before, 'failedIndexes');
  const completed = readIndexes(completedIndexes, completions ?? 0);
  const failed = readIndexes(failedIndexes ?? '', completions ?? 0);
  if (completedChanged) {
    const field = 'status.completedIndexes';
    if (completions !== undefined && !completed.ok) {
      const detail = `error parsing completedIndexes: ${completed.why}`;
      errors.push(invalid(field, completedIndexes, detail));
    }
    if (completedIndexes !== '' && completionMode !== 'Indexed') {
      const detail = 'cannot set non-empty completedIndexes when non-indexed completion mode';
      errors.push(invalid(field, completedIndexes, detail));
    }
  }
  const field = 'status.failedIndexes';
  if (failedChanged && failedIndexes !== undefined) {
    if (backoffLimitPerIndex === undefined) {
      const detail = 'cannot set non-null failedIndexes when backoffLimitPerIndex is null';
      errors.push(invalid(field, failedIndexes, detail));
    } else if (completions !== undefined && !failed.ok) {
      errors.push(invalid(field, failedIndexes, `error parsing failedIndexes: ${failed.why}`));
    }
  }
  if ((failedChanged || completedChanged) && completed.ok && failed.ok) {
    const shared = firstShared(completed.intervals, failed.intervals);
    if (shared !== undefined) {
      const detail = `failedIndexes and completedIndexes overlap at index: ${shared}`;
      errors.push(invalid(field, failedIndexes, detail));
    }
  }
  return errors;
}

function validateCriteria(now: Facts, spec: JobSpec): FieldError[] {
  const errors: FieldError[] = [];
  if (now.criteriaMet && now.failed) {
    const detail = 'cannot set SuccessCriteriaMet=True and Failed=true conditions';
    errors.push(invalidWhole(conditions, detail));
  }
  if (now.criteriaMet && now.failureTarget) {
    const detail = 'cannot set SuccessCriteriaMet=True and FailureTarget=true conditions';
    errors.push(invalidWhole(conditions, detail));
  }
  if (spec.successPolicy !== undefined && !now.criteriaMet && now.complete) {
    const detail =
      'cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True';
    errors.push(invalidWhole(conditions, detail));
  }
  return errors;
}

/** What was true once stays true; counters do not go back. */
function validateHistory(now: Facts, before: Facts, spec: JobSpec): FieldError[] {
  const errors: FieldError[] = [];
  const { status } = now;
  const terminal = [
    ['Failed', 'failed'],
    ['Complete', 'complete'],
    ['FailureTarget', 'failureTarget'],
  ] as const;
  for (const [type, fact] of terminal) {
    if (!before[fact] || now[fact]) continue;
    errors.push(invalidWhole(conditions, `cannot disable the terminal ${type}=True condition`));
  }
  // An indexed Job that shrinks forgets indexes that had succeeded.
  const elastic = spec.completionMode === 'Indexed' && spec.completions === spec.parallelism;
  for (const count of ['failed', 'succeeded'] as const) {
    if ((status[count] ?? 0) >= (before.status[count] ?? 0)) continue;
    if (count === 'succeeded' && elastic) continue;
    const detail = `cannot decrease the ${count} counter`;
    errors.push(invalid(`status.${count}`, status[count] ?? 0, detail));
  }
  const { completionTime, startTime } = status;
  const end = before.status.completionTime;
  if (completionTime !== undefined && end !== undefined && completionTime !== end) {
    errors.push(invalid('status.completionTime', completionTime, 'field is immutable'));
  }
  const begin = before.status.startTime;
  const resumes =
    hasCondition(before.status, 'Suspended', 'True') && hasCondition(status, 'Suspended', 'False');
  if (begin !== undefined && startTime !== begin && spec.suspend !== true && !resumes) {
    const detail = 'field is immutable for unsuspended job once set';
    errors.push(invalid('status.startTime', startTime, detail));
  }
  if (before.criteriaMet && !now.criteriaMet) {
    const detail = 'cannot disable the SuccessCriteriaMet=True condition';
    errors.push(invalidWhole(conditions, detail));
  }
  if (before.complete && !before.criteriaMet && now.criteriaMet) {
    const detail =
      'cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions';
    errors.push(invalidWhole(conditions, detail));
  }
  return errors;
}
