/**
 * Deployments: a replica set per pod template, sized so that a rollout stays within its bounds.
 *
 * Gathers the facts (the deployment, its replica sets, their pods), asks `plan.ts`, which is next
 * in the walk, and performs what it says, in order. Every write of a set or status carries the
 * resourceVersion of the cached object: a plan made from stale facts meets a conflict and is made
 * anew.
 */
import { isReason } from '#api/errors.ts';
import { controllerOf, objectKey } from '#api/object.ts';
import { labelSelectorMatches } from '#api/selectors.ts';
import type { Cancel, Informer, Recorder } from '#client';
import { messageOf } from '#kit/error-message.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import {
  deployments as deploymentKind,
  pods as podKind,
  replicaSets as replicaSetKind,
} from '#resources/kinds.ts';
import type { Deployment, ReplicaSet } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { ignoreNotFound, isNamespaceEnding } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { Expectations } from '../expectations.ts';
import { OwnWrites } from '../own-writes.ts';
import { Owned } from '../owned.ts';
import { controllerIndex, controllerIndexValues, ownerIn, selectsAll } from '../ownership.ts';
import { isTerminated } from '../pod-state.ts';
import { isSameValue } from '../same-value.ts';
import { type Action, planDeployment, planFailedCreation } from './plan.ts';
import { annotations } from './revision.ts';
import { wantedOf } from './rolling.ts';
import { isSameTemplate } from './template-hash.ts';

export function openDeploymentController(deps: ControllerDeps): Controller {
  const controller = new DeploymentController(deps);
  return {
    name: 'deployment-controller',
    queue: controller.queue,
    reconcile: (key, options) => controller.reconcile(key, options),
    workers: 5,
    sources: [controller.deployments, controller.replicaSets, controller.pods],
  };
}

class DeploymentController {
  readonly queue: WorkQueue;
  readonly deployments: Informer<Deployment>;
  readonly replicaSets: Informer<ReplicaSet>;
  readonly pods: Informer<Pod>;
  readonly #deps: ControllerDeps;
  readonly #recorder: Recorder;
  readonly #owned: Owned<Deployment, ReplicaSet>;
  /** Sets that were made and are not seen yet, and sizes that were written. */
  readonly #expectations: Expectations;
  readonly #written = new OwnWrites();

