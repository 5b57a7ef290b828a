/**
 * Keeps matching pods spread evenly over the values of a topology key.
 *
 * Hard constraints: with the pod, a value may hold at most `maxSkew` matching pods more than the
 * value that holds the fewest (taken as 0 while there are fewer values than `minDomains`). Soft
 * constraints and the profile's defaults only score: fewer matching pods are better, and keys with
 * many values weigh more. Example: zones a 2, b 1, maxSkew 1: one more goes to b, since a would
 * have 3 − 1 = 2 too many.
 *
 * Counts come ready from the cluster where every node with the keys counts; where the pod's own
 * choice of nodes matters they are summed over the nodes that count.
 *
 * Behaviour: kubernetes.io, "Pod Topology Spread Constraints".
 */
import type { TopologySpreadConstraint } from '#resources/types/core-v1.ts';
import type { Cluster } from '../cluster.ts';
import { defaultSelector } from '../default-selector.ts';
import type { NodeInfo } from '../node-info.ts';
import { matchesChoice } from '../node-selector.ts';
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
import {
  defaultConstraints,
  noConstraints,
  type SpreadConstraint,
  type SpreadConstraints,
} from '../spread-constraints.ts';
import { toleratesAll } from '../tolerations.ts';
import { TopologyCounts } from '../topology-counts.ts';

export interface TopologySpreadArgs {
  readonly defaultConstraints: readonly TopologySpreadConstraint[];
  /** The constraints above are those of the system, not of the operator. */
  readonly systemDefaults: boolean;
}

const hostname = 'kubernetes.io/hostname';

const systemSpreadConstraints: readonly TopologySpreadConstraint[] = [
  { topologyKey: hostname, whenUnsatisfiable: 'ScheduleAnyway', maxSkew: 3 },
  { topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'ScheduleAnyway', maxSkew: 5 },
];

const topologySpreadDefaults: TopologySpreadArgs = {
  defaultConstraints: systemSpreadConstraints,
  systemDefaults: true,
};

const uneven = rejected("node(s) didn't match pod topology spread constraints", {
  unresolvable: false,
});
const unlabelled = rejected(
  "node(s) didn't match pod topology spread constraints (missing required label)",
  { unresolvable: true },
);

export function topologySpread(args: TopologySpreadArgs = topologySpreadDefaults): Plugin {
  const constraintsOf = (pod: PodFacts, cluster: Cluster): SpreadConstraints => {
    if (pod.spread !== undefined) return pod.spread;
    if (args.defaultConstraints.length === 0) return noConstraints;
    const selector = defaultSelector(pod, cluster.facts);
    if (selector === undefined) return noConstraints;
    return defaultConstraints(args.defaultConstraints, selector);
  };
  return {
    name: 'PodTopologySpread',
    filter: (pod, cluster) => {
      const { hard } = constraintsOf(pod, cluster);
      return hard.length === 0 ? skip : { do: 'ask', filter: new SpreadFilter(pod, cluster, hard) };
    },
    score: (pod, cluster, candidates) => {
      const { soft } = constraintsOf(pod, cluster);
      if (soft.length === 0) return undefined;
      const needsAllKeys = pod.spread !== undefined || !args.systemDefaults;
      return scorer({ pod, cluster, candidates, constraints: soft, needsAllKeys });
    },
    helps: (change, pod, cluster) => helps(change, pod, constraintsOf(pod, cluster).hard),
  };
}

interface Spread {
  readonly constraint: SpreadConstraint;
  readonly counts: TopologyCounts;
  /** Values that count, those without a pod included. */
  readonly valueCount: number;
  readonly selfMatch: 0 | 1;
  readonly question: Question;
}

class SpreadFilter implements NodeFilter {
  readonly #spreads: readonly Spread[];
  readonly #pod: PodFacts;
  readonly #constraints: readonly SpreadConstraint[];
  /** Of a trial: what changed on its one node, for each constraint. */
  #trial: readonly Map<string, number>[] | undefined;

