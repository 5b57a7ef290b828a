/**
 * Which pods nobody will clean up but the control plane. Pure.
 *
 * Four sorts: pods of a node that does not exist any more, pods that are ending on a node which
 * somebody has marked out of service, pods that are ending and were never given a node, and pods
 * that ended long ago, where there are more of them than the threshold (oldest first; none with a
 * threshold of 0). Behaviour:
 * kubernetes.io, "Pod Lifecycle", "Garbage collection of Pods".
 */
import type { Node, Pod } from '#resources/types/core-v1.ts';
import { compareCreation } from '../creation-order.ts';
import { isTerminated, isTerminating } from '../pod-state.ts';

export const limits = {
  /** Ended pods that are kept. */
  terminatedMax: 12_500,
  /** How long a node must be missing before its pods are given up. */
  quarantineMs: 40_000,
  periodMs: 20_000,
} as const;

export interface Collected {
  readonly pod: Pod;
  readonly why: 'orphaned' | 'out of service' | 'unscheduled' | 'terminated';
}

export function planPodGC(
  pods: Iterable<Pod>,
  stateOf: (nodeName: string) => 'there' | 'gone' | 'out of service',
  terminatedMax: number = limits.terminatedMax,
): readonly Collected[] {
  const collected: Collected[] = [];
  const ended: Pod[] = [];
  for (const pod of pods) {
    const { nodeName = '' } = pod.spec ?? {};
    const state = nodeName === '' ? 'there' : stateOf(nodeName);
    if (state === 'gone') collected.push({ pod, why: 'orphaned' });
    else if (state === 'out of service' && isTerminating(pod)) collected.push({ pod, why: state });
    else if (nodeName === '' && isTerminating(pod)) collected.push({ pod, why: 'unscheduled' });
    else if (isTerminated(pod) && !isTerminating(pod)) ended.push(pod);
  }
  const surplus = terminatedMax <= 0 ? 0 : Math.max(0, ended.length - terminatedMax);
  const oldest = ended.toSorted(compareCreation).slice(0, surplus);
  for (const pod of oldest) collected.push({ pod, why: 'terminated' });
  return collected;
}

/** Not ready, and marked by somebody who knows that it is shut down. */
export function isOutOfService({ spec, status }: Node): boolean {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  const isMarked = spec?.taints?.some(({ key }) => key === 'node.kubernetes.io/out-of-service');
  return ready?.status !== 'True' && isMarked === true;
}
