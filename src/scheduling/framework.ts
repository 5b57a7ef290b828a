/**
 * Runs the rules of a profile for one pod: first each rule once (`prepare`), then node by node.
 *
 * A node for which others are nominated is tried twice: with the nominated pods of equal or higher
 * priority on it, and without them, since they may or may not come.
 *
 * `cycle.ts` makes decisions of it, `preemption.ts` tries what removing pods would bring, and
 * `explanation.ts` says why a pod waits; all three ask the same rules.
 */
import type { Cluster } from './cluster.ts';
import type { Metered } from './metered.ts';
import type { NodeInfo } from './node-info.ts';
import {
  type BindStep,
  type Filtering,
  fits,
  type NodeFilter,
  type NodeScorer,
  type Plugin,
  type Rejection,
  type Verdict,
} from './plugin.ts';
import type { PodFacts } from './pod-facts.ts';
import type { Profile } from './profile.ts';

export interface Objection {
  /** Name of the rule that objected. */
  readonly plugin: string;
  readonly verdict: Rejection;
}

export interface ExplainedObjection extends Objection {
  /** What would satisfy the rule on this node, in a few words each. */
  readonly remedies: readonly string[];
  /** For comparing nodes: how much would have to change. */
  readonly cost: number;
}

interface ActiveFilter {
  readonly plugin: string;
  readonly filter: NodeFilter;
}

export type Preparation =
  | { readonly do: 'ask'; readonly trial: Trial }
  /** Turned away before any node was looked at. */
  | {
      readonly do: 'reject';
      readonly rejection: Rejection;
      readonly plugins: readonly string[];
      /** The rules of devices had not been asked yet. */
      readonly early: boolean;
    }
  | { readonly do: 'fail'; readonly message: string };

/** All rules that have something to say about the pod, ready to be asked. */
export function prepare(
  profile: Profile,
  pod: PodFacts,
  cluster: Cluster,
  metered?: Metered,
): Preparation {
  const active: ActiveFilter[] = [];
  const narrowedBy: string[] = [];
  let onlyNodes: ReadonlySet<string> | undefined;
  let turnedAway: Extract<Preparation, { do: 'reject' }> | undefined;
  let devicesAsked = false;
  for (const plugin of profile.filters) {
    const filtering = askOnce(plugin, { pod, cluster, metered });
    if (plugin.name === 'DynamicResources') devicesAsked = true;
    switch (filtering?.do) {
      case 'ask':
        active.push({ plugin: plugin.name, filter: filtering.filter });
        if (filtering.onlyNodes === undefined) break;
        narrowedBy.push(plugin.name);
        onlyNodes = onlyNodes?.intersection(filtering.onlyNodes) ?? filtering.onlyNodes;
        if (onlyNodes.size === 0) return nowhere(narrowedBy);
        break;
      case 'fail':
        return filtering;
      case 'reject': {
        const { rejection } = filtering;
        turnedAway = { do: 'reject', rejection, plugins: [plugin.name], early: !devicesAsked };
        if (rejection.unresolvable) return turnedAway;
        break;
      }
      default:
        break;
    }
  }
  if (turnedAway !== undefined) return turnedAway;
  return { do: 'ask', trial: new Trial({ pod, cluster, active, onlyNodes, narrowedBy, metered }) };
}

function askOnce(
  { name, filter }: Plugin,
  {
    pod,
    cluster,
    metered,
  }: {
    readonly pod: PodFacts;
    readonly cluster: Cluster;
    readonly metered: Metered | undefined;
  },
): Filtering | undefined {
  if (metered === undefined) return filter?.(pod, cluster);
  const sinceMs = metered.sampled ? metered.now() : 0;
  const filtering = filter?.(pod, cluster);
  if (filtering === undefined || filtering.do === 'skip') return filtering;
  metered.evaluated(name, 'PreFilter');
  const statuses = { ask: 'Success', reject: 'Unschedulable', fail: 'Error' } as const;
  if (metered.sampled) metered.plugin(name, 'PreFilter', statuses[filtering.do], sinceMs);
  return filtering;
}

