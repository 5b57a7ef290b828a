/**
 * The picture of the cluster that decisions are made from: nodes, the pods on them, and what rules
 * have counted about them, changed pod by pod as events come.
 *
 * A decision places its pod here at once (`assume`), so that the next one sees the room taken long
 * before the API server has answered; the informer's event later confirms it, or `forget` gives the
 * place back. Decisions run in one synchronous stretch, so they read this live: no snapshot.
 */
import type { Labels } from '#api/selectors.ts';
import { assert } from '#kit/assert.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import type { Node } from '#resources/types/core-v1.ts';
import type { AffinityTerm } from './affinity-terms.ts';
import { Assumptions } from './assumptions.ts';
import { type Facts, factsOf } from './facts.ts';
import { NodeInfo } from './node-info.ts';
import { Nominations } from './nominations.ts';
import type { BindStep, ClusterChange } from './plugin.ts';
import type { PodFacts } from './pod-facts.ts';
import { Selections } from './selections.ts';
import { TermHolders } from './term-holders.ts';
import { Topologies } from './topology-counts.ts';

export class Cluster {
  readonly facts: Facts;
  readonly nominations = new Nominations();
  /** Volumes and devices that are promised and not written yet. */
  readonly assumptions = new Assumptions();
  readonly selections = new Selections(() => this.nodes);
  readonly topologies = new Topologies(() => this.nodes);
  /** Required anti-affinity of pods that have a node. */
  readonly repelling = new TermHolders();
  /** Required affinity of pods that have a node. */
  readonly needing = new TermHolders();
  /** What pods that have a node prefer; weights have their sign. */
  readonly preferring = new TermHolders();
  readonly #nodes = new Map<string, NodeInfo>();
  /** Pod uid → node name. */
  readonly #places = new Map<string, string>();
  readonly #assumed = new Set<string>();
  readonly #nodesWithImage = new Map<string, number>();
  #order: readonly NodeInfo[] | undefined;

  constructor(facts: Facts = factsOf()) {
    this.facts = facts;
  }

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

  namespaceLabels(namespace: string): Labels {
    return this.facts.namespaces.get(namespace)?.metadata.labels;
  }

  /** How much is in the picture. */
  get sizes(): { readonly nodes: number; readonly pods: number; readonly assumed_pods: number } {
    const pods = this.#places.size;
    return { nodes: this.nodes.length, pods, assumed_pods: this.#assumed.size };
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
    const moved = known === undefined || !jsonEqual(before, node.metadata.labels ?? {});
    this.#countImages(info, -1);
    if (moved && known !== undefined) this.#detach(info);
    info.setNode(node);
    if (moved) this.#attach(info);
    this.#countImages(info, 1);
    if (known === undefined || zoneOf(before) !== zoneOf(info.labels)) this.#order = undefined;
  }

  removeNode(name: string): void {
    const info = this.#nodes.get(name);
    if (info?.node === undefined) return;
    this.#countImages(info, -1);
    this.#detach(info);
    info.setNode(undefined);
    this.#dropIfEmpty(info);
    this.#order = undefined;
  }

  /** Takes the place before the API server knows of it. */
  assume(pod: PodFacts, nodeName: string, steps: readonly BindStep[] = []): void {
    assert(!this.#places.has(pod.uid), 'a pod is placed once');
    this.#assumed.add(pod.uid);
    this.assumptions.take(pod.uid, steps);
    this.#place(pod, nodeName);
  }

  /**
   * Gives an assumed place back, with all that was promised, and what others have to be told of it:
   * nothing where there is none (or the API server confirmed it).
   */
  forget(uid: string): readonly ClusterChange[] {
    if (!this.#assumed.has(uid)) return [];
    const pod = this.removePod(uid);
    const free = this.assumptions.giveBack(uid);
    return pod === undefined ? free : [{ what: 'podGone', pod }, ...free];
  }

  /**
   * What the API server says; ends the assumption, whatever it was. What was promised for another
   * node is still to be given back.
   */
  setPod(pod: PodFacts, nodeName: string): void {
    if (this.#places.get(pod.uid) === nodeName) this.assumptions.settle(pod.uid);
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
    if (pod !== undefined && info.node !== undefined) this.#count(pod, info, -1);
    this.#dropIfEmpty(info);
    return pod;
  }

  #place(pod: PodFacts, nodeName: string): void {
    this.#places.set(pod.uid, nodeName);
    const info = this.#info(nodeName);
    info.addPod(pod);
    if (info.node !== undefined) this.#count(pod, info, 1);
  }

  #count(pod: PodFacts, info: NodeInfo, times: 1 | -1): void {
    this.selections.change(pod, info, times);
    this.#hold(this.repelling, pod.terms.requiredAnti, info, times);
    this.#hold(this.needing, pod.terms.required, info, times);
    this.#hold(this.preferring, pod.terms.preferred, info, times);
  }

  #hold(to: TermHolders, terms: readonly AffinityTerm[], info: NodeInfo, times: 1 | -1): void {
    for (const term of terms) to.change(term, info.labels[term.topologyKey], times);
  }

  /** The node and its pods begin to count for topologies. */
  #attach(info: NodeInfo): void {
    this.topologies.change(info.labels, 1);
    for (const pod of info.pods.values()) this.#count(pod, info, 1);
  }

  #detach(info: NodeInfo): void {
    for (const pod of info.pods.values()) this.#count(pod, info, -1);
    this.topologies.change(info.labels, -1);
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
