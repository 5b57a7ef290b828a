/**
 * ReplicaSets: as many pods as wanted. Gathers the facts, asks `plan.ts`, and performs.
 *
 * Pods are created in growing batches (1, 2, 4, …), so that a template which the server refuses
 * costs one request and not hundreds. What was asked for and not yet seen is remembered
 * (`expectations.ts`): until the cache shows it, nothing is created or deleted. The scheduler takes
 * the pods from here: `scheduler/scheduler.ts` is next in the walk.
 */
import { isReason } from '#api/errors.ts';
import { controllerOf, objectKey } from '#api/object.ts';
import { labelSelectorMatches } from '#api/selectors.ts';
import type { Informer, Recorder } from '#client';
import { present } from '#kit/assert.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { pods as podKind, replicaSets as replicaSetKind } from '#resources/kinds.ts';
import type { ReplicaSet } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { isNamespaceEnding, messageOf } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { Expectations } from '../expectations.ts';
import {
  claimable,
  controllerIndex,
  controllerIndexValues,
  controllerReference,
  ownerIn,
  performClaims,
  planClaims,
} from '../ownership.ts';
import { isActive, isTerminated, isTerminating } from '../pod-state.ts';
import { isSameValue } from '../same-value.ts';
import { type Failure, planScale, planStatus, type ScaleAction } from './plan.ts';

const kinds = { owner: replicaSetKind, object: podKind };

export function openReplicaSetController(deps: ControllerDeps): Controller {
  const controller = new ReplicaSetController(deps);
  return {
    name: 'replicaset-controller',
    queue: controller.queue,
    reconcile: (key, options) => controller.reconcile(key, options),
    workers: 5,
    sources: [controller.replicaSets, controller.pods],
  };
}

class ReplicaSetController {
  readonly queue: WorkQueue;
  readonly replicaSets: Informer<ReplicaSet>;
  readonly pods: Informer<Pod>;
  readonly #deps: ControllerDeps;
  readonly #recorder: Recorder;
  readonly #expectations: Expectations;

  constructor(deps: ControllerDeps) {
    this.#deps = deps;
    this.#recorder = deps.recorderFor('replicaset-controller');
    this.#expectations = new Expectations(deps);
    this.queue = new WorkQueue(deps);
    this.replicaSets = deps.informers.of(replicaSetKind);
    this.pods = deps.informers.of(podKind);
    this.replicaSets.addIndex(controllerIndex, controllerIndexValues);
    this.pods.addIndex(controllerIndex, controllerIndexValues);
    this.replicaSets.addHandler({
      onAdd: (set) => this.queue.add(objectKey(set)),
      onUpdate: (set) => this.queue.add(objectKey(set)),
      onDelete: (set) => {
        this.#expectations.forget(objectKey(set));
        this.queue.add(objectKey(set));
      },
    });
    this.pods.addHandler({
      onAdd: (pod) => this.#podAdded(pod),
      onUpdate: (pod, old) => this.#podUpdated(pod, old),
      onDelete: (pod) => this.#podGone(pod),
    });
  }

  async reconcile(key: string, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const replicaSet = this.replicaSets.get(key);
    if (replicaSet === undefined) return;
    // Asked before the pods are gathered: what is seen in between is in the cache already.
    const mayScale = this.#expectations.areMet(key);
    const pods = await this.#claim(replicaSet, signal);
    const related = (): readonly Pod[] => this.#related(replicaSet);
    const now = this.#deps.clock.now();
    const action: ScaleAction = mayScale
      ? planScale({ replicaSet, pods, related }, now)
      : { do: 'nothing' };
    const outcome = await this.#perform(key, replicaSet, action, signal);
    await this.#writeStatus(key, replicaSet, pods, outcome.failure, signal);
    if (outcome.error !== undefined) throw outcome.error;
  }

  async #claim(replicaSet: ReplicaSet, signal: AbortSignal): Promise<readonly Pod[]> {
    const { uid } = replicaSet.metadata;
    const candidates: Pod[] = [];
    for (const pod of claimable(this.pods, replicaSet)) {
      // A pod that has ended is nobody's any more, but the set's own still count as terminating.
      if (!isTerminated(pod) || controllerOf(pod)?.uid === uid) candidates.push(pod);
    }
    const selector = replicaSet.spec?.selector;
    const claims = planClaims(replicaSet, candidates, (pod) =>
      labelSelectorMatches(selector, pod.metadata.labels),
    );
    return performClaims(this.#deps.client, kinds, replicaSet, claims, { signal });
  }

