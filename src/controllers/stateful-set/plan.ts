/**
 * What a StatefulSet needs next: pods to make, mend or delete, and its status. Pure.
 *
 * Ordinals in range are looked at from the lowest: a missing pod is made, an ended one deleted, a
 * wrong label or volume put right. Then pods out of range go, highest first; then, in a rolling
 * update, pods of another revision, highest first. With OrderedReady the first pod that is not
 * available ends the turn, so that one step is taken at a time; with Parallel nothing waits, except
 * the update. `stateful-set.ts` gathers the facts and performs the actions in order.
 *
 * Example: 3 wanted, web-0 and web-1 available, web-2 of the old revision: web-2 is deleted; next
 * turn it is missing, so it is made anew; only when it is available is it web-1's turn.
 * Behaviour: kubernetes.io, StatefulSets.
 */
import { scaledCount } from '#api/int-or-string.ts';
import type { OwnerReference } from '#api/object.ts';
import type { StatefulSet, StatefulSetStatus } from '#resources/types/apps-v1.ts';
import type { PersistentVolumeClaim, Pod, PodTemplateSpec } from '#resources/types/core-v1.ts';
import { availableFromMs, isTerminated, isTerminating } from '../pod-state.ts';
import { hasForeignManager, isStale, planOwners } from './claims.ts';
import {
  claimsOf,
  hasIdentity,
  hasStorage,
  isInRange,
  newPod,
  ordinalOf,
  revisionOf,
  startOf,
  wantedOf,
  withIdentity,
  withStorage,
} from './identity.ts';
import { countStatus } from './status.ts';

export type Action =
  /** With the claims that are missing, made before the pod. */
  | { readonly do: 'create'; readonly pod: Pod; readonly claims: Claims }
  | { readonly do: 'create-claims'; readonly pod: Pod; readonly claims: Claims }
  | { readonly do: 'repair'; readonly pod: Pod }
  | { readonly do: 'delete'; readonly pod: Pod }
  | {
      readonly do: 'own-claim';
      readonly claim: PersistentVolumeClaim;
      readonly ownerReferences: readonly OwnerReference[];
      /** Somebody else manages it too, so the policy cannot be kept. */
      readonly conflict: boolean;
    };

export interface Claims {
  readonly missing: readonly PersistentVolumeClaim[];
  /** Names of those that are being deleted: nothing can be made on them. */
  readonly ending: readonly string[];
}

export interface Revision {
  readonly name: string;
  readonly template: PodTemplateSpec;
}

export interface Facts {
  readonly set: StatefulSet;
  /** All that the set manages. */
  readonly pods: readonly Pod[];
  readonly current: Revision;
  readonly update: Revision;
  readonly collisionCount: number;
  readonly claimNamed: (name: string) => PersistentVolumeClaim | undefined;
}

export interface StatefulSetPlan {
  /** To be performed in this order. */
  readonly actions: readonly Action[];
  readonly status: StatefulSetStatus;
  /** When the next ready pod becomes available by time alone. */
  readonly againAtMs: number | undefined;
}

/** One ordinal: the pod that is there, or the one to make. */
interface Place {
  readonly pod: Pod;
  readonly exists: boolean;
}

/** Actions, and whether the turn ends with them. */
interface Step {
  readonly actions: readonly Action[];
  readonly ends: boolean;
}

export function planStatefulSet(facts: Facts, nowMs: number): StatefulSetPlan {
  const { set } = facts;
  const places = placesOf(facts);
  const condemned = facts.pods
    .filter((pod) => ordinalOf(pod) !== undefined && !isInRange(set, pod))
    .toSorted((a, b) => (ordinalOf(b) ?? 0) - (ordinalOf(a) ?? 0));
  const actions: Action[] = [];
  let updated = 0;
  if (set.metadata.deletionTimestamp === undefined) {
    let ends = false;
    for (const step of steps(facts, places, condemned, nowMs)) {
      actions.push(...step.actions);
      ends = step.ends;
      if (ends) break;
    }
    if (!ends) {
      const old = planUpdate(facts, places, nowMs);
      updated = old.length;
      for (const pod of old) actions.push({ do: 'delete', pod });
    }
  }
  const existing = places.filter(({ exists }) => exists).map(({ pod }) => pod);
  return { actions, ...countStatus(facts, [...existing, ...condemned], updated, nowMs) };
}

/** Everything before the update; with Parallel no step ends the turn. */
function* steps(
  facts: Facts,
  places: readonly Place[],
  condemned: readonly Pod[],
  nowMs: number,
): Generator<Step> {
  const ordered = facts.set.spec?.podManagementPolicy !== 'Parallel';
  for (const place of places) {
    const step = planPlace(facts, place, nowMs);
    yield { ...step, ends: step.ends && ordered };
  }
  for (const pod of condemned) yield { actions: planClaimOwners(facts, pod), ends: false };
  const unavailable = (pod: Pod): boolean => !isAvailable(facts.set, pod, nowMs);
  const firstUnavailable =
    places.find(({ pod }) => unavailable(pod))?.pod ?? condemned.findLast(unavailable);
  for (const pod of condemned) {
    const mayGo = !ordered || !unavailable(pod) || pod === firstUnavailable;
    const goes = mayGo && !isTerminating(pod);
    yield { actions: goes ? [{ do: 'delete', pod }] : [], ends: ordered };
  }
}

