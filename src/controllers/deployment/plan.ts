/**
 * What a Deployment needs next. Pure: no clock, no client.
 *
 * Given the deployment, its replica sets, whether old pods still run, and the time: create a set
 * for a new template, size the sets (`rolling.ts` has the arithmetic and worked examples), drop
 * history, write the status. `deployment.ts` gathers the facts and performs the actions in order;
 * what they cause comes back as events and leads to the next plan. Each new set is the work of
 * `replica-set/replica-set.ts`, next in the walk.
 */

import { formatGroupVersion } from '#api/object.ts';
import { deployments as deploymentKind, replicaSets as replicaSetKind } from '#resources/kinds.ts';
import type {
  Deployment,
  DeploymentCondition,
  DeploymentStatus,
  ReplicaSet,
} from '#resources/types/apps-v1.ts';
import { compareCreation } from '../creation-order.ts';
import { controllerReference } from '../ownership.ts';
import { isSameValue } from '../same-value.ts';
import {
  annotations,
  compareRevision,
  currentAnnotations,
  highestRevision,
  numberIn,
  sizeAnnotations,
} from './revision.ts';
import { planRollback, type Rollback } from './rollback.ts';
import { availableOf, bounds, planNew, planOld, planProportional, wantedOf } from './rolling.ts';
import {
  conditionOf,
  countStatus,
  hasDeadline,
  isComplete,
  rolloutStatus,
  type Sets,
  stuckCheckMs,
  withCondition,
} from './status.ts';
import { hashLabel, isSameTemplate, templateHash, withHash } from './template-hash.ts';

export type Action =
  | { readonly do: 'create'; readonly replicaSet: ReplicaSet }
  /** New size, annotations or minReadySeconds; `from` is the size that it had. */
  | { readonly do: 'update'; readonly replicaSet: ReplicaSet; readonly from: number }
  | { readonly do: 'remove'; readonly replicaSet: ReplicaSet }
  /** Another template, as an old client wished; `note` is told. */
  | { readonly do: 'roll-back'; readonly rollback: Rollback }
  /** With a changed revision: so the generation stays, as nobody's wish changed. */
  | { readonly do: 'set-status'; readonly status: DeploymentStatus; readonly revision?: string }
  | { readonly do: 'wait'; readonly untilMs: number };

export interface Facts {
  readonly deployment: Deployment;
  /** All that the deployment owns. */
  readonly replicaSets: readonly ReplicaSet[];
  /** Whether pods of other sets than this one have not ended yet. */
  readonly othersRun: (current: ReplicaSet | undefined) => boolean;
}

export function planDeployment(facts: Facts, nowMs: number): readonly Action[] {
  const { deployment } = facts;
  const ordered = facts.replicaSets.toSorted(compareCreation);
  const found = ordered.find((set) =>
    isSameTemplate(set.spec?.template, deployment.spec?.template),
  );
  const sets = { current: found, old: ordered.filter((set) => set !== found) };
  const conditions = withFound(deployment, found, planPause(deployment, nowMs), nowMs);
  if (deployment.metadata.deletionTimestamp !== undefined) {
    return finish(deployment, sets, countStatus(deployment, sets, conditions, nowMs));
  }
  const revised = { ...sets, current: revise(deployment, sets) };
  const rollback = deployment.spec?.paused ? undefined : planRollback(deployment, ordered);
  if (rollback !== undefined && found !== undefined) {
    return [...changes(sets, revised), { do: 'roll-back', rollback }];
  }
  const isScaling = [...sets.old, ...(found === undefined ? [] : [found])].some((set) => {
    const desired = numberIn(set, annotations.desired);
    return wantedOf(set) > 0 && desired !== undefined && desired !== wantedOf(deployment);
  });
  // Equal shares are for rolling updates: Recreate ends old sets before the current one grows.
  const isShared = deployment.spec?.strategy?.type !== 'Recreate' || isAlone(ordered);
  if (deployment.spec?.paused || (isScaling && isShared)) {
    const scaled = planScaling(deployment, revised);
    const status = countStatus(deployment, scaled, conditions, nowMs);
    const wishes = deployment.metadata.annotations?.[annotations.rollback] !== undefined;
    const cleans = deployment.spec?.paused && !wishes;
    const history = cleans ? planHistory(deployment, scaled.old) : [];
    return [...changes(sets, scaled), ...history, ...finish(deployment, scaled, status)];
  }
  return deployment.spec?.strategy?.type === 'Recreate'
    ? planRecreate(facts, sets, revised, conditions, nowMs)
    : planRolling(facts, sets, revised, conditions, nowMs);
}

