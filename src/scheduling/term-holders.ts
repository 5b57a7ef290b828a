/**
 * The affinity terms of pods that run already, and where: what they ask of newcomers.
 *
 * Equal terms (of one template) are kept once, with a sum for each topology value, so a newcomer is
 * compared with each different term and not with each pod. Terms that name their namespaces are
 * found by the newcomer's namespace.
 */
import type { Labels } from '#api/selectors.ts';
import { type AffinityTerm, termMatches } from './affinity-terms.ts';

export interface HeldTerm {
  readonly term: AffinityTerm;
  /** Topology value → sum of the weights of all that hold the term there. */
  readonly perValue: ReadonlyMap<string, number>;
}

interface Entry {
  readonly term: AffinityTerm;
  readonly perValue: Map<string, number>;
  holders: number;
}

export class TermHolders {
  readonly #bySignature = new Map<string, Entry>();
  readonly #byNamespace = new Map<string, Set<Entry>>();
  readonly #bySelector = new Set<Entry>();

  get size(): number {
    return this.#bySignature.size;
  }

  /** A holder came (1) or went (−1); `value` is what its node has for the topology key. */
  change(term: AffinityTerm, value: string | undefined, times: 1 | -1): void {
    if (value === undefined) return;
    const entry = this.#bySignature.get(term.signature) ?? this.#open(term);
    entry.holders += times;
    const sum = (entry.perValue.get(value) ?? 0) + times * term.weight;
    if (sum === 0) entry.perValue.delete(value);
    else entry.perValue.set(value, sum);
    if (entry.holders === 0) this.#close(entry);
  }

  /** Terms that select this pod. */
  matching(
    pod: { readonly namespace: string; readonly labels: Labels },
    namespaceLabels: Labels,
  ): readonly HeldTerm[] {
    if (this.#bySignature.size === 0) return [];
    const found: HeldTerm[] = [];
    for (const entry of this.#byNamespace.get(pod.namespace) ?? []) {
      if (entry.term.matcher.matches(pod.labels)) found.push(entry);
    }
    for (const entry of this.#bySelector) {
      if (entry.term.namespaces.has(pod.namespace)) continue;
      if (termMatches(entry.term, pod, namespaceLabels)) found.push(entry);
    }
    return found;
  }

  #open(term: AffinityTerm): Entry {
    const entry: Entry = { term, perValue: new Map(), holders: 0 };
    this.#bySignature.set(term.signature, entry);
    for (const namespace of term.namespaces) {
      const peers = this.#byNamespace.get(namespace) ?? new Set<Entry>();
      peers.add(entry);
      this.#byNamespace.set(namespace, peers);
    }
    if (term.namespaceMatcher.signature !== 'nothing') this.#bySelector.add(entry);
    return entry;
  }

  #close(entry: Entry): void {
    this.#bySignature.delete(entry.term.signature);
    this.#bySelector.delete(entry);
    for (const namespace of entry.term.namespaces) {
      const peers = this.#byNamespace.get(namespace);
      peers?.delete(entry);
      if (peers?.size === 0) this.#byNamespace.delete(namespace);
    }
  }
}
