/**
 * Pods that must, or would like to, run near other pods or apart from them.
 *
 * Required affinity: some pod that all terms select runs in the node's topology, for each term's
 * key; the first pod of a series that wants its own kind near is let through. Required
 * anti-affinity works in both directions: the newcomer's terms against the pods there, and theirs
 * against the newcomer. Preferences of both sides add their weights.
 *
 * All counts come ready from the cluster (`selections.ts`, `term-holders.ts`); only what a trial
 * adds or takes away on one node is added on top.
 *
 * Behaviour: kubernetes.io, "Assigning Pods to Nodes".
 */
import type { Labels } from '#api/selectors.ts';
import { type AffinityTerm, termMatches } from '../affinity-terms.ts';
import type { Cluster } from '../cluster.ts';
import type { NodeInfo } from '../node-info.ts';
import {
  type ClusterChange,
  fits,
  type NodeFilter,
  type NodeScorer,
  type Plugin,
  rejected,
  skip,
  type Verdict,
} from '../plugin.ts';
import type { PodFacts } from '../pod-facts.ts';
import type { Question, Selection } from '../selections.ts';
import { TopologyCounts } from '../topology-counts.ts';

export interface InterPodAffinityArgs {
  readonly hardPodAffinityWeight: number;
  readonly ignorePreferredTermsOfExistingPods: boolean;
}

const interPodAffinityDefaults: InterPodAffinityArgs = {
  hardPodAffinityWeight: 1,
  ignorePreferredTermsOfExistingPods: false,
};

const missing = rejected("node(s) didn't match pod affinity rules", { unresolvable: true });
const apart = rejected("node(s) didn't match pod anti-affinity rules", { unresolvable: false });
const repelled = rejected("node(s) didn't satisfy existing pods anti-affinity rules", {
  unresolvable: false,
});

export function interPodAffinity(args: InterPodAffinityArgs = interPodAffinityDefaults): Plugin {
  return {
    name: 'InterPodAffinity',
    filter: (pod, cluster) => {
      const { required, requiredAnti } = pod.terms;
      const filter = new AffinityFilter(pod, cluster);
      const idle = required.length + requiredAnti.length === 0 && !filter.isRepelled;
      return idle ? skip : { do: 'ask', filter };
    },
    score: (pod, cluster) => scorer(pod, cluster, args),
    helps,
  };
}

/** Counts of one key, with what a trial has changed. */
interface Counted {
  readonly key: string;
  readonly counts: Pick<TopologyCounts, 'get' | 'size'>;
  /** Topology value → difference. */
  readonly trial: Map<string, number>;
}

class AffinityFilter implements NodeFilter {
  readonly #pod: PodFacts;
  readonly #namespaceLabels: Labels;
  readonly #near: readonly Counted[];
  readonly #apart: readonly (Counted & { readonly question: Question })[];
  /** What pods that run already have against this one, a counter for each topology key. */
  readonly #repelling = new Map<string, Counted>();
  readonly #nearQuestion: Question | undefined;