function nowhere(narrowedBy: readonly string[]): Preparation {
  const names = narrowedBy.toSorted();
  const reason =
    names.length === 1
      ? `node(s) didn't satisfy plugin ${names[0]}`
      : `node(s) didn't satisfy plugin(s) [${names.join(' ')}] simultaneously`;
  const rejection: Rejection = { fits: false, reasons: [reason], unresolvable: true };
  return { do: 'reject', rejection, plugins: names, early: true };
}

interface TrialParts {
  readonly pod: PodFacts;
  readonly cluster: Cluster;
  readonly active: readonly ActiveFilter[];
  readonly onlyNodes: ReadonlySet<string> | undefined;
  readonly narrowedBy: readonly string[];
  readonly metered: Metered | undefined;
}

/** The rules, ready for one pod. */
export class Trial {
  readonly pod: PodFacts;
  /** The only nodes worth asking; undefined: all. */
  readonly onlyNodes: ReadonlySet<string> | undefined;
  readonly narrowedBy: readonly string[];
  readonly #cluster: Cluster;
  readonly #active: readonly ActiveFilter[];
  /** Those that count pods and must hear of each that comes or goes. */
  readonly #counting: readonly NodeFilter[];
  readonly #metered: Metered | undefined;
  /** How often each of the rules was asked. */
  readonly #asked: Uint32Array;

  constructor({ pod, cluster, active, onlyNodes, narrowedBy, metered }: TrialParts) {
    this.pod = pod;
    this.onlyNodes = onlyNodes;
    this.narrowedBy = narrowedBy;
    this.#cluster = cluster;
    this.#active = active;
    this.#metered = metered;
    this.#asked = new Uint32Array(active.length);
    this.#counting = active
      .map(({ filter }) => filter)
      .filter(({ podCounted }) => podCounted !== undefined);
  }

  /** Nodes worth asking. */
  get candidates(): readonly NodeInfo[] {
    const { nodes } = this.#cluster;
    const only = this.onlyNodes;
    return only === undefined ? nodes : nodes.filter(({ name }) => only.has(name));
  }

  /** The first rule that objects to the pod on this node, or undefined. */
  objection(node: NodeInfo): Objection | undefined {
    const { nominations } = this.#cluster;
    if (nominations.size === 0) return this.#first(node);
    const expected = nominations.before(this.pod, node);
    if (expected.length === 0) return this.#first(node);
    // For one synchronous moment only, so nobody sees them there: copying each such node is dear.
    for (const pod of expected) this.add(pod, node);
    let objection: Objection | undefined;
    try {
      objection = this.#first(node);
    } finally {
      for (const pod of expected) this.remove(pod, node);
    }
    return objection ?? this.#first(node);
  }

  /** False where no rule needs to be asked: the pod would not fit if these were gone. */
  mayFitWithout(gone: readonly PodFacts[], node: NodeInfo): boolean {
    const expected = this.#cluster.nominations.before(this.pod, node);
    return this.#active.every(({ filter }) => filter.mayFit?.(node, { gone, expected }) !== false);
  }

