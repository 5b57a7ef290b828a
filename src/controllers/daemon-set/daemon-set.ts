/**
 * DaemonSets: a pod on every node that suits. Gathers the facts, asks `plan.ts` and `status.ts`,
 * and performs.
 *
 * Pods are pinned to their node by affinity; the scheduler still checks that they fit. A change of
 * a node wakes only the sets for which it changes something: with thousands of nodes most do not.
 */

import { controllerOf, type KubeObject, objectKey } from '#api/object.ts';
import { labelSelectorMatches } from '#api/selectors.ts';
import type { Informer, Recorder } from '#client';
import { WorkQueue } from '#kit/work-queue.ts';
import {
  nodes as nodeKind,
  pods as podKind,
  controllerRevisions as revisionKind,
  daemonSets as setKind,
} from '#resources/kinds.ts';
import type { ControllerRevision, DaemonSet, DaemonSetStatus } from '#resources/types/apps-v1.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { deleteRevisions } from '../controller-revision.ts';
import { Owned } from '../owned.ts';
import { watchOwnedPods } from '../owned-pods.ts';
import { selectsAll } from '../ownership.ts';
import { PodRequests } from '../pod-requests.ts';
import { isSameValue } from '../same-value.ts';
import { updateStatus } from '../status-update.ts';
import { hasExpired, type NodeBackoff, nextBackoff } from './backoff.ts';
import { planHistory, settleHistory } from './history.ts';
import { suits } from './nodes.ts';
import { planDaemonSet } from './plan.ts';
import { newPod, nodeOf } from './pod.ts';
import { planStatus } from './status.ts';

const daemonIndex = 'daemon pods by owner and node';

interface Backoffs {
  readonly generation: number;
  readonly byNode: Map<string, NodeBackoff>;
}

export function openDaemonSetController(deps: ControllerDeps): Controller {
  const controller = new DaemonSetController(deps);
  return {
    name: 'daemonset-controller',
    queue: controller.queue,
    reconcile: (key, options) => controller.reconcile(key, options.signal),
    workers: 2,
    sources: [controller.sets, controller.pods, controller.nodes, controller.revisions],
  };
}

class DaemonSetController {
  readonly queue: WorkQueue;
  readonly sets: Informer<DaemonSet>;
  readonly pods: Informer<Pod>;
  readonly nodes: Informer<Node>;
  readonly revisions: Informer<ControllerRevision>;
  readonly #deps: ControllerDeps;
  readonly #recorder: Recorder;
  readonly #requests: PodRequests;
  readonly #owned: Owned<DaemonSet, Pod>;
  readonly #ownedRevisions: Owned<DaemonSet, ControllerRevision>;
  /** By uid of the set: what failed on which node under the template of a generation. */
  readonly #backoffs = new Map<string, Backoffs>();