  constructor(pod: PodFacts, cluster: Cluster) {
    const { required, requiredAnti } = pod.terms;
    this.#pod = pod;
    this.#namespaceLabels = cluster.namespaceLabels(pod.namespace);
    this.#nearQuestion = required.length === 0 ? undefined : questionOf(required, cluster);
    const near = this.#nearQuestion && cluster.selections.get(this.#nearQuestion);
    this.#near = required.map(({ topologyKey }) => counted(topologyKey, near));
    this.#apart = requiredAnti.map((term) => {
      const question = questionOf([term], cluster);
      return { ...counted(term.topologyKey, cluster.selections.get(question)), question };
    });
    this.#repelling = repellingCounts(cluster.repelling.matching(pod, this.#namespaceLabels));
  }

  get isRepelled(): boolean {
    return this.#repelling.size > 0;
  }

  check({ labels }: NodeInfo): Verdict {
    if (this.#near.length > 0 && !this.#isNear(labels)) return missing;
    for (const one of this.#apart) if (total(one, labels[one.key]) > 0) return apart;
    for (const one of this.#repelling.values()) {
      if (total(one, labels[one.key]) > 0) return repelled;
    }
    return fits;
  }

  remedies(node: NodeInfo): readonly string[] {
    const verdict = this.check(node);
    if (verdict === missing) {
      const lacking = this.#near.filter((one) => total(one, node.labels[one.key]) <= 0);
      return lacking.map(({ key }) => {
        const value = node.labels[key];
        if (value === undefined) return `give the node the label ${key}`;
        return `run a pod that its pod affinity asks for where ${key} is ${value}`;
      });
    }
    const against = verdict === apart ? this.#apart : [...this.#repelling.values()];
    return against
      .filter((one) => total(one, node.labels[one.key]) > 0)
      .map(({ key }) => {
        const where = `${key} is ${node.labels[key]}`;
        return verdict === apart
          ? `move away the pods that its anti-affinity names where ${where}`
          : `move away the pods whose anti-affinity names it where ${where}`;
      });
  }

  #isNear(labels: Readonly<Record<string, string>>): boolean {
    let found = true;
    for (const one of this.#near) {
      const value = labels[one.key];
      if (value === undefined) return false;
      if (total(one, value) <= 0) found = false;
    }
    return found || this.#isFirstOfItsKind();
  }

  /** Nobody matches the terms anywhere, and the pod itself would. */
  #isFirstOfItsKind(): boolean {
    const somewhere = this.#near.some(
      (one) => one.counts.size > 0 || [...one.trial.values()].some((count) => count > 0),
    );
    return !somewhere && (this.#nearQuestion?.matches(this.#pod) ?? false);
  }

  podCounted(pod: PodFacts, { labels }: NodeInfo, times: 1 | -1): void {
    const change = (one: Counted): void => {
      const value = labels[one.key];
      if (value !== undefined) one.trial.set(value, (one.trial.get(value) ?? 0) + times);
    };
    if (this.#nearQuestion?.matches(pod)) for (const one of this.#near) change(one);
    for (const one of this.#apart) if (one.question.matches(pod)) change(one);
    for (const term of pod.terms.requiredAnti) {
      if (!termMatches(term, this.#pod, this.#namespaceLabels)) continue;
      const known = this.#repelling.get(term.topologyKey) ?? counted(term.topologyKey, undefined);
      this.#repelling.set(term.topologyKey, known);
      change(known);
    }
  }
}

const noCounts = new TopologyCounts();

function counted(key: string, selection: Selection | undefined): Counted {
  return { key, counts: selection?.by(key) ?? noCounts, trial: new Map() };
}

function total({ counts, trial }: Counted, value: string | undefined): number {
  if (value === undefined) return 0;
  return counts.get(value) + (trial.size === 0 ? 0 : (trial.get(value) ?? 0));
}

/** Terms of one topology key taken together. */
function repellingCounts(
  held: readonly { readonly term: AffinityTerm; readonly perValue: ReadonlyMap<string, number> }[],
): Map<string, Counted> {
  const counts = new Map<string, Counted>();
  for (const [key, terms] of Map.groupBy(held, ({ term }) => term.topologyKey)) {
    const [first, ...others] = terms;
    let sum: ReadonlyMap<string, number> = first?.perValue ?? new Map();
    if (others.length > 0) {
      const merged = new Map(sum);
      for (const { perValue } of others) {
        for (const [value, count] of perValue) merged.set(value, (merged.get(value) ?? 0) + count);
      }
      sum = merged;
    }
    const get = (value: string | undefined): number =>
      value === undefined ? 0 : (sum.get(value) ?? 0);
    counts.set(key, { key, counts: { get, size: sum.size }, trial: new Map() });
  }
  return counts;
}

/** Which pods all of these terms of an incoming pod select. */
function questionOf(terms: readonly AffinityTerm[], cluster: Cluster): Question {
  const resolved = terms.map(({ matcher, ...term }) => ({
    matcher,
    namespaces: namespacesOf(term, cluster),
  }));
  const signature = resolved
    .map(({ matcher, namespaces }) => {
      const where = namespaces === undefined ? '*' : [...namespaces].sort().join();
      return `${where}|${matcher.signature}`;
    })
    .join('&');
  const [first] = resolved;
  return {
    signature: `affinity|${signature}`,
    namespaces: first?.namespaces,
    matches: (pod) => {
      for (const { matcher, namespaces } of resolved) {
        if (namespaces !== undefined && !namespaces.has(pod.namespace)) return false;
        if (!matcher.matches(pod.labels)) return false;
      }
      return true;
    },
  };
}

function namespacesOf(
  { namespaces, namespaceMatcher }: Pick<AffinityTerm, 'namespaces' | 'namespaceMatcher'>,
  cluster: Cluster,
): ReadonlySet<string> | undefined {
  if (namespaceMatcher.signature === 'nothing') return namespaces;
  if (namespaceMatcher.empty) return undefined;
  const selected = new Set(namespaces);
  for (const { metadata } of cluster.facts.namespaces.list()) {
    if (namespaceMatcher.matches(metadata.labels)) selected.add(metadata.name ?? '');
  }
  return selected;
}

interface Share {
  readonly key: string;
  readonly of: (value: string) => number;
  readonly times: number;
}

function scorer(
  pod: PodFacts,
  cluster: Cluster,
  args: InterPodAffinityArgs,
): NodeScorer | undefined {
  const { terms } = pod;
  if (args.ignorePreferredTermsOfExistingPods && !terms.prefers) return undefined;
  const shares: Share[] = [];
  for (const term of terms.preferred) {
    const counts = cluster.selections.get(questionOf([term], cluster)).by(term.topologyKey);
    if (counts.size === 0) continue;
    const of = (value: string): number => counts.get(value);
    shares.push({ key: term.topologyKey, of, times: term.weight });
  }
  const namespaceLabels = cluster.namespaceLabels(pod.namespace);
  const asked = (holders: Cluster['needing'], times: number): void => {
    for (const { term, perValue } of holders.matching(pod, namespaceLabels)) {
      const of = (value: string): number => perValue.get(value) ?? 0;
      shares.push({ key: term.topologyKey, of, times });
    }
  };
  if (args.hardPodAffinityWeight > 0) asked(cluster.needing, args.hardPodAffinityWeight);
  asked(cluster.preferring, 1);
  if (shares.length === 0) return undefined;
  return {
    score: ({ labels }) => {
      let sum = 0;
      for (const { key, of, times } of shares) {
        const value = labels[key];
        if (value !== undefined) sum += times * of(value);
      }
      return sum;
    },
    normalize: stretch,
  };
}

/** The lowest becomes 0, the highest 100. */
function stretch(scores: Float64Array): void {
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (const score of scores) {
    if (score < least) least = score;
    if (score > most) most = score;
  }
  const range = most - least;
  for (let index = 0; index < scores.length; index++) {
    const score = scores[index] ?? 0;
    scores[index] = range > 0 ? Math.trunc((100 * (score - least)) / range) : 0;
  }
}

function helps(change: ClusterChange, pod: PodFacts, cluster: Cluster): boolean {
  const { required, requiredAnti } = pod.terms;
  const selectsAll = (terms: readonly AffinityTerm[], other: PodFacts): boolean =>
    terms.length > 0 && questionOf(terms, cluster).matches(other);
  switch (change.what) {
    case 'podChanged':
      return true;
    case 'podPlaced':
      return selectsAll(required, change.pod);
    case 'placedPodChanged':
      return (
        (!selectsAll(required, change.old) && selectsAll(required, change.pod)) ||
        (selectsAll(requiredAnti, change.old) && !selectsAll(requiredAnti, change.pod))
      );
    case 'podGone':
      return selectsAll(requiredAnti, change.pod) || selectsAll(change.pod.terms.requiredAnti, pod);
    case 'nodeAdded':
      return (
        requiredAnti.length > 0 ||
        required.some(({ topologyKey }) => change.node.metadata.labels?.[topologyKey] !== undefined)
      );
    case 'nodeChanged':
      return [...required, ...requiredAnti].some(
        ({ topologyKey }) =>
          change.node.metadata.labels?.[topologyKey] !== change.old.metadata.labels?.[topologyKey],
      );
    default:
      return false;
  }
}
