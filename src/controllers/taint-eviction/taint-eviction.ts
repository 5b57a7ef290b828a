/**
 * Deletes pods from nodes whose NoExecute taints they do not tolerate, or not for longer.
 *
 * `node-lifecycle/` puts such taints on nodes that are away, people put others. Each pod concerned
 * has one timer; a taint that goes in time spares the pod. What deleted it stands in its condition
 * DisruptionTarget and in an Event.
 */
import { objectKey } from '#api/object.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { nodes as nodeKind, pods as podKind } from '#resources/kinds.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { evictPod } from '../evict-pod.ts';
import { LeavingPods } from '../leaving-pods.ts';
import { isTerminating, nodeNamesOf, podsByNode } from '../pod-state.ts';
import { isSameValue } from '../same-value.ts';
import { type DatedTaint, planEviction } from './plan.ts';

const why = {
  reason: 'DeletionByTaintManager',
  message: 'Taint manager: deleting due to NoExecute taint',
};

export function openTaintEvictionController(deps: ControllerDeps): Controller {
  const { clock, informers } = deps;
  const queue = new WorkQueue(deps);
  const recorder = deps.recorderFor('taint-eviction-controller');
  const nodes = informers.of(nodeKind);
  const pods = informers.of(podKind);
  pods.addIndex(podsByNode, nodeNamesOf);
  const seen = new SeenTaints(clock);
  const leaving = new LeavingPods({ clock, queue });
  const tell = (pod: Pod, message: string): void =>
    recorder.record(pod, { type: 'Normal', reason: 'TaintManagerEviction', message });
  /** For pods that may stay after all. */
  const wakeLeaving = (node: Node): void => {
    for (const pod of pods.byIndex(podsByNode, node.metadata.name ?? '')) {
      if (leaving.has(pod)) queue.add(objectKey(pod));
    }
  };
  const wakePods = (node: Node): void => {
    for (const pod of pods.byIndex(podsByNode, node.metadata.name ?? '')) queue.add(objectKey(pod));
  };
  nodes.addHandler({
    onAdd: (node) => {
      seen.remember(node);
      if (drives(node)) wakePods(node);
    },
    onUpdate: (node, old) => {
      seen.remember(node);
      if (isSameValue(node.spec?.taints, old.spec?.taints)) return;
      if (drives(node)) wakePods(node);
      else wakeLeaving(node);
    },
    onDelete: ({ metadata }) => seen.forget(metadata.name ?? ''),
  });
  const wake = (pod: Pod): void => {
    if (drives(nodes.get(pod.spec?.nodeName ?? ''))) queue.add(objectKey(pod));
  };
  pods.addHandler({
    onAdd: wake,
    onUpdate: wake,
    onDelete: (pod) => leaving.forget(pod),
  });

  return {
    name: 'taint-eviction-controller',
    queue,
    workers: 8,
    sources: [nodes, pods],
    reconcile: async (key, { signal }) => {
      const pod = pods.get(key);
      if (pod === undefined || isTerminating(pod)) return;
      const taints = seen.taintsOf(nodes.get(pod.spec?.nodeName ?? ''));
      const departure = leaving.next(pod, planEviction(pod, taints, clock.now()));
      if (departure.do === 'spare') tell(pod, `Cancelling deletion of Pod ${key}`);
      if (departure.do !== 'evict') return;
      const due = { by: 'taint_eviction_controller', atMs: departure.dueMs } as const;
      try {
        await evictPod(deps, pod, { why, due, signal });
        tell(pod, `Marking for deletion Pod ${key}`);
      } catch (error) {
        ignoreNotFound(error);
      }
    },
  };
}

function drives(node: Node | undefined): boolean {
  return node?.spec?.taints?.some(({ effect }) => effect === 'NoExecute') ?? false;
}

/** When taints were first seen that do not say themselves since when they are there. */
class SeenTaints {
  readonly #clock: ControllerDeps['clock'];
  readonly #seenMs = new Map<string, ReadonlyMap<string, number>>();

  constructor(clock: ControllerDeps['clock']) {
    this.#clock = clock;
  }

  remember({ metadata, spec }: Node): void {
    const { name = '' } = metadata;
    const before = this.#seenMs.get(name);
    const taints = spec?.taints?.filter(({ effect }) => effect === 'NoExecute') ?? [];
    const now = this.#clock.now();
    const dated = taints.map(({ key }) => [key, before?.get(key) ?? now] as const);
    if (dated.length === 0) this.#seenMs.delete(name);
    else this.#seenMs.set(name, new Map(dated));
  }

  forget(name: string): void {
    this.#seenMs.delete(name);
  }

  taintsOf(node: Node | undefined): readonly DatedTaint[] {
    return (node?.spec?.taints ?? []).map((taint) => {
      const { key, timeAdded } = taint;
      const seenMs = this.#seenMs.get(node?.metadata.name ?? '')?.get(key) ?? this.#clock.now();
      return { taint, sinceMs: timeAdded === undefined ? seenMs : Date.parse(timeAdded) };
    });
  }
}
