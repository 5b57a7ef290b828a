/**
 * StatefulSets: pods with names and volumes of their own, one after the other. Gathers the facts,
 * asks `revisions.ts` and `plan.ts`, and performs.
 *
 * Names are fixed, so making a pod twice is refused by the server, and deletions name the uid: a
 * turn from a stale cache does no harm. Still, nothing is made or deleted before the cache shows
 * what was asked for last (`expectations.ts`).
 */
import { isReason } from '#api/errors.ts';
import { controllerOf, objectKey } from '#api/object.ts';
import { labelSelectorMatches } from '#api/selectors.ts';
import type { Informer, Recorder } from '#client';
import { WorkQueue } from '#kit/work-queue.ts';
import {
  persistentVolumeClaims as claimKind,
  pods as podKind,
  controllerRevisions as revisionKind,
  statefulSets as setKind,
} from '#resources/kinds.ts';
import type {
  ControllerRevision,
  StatefulSet,
  StatefulSetStatus,
} from '#resources/types/apps-v1.ts';
import type { PersistentVolumeClaim, Pod } from '#resources/types/core-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { templateOf } from '../controller-revision.ts';
import {
  claimable,
  controllerIndex,
  controllerIndexValues,
  ownerIn,
  performClaims,
  planClaims,
} from '../ownership.ts';
import { isTerminating } from '../pod-state.ts';
import { isSameValue } from '../same-value.ts';
import { isMemberOf } from './identity.ts';
import { planStatefulSet, type Revision } from './plan.ts';
import { planHistory } from './revisions.ts';
import { StatefulPods } from './stateful-pods.ts';
import { settleUpdateRevision } from './update-revision.ts';

interface Cancel {
  readonly signal: AbortSignal;
}

export function openStatefulSetController(deps: ControllerDeps): Controller {
  const controller = new StatefulSetController(deps);
  return {
    name: 'statefulset-controller',
    queue: controller.queue,
    reconcile: (key, options) => controller.reconcile(key, options),
    workers: 5,
    sources: [controller.sets, controller.pods, controller.claims, controller.revisions],
  };
}

class StatefulSetController {
  readonly queue: WorkQueue;
  readonly sets: Informer<StatefulSet>;
  readonly pods: Informer<Pod>;
  readonly claims: Informer<PersistentVolumeClaim>;
  readonly revisions: Informer<ControllerRevision>;
  readonly #deps: ControllerDeps;
  readonly #actor: StatefulPods;

  constructor(deps: ControllerDeps) {
    this.#deps = deps;
    const recorder: Recorder = deps.recorderFor('statefulset-controller');
    this.#actor = new StatefulPods({ ...deps, recorder });
    this.queue = new WorkQueue(deps);
    this.sets = deps.informers.of(setKind);
    this.pods = deps.informers.of(podKind);
    this.claims = deps.informers.of(claimKind);
    this.revisions = deps.informers.of(revisionKind);
    this.pods.addIndex(controllerIndex, controllerIndexValues);
    this.revisions.addIndex(controllerIndex, controllerIndexValues);
    const enqueue = (set: StatefulSet): void => this.queue.add(objectKey(set));
    this.sets.addHandler({
      onAdd: enqueue,
      onUpdate: enqueue,
      onDelete: (set) => {
        this.#actor.expectations.forget(objectKey(set));
      },
    });
    this.pods.addHandler({
      onAdd: (pod) => this.#podAdded(pod),
      onUpdate: (pod, old) => this.#podUpdated(pod, old),
      onDelete: (pod) => this.#podGone(pod),
    });
  }

  async reconcile(key: string, { signal }: Cancel): Promise<void> {
    const set = this.sets.get(key);
    if (set === undefined) return;
    // Asked before the pods are gathered: what is seen in between is in the cache already.
    const mayAct = this.#actor.expectations.areMet(key);
    const pods = await this.#claimPods(set, signal);
    const revisions = await this.#claimRevisions(set, signal);
    const { update, collisionCount } = await settleUpdateRevision(
      this.#deps.client,
      set,
      revisions,
      signal,
    );
    const { currentRevision } = set.status ?? {};
    const found = revisions.find(({ metadata }) => metadata.name === currentRevision);
    const current = found === undefined ? update : shapeOf(found);
    const claimNamed = (name: string) => this.claims.get(`${set.metadata.namespace}/${name}`);
    const now = this.#deps.clock.now();
    const facts = { set, pods, current, update, collisionCount, claimNamed };
    const { actions, status, againAtMs } = planStatefulSet(facts, now);
    const error = mayAct ? await this.#actor.perform(key, set, actions, signal) : undefined;
    await this.#writeStatus(set, status, signal);
    if (againAtMs !== undefined) this.queue.addAfter(key, againAtMs - now);
    await this.#forget(set, revisions, pods, [current.name, update.name], signal);
    if (error !== undefined) throw error;
  }

