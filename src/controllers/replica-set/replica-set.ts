/**
 * ReplicaSets: as many pods as wanted. Gathers the facts, asks `plan.ts`, and performs.
 *
 * Pods are made and deleted by `pod-requests.ts`; until the cache shows what was asked for, nothing
 * is created or deleted. ReplicationControllers are the same with a plainer selector: the loop sees
 * them as ReplicaSets (`replication-controller.ts` says how). The scheduler takes the pods from
 * here: `scheduler/scheduler.ts` is next in the walk.
 */
import type { KindOf } from '#api/kind-of.ts';
import { controllerOf, type KubeObject, objectKey } from '#api/object.ts';
import { labelSelectorMatches } from '#api/selectors.ts';
import type { Informer } from '#client';
import { formatTime } from '#kit/clock.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { pods as podKind, replicaSets as replicaSetKind } from '#resources/kinds.ts';
import type { ReplicaSet, ReplicaSetStatus } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { Owned } from '../owned.ts';
import { watchOwnedPods } from '../owned-pods.ts';
import { controllerIndex, controllerIndexValues } from '../ownership.ts';
import { podFromTemplate } from '../pod-from-template.ts';
import { type Failed, type PodChanges, PodRequests } from '../pod-requests.ts';
import { isActive, isReady, isTerminated, isTerminating } from '../pod-state.ts';
import { updateStatus } from '../status-update.ts';
import { planScale, planStatus, type ScaleAction } from './plan.ts';

/** A kind that keeps a number of equal pods. */
export interface ReplicaKeeper<T extends KubeObject> {
  readonly kind: KindOf<T>;
  /** The controller's name. */
  readonly name: string;
  /** Who speaks in Events. */
  readonly component: string;
  /** The same object in the words of a ReplicaSet. */
  readonly asReplicaSet: (object: T) => ReplicaSet;
  readonly withStatus: (object: T, status: ReplicaSetStatus) => T;
}

export function openReplicaSetController(deps: ControllerDeps): Controller {
  return openReplicaController<ReplicaSet>(deps, {
    kind: replicaSetKind,
    name: 'replicaset-controller',
    component: 'replicaset-controller',
    asReplicaSet: (set) => set,
    withStatus: (set, status) => ({ ...set, status }),
  });
}

export function openReplicaController<T extends KubeObject>(
  deps: ControllerDeps,
  keeper: ReplicaKeeper<T>,
): Controller {
  const controller = new ReplicaController(deps, keeper);
  return {
    name: keeper.name,
    queue: controller.queue,
    reconcile: (key, options) => controller.reconcile(key, options),
    workers: 5,
    sources: [controller.owners, controller.pods],
  };
}

class ReplicaController<T extends KubeObject> {
  readonly queue: WorkQueue;
  readonly owners: Informer<T>;
  readonly pods: Informer<Pod>;
  readonly #deps: ControllerDeps;
  readonly #keeper: ReplicaKeeper<T>;
  readonly #requests: PodRequests;
  readonly #owned: Owned<T, Pod>;

