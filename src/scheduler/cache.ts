/**
 * The scheduler's picture of all nodes and the pods on them, changed pod by pod as events come.
 *
 * A decision places its pod here at once (`assume`), so that the next decision sees the room
 * taken long before the API server has answered; the informer's event later confirms it, or
 * `forget` gives the place back. Decisions run in one synchronous stretch, so they read this
 * live: no snapshot.
 */
import { assert } from '#kit/assert.ts';
import type { Node } from '#resources/types/core-v1.ts';
import { NodeInfo, type PodFacts } from '#scheduling';

export class SchedulerCache {
  readonly #nodes = new Map<string, NodeInfo>();
  /** Pod uid → node name. */
  readonly #places = new Map<string, string>();
  readonly #assumed = new Set<string>();
  readonly #nodesWithImage = new Map<string, number>();
  #order: readonly NodeInfo[] | undefined;

  /** Nodes that exist, zone by zone in turn, so that a sample of them covers all zones. */
  get nodes(): readonly NodeInfo[] {
    this.#order ??= inTurn([...this.#nodes.values()].filter(({ node }) => node !== undefined));
    return this.#order;
  }

  get(name: string): NodeInfo | undefined {
    return this.#nodes.get(name);
  }

  nodesWithImage(image: string): number {
    return this.#nodesWithImage.get(image) ?? 0;
  }

  /** Where the pod is or is assumed to be. */
  placeOf(uid: string): string | undefined {
    return this.#places.get(uid);
  }

  isAssumed(uid: string): boolean {
    return this.#assumed.has(uid);
  }

  setNode(node: Node): void {
    const info = this.#info(node.metadata.name ?? '');
    const { labels: before, node: known } = info;
    this.#countImages(info, -1);
    info.setNode(node);
    this.#countImages(info, 1);
    if (known === undefined || zoneOf(before) !== zoneOf(info.labels)) this.#order = undefined;
  }

  removeNode(name: string): void {
    const info = this.#nodes.get(name);
    if (info === undefined) return;
    this.#countImages(info, -1);
    info.setNode(undefined);
    this.#dropIfEmpty(info);
    this.#order = undefined;
  }

  /** Takes the place before the API server knows of it. */
  assume(pod: PodFacts, nodeName: string): void {
    assert(!this.#places.has(pod.uid), 'a pod is placed once');
    this.#assumed.add(pod.uid);
    this.#place(pod, nodeName);
  }

  /** Gives an assumed place back; false where there is none (or the API server confirmed it). */
  forget(uid: string): boolean {
    if (!this.#assumed.has(uid)) return false;
    this.removePod(uid);
    return true;
  }

  /** What the API server says; ends the assumption, whatever it was. */
  setPod(pod: PodFacts, nodeName: string): void {
    this.removePod(pod.uid);
    this.#place(pod, nodeName);
  }

  removePod(uid: string): PodFacts | undefined {
    this.#assumed.delete(uid);
    const name = this.#places.get(uid);
    if (name === undefined) return undefined;
    this.#places.delete(uid);
    const info = this.#info(name);
    const pod = info.removePod(uid);
    this.#dropIfEmpty(info);
    return pod;
  }

  #place(pod: PodFacts, nodeName: string): void {
    this.#places.set(pod.uid, nodeName);
    this.#info(nodeName).addPod(pod);
  }

  #info(name: string): NodeInfo {
    const known = this.#nodes.get(name);
    if (known !== undefined) return known;
    const info = new NodeInfo(name);
    this.#nodes.set(name, info);
    return info;
  }

  #dropIfEmpty(info: NodeInfo): void {
    if (info.node === undefined && info.pods.size === 0) this.#nodes.delete(info.name);
  }

  #countImages(info: NodeInfo, times: 1 | -1): void {
    for (const image of info.images.keys()) {
      const count = this.nodesWithImage(image) + times;
      if (count > 0) this.#nodesWithImage.set(image, count);
      else this.#nodesWithImage.delete(image);
    }
  }
}

function zoneOf(labels: Readonly<Record<string, string>>): string {
  const region = labels['topology.kubernetes.io/region'] ?? '';
  return `${region}/${labels['topology.kubernetes.io/zone'] ?? ''}`;
}

/** One node of each zone in turn: a1 b1 c1 a2 b2 a3. */
function inTurn(nodes: readonly NodeInfo[]): readonly NodeInfo[] {
  const zones = [...Map.groupBy(nodes, (info) => zoneOf(info.labels)).values()];
  if (zones.length === 1) return nodes;
  const order: NodeInfo[] = [];
  for (let index = 0; order.length < nodes.length; index++) {
    for (const zone of zones) {
      const info = zone[index];
      if (info !== undefined) order.push(info);
    }
  }
  return order;
}