function isAlone(replicaSets: readonly ReplicaSet[]): boolean {
  return replicaSets.filter((set) => wantedOf(set) > 0).length < 2;
}

function planRolling(
  { deployment }: Facts,
  before: Sets,
  revised: Sets,
  conditions: readonly DeploymentCondition[],
  nowMs: number,
): readonly Action[] {
  if (revised.current === undefined) return planCreation(deployment, revised, conditions, nowMs);
  const { current, old } = revised;
  const replicas = planNew(deployment, old, wantedOf(current));
  let next: Sets = revised;
  if (replicas !== wantedOf(current)) {
    next = { current: resize(deployment, current, replicas), old };
  } else {
    const sizes = new Map(
      planOld(deployment, current, old).map((size) => [size.replicaSet, size.replicas]),
    );
    next = {
      current,
      old: old.map((set) => {
        const size = sizes.get(set);
        return size === undefined ? set : resize(deployment, set, size);
      }),
    };
  }
  return planRest(deployment, before, next, conditions, nowMs);
}

function planRecreate(
  { deployment, othersRun }: Facts,
  before: Sets,
  revised: Sets,
  conditions: readonly DeploymentCondition[],
  nowMs: number,
): readonly Action[] {
  const { current, old } = revised;
  const emptied = old.map((set) => (wantedOf(set) > 0 ? resize(deployment, set, 0) : set));
  const mustWait = old.some((set) => wantedOf(set) > 0) || othersRun(before.current);
  if (mustWait) {
    return planRest(deployment, before, { current, old: emptied }, conditions, nowMs);
  }
  if (current === undefined) return planCreation(deployment, revised, conditions, nowMs);
  const wanted = wantedOf(deployment);
  const grown = wantedOf(current) === wanted ? current : resize(deployment, current, wanted);
  return planRest(deployment, before, { current: grown, old }, conditions, nowMs);
}

/** History and status, after the sizes are known. */
function planRest(
  deployment: Deployment,
  before: Sets,
  next: Sets,
  conditions: readonly DeploymentCondition[],
  nowMs: number,
): readonly Action[] {
  const resized = changes(before, next);
  const done = isComplete(deployment, deployment.status ?? {});
  const history = resized.length === 0 && done ? planHistory(deployment, next.old) : [];
  const status = rolloutStatus(deployment, next, conditions, nowMs);
  return [...resized, ...history, ...finish(deployment, next, status), ...look(deployment, status)];
}

/** A set for a template that has none. */
function planCreation(
  deployment: Deployment,
  { old }: Sets,
  conditions: readonly DeploymentCondition[],
  nowMs: number,
): readonly Action[] {
  const replicaSet = newReplicaSet(deployment, old);
  const message = `Created new replica set "${replicaSet.metadata.name}"`;
  const progress = { type: 'Progressing', status: 'True', reason: 'NewReplicaSetCreated', message };
  const next = hasDeadline(deployment) ? withCondition(conditions, progress, nowMs) : conditions;
  const sets = { current: replicaSet, old };
  const status = countStatus(deployment, sets, next, nowMs);
  const rest = [...finish(deployment, sets, status), ...look(deployment, status)];
  return [{ do: 'create', replicaSet }, ...rest];
}

