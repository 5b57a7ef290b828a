/**
 * The status of a DaemonSet, counted in nodes: how many should run a pod, do, do without being
 * wanted, and have one that is ready, available, of the template of now. Pure.
 */
import type { DaemonSetStatus } from '#resources/types/apps-v1.ts';
import { availableFromMs, isReady } from '../pod-state.ts';
import { counter } from '../status-update.ts';
import { compareAge, type Facts, isAvailable, isNew, podsByNode } from './facts.ts';
import { suits } from './nodes.ts';

export interface StatusPlan {
  readonly status: DaemonSetStatus;
  /** When the next ready pod becomes available by time alone. */
  readonly againAtMs: number | undefined;
}

/** `acted`: the plan of this generation was carried out. */
export function planStatus(facts: Facts, acted: boolean, nowMs: number): StatusPlan {
  const { set } = facts;
  const { minReadySeconds = 0 } = set.spec ?? {};
  const byNode = podsByNode(facts.pods);
  let [desired, current, misplaced, ready, available, updated] = [0, 0, 0, 0, 0, 0];
  let againAtMs: number | undefined;
  for (const node of facts.nodes) {
    const pods = byNode.get(node.metadata.name ?? '') ?? [];
    const [pod] = pods.toSorted(compareAge);
    // Also of the second one that a surge puts beside the first: the first goes then.
    for (const other of pods) {
      const atMs = availableFromMs(other, minReadySeconds) ?? 0;
      if (atMs > nowMs) againAtMs = Math.min(againAtMs ?? atMs, atMs);
    }
    if (!suits(set, node).shouldRun) {
      if (pod !== undefined) misplaced += 1;
      continue;
    }
    desired += 1;
    if (pod === undefined) continue;
    current += 1;
    if (isNew(facts, pod)) updated += 1;
    if (!isReady(pod)) continue;
    ready += 1;
    if (isAvailable(set, pod, nowMs)) available += 1;
  }
  const { collisionCount, observedGeneration } = set.status ?? {};
  const status: DaemonSetStatus = {
    currentNumberScheduled: current,
    numberMisscheduled: misplaced,
    desiredNumberScheduled: desired,
    numberReady: ready,
    observedGeneration: acted ? set.metadata.generation : observedGeneration,
    ...counter('updatedNumberScheduled', updated),
    ...counter('numberAvailable', available),
    ...counter('numberUnavailable', desired - available),
    ...(collisionCount === undefined ? {} : { collisionCount }),
  };
  return { status, againAtMs };
}
