/**
 * Counts of the pods that a rule selects, per node and per topology value, kept up to date.
 *
 * Affinity and spread ask again and again "how many pods like these are in zone a?". Counting
 * afresh would look at every pod of the cluster for each decision. Instead each different question
 * (a `Selection`) is counted once and then follows every pod that comes and goes; siblings of one
 * template ask the same question. Questions that nobody asked for long are forgotten.
 *
 * `cluster.ts` owns this and reports the pods; the plugins ask.
 */
import type { NodeInfo } from './node-info.ts';
import type { PodFacts } from './pod-facts.ts';
import { TopologyCounts } from './topology-counts.ts';

export interface Question {
  /** Equal questions have equal signatures. */
  readonly signature: string;
  /** Only pods of these namespaces can be meant; undefined: of any. */
  readonly namespaces: ReadonlySet<string> | undefined;
  readonly matches: (pod: PodFacts) => boolean;
}

export const selectionLimits = {
  /** Questions kept up to date; of more, those not asked for the longest time are dropped. */
  selectionsMax: 256,
} as const;

export class Selection {
  readonly question: Question;
  readonly #perNode = new Map<NodeInfo, number>();
  readonly #topologies = new Map<string, TopologyCounts>();

  constructor(question: Question) {
    this.question = question;
  }

  on(node: NodeInfo): number {
    return this.#perNode.get(node) ?? 0;
  }

  /** Nodes with at least one such pod. */
  get nodes(): ReadonlyMap<NodeInfo, number> {
    return this.#perNode;
  }

  by(topologyKey: string): TopologyCounts {
    let counts = this.#topologies.get(topologyKey);
    if (counts === undefined) {
      counts = new TopologyCounts();
      for (const [node, count] of this.#perNode) {
        const value = node.labels[topologyKey];
        if (value !== undefined) counts.add(value, count);
      }
      this.#topologies.set(topologyKey, counts);
    }
    return counts;
  }

  count(node: NodeInfo, times: number): void {
    const now = (this.#perNode.get(node) ?? 0) + times;
    if (now > 0) this.#perNode.set(node, now);
    else this.#perNode.delete(node);
    for (const [key, counts] of this.#topologies) {
      const value = node.labels[key];
      if (value !== undefined) counts.add(value, times);
    }
  }
}

export class Selections {
  readonly #nodes: () => Iterable<NodeInfo>;
  /** In the order of their last use. */
  readonly #bySignature = new Map<string, Selection>();
  readonly #byNamespace = new Map<string, Set<Selection>>();
  readonly #everywhere = new Set<Selection>();

  constructor(nodes: () => Iterable<NodeInfo>) {
    this.#nodes = nodes;
  }

  get(question: Question): Selection {
    const { signature } = question;
    const known = this.#bySignature.get(signature);
    if (known !== undefined) {
      this.#bySignature.delete(signature);
      this.#bySignature.set(signature, known);
      return known;
    }
    const fresh = this.#counted(question);
    this.#bySignature.set(signature, fresh);
    for (const peers of this.#peers(question)) peers.add(fresh);
    if (this.#bySignature.size > selectionLimits.selectionsMax) this.#dropOldest();
    return fresh;
  }

  /** A pod came to (1) or left (−1) a node that exists. */
  change(pod: PodFacts, node: NodeInfo, times: 1 | -1): void {
    if (this.#bySignature.size === 0) return;
    for (const selection of this.#byNamespace.get(pod.namespace) ?? []) {
      if (selection.question.matches(pod)) selection.count(node, times);
    }
    for (const selection of this.#everywhere) {
      if (selection.question.matches(pod)) selection.count(node, times);
    }
  }

  #counted(question: Question): Selection {
    const selection = new Selection(question);
    for (const node of this.#nodes()) {
      let count = 0;
      for (const pod of node.pods.values()) if (question.matches(pod)) count += 1;
      if (count > 0) selection.count(node, count);
    }
    return selection;
  }

  #peers({ namespaces }: Question): readonly Set<Selection>[] {
    if (namespaces === undefined) return [this.#everywhere];
    return [...namespaces].map((namespace) => {
      const peers = this.#byNamespace.get(namespace) ?? new Set<Selection>();
      this.#byNamespace.set(namespace, peers);
      return peers;
    });
  }

  #dropOldest(): void {
    const [oldest] = this.#bySignature.values();
    if (oldest === undefined) return;
    this.#bySignature.delete(oldest.question.signature);
    for (const peers of this.#peers(oldest.question)) peers.delete(oldest);
  }
}
