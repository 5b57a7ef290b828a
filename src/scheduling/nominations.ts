/**
 * Pods that wait for room which was made for them on a node: others see that room as taken.
 *
 * A pod is nominated when it preempts, and stays so (`status.nominatedNodeName`) until it is bound,
 * deleted, or nominated elsewhere. Only pods of lower priority must mind it.
 */
import type { NodeInfo } from './node-info.ts';
import type { PodFacts } from './pod-facts.ts';

const none: readonly PodFacts[] = [];

export class Nominations {
  /** Pod uid → node name. */
  readonly #nodes = new Map<string, string>();
  /** Node name → its nominated pods by uid. */
  readonly #pods = new Map<string, Map<string, PodFacts>>();

  get size(): number {
    return this.#nodes.size;
  }

  nodeOf(uid: string): string | undefined {
    return this.#nodes.get(uid);
  }

  on(nodeName: string): Iterable<PodFacts> {
    return this.#pods.get(nodeName)?.values() ?? [];
  }

  /** Those whose room the pod must leave alone: of its priority or higher, and not there yet. */
  before({ uid, priority }: PodFacts, node: NodeInfo): readonly PodFacts[] {
    const peers = this.#pods.get(node.name);
    if (peers === undefined) return none;
    const found: PodFacts[] = [];
    for (const one of peers.values()) {
      if (one.uid !== uid && one.priority >= priority && !node.pods.has(one.uid)) found.push(one);
    }
    return found;
  }

  set(pod: PodFacts, nodeName: string): void {
    this.remove(pod.uid);
    if (nodeName === '') return;
    this.#nodes.set(pod.uid, nodeName);
    const peers = this.#pods.get(nodeName) ?? new Map<string, PodFacts>();
    peers.set(pod.uid, pod);
    this.#pods.set(nodeName, peers);
  }

  remove(uid: string): void {
    const nodeName = this.#nodes.get(uid);
    if (nodeName === undefined) return;
    this.#nodes.delete(uid);
    const peers = this.#pods.get(nodeName);
    peers?.delete(uid);
    if (peers?.size === 0) this.#pods.delete(nodeName);
  }
}
