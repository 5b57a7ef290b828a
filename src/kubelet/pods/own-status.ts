/**
 * The status that we said last beside what others write into the same object. Pure.
 *
 * A worker goes on from what it said itself (conditions keep their times, an end stays an end),
 * while the API may still show an older status; claims and some conditions are written by others.
 * Called by `pod-worker.ts`.
 */
import type { Pod, PodStatus } from '#resources/types/core-v1.ts';
import { withForeign } from './conditions.ts';

/** Written by others, and needed to find the pod's claims. */
export function claimsIn(status: PodStatus = {}): PodStatus {
  const { resourceClaimStatuses, extendedResourceClaimStatus } = status;
  return {
    ...(resourceClaimStatuses === undefined ? {} : { resourceClaimStatuses }),
    ...(extendedResourceClaimStatus === undefined ? {} : { extendedResourceClaimStatus }),
  };
}

/** What we said last counts, except for conditions that others own. */
export function withOwnStatus(pod: Pod, own: PodStatus | undefined): Pod {
  if (own === undefined) return pod;
  const conditions = withForeign(own.conditions, pod.status?.conditions);
  return { ...pod, status: { ...pod.status, ...own, conditions } };
}
