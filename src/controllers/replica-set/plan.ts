/**
 * What a ReplicaSet needs next. Pure.
 *
 * Given the set, the pods that it manages and the time: how many pods to create, which to delete,
 * what the status should say, and when to look again (a pod becomes available by time alone).
 * `replica-set.ts` gathers the facts and performs.
 *
 * Example: 5 wanted, 3 active, one more terminating: create 2. 2 wanted, 3 active, of which one is
 * Pending: delete that one. At most 500 at a time; the next round takes the rest.
 */
import { mapMatches } from '#api/selectors.ts';
import { formatTime } from '#kit/clock.ts';
import type {
  ReplicaSet,
  ReplicaSetCondition,
  ReplicaSetStatus,
} from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { availableFromMs, isActive, isReady, isTerminated, isTerminating } from '../pod-state.ts';
import { counter } from '../status-update.ts';
import { byDeletionOrder } from './deletion-order.ts';

export const limits = { burst: 500 } as const;

export type ScaleAction =
  | { readonly do: 'create'; readonly count: number }
  | { readonly do: 'delete'; readonly pods: readonly Pod[] }
  | { readonly do: 'nothing' };

export interface ScaleFacts {
  readonly replicaSet: ReplicaSet;
  /** All pods that the set manages. */
  readonly pods: readonly Pod[];
  /** Active pods of the sets with the same owner, this one included. */
  readonly related: () => readonly Pod[];
  /** Its deletion was asked for, without an answer: whoever else were chosen, it may go too. */
  readonly mayBeDeleted?: (pod: Pod) => boolean;
}

export function planScale(facts: ScaleFacts, nowMs: number): ScaleAction {
  const { replicaSet, pods } = facts;
  if (replicaSet.metadata.deletionTimestamp !== undefined) return { do: 'nothing' };
  const active = pods.filter(isActive);
  const surplus = active.length - (replicaSet.spec?.replicas ?? 1);
  if (surplus < 0) return { do: 'create', count: Math.min(-surplus, limits.burst) };
  if (surplus === 0) return { do: 'nothing' };
  const count = Math.min(surplus, limits.burst);
  if (count === active.length) return { do: 'delete', pods: active };
  const { mayBeDeleted = () => false } = facts;
  const ordered = byDeletionOrder(active, { siblings: facts.related(), nowMs }).toSorted(
    (a, b) => Number(mayBeDeleted(b)) - Number(mayBeDeleted(a)),
  );
  return { do: 'delete', pods: ordered.slice(0, count) };
}

/** Why creating or deleting failed, for the condition ReplicaFailure. */
export interface Failure {
  readonly reason: 'FailedCreate' | 'FailedDelete';
  readonly message: string;
}

export interface StatusPlan {
  readonly status: ReplicaSetStatus;
  /** When the next ready pod becomes available by time alone. */
  readonly againAtMs: number | undefined;
}

export function planStatus(
  replicaSet: ReplicaSet,
  pods: readonly Pod[],
  failure: Failure | undefined,
  nowMs: number,
): StatusPlan {
  const active = pods.filter(isActive);
  const templateLabels = replicaSet.spec?.template?.metadata?.labels;
  const minReadySeconds = replicaSet.spec?.minReadySeconds ?? 0;
  let [fullyLabeled, ready, available] = [0, 0, 0];
  let againAtMs: number | undefined;
  for (const pod of active) {
    if (mapMatches(templateLabels, pod.metadata.labels)) fullyLabeled += 1;
    if (isReady(pod)) ready += 1;
    const fromMs = availableFromMs(pod, minReadySeconds);
    if (fromMs === undefined) continue;
    if (fromMs <= nowMs) available += 1;
    else againAtMs = Math.min(againAtMs ?? fromMs, fromMs);
  }
  const terminating = pods.filter((pod) => isTerminating(pod) && !isTerminated(pod)).length;
  const conditions = withFailure(replicaSet.status?.conditions ?? [], failure, nowMs);
  const status: ReplicaSetStatus = {
    replicas: active.length,
    ...counter('fullyLabeledReplicas', fullyLabeled),
    ...counter('readyReplicas', ready),
    ...counter('availableReplicas', available),
    terminatingReplicas: terminating,
    observedGeneration: replicaSet.metadata.generation,
    ...(conditions.length > 0 ? { conditions } : {}),
  };
  return { status, againAtMs };
}

function withFailure(
  conditions: readonly ReplicaSetCondition[],
  failure: Failure | undefined,
  nowMs: number,
): readonly ReplicaSetCondition[] {
  const type = 'ReplicaFailure';
  const before = conditions.find((condition) => condition.type === type);
  const others = conditions.filter((condition) => condition.type !== type);
  if (failure === undefined) return others;
  if (before?.status === 'True' && before.reason === failure.reason) return conditions;
  return [...others, { type, status: 'True', ...failure, lastTransitionTime: formatTime(nowMs) }];
}
