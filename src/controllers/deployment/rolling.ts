/**
 * Rolling update of a Deployment, as arithmetic. Pure.
 *
 * Old and new sets together may have `replicas + surge` pods, and `replicas - unavailable` must
 * stay available. The new set grows into the room that is left; old sets shrink by what is above
 * the floor, pods that are not available first.
 *
 * Example: 6 wanted, surge 2, unavailable 1, so ceiling 8 and floor 5. Old 6, new 0: new may grow
 * to 2. While those 2 are unready, 8 - 5 - 2 = 1 may go: old 5. Then new 3, and so on.
 *
 * Behaviour: kubernetes.io, Deployments, "Rolling Update Deployment" and "Proportional scaling".
 */
import { scaledCount } from '#api/int-or-string.ts';
import type { Deployment, ReplicaSet } from '#resources/types/apps-v1.ts';
import { compareCreation } from '../creation-order.ts';
import { annotations, numberIn } from './revision.ts';

export interface Size {
  readonly replicaSet: ReplicaSet;
  readonly replicas: number;
}

export function wantedOf(object: Deployment | ReplicaSet): number {
  return object.spec?.replicas ?? 1;
}

export function availableOf(replicaSet: ReplicaSet): number {
  return replicaSet.status?.availableReplicas ?? 0;
}

/**
 * Whether a set's status was written since its size was last changed. One that was not may count
 * pods that went with a smaller size: whoever takes those for spare ones removes as many again.
 */
function isKnown({ metadata, status }: ReplicaSet): boolean {
  return (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
}

/** Available pods that a set is going to keep, as far as that is sure. */
function keptOf(replicaSet: ReplicaSet): number {
  return isKnown(replicaSet) ? Math.min(availableOf(replicaSet), wantedOf(replicaSet)) : 0;
}

function unavailableOf(replicaSet: ReplicaSet): number {
  return isKnown(replicaSet) ? Math.max(0, wantedOf(replicaSet) - availableOf(replicaSet)) : 0;
}

export function sum(
  replicaSets: readonly ReplicaSet[],
  count: (replicaSet: ReplicaSet) => number,
): number {
  return replicaSets.reduce((total, replicaSet) => total + count(replicaSet), 0);
}

/** How many pods more, and how many available pods fewer, than wanted there may be. */
export function bounds(deployment: Deployment): {
  readonly surge: number;
  readonly unavailable: number;
} {
  const wanted = wantedOf(deployment);
  const { type, rollingUpdate } = deployment.spec?.strategy ?? {};
  if (type === 'Recreate') return { surge: 0, unavailable: 0 };
  const { maxSurge = '25%', maxUnavailable = '25%' } = rollingUpdate ?? {};
  const surge = scaledCount(maxSurge, { total: wanted, round: 'up' }) ?? 0;
  const unavailable = scaledCount(maxUnavailable, { total: wanted, round: 'down' }) ?? 0;
  // Percentages of a small number may both come to nothing: then nothing could ever move.
  if (surge === 0 && unavailable === 0) return { surge, unavailable: Math.min(1, wanted) };
  return { surge, unavailable: Math.min(unavailable, wanted) };
}

/** The size of the new set: into the room below the ceiling, never above what is wanted. */
export function planNew(deployment: Deployment, old: readonly ReplicaSet[], size: number): number {
  const wanted = wantedOf(deployment);
  if (deployment.spec?.strategy?.type === 'Recreate' || size > wanted) return wanted;
  const room = wanted + bounds(deployment).surge - sum(old, wantedOf) - size;
  return room <= 0 ? size : size + Math.min(room, wanted - size);
}

/** Smaller sizes of old sets (oldest first), unhealthy pods first; only sets that change. */
export function planOld(
  deployment: Deployment,
  current: ReplicaSet,
  old: readonly ReplicaSet[],
): readonly Size[] {
  const floor = wantedOf(deployment) - bounds(deployment).unavailable;
  const spare = sum(old, wantedOf) + keptOf(current) - floor;
  if (spare <= 0) return [];
  const sizes = new Map(old.map((replicaSet) => [replicaSet, wantedOf(replicaSet)]));
  let left = spare;
  for (const [replicaSet, replicas] of sizes) {
    const dropped = Math.min(left, unavailableOf(replicaSet));
    sizes.set(replicaSet, replicas - dropped);
    left -= dropped;
  }
  left = keptOf(current) + sum(old, keptOf) - floor;
  for (const [replicaSet, replicas] of sizes) {
    const dropped = Math.min(Math.max(0, left), replicas);
    sizes.set(replicaSet, replicas - dropped);
    left -= dropped;
  }
  return Array.from(sizes, ([replicaSet, replicas]) => ({ replicaSet, replicas })).filter(
    ({ replicaSet, replicas }) => replicas !== wantedOf(replicaSet),
  );
}

/**
 * Shares a change of size in the middle of a rollout among the sets that have pods, by their size;
 * the rounding goes to the largest.
 *
 * Example: 10 wanted with surge 3 were split 8 and 5. For 15 the sum may be 18, so 5 more:
 * 8 × 18 / 13 = 11.08 gives +3, 5 × 18 / 13 = 6.9 gives +2.
 */
export function planProportional(
  deployment: Deployment,
  replicaSets: readonly ReplicaSet[],
): readonly Size[] {
  const wanted = wantedOf(deployment);
  const ceiling = wanted > 0 ? wanted + bounds(deployment).surge : 0;
  const active = replicaSets.filter((replicaSet) => wantedOf(replicaSet) > 0);
  const change = ceiling - sum(active, wantedOf);
  const newerFirst = change > 0 ? -1 : 1;
  const ordered = active.toSorted(
    (a, b) => wantedOf(b) - wantedOf(a) || newerFirst * compareCreation(a, b),
  );
  let given = 0;
  const sizes = ordered.map((replicaSet) => {
    const share = change === 0 ? 0 : shareOf(deployment, replicaSet, ceiling);
    const left = change - given;
    const part = change > 0 ? Math.min(share, left) : Math.max(share, left);
    given += part;
    return { replicaSet, replicas: wantedOf(replicaSet) + part };
  });
  return sizes.map(({ replicaSet, replicas }, index) => ({
    replicaSet,
    replicas: index === 0 ? Math.max(0, replicas + change - given) : replicas,
  }));
}

function shareOf(deployment: Deployment, replicaSet: ReplicaSet, ceiling: number): number {
  const size = wantedOf(replicaSet);
  if (wantedOf(deployment) === 0) return -size;
  const before = numberIn(replicaSet, annotations.max) || deployment.status?.replicas || 0;
  return before === 0 ? 0 : Math.round((size * ceiling) / before) - size;
}