  constructor(deps: ControllerDeps) {
    this.#deps = deps;
    this.#recorder = deps.recorderFor('daemonset-controller');
    this.#requests = new PodRequests({ ...deps, recorder: this.#recorder });
    this.queue = new WorkQueue(deps);
    this.sets = deps.informers.of(setKind);
    this.pods = deps.informers.of(podKind);
    this.nodes = deps.informers.of(nodeKind);
    this.revisions = deps.informers.of(revisionKind);
    this.pods.addIndex(daemonIndex, daemonIndexValues);
    const { sets, pods, queue } = this;
    this.#owned = new Owned(deps.client, {
      kinds: { owner: setKind, object: podKind },
      owners: sets,
      objects: pods,
      matches: selects,
    });
    this.#ownedRevisions = new Owned(deps.client, {
      kinds: { owner: setKind, object: revisionKind },
      owners: sets,
      objects: this.revisions,
      matches: selects,
    });
    const { expectations } = this.#requests;
    watchOwnedPods({ owners: sets, pods, owned: this.#owned, queue, expectations });
    sets.addHandler({ onDelete: (set) => this.#backoffs.delete(set.metadata.uid ?? '') });
    this.nodes.addHandler({
      onAdd: (node) => this.#nodeChanged(node),
      onUpdate: (node, old) => {
        const isSame =
          isSameValue(node.metadata.labels, old.metadata.labels, 'labels') &&
          isSameValue(node.spec?.taints, old.spec?.taints);
        if (!isSame) this.#nodeChanged(node);
      },
      onDelete: () => {
        for (const set of sets.list()) queue.add(objectKey(set));
      },
    });
  }

  async reconcile(key: string, signal: AbortSignal): Promise<void> {
    const set = this.sets.get(key);
    if (set === undefined || set.metadata.deletionTimestamp !== undefined) return;
    if (selectsAll(set.spec?.selector)) {
      const message = 'This daemon set is selecting all pods. A non-empty selector is required.';
      this.#recorder.record(set, { type: 'Warning', reason: 'SelectingAll', message });
      return;
    }
    // Asked before the pods are gathered: what is seen in between is in the cache already.
    const mayAct = this.#requests.expectations.areMet(key);
    const { client, clock } = this.#deps;
    const pods = await this.#owned.claim(set, { signal });
    const revisions = await this.#ownedRevisions.claim(set, { signal });
    const history = await settleHistory(client, set, { revisions, pods }, signal);
    if (history === undefined) return;
    const backoffs = this.#backoffsOf(set);
    const nodes = [...this.nodes.list()];
    const now = clock.now();
    const facts = { set, nodes, pods, hash: history.hash, backoffs };
    let error: unknown;
    if (mayAct) {
      const plan = planDaemonSet(facts, now);
      this.#noteEnded(set, plan.ended, backoffs, now);
      if (plan.againAtMs !== undefined) this.queue.addAfter(key, plan.againAtMs - now);
      const create = plan.create.map((nodeName) => newPod(set, nodeName, history.hash));
      const changes = { create, remove: plan.remove };
      const { failed } = await this.#requests.perform(key, set, changes, signal);
      error = failed?.error;
      if (error === undefined) {
        await deleteRevisions(client, planHistory(set, history.old, pods), { signal });
      }
    }
    const { status, againAtMs } = planStatus(facts, mayAct, now);
    if (againAtMs !== undefined) this.queue.addAfter(key, againAtMs - now);
    await this.#writeStatus(set, status, signal);
    if (error !== undefined) throw error;
  }

  #backoffsOf(set: DaemonSet): Map<string, NodeBackoff> {
    const { uid = '' } = set.metadata;
    const generation = set.status?.observedGeneration ?? 0;
    const known = this.#backoffs.get(uid);
    // What failed under an older template says nothing about this one.
    if (known?.generation === generation) return known.byNode;
    const byNode = new Map<string, NodeBackoff>();
    this.#backoffs.set(uid, { generation, byNode });
    return byNode;
  }

  #noteEnded(
    set: DaemonSet,
    ended: readonly Pod[],
    backoffs: Map<string, NodeBackoff>,
    now: number,
  ): void {
    for (const [name, backoff] of backoffs) if (hasExpired(backoff, now)) backoffs.delete(name);
    for (const pod of ended) {
      const nodeName = nodeOf(pod) ?? '';
      const where = `daemon pod ${objectKey(pod)} on node ${nodeName}`;
      if (pod.status?.phase === 'Failed') {
        backoffs.set(nodeName, nextBackoff(backoffs.get(nodeName), now));
        const message = `Found failed ${where}, will try to kill it`;
        this.#recorder.record(set, { type: 'Warning', reason: 'FailedDaemonPod', message });
      } else {
        const message = `Found succeeded ${where}, will try to delete it`;
        this.#recorder.record(set, { type: 'Normal', reason: 'SucceededDaemonPod', message });
      }
    }
  }

  async #writeStatus(set: DaemonSet, status: DaemonSetStatus, signal: AbortSignal): Promise<void> {
    const { conditions } = set.status ?? {};
    const next = conditions === undefined ? status : { ...status, conditions };
    const change = { before: set, after: { ...set, status: next } };
    await updateStatus(this.#deps.client, setKind, change, { signal });
  }

  #nodeChanged(node: Node): void {
    for (const set of this.sets.list()) {
      const { shouldRun, mayStay } = suits(set, node);
      const at = `${set.metadata.uid} ${node.metadata.name}`;
      const [there] = this.pods.byIndex(daemonIndex, at);
      const isThere = there !== undefined;
      const recount = isThere && (set.status?.numberMisscheduled ?? 0) > 0;
      const counts = shouldRun !== isThere || (isThere && !mayStay) || recount;
      if (counts) this.queue.add(objectKey(set));
    }
  }
}

function selects({ spec }: DaemonSet, { metadata }: KubeObject): boolean {
  return labelSelectorMatches(spec?.selector, metadata.labels);
}

function daemonIndexValues(pod: Pod): readonly string[] {
  const owner = controllerOf(pod);
  const nodeName = owner?.kind === setKind.kind ? nodeOf(pod) : undefined;
  return nodeName === undefined ? [] : [`${owner?.uid} ${nodeName}`];
}