  #related(replicaSet: ReplicaSet): readonly Pod[] {
    const owner = controllerOf(replicaSet);
    const sets =
      owner === undefined ? [replicaSet] : this.replicaSets.byIndex(controllerIndex, owner.uid);
    const related: Pod[] = [];
    for (const set of sets) {
      const pods = this.pods.byIndex(controllerIndex, set.metadata.uid ?? '');
      for (const pod of pods) if (isActive(pod)) related.push(pod);
    }
    return related;
  }

  async #perform(
    key: string,
    replicaSet: ReplicaSet,
    action: ScaleAction,
    signal: AbortSignal,
  ): Promise<{ readonly failure?: Failure; readonly error?: unknown }> {
    try {
      switch (action.do) {
        case 'create':
          await this.#createPods(key, replicaSet, action.count, signal);
          break;
        case 'delete':
          await this.#deletePods(key, replicaSet, action.pods, signal);
          break;
        case 'nothing':
          break;
        default:
          action satisfies never;
      }
      return {};
    } catch (error) {
      signal.throwIfAborted();
      const reason = action.do === 'create' ? 'FailedCreate' : 'FailedDelete';
      return { failure: { reason, message: messageOf(error) }, error };
    }
  }

  async #createPods(
    key: string,
    replicaSet: ReplicaSet,
    count: number,
    signal: AbortSignal,
  ): Promise<void> {
    this.#expectations.expect(key, { creations: count });
    const pod = podOf(replicaSet);
    let created = 0;
    for (let batch = 1; created < count; batch *= 2) {
      const size = Math.min(batch, count - created);
      const creating = Array.from({ length: size }, () => this.#createPod(replicaSet, pod, signal));
      const results = await Promise.allSettled(creating);
      const failed = results.filter((result) => result.status === 'rejected');
      created += size - failed.length;
      if (failed[0] === undefined) continue;
      // What failed and what was not tried will never be seen.
      this.#expectations.sawCreation(key, count - created);
      if (failed.every(({ reason }) => isNamespaceEnding(reason))) return;
      throw failed[0].reason;
    }
  }

  async #createPod(replicaSet: ReplicaSet, pod: Pod, signal: AbortSignal): Promise<void> {
    try {
      const created = await this.#deps.client.create(podKind, pod, { signal });
      const message = `Created pod: ${created.metadata.name}`;
      this.#recorder.record(replicaSet, { type: 'Normal', reason: 'SuccessfulCreate', message });
    } catch (error) {
      if (!signal.aborted && !isNamespaceEnding(error)) {
        const message = `Error creating: ${messageOf(error)}`;
        this.#recorder.record(replicaSet, { type: 'Warning', reason: 'FailedCreate', message });
      }
      throw error;
    }
  }

  async #deletePods(
    key: string,
    replicaSet: ReplicaSet,
    pods: readonly Pod[],
    signal: AbortSignal,
  ): Promise<void> {
    const deletions = pods.map((pod) => present(pod.metadata.uid, 'a stored pod has a uid'));
    this.#expectations.expect(key, { deletions });
    const deleting = pods.map((pod) => this.#deletePod(key, replicaSet, pod, signal));
    const results = await Promise.allSettled(deleting);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  async #deletePod(
    key: string,
    replicaSet: ReplicaSet,
    pod: Pod,
    signal: AbortSignal,
  ): Promise<void> {
    const { namespace, name = '', uid = '' } = pod.metadata;
    try {
      await this.#deps.client.delete(podKind, { namespace, name }, { signal });
      const message = `Deleted pod: ${name}`;
      this.#recorder.record(replicaSet, { type: 'Normal', reason: 'SuccessfulDelete', message });
    } catch (error) {
      this.#expectations.sawDeletion(key, uid);
      if (isReason(error, 'NotFound')) return;
      if (!signal.aborted) {
        const message = `Error deleting: ${messageOf(error)}`;
        this.#recorder.record(replicaSet, { type: 'Warning', reason: 'FailedDelete', message });
      }
      throw error;
    }
  }

  async #writeStatus(
    key: string,
    replicaSet: ReplicaSet,
    pods: readonly Pod[],
    failure: Failure | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const now = this.#deps.clock.now();
    const { status, againAtMs } = planStatus(replicaSet, pods, failure, now);
    if (againAtMs !== undefined) this.queue.addAfter(key, againAtMs - now);
    if (isSameValue(status, replicaSet.status)) return;
    const options = { subresource: 'status', signal };
    try {
      await this.#deps.client.update(replicaSetKind, { ...replicaSet, status }, options);
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
    }
  }

  #podAdded(pod: Pod): void {
    if (isTerminating(pod)) {
      this.#podGone(pod);
      return;
    }
    if (controllerOf(pod) === undefined) {
      this.#wakeMatching(pod);
      return;
    }
    const replicaSet = ownerIn(this.replicaSets, replicaSetKind, pod);
    if (replicaSet === undefined) return;
    this.#expectations.sawCreation(objectKey(replicaSet));
    this.queue.add(objectKey(replicaSet));
  }

  #podUpdated(pod: Pod, old: Pod): void {
    const [owner, oldOwner] = [controllerOf(pod), controllerOf(old)];
    if (oldOwner !== undefined && oldOwner.uid !== owner?.uid) this.#wakeOwner(old);
    if (isTerminating(pod)) this.#podGone(pod);
    else if (owner !== undefined) this.#wakeOwner(pod);
    else if (oldOwner !== undefined || !isSameValue(pod.metadata.labels, old.metadata.labels)) {
      this.#wakeMatching(pod);
    }
  }

  #podGone(pod: Pod): void {
    const replicaSet = ownerIn(this.replicaSets, replicaSetKind, pod);
    if (replicaSet === undefined) return;
    this.#expectations.sawDeletion(objectKey(replicaSet), pod.metadata.uid ?? '');
    this.queue.add(objectKey(replicaSet));
  }

  #wakeOwner(pod: Pod): void {
    const replicaSet = ownerIn(this.replicaSets, replicaSetKind, pod);
    if (replicaSet !== undefined) this.queue.add(objectKey(replicaSet));
  }

  /** An orphan may be adopted by any set that selects it. */
  #wakeMatching(pod: Pod): void {
    for (const replicaSet of this.replicaSets.listNamespace(pod.metadata.namespace ?? '')) {
      if (labelSelectorMatches(replicaSet.spec?.selector, pod.metadata.labels)) {
        this.queue.add(objectKey(replicaSet));
      }
    }
  }
}

function podOf(replicaSet: ReplicaSet): Pod {
  const template = replicaSet.spec?.template;
  const { labels, annotations, finalizers } = template?.metadata ?? {};
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      namespace: replicaSet.metadata.namespace,
      generateName: `${replicaSet.metadata.name}-`,
      labels,
      annotations,
      finalizers,
      ownerReferences: [controllerReference(replicaSet, replicaSetKind)],
    },
    spec: template?.spec,
  };
}
