/**
 * StatefulSets: pods with names and volumes of their own, one after the other. Gathers the facts,
 * asks `revisions.ts` and `plan.ts`, and performs.
 *
 * Names are fixed, so making a pod twice is refused by the server, and deletions name the uid: a
 * turn from a stale cache does no harm. Still, nothing is made or deleted before the cache shows
 * what was asked for last (`expectations.ts`).
 */
import type { KubeObject } from '#api/object.ts';
import { labelSelectorMatches } from '#api/selectors.ts';
import type { Cancel, Informer, Recorder } from '#client';
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
import type { Controller, ControllerDeps } from '../controller.ts';
import { deleteRevisions, templateOf } from '../controller-revision.ts';
import { Owned } from '../owned.ts';
import { watchOwnedPods } from '../owned-pods.ts';
import { updateStatus } from '../status-update.ts';
import { isMemberOf } from './identity.ts';
import { planStatefulSet, type Revision } from './plan.ts';
import { planHistory } from './revisions.ts';
import { StatefulPods } from './stateful-pods.ts';
import { settleUpdateRevision } from './update-revision.ts';

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
  readonly #owned: Owned<StatefulSet, Pod>;
  readonly #ownedRevisions: Owned<StatefulSet, ControllerRevision>;

  constructor(deps: ControllerDeps) {
    this.#deps = deps;
    const recorder: Recorder = deps.recorderFor('statefulset-controller');
    this.#actor = new StatefulPods({ ...deps, recorder });
    this.queue = new WorkQueue(deps);
    this.sets = deps.informers.of(setKind);
    this.pods = deps.informers.of(podKind);
    this.claims = deps.informers.of(claimKind);
    this.revisions = deps.informers.of(revisionKind);
    const { sets, pods, queue } = this;
    this.#owned = new Owned(deps.client, {
      kinds: { owner: setKind, object: podKind },
      owners: sets,
      objects: pods,
      matches: (set, pod) => isMemberOf(set, pod) && selects(set, pod),
    });
    this.#ownedRevisions = new Owned(deps.client, {
      kinds: { owner: setKind, object: revisionKind },
      owners: sets,
      objects: this.revisions,
      matches: selects,
    });
    const { expectations } = this.#actor;
    watchOwnedPods({ owners: sets, pods, owned: this.#owned, queue, expectations });
  }

  async reconcile(key: string, { signal }: Cancel): Promise<void> {
    const set = this.sets.get(key);
    if (set === undefined) return;
    // Asked before the pods are gathered: what is seen in between is in the cache already.
    const mayAct = this.#actor.expectations.areMet(key);
    const pods = await this.#owned.claim(set, { signal });
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

  /** Adopts, and never releases, as upstream. */
  async #claimRevisions(
    set: StatefulSet,
    signal: AbortSignal,
  ): Promise<readonly ControllerRevision[]> {
    const claims = { ...this.#ownedRevisions.plan(set), release: [] };
    return this.#ownedRevisions.claim(set, { signal }, claims);
  }

  async #writeStatus(
    set: StatefulSet,
    status: StatefulSetStatus,
    signal: AbortSignal,
  ): Promise<void> {
    const { conditions } = set.status ?? {};
    const next = conditions === undefined ? status : { ...status, conditions };
    const change = { before: set, after: { ...set, status: next } };
    await updateStatus(this.#deps.client, setKind, change, { signal });
  }

  async #forget(
    set: StatefulSet,
    revisions: readonly ControllerRevision[],
    pods: readonly Pod[],
    live: readonly string[],
    signal: AbortSignal,
  ): Promise<void> {
    if (set.metadata.deletionTimestamp !== undefined) return;
    const unused = planHistory(set, revisions, pods, live);
    await deleteRevisions(this.#deps.client, unused, { signal });
  }
}

function selects({ spec }: StatefulSet, { metadata }: KubeObject): boolean {
  return labelSelectorMatches(spec?.selector, metadata.labels);
}

function shapeOf(revision: ControllerRevision): Revision {
  return { name: revision.metadata.name ?? '', template: templateOf(revision) ?? {} };
}
