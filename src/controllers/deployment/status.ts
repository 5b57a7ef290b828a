/**
 * The status of a Deployment: counters, and the conditions Available, Progressing, ReplicaFailure.
 * Pure. Reasons and messages are upstream's: `kubectl rollout status` and scripts read them.
 *
 * Progressing says whether a rollout moves. It is True while counters move, stays True with reason
 * NewReplicaSetAvailable once the rollout is complete, and turns False when nothing has moved for
 * `progressDeadlineSeconds`.
 */
import { formatTime } from '#kit/clock.ts';
import type {
  Deployment,
  DeploymentCondition,
  DeploymentStatus,
  ReplicaSet,
} from '#resources/types/apps-v1.ts';
import { counter } from '../status-update.ts';
import { availableOf, bounds, sum, wantedOf } from './rolling.ts';

export interface Sets {
  readonly current: ReplicaSet | undefined;
  readonly old: readonly ReplicaSet[];
}

type Conditions = readonly DeploymentCondition[];

/** Upstream's stand-in for "no deadline". */
const noDeadlineSeconds = 2_147_483_647;

export function hasDeadline(deployment: Deployment): boolean {
  return (deployment.spec?.progressDeadlineSeconds ?? noDeadlineSeconds) !== noDeadlineSeconds;
}

export function conditionOf(conditions: Conditions | undefined, type: string) {
  return conditions?.find((condition) => condition.type === type);
}

/** Puts the condition in, unless one with the same status and reason is there. */
export function withCondition(
  conditions: Conditions,
  next: Pick<DeploymentCondition, 'type' | 'status' | 'reason' | 'message'>,
  nowMs: number,
): Conditions {
  const before = conditionOf(conditions, next.type);
  if (before?.status === next.status && before.reason === next.reason) return conditions;
  const now = formatTime(nowMs);
  const kept = before?.status === next.status ? before.lastTransitionTime : undefined;
  const whole = { ...next, lastUpdateTime: now, lastTransitionTime: kept ?? now };
  return [...without(conditions, next.type), whole];
}

function without(conditions: Conditions, type: string): Conditions {
  return conditions.filter((condition) => condition.type !== type);
}

/** Counters and Available; `conditions` are what the status says otherwise. */
export function countStatus(
  deployment: Deployment,
  { current, old }: Sets,
  conditions: Conditions,
  nowMs: number,
): DeploymentStatus {
  const all = current === undefined ? old : [...old, current];
  const wanted = wantedOf(deployment);
  const available = sum(all, availableOf);
  const enough = available >= wanted - bounds(deployment).unavailable;
  const terminating = sum(all, (set) => set.status?.terminatingReplicas ?? 0);
  const { collisionCount } = deployment.status ?? {};
  return {
    observedGeneration: deployment.metadata.generation,
    ...counter(
      'replicas',
      sum(all, (set) => set.status?.replicas ?? 0),
    ),
    ...counter('updatedReplicas', current?.status?.replicas ?? 0),
    ...counter(
      'readyReplicas',
      sum(all, (set) => set.status?.readyReplicas ?? 0),
    ),
    ...counter('availableReplicas', available),
    ...counter('unavailableReplicas', Math.max(0, sum(all, wantedOf) - available)),
    terminatingReplicas: terminating,
    ...(collisionCount === undefined ? {} : { collisionCount }),
    conditions: withCondition(
      conditions,
      {
        type: 'Available',
        status: enough ? 'True' : 'False',
        reason: enough ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
        message: enough
          ? 'Deployment has minimum availability.'
          : 'Deployment does not have minimum availability.',
      },
      nowMs,
    ),
  };
}

export function isComplete(deployment: Deployment, status: DeploymentStatus): boolean {
  const wanted = wantedOf(deployment);
  const counts = [status.updatedReplicas, status.replicas, status.availableReplicas];
  return (
    counts.every((count) => (count ?? 0) === wanted) &&
    (status.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0)
  );
}

/** The whole status while a rollout may be going on. */
export function rolloutStatus(
  deployment: Deployment,
  sets: Sets,
  conditions: Conditions,
  nowMs: number,
): DeploymentStatus {
  const counted = countStatus(deployment, sets, conditions, nowMs);
  const progressed = withProgress(deployment, sets, counted, nowMs);
  return { ...counted, conditions: withFailure(progressed, sets) };
}

