/**
 * What a Job needs next: pods to make or delete, or its end. Pure.
 *
 * Given the facts and the time. A Job that is to end first deletes its active pods; the rest of the
 * end (counting, conditions) is `counting.ts`, after `job.ts` has performed this.
 *
 * Example: 5 completions, parallelism 3, 3 have succeeded and 1 is active: 2 are still wanted, so
 * make 1. Without completions, once one pod has succeeded no more are made, and the Job is complete
 * when none is active. Behaviour: kubernetes.io, Jobs.
 */
import type { Job, JobCondition } from '#resources/types/batch-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { isTerminated, isTerminating } from '../pod-state.ts';
import { byDeletionOrder } from '../replica-set/deletion-order.ts';
import { mayCreateFromMs, mayReplaceFromMs } from './backoff.ts';
import type { JobFacts } from './facts.ts';
import { judgeFailure } from './failure-policy.ts';
import { hasFailed, indexOf, isIndexed, replacesOnlyFailed } from './pod-facts.ts';
import { metSuccessRule } from './success-policy.ts';

export const limits = { burst: 500 } as const;

export interface Ending {
  readonly type: 'FailureTarget' | 'SuccessCriteriaMet';
  readonly reason: string;
  readonly message: string;
}

/** A pod to make; of an Indexed Job with its index, and the last failed pod that it replaces. */
export interface NewPod {
  readonly index?: number | undefined;
  readonly replaces?: Pod | undefined;
}

export interface JobPlan {
  readonly ending: Ending | undefined;
  readonly remove: readonly Pod[];
  readonly create: readonly NewPod[];
  readonly againAtMs: number | undefined;
}

/** `mayAct` is false while the cache does not show yet what was asked for. */
export function planJob(facts: JobFacts, mayAct: boolean, nowMs: number): JobPlan {
  const { job, active } = facts;
  const ending = endingOf(facts, nowMs);
  if (ending !== undefined) return { ending, remove: active, create: [], againAtMs: undefined };
  const deadlineMs = deadlineOf(job);
  const again = deadlineMs === undefined ? undefined : Math.max(deadlineMs, nowMs + 1);
  const idle = { ending, remove: [], create: [], againAtMs: again };
  if (!mayAct || job.metadata.deletionTimestamp !== undefined) return idle;
  const { remove, create, againAtMs } = planPods(facts, nowMs);
  return { ending, remove, create, againAtMs: earlier(again, againAtMs) };
}

/** Whether the completions are reached, asked after pods were made and deleted. */
export function completionOf(facts: JobFacts, activeCount: number): Ending | undefined {
  const { completions } = facts.job.spec ?? {};
  const enough = completions === undefined ? facts.succeeded > 0 : facts.succeeded >= completions;
  if (!enough || activeCount > 0) return undefined;
  return {
    type: 'SuccessCriteriaMet',
    reason: 'CompletionsReached',
    message: 'Reached expected number of succeeded pods',
  };
}

export function isSuspended(job: Job): boolean {
  return job.spec?.suspend ?? false;
}

export function trueCondition(job: Job, type: string): JobCondition | undefined {
  return job.status?.conditions?.find((one) => one.type === type && one.status === 'True');
}

function failed(reason: string, message: string): Ending {
  return { type: 'FailureTarget', reason, message };
}

function endingOf(facts: JobFacts, nowMs: number): Ending | undefined {
  const { job } = facts;
  for (const type of ['SuccessCriteriaMet', 'FailureTarget'] as const) {
    const known = trueCondition(job, type);
    if (known !== undefined) {
      return { type, reason: known.reason ?? '', message: known.message ?? '' };
    }
  }
  return failureOf(facts, nowMs) ?? indexedEndingOf(facts);
}

function failureOf(facts: JobFacts, nowMs: number): Ending | undefined {
  const { job, pods } = facts;
  const policy = job.spec?.podFailurePolicy;
  for (const pod of policy === undefined ? [] : pods) {
    const why = hasFailed(job, pod) ? judgeFailure(policy, pod).failJob : undefined;
    if (why !== undefined) return failed('PodFailurePolicy', why);
  }
  if (facts.failed > (job.spec?.backoffLimit ?? 6) || restartsExceeded(facts)) {
    return failed('BackoffLimitExceeded', 'Job has reached the specified backoff limit');
  }
  const deadlineMs = deadlineOf(job);
  if (deadlineMs !== undefined && deadlineMs <= nowMs) {
    return failed('DeadlineExceeded', 'Job was active longer than specified deadline');
  }
  return undefined;
}

/** Containers that restart in place use up the same limit. */
function restartsExceeded({ job, active }: JobFacts): boolean {
  if (job.spec?.template.spec?.restartPolicy !== 'OnFailure') return false;
  let restarts = 0;
  for (const { status } of active) {
    const containers = [
      ...(status?.initContainerStatuses ?? []),
      ...(status?.containerStatuses ?? []),
    ];
    for (const { restartCount } of containers) restarts += restartCount;
  }
  const { backoffLimit = 6 } = job.spec;
  return backoffLimit === 0 ? restarts > 0 : restarts >= backoffLimit;
}

