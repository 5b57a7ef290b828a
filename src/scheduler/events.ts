/**
 * What the informers see, told to the queue and the picture of the cluster.
 *
 * A pod of ours without a node goes to the queue; a pod on a node goes to the cluster, whoever
 * placed it; a pod that has ended holds nothing. Each change of a node or of room on one may wake
 * waiting pods. Handlers stop when the signal aborts, since informers outlive a scheduler.
 */

import { type KubeObject, objectKey } from '#api/object.ts';
import type { Informer } from '#client';
import type { Clock } from '#kit/clock.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { extendedClaimAnnotation } from '#resources/resource/extended-device-class.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import { volumeAnnotations } from '#resources/volumes/volume-matching.ts';
import {
  type Cluster,
  hasEnded,
  isResizeInfeasible,
  keyOfMade,
  type PodFacts,
  type Profile,
  podFacts,
} from '#scheduling';
import { nodeUpdateLabel } from './event-labels.ts';
import type { SchedulerMetrics } from './metrics.ts';
import type { SchedulingQueue } from './queue.ts';

interface Followers {
  readonly cluster: Cluster;
  readonly queue: SchedulingQueue;
  readonly signal: AbortSignal;
  readonly metrics: SchedulerMetrics;
  readonly clock: Clock;
}

/** Does it, and tells how long it took. */
function timed({ metrics, clock }: Followers, event: string | undefined, work: () => void): void {
  const sinceMs = clock.monotonic();
  work();
  if (event === undefined) return;
  metrics.event(event, (clock.monotonic() - sinceMs) / 1000);
}

export function followNodes(informer: Informer<Node>, followers: Followers): void {
  const { cluster, queue, signal } = followers;
  informer.addHandler({
    onAdd: (node) => {
      if (signal.aborted) return;
      timed(followers, 'NodeAdd', () => {
        cluster.setNode(node);
        queue.onChange({ what: 'nodeAdded', node });
      });
    },
    onUpdate: (node, old) => {
      if (signal.aborted) return;
      timed(followers, nodeUpdateLabel(node, old), () => {
        cluster.setNode(node);
        if (concernsPlacing(node, old)) queue.onChange({ what: 'nodeChanged', node, old });
      });
    },
    onDelete: (node) => {
      if (signal.aborted) return;
      timed(followers, 'NodeDelete', () => {
        cluster.removeNode(node.metadata.name ?? '');
        queue.onChange({ what: 'nodeGone', node });
      });
    },
  });
}

/** Heartbeats repeat everything; only what rules look at may help a waiting pod. */
function concernsPlacing(node: Node, old: Node): boolean {
  return !(
    jsonEqual(node.metadata.labels, old.metadata.labels) &&
    jsonEqual(node.spec, old.spec) &&
    jsonEqual(node.status?.allocatable, old.status?.allocatable) &&
    jsonEqual(node.status?.declaredFeatures, old.status?.declaredFeatures)
  );
}

export interface PodFollowers extends Followers {
  /** By `spec.schedulerName`. */
  readonly profiles: ReadonlyMap<string, Profile>;
  /** The pod is deleted: where it waits to be bound it gives its place up. */
  readonly onLeaving: (uid: string) => void;
}

export function followPods(informer: Informer<Pod>, followers: PodFollowers): void {
  const { signal } = followers;
  const follower = new PodFollower(followers);
  const sort = ({ spec }: Pod): string => (spec?.nodeName ? 'AssignedPod' : 'UnschedulablePod');
  informer.addHandler({
    onAdd: (pod) => {
      if (signal.aborted) return;
      timed(followers, `${sort(pod)}Add`, () => follower.see(pod, undefined));
    },
    onUpdate: (pod, old) => {
      if (signal.aborted) return;
      if (old.metadata.uid !== pod.metadata.uid) {
        timed(followers, `${sort(old)}Delete`, () => follower.drop(old));
        timed(followers, `${sort(pod)}Add`, () => follower.see(pod, undefined));
      } else if (!isSettled(pod, old)) {
        const placed = Boolean(pod.spec?.nodeName) && !old.spec?.nodeName;
        timed(followers, placed ? 'AssignedPodAdd' : `${sort(pod)}Update`, () =>
          follower.see(pod, old),
        );
      }
    },
    onDelete: (pod) => {
      if (signal.aborted) return;
      timed(followers, `${sort(pod)}Delete`, () => follower.drop(pod));
    },
  });
}

class PodFollower {
  readonly #followers: PodFollowers;

  constructor(followers: PodFollowers) {
    this.#followers = followers;
  }

  see(pod: Pod, old: Pod | undefined): void {
    if (hasEnded(pod)) {
      this.drop(pod);
      return;
    }
    const facts = podFacts(pod);
    const { queue, cluster } = this.#followers;
    if (pod.spec?.nodeName) {
      this.#place(facts, pod.spec.nodeName);
      return;
    }
    // We have bound it, and what is told here is older than that: a node is never taken away.
    if (cluster.placeOf(facts.uid) !== undefined && !queue.has(facts.uid)) return;
    if (pod.metadata.deletionTimestamp !== undefined) this.#followers.onLeaving(facts.uid);
    const profile = this.#profileOf(pod);
    if (profile === undefined) {
      queue.remove(facts.uid);
      cluster.nominations.remove(facts.uid);
      return;
    }
    this.#nominate(facts, old);
    queue.put(facts, profile);
  }

