/**
 * How the pods of a Job are counted, once each, and how the Job ends. Pure.
 *
 * Three steps, with writes between them (`job.ts`), so that a crash anywhere loses no pod and
 * counts none twice: note ended pods by uid in the status (`planCounting`); take their finalizers
 * off; move the noted uids whose finalizer is gone into the counters (`settle`). Indexed Jobs note
 * succeeded indexes, which need no uids. The last condition (Complete, Failed) comes only when
 * nothing is left to count and no pod is ending. Behaviour: KEP-2307, KEP-3939.
 */
import { formatTime } from '#kit/clock.ts';
import type { Job, JobCondition, JobStatus } from '#resources/types/batch-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { JobFacts } from './facts.ts';
import { judgeFailure } from './failure-policy.ts';
import { formatIndexes } from './index-set.ts';
import { type Ending, isSuspended } from './plan.ts';
import { hasFailed, indexOf, isIndexed, isTracked } from './pod-facts.ts';

export const limits = { uncountedMax: 500 } as const;

/** What making and deleting pods left behind. */
export interface Outcome {
  readonly active: number;
  readonly ready: number;
  readonly terminating: number;
  readonly ending: Ending | undefined;
  /** Pods were judged in this turn, so the condition Suspended may change. */
  readonly managed: boolean;
}

export interface Counting {
  readonly status: JobStatus;
  /** Their finalizers may go once the status is written. */
  readonly release: readonly Pod[];
  /** There were more than one write may note. */
  readonly more: boolean;
}

export function planCounting(facts: JobFacts, outcome: Outcome, nowMs: number): Counting {
  const { job } = facts;
  const noted = noteEnded(facts, outcome.ending);
  const indexes = isIndexed(job) ? indexStatus(facts, noted.indexes) : {};
  const base: JobStatus = { ...withStart(job, nowMs), ...indexes };
  const status = withEnding(withSuspension(base, job, outcome, nowMs), outcome.ending, nowMs);
  const uncountedTerminatedPods = { succeeded: noted.succeeded, failed: noted.failed };
  const counted = settleUids({ ...status, uncountedTerminatedPods }, stillTracked(facts));
  const { active, ready, terminating } = outcome;
  return {
    status: { ...counted, active, ready, terminating },
    release: noted.release,
    more: noted.more,
  };
}

/** After finalizers went: `tracked` are the uids that still have theirs. */
export function settle(
  status: JobStatus,
  tracked: ReadonlySet<string>,
  ending: Ending | undefined,
  nowMs: number,
): JobStatus {
  const next = settleUids(status, tracked);
  const { succeeded = [], failed = [] } = next.uncountedTerminatedPods ?? {};
  if (ending === undefined || succeeded.length + failed.length > 0) return next;
  if ((next.terminating ?? 0) > 0 || (next.active ?? 0) > 0) return next;
  const isComplete = ending.type === 'SuccessCriteriaMet';
  const { reason, message } = ending;
  const type = isComplete ? 'Complete' : 'Failed';
  const conditions = [...(next.conditions ?? []), condition({ type, reason, message }, nowMs)];
  return { ...next, conditions, ...(isComplete ? { completionTime: formatTime(nowMs) } : {}) };
}

/** Uids of the Job's pods that carry the finalizer and were not asked to lose it. */
export function stillTracked({ pods, removing }: JobFacts): ReadonlySet<string> {
  const tracked = new Set<string>();
  for (const pod of pods) {
    const { uid = '' } = pod.metadata;
    if (isTracked(pod) && !removing.has(uid)) tracked.add(uid);
  }
  return tracked;
}

function settleUids(status: JobStatus, tracked: ReadonlySet<string>): JobStatus {
  const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {};
  const isLeft = (uid: string): boolean => tracked.has(uid);
  const left = { succeeded: succeeded.filter(isLeft), failed: failed.filter(isLeft) };
  const sum = (before: number | undefined, count: number) => (before ?? 0) + count;
  return {
    ...status,
    succeeded: sum(status.succeeded, succeeded.length - left.succeeded.length),
    failed: sum(status.failed, failed.length - left.failed.length),
    uncountedTerminatedPods: {
      ...(left.succeeded.length > 0 ? { succeeded: left.succeeded } : {}),
      ...(left.failed.length > 0 ? { failed: left.failed } : {}),
    },
  };
}

interface Noted {
  readonly succeeded: string[];
  readonly failed: string[];
  readonly indexes: Set<number>;
  readonly release: Pod[];
  more: boolean;
}

