/**
 * What the informers see, told to the queue and the cache.
 *
 * A pod of ours without a node goes to the queue; a pod on a node goes to the cache, whoever placed
 * it; a pod that has ended holds nothing. Each change of a node or of room on one may wake waiting
 * pods. Handlers stop when the signal aborts, since informers outlive a scheduler.
 */
import type { Informer } from '#client';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import { hasEnded, type PodFacts, podFacts } from '#scheduling';
import type { SchedulerCache } from './cache.ts';
import type { SchedulingQueue } from './queue.ts';

interface Followers {
  readonly cache: SchedulerCache;
  readonly queue: SchedulingQueue;
  readonly signal: AbortSignal;
}

export function followNodes(informer: Informer<Node>, { cache, queue, signal }: Followers): void {
  informer.addHandler({
    onAdd: (node) => {
      if (signal.aborted) return;
      cache.setNode(node);
      queue.onChange({ what: 'nodeAdded', node });
    },
    onUpdate: (node, old) => {
      if (signal.aborted) return;
      cache.setNode(node);
      queue.onChange({ what: 'nodeChanged', node, old });
    },
    onDelete: (node) => {
      if (!signal.aborted) cache.removeNode(node.metadata.name ?? '');
    },
  });
}

export function followPods(
  informer: Informer<Pod>,
  followers: Followers,
  { schedulerName }: { readonly schedulerName: string },
): void {
  const { cache, queue, signal } = followers;

  const drop = (pod: Pod): void => {
    const uid = pod.metadata.uid ?? '';
    queue.remove(uid);
    const gone = cache.removePod(uid);
    if (gone !== undefined) queue.onChange({ what: 'podGone', pod: gone });
  };

  const see = (pod: Pod, facts: PodFacts): void => {
    if (pod.spec?.nodeName) {
      queue.remove(facts.uid);
      const assumedAt = cache.placeOf(facts.uid);
      const left = cache.isAssumed(facts.uid) && assumedAt !== pod.spec.nodeName;
      cache.setPod(facts, pod.spec.nodeName);
      if (left) queue.onChange({ what: 'podGone', pod: facts });
    } else if (isOurs(pod, schedulerName)) {
      queue.put(facts);
    } else {
      queue.remove(facts.uid);
    }
  };

  const onPod = (pod: Pod): void => {
    if (signal.aborted) return;
    if (hasEnded(pod)) drop(pod);
    else see(pod, podFacts(pod));
  };

  informer.addHandler({
    onAdd: onPod,
    onUpdate: (pod, old) => {
      if (signal.aborted) return;
      if (old.metadata.uid !== pod.metadata.uid) drop(old);
      if (!isSettled(pod, old)) onPod(pod);
    },
    onDelete: (pod) => {
      if (!signal.aborted) drop(pod);
    },
  });
}

/** Pods that wait for this scheduler; gated ones come back when their last gate is removed. */
function isOurs({ metadata, spec }: Pod, schedulerName: string): boolean {
  return (
    (spec?.schedulerName || 'default-scheduler') === schedulerName &&
    (spec?.schedulingGates ?? []).length === 0 &&
    metadata.deletionTimestamp === undefined
  );
}

/** A placed pod of which only the status moved on: nothing that the cache counts has changed. */
function isSettled(pod: Pod, old: Pod): boolean {
  const { generation } = pod.metadata;
  return (
    generation !== undefined &&
    generation === old.metadata.generation &&
    pod.metadata.uid === old.metadata.uid &&
    Boolean(old.spec?.nodeName) &&
    hasEnded(pod) === hasEnded(old)
  );
}
