/**
 * Everything that the plan of a Job asks, worked out once from the Job and its pods. Pure.
 *
 * Two sorts of pods count as ended: those that the status has (in its counters, or by uid under
 * `uncountedTerminatedPods`), and those that ended since and still carry the finalizer. Of an
 * Indexed Job the indexes count, not the pods. `plan.ts` comes next.
 */
import type { Job } from '#resources/types/batch-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { isActive, isReady, isTerminated, isTerminating } from '../pod-state.ts';
import { type Backoff, nextBackoff } from './backoff.ts';
import { judgeFailure } from './failure-policy.ts';
import { parseIndexes } from './index-set.ts';
import {
  hasFailed,
  indexFailures,
  indexOf,
  isIndexed,
  isLaterFailure,
  isTracked,
} from './pod-facts.ts';

export interface JobFacts {
  readonly job: Job;
  readonly pods: readonly Pod[];
  readonly active: readonly Pod[];
  readonly ready: number;
  readonly terminating: number;
  /** Tracked, and counted neither by the status nor by a write on its way. */
  readonly newlyEnded: { readonly succeeded: readonly Pod[]; readonly failed: readonly Pod[] };
  readonly succeeded: number;
  readonly failed: number;
  /** Of the status alone. */
  readonly storedIndexes: ReadonlySet<number>;
  readonly succeededIndexes: ReadonlySet<number>;
  readonly failedIndexes: ReadonlySet<number>;
  /** The last failed pod of each index that has no pod now; kept until the next one exists. */
  readonly lastFailures: ReadonlyMap<number, Pod>;
  readonly backoff: Backoff;
  /** Uids whose finalizer was asked to go, not yet seen. */
  readonly removing: ReadonlySet<string>;
}

export interface Gathered {
  readonly job: Job;
  readonly pods: readonly Pod[];
  readonly removing: ReadonlySet<string>;
  readonly backoff: Backoff;
}

export function factsOf({ job, pods, removing, backoff }: Gathered): JobFacts {
  const { status } = job;
  const active = pods.filter(isActive);
  const uncounted = status?.uncountedTerminatedPods;
  const known = new Set([
    ...(uncounted?.succeeded ?? []),
    ...(uncounted?.failed ?? []),
    ...removing,
  ]);
  const fresh = pods.filter((pod) => isTracked(pod) && !known.has(pod.metadata.uid ?? ''));
  const newlyEnded = {
    succeeded: fresh.filter((pod) => pod.status?.phase === 'Succeeded'),
    failed: fresh.filter((pod) => hasFailed(job, pod)),
  };
  const policy = job.spec?.podFailurePolicy;
  const counting = newlyEnded.failed.filter((pod) => judgeFailure(policy, pod).counts);
  const indexes = indexesOf(job, pods, fresh);
  const succeeded =
    (status?.succeeded ?? 0) + newlyEnded.succeeded.length + (uncounted?.succeeded?.length ?? 0);
  return {
    job,
    pods,
    active,
    ready: active.filter(isReady).length,
    terminating: pods.filter((pod) => isTerminating(pod) && !isTerminated(pod)).length,
    newlyEnded,
    succeeded: isIndexed(job) ? indexes.succeededIndexes.size : succeeded,
    failed: (status?.failed ?? 0) + counting.length + (uncounted?.failed?.length ?? 0),
    ...indexes,
    lastFailures: lastFailuresOf(job, fresh, active, indexes),
    backoff: nextBackoff(backoff, newlyEnded),
    removing,
  };
}

type IndexFacts = Pick<JobFacts, 'storedIndexes' | 'succeededIndexes' | 'failedIndexes'>;

function indexesOf(job: Job, pods: readonly Pod[], fresh: readonly Pod[]): IndexFacts {
  const { completions = 0 } = job.spec ?? {};
  if (!isIndexed(job)) {
    const none: ReadonlySet<number> = new Set();
    return { storedIndexes: none, succeededIndexes: none, failedIndexes: none };
  }
  const storedIndexes = parseIndexes(job.status?.completedIndexes, completions);
  const succeededIndexes = new Set(storedIndexes);
  for (const pod of pods) {
    const index = indexOf(job, pod);
    const hasSucceeded = pod.status?.phase === 'Succeeded' && isTracked(pod);
    if (index !== undefined && hasSucceeded) succeededIndexes.add(index);
  }
  const failedIndexes = parseIndexes(job.status?.failedIndexes, completions);
  for (const pod of fresh) {
    const index = indexOf(job, pod);
    if (index !== undefined && hasIndexFailed(job, pod)) failedIndexes.add(index);
  }
  return { storedIndexes, succeededIndexes, failedIndexes };
}

function hasIndexFailed(job: Job, pod: Pod): boolean {
  const { backoffLimitPerIndex, podFailurePolicy } = job.spec ?? {};
  if (backoffLimitPerIndex === undefined || !hasFailed(job, pod)) return false;
  const { action, counts } = judgeFailure(podFailurePolicy, pod);
  if (action === 'FailIndex') return true;
  return counts && indexFailures(pod).counted >= backoffLimitPerIndex;
}

function lastFailuresOf(
  job: Job,
  fresh: readonly Pod[],
  active: readonly Pod[],
  { succeededIndexes, failedIndexes }: IndexFacts,
): ReadonlyMap<number, Pod> {
  const last = new Map<number, Pod>();
  if (job.spec?.backoffLimitPerIndex === undefined) return last;
  const busy = new Set(active.map((pod) => indexOf(job, pod)));
  for (const pod of fresh) {
    const index = indexOf(job, pod);
    if (index === undefined || busy.has(index) || !hasFailed(job, pod)) continue;
    if (succeededIndexes.has(index) || failedIndexes.has(index)) continue;
    const before = last.get(index);
    if (before === undefined || isLaterFailure(pod, before)) last.set(index, pod);
  }
  return last;
}