  constructor(deps: ControllerDeps) {
    this.#deps = deps;
    this.#recorder = deps.recorderFor('deployment-controller');
    this.#expectations = new Expectations(deps);
    this.queue = new WorkQueue(deps);
    this.deployments = deps.informers.of(deploymentKind);
    this.replicaSets = deps.informers.of(replicaSetKind);
    this.pods = deps.informers.of(podKind);
    this.#owned = new Owned(deps.client, {
      kinds: { owner: deploymentKind, object: replicaSetKind },
      owners: this.deployments,
      objects: this.replicaSets,
      matches: ({ spec }, { metadata }) => labelSelectorMatches(spec?.selector, metadata.labels),
    });
    this.pods.addIndex(controllerIndex, controllerIndexValues);
    const enqueue = (deployment: Deployment): void => this.queue.add(objectKey(deployment));
    this.deployments.addHandler({
      onAdd: enqueue,
      onUpdate: enqueue,
      onDelete: (deployment) => this.#expectations.forget(objectKey(deployment)),
    });
    this.replicaSets.addHandler({
      onAdd: (set) => {
        const owner = this.#owned.ownerOf(set);
        if (owner !== undefined) this.#expectations.sawCreation(objectKey(owner));
        this.#wake(set);
      },
      onUpdate: (set, old) => {
        if (controllerOf(old)?.uid !== controllerOf(set)?.uid) this.#wake(old);
        this.#wake(set);
      },
      onDelete: (set) => {
        this.#written.forget(set);
        this.#wake(set);
      },
    });
    // A Recreate waits for the last old pod to go.
    this.pods.addHandler({
      onUpdate: (pod) => {
        if (isTerminated(pod)) this.#podGone(pod);
      },
      onDelete: (pod) => this.#podGone(pod),
    });
  }

  async reconcile(key: string, { signal }: Cancel): Promise<void> {
    const deployment = this.deployments.get(key);
    if (deployment === undefined) return;
    if (selectsAll(deployment.spec?.selector)) {
      const message = 'This deployment is selecting all pods. A non-empty selector is required.';
      this.#recorder.record(deployment, { type: 'Warning', reason: 'SelectingAll', message });
      return;
    }
    if (!this.#seesOwnWrites(key, deployment)) return;
    const replicaSets = await this.#owned.claim(deployment, { signal });
    const othersRun = (current: ReplicaSet | undefined): boolean =>
      replicaSets.some((set) => set !== current && this.#hasPods(set));
    const facts = { deployment, replicaSets, othersRun };
    const actions = planDeployment(facts, this.#deps.clock.now());
    let written = deployment;
    for (const action of actions) written = await this.#perform(key, written, action, { signal });
  }

  /** From older counts the sets together would grow beyond what is allowed. */
  #seesOwnWrites(key: string, { metadata }: Deployment): boolean {
    if (!this.#expectations.areMet(key)) return false;
    for (const set of this.replicaSets.byIndex(controllerIndex, metadata.uid ?? '')) {
      if (this.#written.isStale(set)) return false;
    }
    return true;
  }

  /** Gives the deployment as the server has it afterwards. */
  async #perform(
    key: string,
    deployment: Deployment,
    action: Action,
    { signal }: Cancel,
  ): Promise<Deployment> {
    const { client, clock } = this.#deps;
    const { namespace } = deployment.metadata;
    switch (action.do) {
      case 'create':
        await this.#create(key, deployment, action.replicaSet, { signal });
        return deployment;
      case 'update': {
        this.#written.note(await client.update(replicaSetKind, action.replicaSet, { signal }));
        this.#recordSize(deployment, action.replicaSet, action.from);
        return deployment;
      }
      case 'remove': {
        const { uid = '', name: removed = '' } = action.replicaSet.metadata;
        const options = { preconditions: { uid }, signal };
        await client
          .delete(replicaSetKind, { namespace, name: removed }, options)
          .catch(ignoreNotFound);
        return deployment;
      }
      case 'roll-back': {
        const { deployment: next, note } = action.rollback;
        const written = await client.update(deploymentKind, next, { signal });
        this.#recorder.record(deployment, note);
        return written;
      }
      case 'set-status': {
        const { status, revision } = action;
        const next = revision === undefined ? deployment : atRevision(deployment, revision);
        return client.update(
          deploymentKind,
          { ...next, status },
          { subresource: 'status', signal },
        );
      }
      case 'wait':
        this.queue.addAfter(key, action.untilMs - clock.now());
        return deployment;
      default:
        return action satisfies never;
    }
  }

  async #create(
    key: string,
    deployment: Deployment,
    replicaSet: ReplicaSet,
    { signal }: Cancel,
  ): Promise<void> {
    const { client, clock } = this.#deps;
    this.#expectations.expect(key, { creations: 1 });
    try {
      await client.create(replicaSetKind, replicaSet, { signal });
      this.#recordSize(deployment, replicaSet, 0);
    } catch (error) {
      this.#expectations.forget(key);
      signal.throwIfAborted();
      if (isNamespaceEnding(error)) throw error;
      const isTaken = isReason(error, 'AlreadyExists');
      if (isTaken && (await this.#isOurs(deployment, replicaSet, { signal }))) return;
      const { name } = replicaSet.metadata;
      const message = `Failed to create new replica set "${name}": ${messageOf(error)}`;
      if (!isTaken) {
        const reason = 'ReplicaSetCreateError';
        this.#recorder.record(deployment, { type: 'Warning', reason, message });
      }
      const failure = { message, isCollision: isTaken };
      const status = planFailedCreation(deployment, failure, clock.now());
      if (!isSameValue(status, deployment.status)) {
        const options = { subresource: 'status', signal };
        await client.update(deploymentKind, { ...deployment, status }, options);
      }
      throw error;
    }
  }

  /** The name is taken by the very set that was to be made: an earlier attempt did succeed. */
  async #isOurs(deployment: Deployment, wanted: ReplicaSet, { signal }: Cancel): Promise<boolean> {
    const { namespace, name = '' } = wanted.metadata;
    const found = await this.#deps.client.get(replicaSetKind, { namespace, name }, { signal });
    return (
      controllerOf(found)?.uid === deployment.metadata.uid &&
      isSameTemplate(found.spec?.template, wanted.spec?.template)
    );
  }

  #recordSize(deployment: Deployment, replicaSet: ReplicaSet, from: number): void {
    const to = wantedOf(replicaSet);
    if (to === from) return;
    const direction = to > from ? 'up' : 'down';
    const { name } = replicaSet.metadata;
    const message = `Scaled ${direction} replica set ${name} from ${from} to ${to}`;
    this.#recorder.record(deployment, { type: 'Normal', reason: 'ScalingReplicaSet', message });
  }

  #hasPods(set: ReplicaSet): boolean {
    const pods = this.pods.byIndex(controllerIndex, set.metadata.uid ?? '');
    for (const pod of pods) if (!isTerminated(pod)) return true;
    return false;
  }

  #wake(set: ReplicaSet): void {
    for (const deployment of this.#owned.concerned(set)) this.queue.add(objectKey(deployment));
  }

  #podGone(pod: Pod): void {
    const set = ownerIn(this.replicaSets, replicaSetKind, pod);
    const deployment = set && ownerIn(this.deployments, deploymentKind, set);
    if (deployment?.spec?.strategy?.type === 'Recreate') this.queue.add(objectKey(deployment));
  }
}

function atRevision(deployment: Deployment, revision: string): Deployment {
  const { metadata } = deployment;
  const next = { ...metadata.annotations, [annotations.revision]: revision };
  return { ...deployment, metadata: { ...metadata, annotations: next } };
}
