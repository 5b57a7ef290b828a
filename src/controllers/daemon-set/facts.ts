/**
 * What is known of a DaemonSet when it is planned, and what is often asked of that. Pure.
 *
 * Pods count by the node that they are on or meant for. `plan.ts`, `rolling.ts` and `status.ts`
 * read the same facts.
 */
import { scaledCount } from '#api/int-or-string.ts';
import type { DaemonSet } from '#resources/types/apps-v1.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import { compareCreation } from '../creation-order.ts';
import { availableFromMs, isTerminated, isTerminating } from '../pod-state.ts';
import type { NodeBackoff } from './backoff.ts';
import { isUpdated, nodeOf } from './pod.ts';

export interface Facts {
  readonly set: DaemonSet;
  readonly nodes: readonly Node[];
  /** All that the set manages. */
  readonly pods: readonly Pod[];
  /** Of the template of now. */
  readonly hash: string;
  /** Nodes where pods have failed, and since when to wait how long. */
  readonly backoffs: ReadonlyMap<string, NodeBackoff>;
}

/** Pods by the node that they are on or meant for. */
export type ByNode = ReadonlyMap<string, readonly Pod[]>;

export function podsByNode(pods: readonly Pod[]): ByNode {
  const byNode = new Map<string, Pod[]>();
  for (const pod of pods) {
    // Ended and about to be gone: nothing is left to do with it.
    if (isTerminated(pod) && isTerminating(pod)) continue;
    const name = nodeOf(pod);
    if (name === undefined) continue;
    const there = byNode.get(name);
    if (there === undefined) byNode.set(name, [pod]);
    else there.push(pod);
  }
  return byNode;
}

/** Pods on nodes first, then the oldest. */
export function compareAge(a: Pod, b: Pod): number {
  const assigned = Number(!a.spec?.nodeName) - Number(!b.spec?.nodeName);
  return assigned === 0 ? compareCreation(a, b) : assigned;
}

export function isAvailable(set: DaemonSet, pod: Pod, nowMs: number): boolean {
  const fromMs = availableFromMs(pod, set.spec?.minReadySeconds ?? 0);
  return fromMs !== undefined && fromMs <= nowMs;
}

/** How many nodes may have two pods, of so many that should have one. */
export function surgeOf(set: DaemonSet, total: number): number {
  const { type, rollingUpdate } = set.spec?.updateStrategy ?? {};
  if (type !== 'RollingUpdate' || rollingUpdate?.maxSurge === undefined) return 0;
  return scaledCount(rollingUpdate.maxSurge, { total, round: 'up' }) ?? 0;
}

export function isNew(facts: Facts, pod: Pod): boolean {
  return isUpdated(facts.set, pod, facts.hash);
}