  constructor(deps: ControllerDeps, keeper: ReplicaKeeper<T>) {
    this.#deps = deps;
    this.#keeper = keeper;
    this.#requests = new PodRequests({ ...deps, recorder: deps.recorderFor(keeper.component) });
    this.queue = new WorkQueue(deps);
    this.owners = deps.informers.of(keeper.kind);
    this.pods = deps.informers.of(podKind);
    this.owners.addIndex(controllerIndex, controllerIndexValues);
    this.#owned = new Owned(deps.client, {
      kinds: { owner: keeper.kind, object: podKind },
      owners: this.owners,
      objects: this.pods,
      matches: (owner, pod) =>
        labelSelectorMatches(keeper.asReplicaSet(owner).spec?.selector, pod.metadata.labels),
    });
    const { owners, pods, queue } = this;
    const { expectations } = this.#requests;
    watchOwnedPods({ owners, pods, owned: this.#owned, queue, expectations });
  }

  async reconcile(key: string, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const owner = this.owners.get(key);
    if (owner === undefined) return;
    const replicaSet = this.#keeper.asReplicaSet(owner);
    // Asked before the pods are gathered: what is seen in between is in the cache already.
    const mayScale = this.#requests.expectations.areMet(key);
    const pods = await this.#claim(owner, signal);
    const related = (): readonly Pod[] => this.#related(owner);
    const now = this.#deps.clock.now();
    const mayBeDeleted = (pod: Pod): boolean =>
      this.#requests.expectations.mayBeDeleted(key, pod.metadata.uid ?? '');
    const action: ScaleAction = mayScale
      ? planScale({ replicaSet, pods, related, mayBeDeleted }, now)
      : { do: 'nothing' };
    if (action.do === 'delete') this.#noteAges(pods, action.pods, now);
    const changes = this.#changes(owner, replicaSet, action);
    const { failed } = await this.#requests.perform(key, owner, changes, signal);
    await this.#writeStatus(key, owner, this.#asOfNow(key, pods, now), failed, signal);
    if (failed !== undefined) throw failed.error;
  }

  async #claim(owner: T, signal: AbortSignal): Promise<readonly Pod[]> {
    const { uid } = owner.metadata;
    // A pod that has ended is nobody's any more, but the set's own still count as terminating.
    const counts = (pod: Pod): boolean => !isTerminated(pod) || controllerOf(pod)?.uid === uid;
    return this.#owned.claim(owner, { signal }, this.#owned.plan(owner, counts));
  }

  /**
   * Nobody who reads the status may count on pods that were deleted, though none has seen it; nor
   * on those that were seen to go while the answers were still on their way.
   */
  #asOfNow(key: string, pods: readonly Pod[], now: number): readonly Pod[] {
    const { expectations } = this.#requests;
    return pods.map((pod) => {
      const seen = this.pods.get(objectKey(pod));
      const isThere = seen?.metadata.uid === pod.metadata.uid;
      const isGoing = !isThere || (seen !== undefined && isTerminating(seen));
      const isAsked = expectations.isDeleted(key, pod.metadata.uid ?? '');
      return isGoing || isAsked ? asTerminating(pod, now) : pod;
    });
  }

  /** Active pods of all that have the same owner. */
  #related(owner: T): readonly Pod[] {
    const above = controllerOf(owner);
    const siblings =
      above === undefined ? [owner] : this.owners.byIndex(controllerIndex, above.uid);
    const related: Pod[] = [];
    for (const sibling of siblings) {
      const pods = this.pods.byIndex(controllerIndex, sibling.metadata.uid ?? '');
      for (const pod of pods) if (isActive(pod)) related.push(pod);
    }
    return related;
  }

  #changes(owner: T, replicaSet: ReplicaSet, action: ScaleAction): PodChanges {
    switch (action.do) {
      case 'create': {
        const pod = podFromTemplate(replicaSet.spec?.template, owner, this.#keeper.kind);
        return { create: Array.from({ length: action.count }, () => pod) };
      }
      case 'delete':
        return { remove: action.pods };
      case 'nothing':
        return {};
      default:
        return action satisfies never;
    }
  }

  /** How old those are that go, where others stay: the youngest should be chosen. */
  #noteAges(all: readonly Pod[], chosen: readonly Pod[], nowMs: number): void {
    const born = ({ metadata }: Pod): number => Date.parse(metadata.creationTimestamp ?? '');
    const active = all.filter(isActive);
    if (chosen.length >= active.length) return;
    const youngestMs = nowMs - Math.max(...active.filter(isReady).map(born));
    for (const pod of chosen) {
      if (!isReady(pod) || youngestMs <= 0) continue;
      const ratio = Math.trunc((nowMs - born(pod)) / youngestMs);
      const name = 'replicaset_controller_sorting_deletion_age_ratio';
      this.#deps.figures.observe(name, [], ratio);
    }
  }

  async #writeStatus(
    key: string,
    owner: T,
    pods: readonly Pod[],
    failed: Failed | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const now = this.#deps.clock.now();
    const replicaSet = this.#keeper.asReplicaSet(owner);
    const failure = failed && { reason: failed.reason, message: failed.message };
    const { status, againAtMs } = planStatus(replicaSet, pods, failure, now);
    if (againAtMs !== undefined) this.queue.addAfter(key, againAtMs - now);
    const next = this.#keeper.withStatus(owner, status);
    await updateStatus(
      this.#deps.client,
      this.#keeper.kind,
      { before: owner, after: next },
      { signal },
    );
  }
}

function asTerminating(pod: Pod, nowMs: number): Pod {
  return { ...pod, metadata: { ...pod.metadata, deletionTimestamp: formatTime(nowMs) } };
}