  drop(pod: Pod): void {
    const { queue, cluster } = this.#followers;
    const uid = pod.metadata.uid ?? '';
    // A binding that is under way gives back at its end: what it writes now is not free.
    const free = queue.isTaken(uid) ? [] : cluster.assumptions.giveBack(uid);
    queue.remove(uid);
    this.#followers.onLeaving(uid);
    const nominated = cluster.nominations.nodeOf(uid) !== undefined;
    cluster.nominations.remove(uid);
    const gone = cluster.removePod(uid) ?? (nominated ? podFacts(pod) : undefined);
    if (gone !== undefined) queue.onChange({ what: 'podGone', pod: gone });
    for (const change of free) queue.onChange(change);
  }

  #place(facts: PodFacts, nodeName: string): void {
    const { queue, cluster } = this.#followers;
    const taken = queue.isTaken(facts.uid);
    queue.remove(facts.uid);
    cluster.nominations.remove(facts.uid);
    const before = cluster.get(cluster.placeOf(facts.uid) ?? '')?.pods.get(facts.uid);
    const left = cluster.isAssumed(facts.uid) && cluster.placeOf(facts.uid) !== nodeName;
    const confirmed = cluster.isAssumed(facts.uid) && !left;
    cluster.setPod(facts, nodeName);
    if (left) queue.onChange({ what: 'podGone', pod: facts });
    if (left && !taken) {
      for (const change of cluster.assumptions.giveBack(facts.uid)) queue.onChange(change);
    }
    if (before === undefined || confirmed) queue.onChange({ what: 'podPlaced', pod: facts });
    else if (!left) this.#changed(facts, before);
  }

  /** Only what rules could mind: other labels, or less asked for. */
  #changed(facts: PodFacts, old: PodFacts): void {
    const same = jsonEqual(facts.labels, old.labels) && jsonEqual(facts.requests, old.requests);
    if (!same) this.#followers.queue.onChange({ what: 'placedPodChanged', pod: facts, old });
  }

  /** What the pod says of its nomination; silence keeps what was decided a moment ago. */
  #nominate(facts: PodFacts, old: Pod | undefined): void {
    const { nominations } = this.#followers.cluster;
    const now = facts.pod.status?.nominatedNodeName;
    if (now) nominations.set(facts, now);
    else if (old?.status?.nominatedNodeName) nominations.remove(facts.uid);
    else nominations.set(facts, nominations.nodeOf(facts.uid) ?? '');
  }

  /** Undefined where the pod is not for this scheduler, or on its way out. */
  #profileOf({ metadata, spec }: Pod): Profile | undefined {
    if (metadata.deletionTimestamp !== undefined) return undefined;
    return this.#followers.profiles.get(spec?.schedulerName || 'default-scheduler');
  }
}

/** A placed pod of which only the status moved on: nothing that the cluster counts has changed. */
function isSettled(pod: Pod, old: Pod): boolean {
  const { generation, deletionTimestamp } = pod.metadata;
  return (
    generation !== undefined &&
    generation === old.metadata.generation &&
    pod.metadata.uid === old.metadata.uid &&
    deletionTimestamp === old.metadata.deletionTimestamp &&
    Boolean(old.spec?.nodeName) &&
    hasEnded(pod) === hasEnded(old) &&
    jsonEqual(pod.metadata.labels, old.metadata.labels) &&
    jsonEqual(given(pod), given(old))
  );
}

/** What the node has given to the pod and its containers, which changes while they are resized. */
function given({ status }: Pod): readonly unknown[] {
  const { initContainerStatuses = [], containerStatuses = [] } = status ?? {};
  const whole = status === undefined ? [] : [status];
  const amounts = [...whole, ...initContainerStatuses, ...containerStatuses].flatMap(
    ({ allocatedResources, resources }) =>
      allocatedResources === undefined && resources?.requests === undefined
        ? []
        : [allocatedResources, resources?.requests],
  );
  return [isResizeInfeasible(status), ...amounts];
}

/** What was promised and shows in the object by now is not a promise any more. */
export function noteWritten(
  { assumptions }: Cluster,
  { kind, key }: { readonly kind: string; readonly key: string },
  object: KubeObject,
): void {
  // The listener's kind says which of these the object is.
  const { metadata, spec, status } = object as KubeObject & {
    readonly spec?: { readonly claimRef?: unknown; readonly volumeName?: string };
    readonly status?: { readonly allocation?: unknown };
  };
  if (kind === 'volume' && spec?.claimRef !== undefined) assumptions.volumeWritten(key);
  if (kind === 'deviceClaim' && status?.allocation !== undefined) {
    assumptions.devicesWritten(key);
    const { namespace = '', annotations, ownerReferences = [] } = metadata;
    if (annotations?.[extendedClaimAnnotation] === 'true') {
      for (const { uid } of ownerReferences) {
        assumptions.devicesWritten(keyOfMade({ namespace, uid }));
      }
    }
  }
  const chosen = metadata.annotations?.[volumeAnnotations.selectedNode];
  if (kind === 'claim' && (spec?.volumeName || chosen)) assumptions.claimWritten(key);
}

/** Whether the pod is still the same, and without a node, as far as the informer knows by now. */
export function isStillWanted(informer: Informer<Pod>, facts: PodFacts): boolean {
  const current = informer.get(objectKey(facts.pod));
  return (
    current?.metadata.uid === facts.uid &&
    !current.spec?.nodeName &&
    current.metadata.deletionTimestamp === undefined
  );
}