function indexedEndingOf(facts: JobFacts): Ending | undefined {
  const { job, failedIndexes, succeededIndexes } = facts;
  if (!isIndexed(job)) return undefined;
  const { backoffLimitPerIndex, maxFailedIndexes, completions = 0, successPolicy } = job.spec ?? {};
  if (backoffLimitPerIndex !== undefined) {
    if (maxFailedIndexes !== undefined && failedIndexes.size > maxFailedIndexes) {
      const message = 'Job has exceeded the specified maximal number of failed indexes';
      return failed('MaxFailedIndexesExceeded', message);
    }
    if (failedIndexes.size > 0 && failedIndexes.size + succeededIndexes.size >= completions) {
      return failed('FailedIndexes', 'Job has failed indexes');
    }
  }
  const message = metSuccessRule(successPolicy, completions, succeededIndexes);
  if (message === undefined) return undefined;
  return { type: 'SuccessCriteriaMet', reason: 'SuccessPolicy', message };
}

/** When `activeDeadlineSeconds` are over; undefined where they do not run. */
function deadlineOf(job: Job): number | undefined {
  const { activeDeadlineSeconds } = job.spec ?? {};
  const startTime = job.status?.startTime;
  if (activeDeadlineSeconds === undefined || startTime === undefined) return undefined;
  return isSuspended(job) ? undefined : Date.parse(startTime) + activeDeadlineSeconds * 1000;
}

type PodPlan = Pick<JobPlan, 'remove' | 'create' | 'againAtMs'>;

function planPods(facts: JobFacts, nowMs: number): PodPlan {
  const { job, active } = facts;
  const wanted = isSuspended(job) ? 0 : wantedActive(facts);
  const remove = planRemoval(facts, Math.max(0, active.length - wanted), nowMs);
  if (remove.length > 0) {
    return { remove: remove.slice(0, limits.burst), create: [], againAtMs: undefined };
  }
  const waiting = replacesOnlyFailed(job) ? facts.terminating : 0;
  const missing = Math.min(wanted - waiting - active.length, limits.burst);
  if (missing <= 0) return { remove: [], create: [], againAtMs: undefined };
  return planCreation(facts, missing, nowMs);
}

function wantedActive({ job, active, succeeded }: JobFacts): number {
  const { completions, parallelism = 1 } = job.spec ?? {};
  if (completions === undefined) return succeeded > 0 ? active.length : parallelism;
  return Math.max(0, Math.min(completions - succeeded, parallelism));
}

/** Second pods for one index and pods without one go in any case. */
function planRemoval(facts: JobFacts, atLeast: number, nowMs: number): readonly Pod[] {
  const { job, active } = facts;
  const ordered = byDeletionOrder(active, { siblings: active, nowMs });
  if (!isIndexed(job)) return ordered.slice(0, atLeast);
  const taken = new Set<number>();
  const remove = new Set<Pod>();
  // The one that would go last keeps the index.
  for (const pod of ordered.toReversed()) {
    const index = indexOf(job, pod);
    if (index === undefined || taken.has(index)) remove.add(pod);
    else taken.add(index);
  }
  for (const pod of ordered) if (remove.size < atLeast) remove.add(pod);
  return [...remove];
}

function planCreation(facts: JobFacts, missing: number, nowMs: number): PodPlan {
  const { job, backoff, lastFailures } = facts;
  const perIndex = job.spec?.backoffLimitPerIndex !== undefined;
  const fromMs = perIndex ? 0 : mayCreateFromMs(backoff);
  if (fromMs > nowMs) return { remove: [], create: [], againAtMs: fromMs };
  if (!isIndexed(job)) {
    return {
      remove: [],
      create: Array.from({ length: missing }, () => ({})),
      againAtMs: undefined,
    };
  }
  const create: NewPod[] = [];
  let againAtMs: number | undefined;
  for (const index of pendingIndexes(facts, missing)) {
    const replaces = lastFailures.get(index);
    const replaceFromMs = mayReplaceFromMs(replaces);
    if (replaceFromMs <= nowMs) create.push({ index, replaces });
    else againAtMs = earlier(againAtMs, replaceFromMs);
  }
  return { remove: [], create, againAtMs };
}

/** The lowest indexes that have neither ended nor a pod. */
function pendingIndexes(facts: JobFacts, count: number): readonly number[] {
  const { job, pods, active, succeededIndexes, failedIndexes } = facts;
  const busy = new Set(active.map((pod) => indexOf(job, pod)));
  if (replacesOnlyFailed(job)) {
    for (const pod of pods) {
      if (isTerminating(pod) && !isTerminated(pod)) busy.add(indexOf(job, pod));
    }
  }
  const pending: number[] = [];
  const { completions = 0 } = job.spec ?? {};
  for (let index = 0; index < completions && pending.length < count; index++) {
    if (busy.has(index) || succeededIndexes.has(index) || failedIndexes.has(index)) continue;
    pending.push(index);
  }
  return pending;
}

function earlier(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}