  /** Every rule that objects, for saying why. */
  objections(node: NodeInfo): readonly ExplainedObjection[] {
    return this.#active.flatMap(({ plugin, filter }) => {
      const verdict = filter.check(node);
      if (verdict.fits) return [];
      const remedies = filter.remedies?.(node) ?? [];
      const cost = filter.distance?.(node) ?? Math.max(remedies.length, 1);
      return [{ plugin, verdict, remedies, cost }];
    });
  }

  /** What has to be written before the pod may run on the node. */
  steps(node: NodeInfo): readonly BindStep[] {
    return this.#active.flatMap(({ filter }) => filter.steps?.(node) ?? []);
  }

  /** As though the pod were on the node, which must be a copy or be put right at once. */
  add(pod: PodFacts, node: NodeInfo): void {
    node.addPod(pod);
    for (const filter of this.#counting) filter.podCounted?.(pod, node, 1);
  }

  remove(pod: PodFacts, node: NodeInfo): void {
    node.removePod(pod.uid);
    for (const filter of this.#counting) filter.podCounted?.(pod, node, -1);
  }

  /** Tells how often rules have been asked since the last time. */
  tellAsked(): void {
    this.#active.forEach(({ plugin }, index) => {
      this.#metered?.evaluated(plugin, 'Filter', this.#asked[index]);
    });
    this.#asked.fill(0);
  }

  #first(node: NodeInfo): Objection | undefined {
    if (this.#metered?.nextNode()) return this.#firstTimed(node, this.#metered);
    for (let index = 0; index < this.#active.length; index++) {
      const rule = this.#active[index];
      if (rule === undefined) continue;
      this.#asked[index] = (this.#asked[index] ?? 0) + 1;
      const verdict: Verdict = rule.filter.check(node);
      if (verdict !== fits && !verdict.fits) return { plugin: rule.plugin, verdict };
    }
    return undefined;
  }

  #firstTimed(node: NodeInfo, metered: Metered): Objection | undefined {
    for (const [index, { plugin, filter }] of this.#active.entries()) {
      this.#asked[index] = (this.#asked[index] ?? 0) + 1;
      const sinceMs = metered.now();
      const verdict = filter.check(node);
      metered.plugin(plugin, 'Filter', verdict.fits ? 'Success' : 'Unschedulable', sinceMs);
      if (!verdict.fits) return { plugin, verdict };
    }
    return undefined;
  }
}

interface Scored {
  readonly pod: PodFacts;
  readonly cluster: Cluster;
  readonly metered?: Metered | undefined;
}

/** Weighted sum of all scores for each node, in the order given. */
export function scoreNodes(
  profile: Profile,
  { pod, cluster, metered }: Scored,
  nodes: readonly NodeInfo[],
): Float64Array {
  const totals = new Float64Array(nodes.length);
  const scores = new Float64Array(nodes.length);
  const startedMs = metered?.now() ?? 0;
  const ready = profile.scorers.flatMap(({ plugin, weight }) => {
    const sinceMs = metered?.sampled ? metered.now() : 0;
    const scorer = plugin.score?.(pod, cluster, nodes);
    if (scorer === undefined) return [];
    if (metered?.sampled) metered.plugin(plugin.name, 'PreScore', 'Success', sinceMs);
    metered?.evaluated(plugin.name, 'PreScore');
    return [{ name: plugin.name, scorer, weight }];
  });
  metered?.point('PreScore', 'Success', startedMs);
  const scoringMs = metered?.now() ?? 0;
  for (const { name, scorer, weight } of ready) {
    const sinceMs = metered?.sampled ? metered.now() : 0;
    for (let index = 0; index < nodes.length; index++) {
      const node = nodes[index];
      if (node !== undefined) scores[index] = scorer.score(node);
    }
    if (metered?.sampled) metered.plugin(name, 'Score', 'Success', sinceMs);
    metered?.evaluated(name, 'Score', nodes.length);
    normalize(scorer, { name, scores, nodes, metered });
    for (let index = 0; index < totals.length; index++) {
      totals[index] = (totals[index] ?? 0) + weight * (scores[index] ?? 0);
    }
  }
  metered?.point('Score', 'Success', scoringMs);
  return totals;
}

function normalize(
  scorer: NodeScorer,
  {
    name,
    scores,
    nodes,
    metered,
  }: {
    readonly name: string;
    readonly scores: Float64Array;
    readonly nodes: readonly NodeInfo[];
    readonly metered: Metered | undefined;
  },
): void {
  if (scorer.normalize === undefined) return;
  const sinceMs = metered?.sampled ? metered.now() : 0;
  scorer.normalize(scores, nodes);
  if (metered?.sampled) metered.plugin(name, 'ScoreExtensionNormalize', 'Success', sinceMs);
}
