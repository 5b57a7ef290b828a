/**
 * What a Job asks about one of its pods: is it tracked, which index is it for, has it failed, when
 * did it end, how often has its index failed before? Pure.
 *
 * A pod is tracked while it carries the finalizer `batch.kubernetes.io/job-tracking`, which goes
 * only after the pod has been counted; so no end of a pod is missed, nor counted twice (KEP-2307).
 * `plan.ts` and `counting.ts` ask.
 */
import type { Job } from '#resources/types/batch-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { conditionOf, isTerminating } from '../pod-state.ts';

export const trackingFinalizer = 'batch.kubernetes.io/job-tracking';
export const indexKey = 'batch.kubernetes.io/job-completion-index';
export const failuresKey = 'batch.kubernetes.io/job-index-failure-count';
export const ignoredFailuresKey = 'batch.kubernetes.io/job-index-ignored-failure-count';

export function isTracked(pod: Pod): boolean {
  return pod.metadata.finalizers?.includes(trackingFinalizer) ?? false;
}

export function isIndexed(job: Job): boolean {
  return job.spec?.completionMode === 'Indexed';
}

/** Undefined for a pod without an index, or with one that the Job does not want. */
export function indexOf(job: Job, pod: Pod): number | undefined {
  const text = pod.metadata.annotations?.[indexKey] ?? '';
  if (!/^\d+$/.test(text)) return undefined;
  const index = Number(text);
  return index < (job.spec?.completions ?? 0) ? index : undefined;
}

/** Pods that are ending are not replaced before they have ended. */
export function replacesOnlyFailed(job: Job): boolean {
  return job.spec?.podReplacementPolicy === 'Failed' || job.spec?.podFailurePolicy !== undefined;
}

export function hasFailed(job: Job, pod: Pod): boolean {
  if (pod.status?.phase === 'Failed') return true;
  if (replacesOnlyFailed(job)) return false;
  return isTerminating(pod) && pod.status?.phase !== 'Succeeded';
}

/** When the last container ended, or else the best that the pod says about it. */
export function endedMs(pod: Pod): number {
  const { containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {};
  let latest: string | undefined;
  for (const { state } of [...containerStatuses, ...initContainerStatuses]) {
    const finishedAt = state?.terminated?.finishedAt;
    if (finishedAt !== undefined && (latest === undefined || finishedAt > latest)) {
      latest = finishedAt;
    }
  }
  const time =
    latest ??
    conditionOf(pod, 'Ready')?.lastTransitionTime ??
    pod.metadata.deletionTimestamp ??
    pod.metadata.creationTimestamp;
  return time === undefined ? 0 : Date.parse(time);
}

function countIn(pod: Pod, key: string): number {
  const text = pod.metadata.annotations?.[key] ?? '';
  return /^\d+$/.test(text) ? Number(text) : 0;
}

/** How often the index had failed when this pod was made for it. */
export function indexFailures(pod: Pod): { readonly counted: number; readonly ignored: number } {
  return { counted: countIn(pod, failuresKey), ignored: countIn(pod, ignoredFailuresKey) };
}

/** The order of two last failures of one index: by how many there were, then by time. */
export function isLaterFailure(pod: Pod, than: Pod): boolean {
  const [one, other] = [indexFailures(pod), indexFailures(than)];
  const difference = one.counted + one.ignored - other.counted - other.ignored;
  return difference === 0 ? endedMs(pod) >= endedMs(than) : difference > 0;
}