function withProgress(
  deployment: Deployment,
  sets: Sets,
  status: DeploymentStatus,
  nowMs: number,
): Conditions {
  const type = 'Progressing';
  const conditions = status.conditions ?? [];
  if (!hasDeadline(deployment)) return without(conditions, type);
  const before = conditionOf(conditions, type);
  const isDone = (status.replicas ?? 0) === (status.updatedReplicas ?? 0);
  if (isDone && before?.reason === 'NewReplicaSetAvailable') return conditions;
  const subject =
    sets.current === undefined
      ? `Deployment "${deployment.metadata.name}"`
      : `ReplicaSet "${sets.current.metadata.name}"`;
  if (isComplete(deployment, status)) {
    const message = `${subject} has successfully progressed.`;
    const next = { type, status: 'True', reason: 'NewReplicaSetAvailable', message };
    return withCondition(conditions, next, nowMs);
  }
  if (hasMoved(deployment.status ?? {}, status)) {
    const now = formatTime(nowMs);
    const kept = before?.status === 'True' ? before.lastTransitionTime : undefined;
    const message = `${subject} is progressing.`;
    const next = { type, status: 'True', reason: 'ReplicaSetUpdated', message };
    const times = { lastUpdateTime: now, lastTransitionTime: kept ?? now };
    return [...without(conditions, type), { ...next, ...times }];
  }
  if (hasTimedOut(deployment, before, nowMs)) {
    const message = `${subject} has timed out progressing.`;
    const next = { type, status: 'False', reason: 'ProgressDeadlineExceeded', message };
    return withCondition(conditions, next, nowMs);
  }
  return conditions;
}

function hasMoved(before: DeploymentStatus, after: DeploymentStatus): boolean {
  const updated = (status: DeploymentStatus): number => status.updatedReplicas ?? 0;
  const old = (status: DeploymentStatus): number => (status.replicas ?? 0) - updated(status);
  return (
    updated(after) > updated(before) ||
    old(after) < old(before) ||
    (after.readyReplicas ?? 0) > (before.readyReplicas ?? 0) ||
    (after.availableReplicas ?? 0) > (before.availableReplicas ?? 0)
  );
}

function hasTimedOut(
  deployment: Deployment,
  progressing: DeploymentCondition | undefined,
  nowMs: number,
): boolean {
  if (progressing === undefined || progressing.reason === 'NewReplicaSetAvailable') return false;
  if (progressing.reason === 'ProgressDeadlineExceeded') return true;
  return deadlineMs(deployment, progressing) < nowMs;
}

function deadlineMs(deployment: Deployment, progressing: DeploymentCondition): number {
  const sinceMs = Date.parse(progressing.lastUpdateTime ?? '1970-01-01T00:00:00Z');
  return sinceMs + (deployment.spec?.progressDeadlineSeconds ?? noDeadlineSeconds) * 1000;
}

/** When to look whether the rollout got stuck; undefined where that cannot be. */
export function stuckCheckMs(deployment: Deployment, status: DeploymentStatus): number | undefined {
  const progressing = conditionOf(status.conditions, 'Progressing');
  if (!hasDeadline(deployment) || progressing === undefined) return undefined;
  if (isComplete(deployment, status)) return undefined;
  if (progressing.reason === 'ProgressDeadlineExceeded') return undefined;
  if (progressing.reason === 'NewReplicaSetAvailable') return undefined;
  return deadlineMs(deployment, progressing) + 1000;
}

/** The first failure of the current set, else of any set. */
function withFailure(conditions: Conditions, { current, old }: Sets): Conditions {
  const type = 'ReplicaFailure';
  const others = without(conditions, type);
  for (const set of current === undefined ? old : [current, ...old]) {
    const failure = set.status?.conditions?.find((condition) => condition.type === type);
    if (failure === undefined) continue;
    const { status, reason, message, lastTransitionTime } = failure;
    const next = { type, status, reason, message, lastTransitionTime };
    return [...others, { ...next, lastUpdateTime: lastTransitionTime }];
  }
  return others;
}
