/**
 * Deletes pods from nodes whose NoExecute taints they do not tolerate, or not for longer.
 *
 * `node-lifecycle/` puts such taints on nodes that are away, people put others. Each pod concerned
 * has one timer; a taint that goes in time spares the pod. What deleted it stands in its condition
 * DisruptionTarget and in an Event.
 */
import { objectKey } from '#api/object.ts';
import { formatTime } from '#kit/clock.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { nodes as nodeKind, pods as podKind } from '#resources/kinds.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { podsByNode } from '../node-lifecycle/node-lifecycle.ts';
import { isTerminating } from '../pod-state.ts';
import { isSameValue } from '../same-value.ts';
import { type DatedTaint, planEviction } from './plan.ts';

export function openTaintEvictionController(deps: ControllerDeps): Controller {
  const { client, clock, informers } = deps;
  const queue = new WorkQueue(deps);
  const recorder = deps.recorderFor('taint-eviction-controller');
  const nodes = informers.of(nodeKind);
  const pods = informers.of(podKind);
  pods.addIndex(podsByNode, (pod) => [pod.spec?.nodeName ?? '']);
  const drives = (node: Node | undefined): boolean =>
    node?.spec?.taints?.some(({ effect }) => effect === 'NoExecute') ?? false;
  /** When a taint was first seen that does not say itself since when it is there. */
  const seenMs = new Map<string, ReadonlyMap<string, number>>();
  const remember = (node: Node): void => {
    const { name = '' } = node.metadata;
    const before = seenMs.get(name);
    const taints = node.spec?.taints?.filter(({ effect }) => effect === 'NoExecute') ?? [];
    const dated = taints.map(({ key }) => [key, before?.get(key) ?? clock.now()] as const);
    if (dated.length === 0) seenMs.delete(name);
    else seenMs.set(name, new Map(dated));
  };
  const taintsOf = (nodeName: string): readonly DatedTaint[] =>
    (nodes.get(nodeName)?.spec?.taints ?? []).map((taint) => {
      const { key, timeAdded } = taint;
      const seen = seenMs.get(nodeName)?.get(key) ?? clock.now();
      return { taint, sinceMs: timeAdded === undefined ? seen : Date.parse(timeAdded) };
    });
  const wakePods = (node: Node): void => {
    for (const pod of pods.byIndex(podsByNode, node.metadata.name ?? '')) queue.add(objectKey(pod));
  };
  nodes.addHandler({
    onAdd: (node) => {
      remember(node);
      if (drives(node)) wakePods(node);
    },
    onUpdate: (node, old) => {
      remember(node);
      if (drives(node) && !isSameValue(node.spec?.taints, old.spec?.taints)) wakePods(node);
    },
    onDelete: ({ metadata }) => {
      seenMs.delete(metadata.name ?? '');
    },
  });
  const wake = (pod: Pod): void => {
    if (drives(nodes.get(pod.spec?.nodeName ?? ''))) queue.add(objectKey(pod));
  };
  pods.addHandler({ onAdd: wake, onUpdate: wake });

  const evict = async (pod: Pod, signal: AbortSignal): Promise<void> => {
    const { namespace, name = '', uid = '' } = pod.metadata;
    const condition = {
      type: 'DisruptionTarget',
      status: 'True',
      reason: 'DeletionByTaintManager',
      message: 'Taint manager: deleting due to NoExecute taint',
      lastTransitionTime: formatTime(clock.now()),
    };
    const others = pod.status?.conditions?.filter(({ type }) => type !== condition.type) ?? [];
    const status = { ...pod.status, conditions: [...others, condition] };
    await client.update(podKind, { ...pod, status }, { subresource: 'status', signal });
    await client.delete(podKind, { namespace, name }, { preconditions: { uid }, signal });
    const message = `Marking for deletion Pod ${objectKey(pod)}`;
    recorder.record(pod, { type: 'Normal', reason: 'TaintManagerEviction', message });
  };

  return {
    name: 'taint-eviction-controller',
    queue,
    workers: 8,
    sources: [nodes, pods],
    reconcile: async (key, { signal }) => {
      const pod = pods.get(key);
      if (pod === undefined || isTerminating(pod)) return;
      const taints = taintsOf(pod.spec?.nodeName ?? '');
      const leaveMs = planEviction(pod, taints, clock.now());
      if (leaveMs === undefined) return;
      if (leaveMs > clock.now()) queue.addAfter(key, leaveMs - clock.now());
      else await evict(pod, signal).catch(ignoreNotFound);
    },
  };
}
