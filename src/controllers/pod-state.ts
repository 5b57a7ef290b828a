/**
 * What controllers ask about a pod: does it count, is it ready, and for long enough? Pure.
 *
 * A pod is active while it has neither ended nor begun to; ready by its condition Ready; available
 * once it has been ready for `minReadySeconds` without a break. And the index by which controllers
 * of nodes find the pods of one.
 */
import type { Pod, PodCondition } from '#resources/types/core-v1.ts';

export function isTerminated(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

export function isTerminating(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp !== undefined;
}

/** Neither ended nor ending: one that counts as a replica. */
export function isActive(pod: Pod): boolean {
  return !isTerminated(pod) && !isTerminating(pod);
}

export function conditionOf(pod: Pod, type: string): PodCondition | undefined {
  return pod.status?.conditions?.find((condition) => condition.type === type);
}

export function isReady(pod: Pod): boolean {
  return conditionOf(pod, 'Ready')?.status === 'True';
}

/** When the pod became ready; undefined while it is not. */
export function readySinceMs(pod: Pod): number | undefined {
  const condition = conditionOf(pod, 'Ready');
  if (condition?.status !== 'True') return undefined;
  return condition.lastTransitionTime === undefined ? 0 : Date.parse(condition.lastTransitionTime);
}

/** From when on the pod counts as available, if it stays ready. */
export function availableFromMs(pod: Pod, minReadySeconds: number): number | undefined {
  const sinceMs = readySinceMs(pod);
  if (sinceMs === undefined) return undefined;
  return minReadySeconds === 0 ? 0 : sinceMs + minReadySeconds * 1000;
}

export const podsByNode = 'node';

/** For `addIndex`: those that have none yet are found under no name. */
export function nodeNamesOf({ spec }: Pod): readonly string[] {
  return [spec?.nodeName ?? ''];
}