  async #claimPods(set: StatefulSet, signal: AbortSignal): Promise<readonly Pod[]> {
    const { selector } = set.spec ?? {};
    const claims = planClaims(
      set,
      claimable(this.pods, set),
      (pod) => isMemberOf(set, pod) && labelSelectorMatches(selector, pod.metadata.labels),
    );
    const kinds = { owner: setKind, object: podKind };
    return performClaims(this.#deps.client, kinds, set, claims, { signal });
  }

  async #claimRevisions(
    set: StatefulSet,
    signal: AbortSignal,
  ): Promise<readonly ControllerRevision[]> {
    const { selector } = set.spec ?? {};
    const { owned, adopt } = planClaims(set, claimable(this.revisions, set), (revision) =>
      labelSelectorMatches(selector, revision.metadata.labels),
    );
    const kinds = { owner: setKind, object: revisionKind };
    const claims = { owned, adopt, release: [] };
    return performClaims(this.#deps.client, kinds, set, claims, { signal });
  }

  async #writeStatus(
    set: StatefulSet,
    status: StatefulSetStatus,
    signal: AbortSignal,
  ): Promise<void> {
    const { conditions } = set.status ?? {};
    const next = conditions === undefined ? status : { ...status, conditions };
    if (isSameValue(next, set.status)) return;
    const options = { subresource: 'status', signal };
    try {
      await this.#deps.client.update(setKind, { ...set, status: next }, options);
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
    }
  }

  async #forget(
    set: StatefulSet,
    revisions: readonly ControllerRevision[],
    pods: readonly Pod[],
    live: readonly string[],
    signal: AbortSignal,
  ): Promise<void> {
    if (set.metadata.deletionTimestamp !== undefined) return;
    for (const { metadata } of planHistory(set, revisions, pods, live)) {
      const { namespace, name = '', uid = '' } = metadata;
      const options = { preconditions: { uid }, signal };
      await this.#deps.client
        .delete(revisionKind, { namespace, name }, options)
        .catch(ignoreNotFound);
    }
  }

  #podAdded(pod: Pod): void {
    if (isTerminating(pod)) {
      this.#podGone(pod);
      return;
    }
    const set = ownerIn(this.sets, setKind, pod);
    if (set !== undefined) this.#actor.expectations.sawCreation(objectKey(set));
    this.#wake(pod);
  }

  #podUpdated(pod: Pod, old: Pod): void {
    if (controllerOf(old)?.uid !== controllerOf(pod)?.uid) this.#wake(old);
    if (isTerminating(pod)) this.#podGone(pod);
    else this.#wake(pod);
  }

  #podGone(pod: Pod): void {
    const set = ownerIn(this.sets, setKind, pod);
    if (set === undefined) return;
    this.#actor.expectations.sawDeletion(objectKey(set), pod.metadata.uid ?? '');
    this.queue.add(objectKey(set));
  }

  /** The set that manages it, or, for an orphan, those that may adopt it. */
  #wake(pod: Pod): void {
    const owner = ownerIn(this.sets, setKind, pod);
    if (owner !== undefined) this.queue.add(objectKey(owner));
    if (controllerOf(pod) !== undefined) return;
    for (const set of this.sets.listNamespace(pod.metadata.namespace ?? '')) {
      if (!isMemberOf(set, pod)) continue;
      const { selector } = set.spec ?? {};
      if (labelSelectorMatches(selector, pod.metadata.labels)) this.queue.add(objectKey(set));
    }
  }
}

export function shapeOf(revision: ControllerRevision): Revision {
  return { name: revision.metadata.name ?? '', template: templateOf(revision) ?? {} };
}
