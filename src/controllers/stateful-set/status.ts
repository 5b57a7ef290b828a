/**
 * The status of a StatefulSet: how many pods there are, ready, available, of the current and of the
 * update revision. Pure.
 *
 * When every pod wanted is ready at the update revision, that becomes the current one: the rollout
 * is over, which is what `kubectl rollout status` waits for. Called by `plan.ts`.
 */
import type { StatefulSetStatus } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { availableFromMs, isReady, isTerminating } from '../pod-state.ts';
import { counter } from '../status-update.ts';
import { revisionOf, wantedOf } from './identity.ts';
import type { Facts, StatefulSetPlan } from './plan.ts';

/** `updated` pods of an old revision are about to be deleted. */
export function countStatus(
  { set, current, update, collisionCount }: Facts,
  pods: readonly Pod[],
  updated: number,
  nowMs: number,
): Pick<StatefulSetPlan, 'status' | 'againAtMs'> {
  let [ready, available, atCurrent, atUpdate] = [0, 0, 0, 0];
  let againAtMs: number | undefined;
  for (const pod of pods) {
    if (!isTerminating(pod)) {
      const revision = revisionOf(pod);
      if (revision === current.name) atCurrent += 1;
      if (revision === update.name) atUpdate += 1;
    }
    if (pod.status?.phase !== 'Running' || !isReady(pod)) continue;
    ready += 1;
    const fromMs = availableFromMs(pod, set.spec?.minReadySeconds ?? 0) ?? 0;
    if (fromMs <= nowMs) available += 1;
    else againAtMs = Math.min(againAtMs ?? fromMs, fromMs);
  }
  const wanted = wantedOf(set);
  const rolls = set.spec?.updateStrategy?.type === 'RollingUpdate';
  const isDone = rolls && [atUpdate, ready, pods.length].every((count) => count === wanted);
  const status: StatefulSetStatus = {
    observedGeneration: set.metadata.generation,
    replicas: pods.length,
    ...counter('readyReplicas', ready),
    ...counter('currentReplicas', isDone ? atUpdate : Math.max(0, atCurrent - updated)),
    ...counter('updatedReplicas', atUpdate),
    currentRevision: isDone ? update.name : current.name,
    updateRevision: update.name,
    collisionCount,
    availableReplicas: available,
  };
  return { status, againAtMs };
}
