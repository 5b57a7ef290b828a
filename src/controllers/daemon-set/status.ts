/**
 * The status of a DaemonSet, counted in nodes: how many should run a pod, do, do without being
 * wanted, and have one that is ready, available, of the template of now. Pure.
 */
import type { DaemonSetStatus } from '#resources/types/apps-v1.ts';
import { availableFromMs, isReady } from '../pod-state.ts';
import { compareAge, type Facts, isNew, podsByNode } from './facts.ts';
import { suits } from './nodes.ts';

export interface StatusPlan {
  readonly status: DaemonSetStatus;
  /** When the next ready pod becomes available by time alone. */
  readonly againAtMs: number | undefined;
}

/** `acted`: the plan of this generation was carried out. */
export function planStatus(facts: Facts, acted: boolean, nowMs: number): StatusPlan {
  const { set } = facts;
  const byNode = podsByNode(facts.pods);
  let [desired, current, misplaced, ready, available, updated] = [0, 0, 0, 0, 0, 0];
  let againAtMs: number | undefined;
  for (const node of facts.nodes) {
    const [pod] = (byNode.get(node.metadata.name ?? '') ?? []).toSorted(compareAge);
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
    const fromMs = availableFromMs(pod, set.spec?.minReadySeconds ?? 0) ?? 0;
    if (fromMs <= nowMs) available += 1;
    else againAtMs = Math.min(againAtMs ?? fromMs, fromMs);
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

/** Zero counters are left out, as upstream writes them. */
function counter(name: string, count: number): Readonly<Record<string, number>> {
  return count === 0 ? {} : { [name]: count };
}