  constructor(pod: PodFacts, cluster: Cluster, constraints: readonly SpreadConstraint[]) {
    this.#pod = pod;
    this.#constraints = constraints;
    this.#spreads = constraints.map((constraint) => {
      const question = questionOf(pod, constraint);
      const selection = cluster.selections.get(question);
      const selfMatch = constraint.matcher.matches(pod.labels) ? 1 : 0;
      const among = { pod, cluster, constraints, constraint };
      return { constraint, question, selfMatch, ...countsAmong(among, selection) };
    });
  }

  check(node: NodeInfo): Verdict {
    for (let index = 0; index < this.#spreads.length; index++) {
      const spread = this.#spreads[index];
      if (spread === undefined) continue;
      const value = node.labels[spread.constraint.topologyKey];
      if (value === undefined) return unlabelled;
      if (this.#skew(spread, index, value) > spread.constraint.maxSkew) return uneven;
    }
    return fits;
  }

  remedies(node: NodeInfo): readonly string[] {
    return this.#spreads.flatMap((spread, index) => {
      const { topologyKey, maxSkew } = spread.constraint;
      const value = node.labels[topologyKey];
      if (value === undefined) return [`give the node the label ${topologyKey}`];
      const skew = this.#skew(spread, index, value);
      return skew > maxSkew ? [`raise maxSkew of ${topologyKey} from ${maxSkew} to ${skew}`] : [];
    });
  }

  #skew({ counts, valueCount, constraint, selfMatch }: Spread, index: number, value: string) {
    const trial = this.#trial?.[index];
    if (trial === undefined || trial.size === 0) {
      const least = valueCount < constraint.minDomains ? 0 : counts.minimum(valueCount);
      return counts.get(value) + selfMatch - least;
    }
    // The trial is put on the counts for the moment of one question.
    for (const [changed, times] of trial) counts.add(changed, times);
    const least = valueCount < constraint.minDomains ? 0 : counts.minimum(valueCount);
    const skew = counts.get(value) + selfMatch - least;
    for (const [changed, times] of trial) counts.add(changed, -times);
    return skew;
  }

  podCounted(pod: PodFacts, node: NodeInfo, times: 1 | -1): void {
    if (pod.namespace !== this.#pod.namespace) return;
    if (!hasKeys(node, this.#constraints)) return;
    this.#trial ??= this.#spreads.map(() => new Map());
    for (let index = 0; index < this.#spreads.length; index++) {
      const spread = this.#spreads[index];
      if (spread === undefined || !spread.question.matches(pod)) continue;
      if (!counts(spread.constraint, this.#pod, node)) continue;
      const value = node.labels[spread.constraint.topologyKey] ?? '';
      const trial = this.#trial[index];
      const now = (trial?.get(value) ?? 0) + times;
      if (now === 0) trial?.delete(value);
      else trial?.set(value, now);
    }
  }
}

/** Pods of the namespace that the constraint selects; terminating ones are on their way out. */
function questionOf({ namespace }: PodFacts, { matcher }: SpreadConstraint): Question {
  return {
    signature: `spread|${namespace}|${matcher.signature}`,
    namespaces: new Set([namespace]),
    // An empty selector counts nobody.
    matches: (pod) =>
      !matcher.empty &&
      !pod.terminating &&
      pod.namespace === namespace &&
      matcher.matches(pod.labels),
  };
}

interface Among {
  readonly pod: PodFacts;
  readonly cluster: Cluster;
  /** All constraints of the pod: a node that lacks a key of one counts for none. */
  readonly constraints: readonly SpreadConstraint[];
  readonly constraint: SpreadConstraint;
}

function countsAmong(
  { pod, cluster, constraints, constraint }: Among,
  selection: Selection,
): { readonly counts: TopologyCounts; readonly valueCount: number } {
  const { topologyKey: key } = constraint;
  const { topologies, nodes } = cluster;
  const choosy = (constraint.honorsAffinity && pod.choosesNodes) || constraint.honorsTaints;
  // One key, or keys that every node has: the sums over all nodes are kept already.
  const everywhere = ({ topologyKey }: SpreadConstraint): boolean =>
    topologies.nodeCount(topologyKey) === nodes.length;
  if (!choosy && (constraints.length === 1 || constraints.every(everywhere))) {
    return { counts: selection.by(key), valueCount: topologies.valueCount(key) };
  }
  const sums = new TopologyCounts();
  const values = new Set<string>();
  for (const node of nodes) {
    if (!hasKeys(node, constraints) || !counts(constraint, pod, node)) continue;
    const value = node.labels[key] ?? '';
    values.add(value);
    sums.add(value, selection.on(node));
  }
  return { counts: sums, valueCount: values.size };
}

function hasKeys({ labels }: NodeInfo, constraints: readonly SpreadConstraint[]): boolean {
  for (const { topologyKey } of constraints) if (labels[topologyKey] === undefined) return false;
  return true;
}

/** Whether the node counts for the constraint, by its policies. */
function counts(constraint: SpreadConstraint, pod: PodFacts, node: NodeInfo): boolean {
  if (constraint.honorsAffinity && pod.choosesNodes && !matchesChoice(pod.pod, node)) return false;
  return !constraint.honorsTaints || toleratesAll(pod.tolerations, node.hardTaints);
}

interface Scoring {
  readonly pod: PodFacts;
  readonly cluster: Cluster;
  readonly candidates: readonly NodeInfo[];
  readonly constraints: readonly SpreadConstraint[];
  readonly needsAllKeys: boolean;
}

function scorer(scoring: Scoring): NodeScorer {
  const { pod, cluster, candidates, constraints, needsAllKeys } = scoring;
  const ignored = needsAllKeys
    ? new Set(candidates.filter((node) => !hasKeys(node, constraints)))
    : new Set<NodeInfo>();
  const parts = constraints.map((constraint) => {
    const { topologyKey: key, maxSkew } = constraint;
    const selection = cluster.selections.get(questionOf(pod, constraint));
    if (key === hostname) {
      const weight = Math.log(candidates.length - ignored.size + 2);
      return { key, maxSkew, weight, of: (node: NodeInfo) => selection.on(node) };
    }
    const values = new Set<string>();
    for (const node of candidates) {
      if (!ignored.has(node)) values.add(node.labels[key] ?? '');
    }
    const among = { pod, cluster, constraints: needsAllKeys ? constraints : [], constraint };
    const { counts: sums } = countsAmong(among, selection);
    const weight = Math.log(values.size + 2);
    return { key, maxSkew, weight, of: (node: NodeInfo) => sums.get(node.labels[key]) };
  });
  return {
    score: (node) => {
      if (ignored.has(node)) return 0;
      let score = 0;
      for (const { key, maxSkew, weight, of } of parts) {
        if (node.labels[key] !== undefined) score += of(node) * weight + (maxSkew - 1);
      }
      return Math.round(score);
    },
    normalize: (scores, nodes) => normalize(scores, nodes, ignored),
  };
}

function normalize(
  scores: Float64Array,
  nodes: readonly NodeInfo[],
  ignored: ReadonlySet<NodeInfo>,
): void {
  const isIgnored = (index: number): boolean => {
    const node = nodes[index];
    return ignored.size > 0 && node !== undefined && ignored.has(node);
  };
  let least = Number.POSITIVE_INFINITY;
  let most = 0;
  for (let index = 0; index < scores.length; index++) {
    if (isIgnored(index)) continue;
    const score = scores[index] ?? 0;
    if (score < least) least = score;
    if (score > most) most = score;
  }
  for (let index = 0; index < scores.length; index++) {
    const score = scores[index] ?? 0;
    if (isIgnored(index)) scores[index] = 0;
    else scores[index] = most === 0 ? 100 : Math.trunc((100 * (most + least - score)) / most);
  }
}

function helps(
  change: ClusterChange,
  pod: PodFacts,
  constraints: readonly SpreadConstraint[],
): boolean {
  const selects = (other: PodFacts): boolean =>
    other.namespace === pod.namespace &&
    constraints.some(({ matcher }) => matcher.matches(other.labels));
  const has = (labels: Readonly<Record<string, string>> = {}): boolean =>
    constraints.every(({ topologyKey }) => labels[topologyKey] !== undefined);
  switch (change.what) {
    case 'podChanged':
      return true;
    case 'podPlaced':
    case 'podGone':
      return selects(change.pod);
    case 'placedPodChanged':
      return selects(change.pod) !== selects(change.old);
    case 'nodeAdded':
    case 'nodeGone':
      return has(change.node.metadata.labels);
    case 'nodeChanged': {
      const [now, before] = [change.node.metadata.labels ?? {}, change.old.metadata.labels ?? {}];
      if (has(now) !== has(before)) return true;
      if (!has(now)) return false;
      return (
        constraints.some(({ topologyKey }) => now[topologyKey] !== before[topologyKey]) ||
        JSON.stringify(change.node.spec?.taints) !== JSON.stringify(change.old.spec?.taints)
      );
    }
    default:
      return false;
  }
}