function placesOf({ set, pods, current, update }: Facts): readonly Place[] {
  const start = startOf(set);
  const byOrdinal = new Map(
    pods.filter((pod) => isInRange(set, pod)).map((pod) => [ordinalOf(pod), pod]),
  );
  return Array.from({ length: wantedOf(set) }, (_, index): Place => {
    const ordinal = start + index;
    const pod = byOrdinal.get(ordinal);
    if (pod !== undefined) return { pod, exists: true };
    const { name, template } = isKeptBack(set, index) ? current : update;
    return { pod: newPod(set, template, { ordinal, revision: name }), exists: false };
  });
}

/** A missing pod below the partition comes back as it was. */
function isKeptBack(set: StatefulSet, index: number): boolean {
  const { type, rollingUpdate } = set.spec?.updateStrategy ?? {};
  if (rollingUpdate !== undefined) return index < (rollingUpdate.partition ?? 0);
  return type === 'RollingUpdate' && index < (set.status?.currentReplicas ?? 0);
}

function planPlace(facts: Facts, { pod, exists }: Place, nowMs: number): Step {
  const { set } = facts;
  if (!exists) {
    const claims = claimsFor(facts, pod);
    const waits = claims.found.some((claim) => isStale(claim, set, pod));
    return { actions: waits ? [] : [{ do: 'create', pod, claims }], ends: true };
  }
  if (isTerminated(pod)) {
    // Whatever the exit code: a node that restarts ends its pods as well.
    return { actions: isTerminating(pod) ? [] : [{ do: 'delete', pod }], ends: true };
  }
  const actions: Action[] = [];
  if (pod.status?.phase === 'Pending') {
    const claims = claimsFor(facts, pod);
    if (claims.missing.length > 0) actions.push({ do: 'create-claims', pod, claims });
    actions.push(...planClaimOwners(facts, pod));
  }
  if (!isAvailable(set, pod, nowMs) || pod.status?.phase !== 'Running') {
    return { actions, ends: true };
  }
  if (!hasIdentity(pod) || !hasStorage(set, pod)) {
    actions.push({ do: 'repair', pod: withStorage(set, withIdentity(pod)) });
  }
  actions.push(...planClaimOwners(facts, pod));
  return { actions, ends: false };
}

/** Ready for long enough, and not about to go. */
function isAvailable(set: StatefulSet, pod: Pod, nowMs: number): boolean {
  if (isTerminating(pod)) return false;
  const fromMs = availableFromMs(pod, set.spec?.minReadySeconds ?? 0);
  return fromMs !== undefined && fromMs <= nowMs;
}

function claimsFor(
  { set, claimNamed }: Facts,
  pod: Pod,
): Claims & { readonly found: readonly PersistentVolumeClaim[] } {
  const missing: PersistentVolumeClaim[] = [];
  const found: PersistentVolumeClaim[] = [];
  for (const claim of claimsOf(set, pod)) {
    const known = claimNamed(claim.metadata.name ?? '');
    if (known === undefined) missing.push(claim);
    else found.push(known);
  }
  const ending = found
    .filter(({ metadata }) => metadata.deletionTimestamp !== undefined)
    .map(({ metadata }) => metadata.name ?? '');
  return { missing, ending, found };
}

function planClaimOwners(facts: Facts, pod: Pod): readonly Action[] {
  const { set } = facts;
  return claimsFor(facts, pod).found.flatMap((claim): readonly Action[] => {
    const ownerReferences = planOwners(claim, set, pod);
    if (ownerReferences === undefined) return [];
    const conflict = hasForeignManager(claim, set, pod);
    return [{ do: 'own-claim', claim, ownerReferences, conflict }];
  });
}

/** Pods to delete so that they come back at the new revision. */
function planUpdate({ set, update }: Facts, places: readonly Place[], nowMs: number): Pod[] {
  const { type, rollingUpdate } = set.spec?.updateStrategy ?? {};
  if (type === 'OnDelete') return [];
  const isOld = (pod: Pod): boolean => revisionOf(pod) !== update.name && !isTerminating(pod);
  const isDown = (place: Place): boolean => !place.exists || !isAvailable(set, place.pod, nowMs);
  const candidates = places.slice(rollingUpdate?.partition ?? 0).toReversed();
  if (rollingUpdate?.maxUnavailable !== undefined) {
    const total = wantedOf(set);
    const most = scaledCount(rollingUpdate.maxUnavailable, { total, round: 'down' }) ?? 1;
    const room = Math.max(1, most) - places.filter(isDown).length;
    const old = candidates.filter(({ pod, exists }) => exists && isOld(pod));
    return old.slice(0, Math.max(0, room)).map(({ pod }) => pod);
  }
  // One at a time, and the next only when all above are available. A broken pod of an old revision
  // is replaced all the same: it can only get better.
  for (const place of candidates) {
    if (place.exists && isOld(place.pod)) return [place.pod];
    if (isDown(place)) return [];
  }
  return [];
}