function newReplicaSet(deployment: Deployment, old: readonly ReplicaSet[]): ReplicaSet {
  const { selector, minReadySeconds, template = {} } = deployment.spec ?? {};
  const hash = templateHash(template, deployment.status?.collisionCount);
  const hashed = withHash(template, hash);
  const revisionMax = highestRevision(old);
  const replicas = planNew(deployment, old, 0);
  const wanted = wantedOf(deployment);
  return {
    apiVersion: formatGroupVersion(replicaSetKind),
    kind: replicaSetKind.kind,
    metadata: {
      namespace: deployment.metadata.namespace,
      name: `${deployment.metadata.name}-${hash}`,
      labels: hashed.metadata?.labels,
      annotations: {
        ...currentAnnotations(deployment, undefined, revisionMax),
        ...sizeAnnotations(wanted, wanted + bounds(deployment).surge),
      },
      ownerReferences: [controllerReference(deployment, deploymentKind)],
    },
    spec: {
      replicas,
      ...(minReadySeconds === undefined ? {} : { minReadySeconds }),
      selector: { ...selector, matchLabels: { ...selector?.matchLabels, [hashLabel]: hash } },
      template: hashed,
    },
  };
}

/** The current set with today's annotations and minReadySeconds. */
function revise(deployment: Deployment, { current, old }: Sets): ReplicaSet | undefined {
  if (current === undefined) return undefined;
  const revisionMax = highestRevision(old);
  const next = currentAnnotations(deployment, current, revisionMax);
  const { minReadySeconds } = deployment.spec ?? {};
  const isSame = (current.spec?.minReadySeconds ?? 0) === (minReadySeconds ?? 0);
  if (isSame && isSameValue(next, current.metadata.annotations)) return current;
  const { spec } = current;
  return {
    ...current,
    metadata: { ...current.metadata, annotations: next },
    ...(spec === undefined ? {} : { spec: { ...spec, minReadySeconds: minReadySeconds ?? 0 } }),
  };
}

function resize(deployment: Deployment, set: ReplicaSet, replicas: number): ReplicaSet {
  const wanted = wantedOf(deployment);
  const sized = sizeAnnotations(wanted, wanted + bounds(deployment).surge);
  const next = { ...set.metadata.annotations, ...sized };
  const isSame = replicas === wantedOf(set) && isSameValue(set.metadata.annotations, next);
  if (set.spec === undefined || isSame) return set;
  return {
    ...set,
    metadata: { ...set.metadata, annotations: next },
    spec: { ...set.spec, replicas },
  };
}

/** The size was changed, or the rollout is paused: no set is replaced, sizes only. */
function planScaling(deployment: Deployment, { current, old }: Sets): Sets {
  const wanted = wantedOf(deployment);
  const all = current === undefined ? old : [...old, current];
  const active = all.filter((set) => wantedOf(set) > 0);
  const newest = current ?? old.at(-1);
  const only = active.length > 1 ? undefined : (active[0] ?? newest);
  const into = (size: (set: ReplicaSet) => number | undefined): Sets => {
    const resized = (set: ReplicaSet): ReplicaSet => {
      const replicas = size(set);
      return replicas === undefined ? set : resize(deployment, set, replicas);
    };
    return {
      current: current === undefined ? undefined : resized(current),
      old: old.map(resized),
    };
  };
  if (only !== undefined) return into((set) => (set === only ? wanted : undefined));
  if (current !== undefined && isSaturated(deployment, current)) {
    return into((set) => (set !== current && wantedOf(set) > 0 ? 0 : undefined));
  }
  if (deployment.spec?.strategy?.type === 'Recreate') return { current, old };
  const sizes = new Map(
    planProportional(deployment, all).map((size) => [size.replicaSet, size.replicas]),
  );
  return into((set) => sizes.get(set));
}

/** The current set has, and was last told to have, everything that is wanted. */
function isSaturated(deployment: Deployment, current: ReplicaSet): boolean {
  const wanted = wantedOf(deployment);
  return (
    wantedOf(current) === wanted &&
    numberIn(current, annotations.desired) === wanted &&
    availableOf(current) === wanted
  );
}

/** Pausing and resuming show as reasons of Progressing: a pause is not taken for a stall. */
function planPause(deployment: Deployment, nowMs: number): readonly DeploymentCondition[] {
  const conditions = deployment.status?.conditions ?? [];
  if (!hasDeadline(deployment)) return conditions;
  const before = conditionOf(conditions, 'Progressing');
  if (before?.reason === 'ProgressDeadlineExceeded') return conditions;
  const isPaused = deployment.spec?.paused ?? false;
  const wasPaused = before?.reason === 'DeploymentPaused';
  if (isPaused === wasPaused) return conditions;
  const next = isPaused
    ? { reason: 'DeploymentPaused', message: 'Deployment is paused' }
    : { reason: 'DeploymentResumed', message: 'Deployment is resumed' };
  return withCondition(conditions, { type: 'Progressing', status: 'Unknown', ...next }, nowMs);
}