function noteEnded(facts: JobFacts, ending: Ending | undefined): Noted {
  const { job } = facts;
  const before = job.status?.uncountedTerminatedPods;
  const noted: Noted = {
    succeeded: [...(before?.succeeded ?? [])],
    failed: [...(before?.failed ?? [])],
    indexes: new Set(),
    release: [],
    more: false,
  };
  const tracked = facts.pods.filter(
    (pod) => isTracked(pod) && !facts.removing.has(pod.metadata.uid ?? ''),
  );
  // In the order of indexes, so that those noted first are the first.
  tracked.sort((a, b) => (indexOf(job, a) ?? 0) - (indexOf(job, b) ?? 0));
  const delayed = new Set(facts.lastFailures.values());
  for (const pod of tracked) {
    if (!isReleased(job, pod, ending, delayed)) continue;
    noted.release.push(pod);
    note(facts, pod, ending, noted);
    const count = noted.succeeded.length + noted.failed.length + noted.indexes.size;
    if (count >= limits.uncountedMax) {
      noted.more = true;
      break;
    }
  }
  return noted;
}

function isReleased(
  job: Job,
  pod: Pod,
  ending: Ending | undefined,
  delayed: ReadonlySet<Pod>,
): boolean {
  if (job.metadata.deletionTimestamp !== undefined || ending !== undefined) return true;
  if (pod.status?.phase === 'Succeeded') return true;
  return hasFailed(job, pod) && !delayed.has(pod);
}

function note(facts: JobFacts, pod: Pod, ending: Ending | undefined, noted: Noted): void {
  const { job, storedIndexes } = facts;
  const { uid = '' } = pod.metadata;
  const index = indexOf(job, pod);
  if (noted.failed.includes(uid)) return;
  if (pod.status?.phase === 'Succeeded') {
    if (!isIndexed(job)) {
      if (!noted.succeeded.includes(uid)) noted.succeeded.push(uid);
    } else if (index !== undefined && !storedIndexes.has(index)) {
      noted.indexes.add(index);
    }
    return;
  }
  if (!hasFailed(job, pod) && ending === undefined) return;
  if (isIndexed(job) && index === undefined) return;
  if (judgeFailure(job.spec?.podFailurePolicy, pod).counts) noted.failed.push(uid);
}

function indexStatus(facts: JobFacts, fresh: ReadonlySet<number>): Partial<JobStatus> {
  const { job, storedIndexes, failedIndexes } = facts;
  const done = new Set([...storedIndexes, ...fresh]);
  const perIndex = job.spec?.backoffLimitPerIndex !== undefined;
  return {
    succeeded: done.size,
    completedIndexes: done.size === 0 ? undefined : formatIndexes(done),
    ...(perIndex ? { failedIndexes: formatIndexes(failedIndexes) } : {}),
  };
}

function withStart(job: Job, nowMs: number): JobStatus {
  const status = job.status ?? {};
  if (status.startTime !== undefined || isSuspended(job)) return status;
  return { ...status, startTime: formatTime(nowMs) };
}

function withSuspension(
  status: JobStatus,
  job: Job,
  { managed, ending }: Outcome,
  nowMs: number,
): JobStatus {
  if (!managed || ending !== undefined) return status;
  const conditions = status.conditions ?? [];
  const before = conditions.find(({ type }) => type === 'Suspended');
  const suspended = isSuspended(job);
  if ((before?.status === 'True') === suspended) return status;
  const next = suspended
    ? condition({ type: 'Suspended', reason: 'JobSuspended', message: 'Job suspended' }, nowMs)
    : {
        ...condition({ type: 'Suspended', reason: 'JobResumed', message: 'Job resumed' }, nowMs),
        status: 'False',
      };
  const others = conditions.filter(({ type }) => type !== 'Suspended');
  const startTime = suspended ? undefined : formatTime(nowMs);
  return { ...status, conditions: [...others, next], startTime };
}

function withEnding(status: JobStatus, ending: Ending | undefined, nowMs: number): JobStatus {
  const conditions = status.conditions ?? [];
  if (ending === undefined) return status;
  if (conditions.some(({ type }) => type === ending.type)) return status;
  return { ...status, conditions: [...conditions, condition(ending, nowMs)] };
}

function condition(
  text: { readonly type: string; readonly reason: string; readonly message: string },
  nowMs: number,
): JobCondition {
  const { type, reason, message } = text;
  const now = formatTime(nowMs);
  return { type, status: 'True', lastProbeTime: now, lastTransitionTime: now, reason, message };
}
