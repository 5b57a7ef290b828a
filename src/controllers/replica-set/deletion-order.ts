/**
 * Which pods of a ReplicaSet go first when there are too many. Pure.
 *
 * In this order: without a node before with one; Pending before Unknown before Running; not ready
 * before ready; lower `pod-deletion-cost` first; on a node with more siblings first; ready for a
 * shorter time first; restarted more often first; younger first. Times are compared by their order
 * of magnitude, and equal ones by uid, so that it is not always the newest that goes.
 * Behaviour: kubernetes.io, ReplicaSet, "Scaling a ReplicaSet"; KEP-2185, KEP-2255.
 */
import type { Pod } from '#resources/types/core-v1.ts';
import { isReady, readySinceMs } from '../pod-state.ts';

const costAnnotation = 'controller.kubernetes.io/pod-deletion-cost';
const phases = ['Pending', 'Unknown', 'Running'];

/** `siblings`: the active pods of related sets, these included. */
export function byDeletionOrder(
  pods: readonly Pod[],
  { siblings, nowMs }: { readonly siblings: readonly Pod[]; readonly nowMs: number },
): readonly Pod[] {
  const perNode = new Map<string, number>();
  for (const { spec } of siblings) {
    const nodeName = spec?.nodeName ?? '';
    perNode.set(nodeName, (perNode.get(nodeName) ?? 0) + 1);
  }
  const rank = ({ spec }: Pod): number => perNode.get(spec?.nodeName ?? '') ?? 0;
  return pods.toSorted((a, b) => {
    const assigned = Number(hasNode(a)) - Number(hasNode(b));
    if (assigned !== 0) return assigned;
    const phase = phaseRank(a) - phaseRank(b);
    if (phase !== 0) return phase;
    const ready = Number(isReady(a)) - Number(isReady(b));
    if (ready !== 0) return ready;
    const cost = deletionCost(a) - deletionCost(b);
    if (cost !== 0) return cost;
    const crowd = rank(b) - rank(a);
    if (crowd !== 0) return crowd;
    const readiness = compareAges(a, b, readySinceMs(a), readySinceMs(b), nowMs);
    if (readiness !== 0) return readiness;
    const restarts = restartCount(b) - restartCount(a);
    if (restarts !== 0) return restarts;
    return compareAges(a, b, createdMs(a), createdMs(b), nowMs);
  });
}

function hasNode(pod: Pod): boolean {
  return (pod.spec?.nodeName ?? '') !== '';
}

function phaseRank(pod: Pod): number {
  return phases.indexOf(pod.status?.phase ?? 'Pending');
}

function deletionCost(pod: Pod): number {
  const text = pod.metadata.annotations?.[costAnnotation] ?? '';
  return /^-?(0|[1-9]\d*)$/.test(text) ? Number(text) : 0;
}

function restartCount(pod: Pod): number {
  const counts = pod.status?.containerStatuses?.map((status) => status.restartCount) ?? [];
  return Math.max(0, ...counts);
}

function createdMs(pod: Pod): number | undefined {
  const { creationTimestamp } = pod.metadata;
  return creationTimestamp === undefined ? undefined : Date.parse(creationTimestamp);
}

/** Younger first by power of two; within one power by uid; 0 where the times are the same. */
function compareAges(
  a: Pod,
  b: Pod,
  aMs: number | undefined,
  bMs: number | undefined,
  nowMs: number,
): number {
  if (aMs === bMs) return 0;
  if (aMs === undefined) return -1;
  if (bMs === undefined) return 1;
  const difference = magnitude(nowMs - aMs) - magnitude(nowMs - bMs);
  if (difference !== 0) return difference;
  const [one = '', other = ''] = [a.metadata.uid, b.metadata.uid];
  return one < other ? -1 : 1;
}

/** Of a duration in nanoseconds, as upstream measures it. */
function magnitude(ageMs: number): number {
  return ageMs <= 0 ? -1 : Math.floor(Math.log2(ageMs * 1e6));
}