/** A set that somebody else made, or a deadline that came later: progress counts from now on. */
function withFound(
  deployment: Deployment,
  found: ReplicaSet | undefined,
  conditions: readonly DeploymentCondition[],
  nowMs: number,
): readonly DeploymentCondition[] {
  const type = 'Progressing';
  if (found === undefined || !hasDeadline(deployment)) return conditions;
  if (conditionOf(conditions, type) !== undefined) return conditions;
  const message = `Found new replica set "${found.metadata.name}"`;
  return withCondition(
    conditions,
    { type, status: 'True', reason: 'FoundNewReplicaSet', message },
    nowMs,
  );
}

/** Old sets beyond `revisionHistoryLimit`, lowest revision first; never one that has pods. */
function planHistory(deployment: Deployment, old: readonly ReplicaSet[]): readonly Action[] {
  const limit = deployment.spec?.revisionHistoryLimit;
  if (limit === undefined) return [];
  const alive = old.filter((set) => set.metadata.deletionTimestamp === undefined);
  const surplus = alive
    .toSorted((a, b) => compareRevision(a, b) || compareCreation(a, b))
    .slice(0, Math.max(0, alive.length - limit));
  const removable = surplus.filter(
    (set) =>
      wantedOf(set) === 0 &&
      (set.status?.replicas ?? 0) === 0 &&
      (set.metadata.generation ?? 0) <= (set.status?.observedGeneration ?? 0),
  );
  return removable.map((replicaSet) => ({ do: 'remove', replicaSet }));
}

/** Sets that differ from what they were: those that grow first. */
function changes(before: Sets, after: Sets): readonly Action[] {
  const updates: Extract<Action, { readonly do: 'update' }>[] = [];
  const add = (old: ReplicaSet | undefined, next: ReplicaSet | undefined): void => {
    if (old === undefined || next === undefined || old === next) return;
    updates.push({ do: 'update', replicaSet: next, from: wantedOf(old) });
  };
  add(before.current, after.current);
  for (const [index, old] of before.old.entries()) add(old, after.old[index]);
  const growth = ({ replicaSet, from }: (typeof updates)[number]) => wantedOf(replicaSet) - from;
  return updates.toSorted((a, b) => Number(growth(b) > 0) - Number(growth(a) > 0));
}

/** Revision and status where they differ from what is there. */
function finish(deployment: Deployment, sets: Sets, status: DeploymentStatus): readonly Action[] {
  const actions: Action[] = [];
  const revision = sets.current?.metadata.annotations?.[annotations.revision];
  const isNew =
    revision !== undefined && deployment.metadata.annotations?.[annotations.revision] !== revision;
  if (isNew || !isSameValue(status, deployment.status)) {
    actions.push({ do: 'set-status', status, ...(isNew ? { revision } : {}) });
  }
  return actions;
}

/** When a rollout has to be looked at for being stuck; nothing else runs into its deadline. */
function look(deployment: Deployment, status: DeploymentStatus): readonly Action[] {
  const untilMs = stuckCheckMs(deployment, status);
  return untilMs === undefined ? [] : [{ do: 'wait', untilMs }];
}

/** How the status tells that a set could not be created, or that its name was taken. */
export function planFailedCreation(
  deployment: Deployment,
  failure: { readonly message: string; readonly isCollision: boolean },
  nowMs: number,
): DeploymentStatus {
  const status = deployment.status ?? {};
  if (failure.isCollision) {
    return { ...status, collisionCount: (status.collisionCount ?? 0) + 1 };
  }
  if (!hasDeadline(deployment)) return status;
  const { message } = failure;
  const next = { type: 'Progressing', status: 'False', reason: 'ReplicaSetCreateError', message };
  return { ...status, conditions: withCondition(status.conditions ?? [], next, nowMs) };
}
