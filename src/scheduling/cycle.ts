/**
 * One decision: filter → score → choose. Synchronous and without side effects but for the place
 * where the next decision starts looking, so that all nodes get their turn.
 *
 * In a large cluster not every node is asked: looking stops when enough nodes passed. Enough is all
 * up to 100 nodes, then a share that falls from 50 % by one point per 125 nodes to 5 % at least.
 * Example: 5,000 nodes: 50 − 40 = 10 %, that is 500 nodes.
 *
 * The scheduler calls it for each pod and then reserves and binds.
 */
import type { Random } from '#kit/random.ts';
import type { Cluster } from './cluster.ts';
import type { FitFailure } from './fit-failure.ts';
import { type Objection, prepare, scoreNodes, type Trial } from './framework.ts';
import { type CycleMeter, Metered, sampleEvery } from './metered.ts';
import type { NodeInfo } from './node-info.ts';
import type { BindStep } from './plugin.ts';
import type { PodFacts } from './pod-facts.ts';
import type { Profile } from './profile.ts';

export type Decision =
  | { readonly do: 'place'; readonly node: NodeInfo; readonly steps: readonly BindStep[] }
  | {
      readonly do: 'reject';
      readonly failure: FitFailure;
      /** Undefined where the pod was turned away before any node was asked. */
      readonly trial: Trial | undefined;
    }
  /** Facts contradict each other; tried again later. */
  | { readonly do: 'fail'; readonly message: string };

export interface Feasible {
  readonly nodes: readonly NodeInfo[];
  readonly objections: Map<string, Objection>;
  /** A rule could not judge: nothing is decided. */
  readonly fault?: string | undefined;
}

export class SchedulingCycle {
  readonly #cluster: Cluster;
  readonly #random: Random;
  readonly #meter: CycleMeter | undefined;
  #metered: Metered | undefined;
  #decisions = 0;
  #start = 0;

  constructor(deps: {
    readonly cluster: Cluster;
    readonly random: Random;
    readonly meter?: CycleMeter | undefined;
  }) {
    this.#cluster = deps.cluster;
    this.#random = deps.random;
    this.#meter = deps.meter;
  }

  decide(pod: PodFacts, profile: Profile): Decision {
    const prepared = this.prepare(pod, profile);
    if (prepared.do !== 'ask') return prepared;
    const { trial } = prepared;
    const { nodes, objections, fault } = this.feasible(trial, profile, { explained: false });
    if (fault !== undefined) return { do: 'fail', message: fault };
    if (nodes.length === 0) return this.rejected(trial, objections);
    const node = this.choose(trial, profile, nodes);
    return { do: 'place', node, steps: trial.steps(node) };
  }

  /** The rules ready to be asked, or the decision that they come to without any node. */
  prepare(
    pod: PodFacts,
    profile: Profile,
  ): { readonly do: 'ask'; readonly trial: Trial } | Exclude<Decision, { do: 'place' }> {
    const nodeCount = this.#cluster.nodes.length;
    const objections = new Map<string, Objection>();
    const nothing = { nodeCount, objections, narrowedBy: [] };
    if (nodeCount === 0) return { do: 'reject', failure: nothing, trial: undefined };
    const sampled = this.#decisions++ % sampleEvery === 0;
    const { schedulerName } = profile;
    const metered =
      this.#meter === undefined ? undefined : new Metered(this.#meter, schedulerName, { sampled });
    this.#metered = metered;
    const sinceMs = metered?.now() ?? 0;
    const prepared = prepare(profile, pod, this.#cluster, metered);
    const statuses = { ask: 'Success', reject: 'Unschedulable', fail: 'Error' } as const;
    metered?.point('PreFilter', statuses[prepared.do], sinceMs);
    if (prepared.do !== 'reject') return prepared;
    return { do: 'reject', failure: { ...nothing, whole: prepared }, trial: undefined };
  }

  rejected(trial: Trial, objections: Map<string, Objection>): Decision {
    const nodeCount = this.#cluster.nodes.length;
    const { narrowedBy } = trial;
    return { do: 'reject', failure: { nodeCount, objections, narrowedBy }, trial };
  }

  /**
   * Enough nodes that pass; where the pod is nominated to a node that passes, that one alone. Where
   * one passes, why others do not is only told if it is to be `explained`.
   */
  feasible(trial: Trial, profile: Profile, options: { readonly explained: boolean }): Feasible {
    const sinceMs = this.#metered?.now() ?? 0;
    const found = this.#feasible(trial, profile, options);
    trial.tellAsked();
    const status = found.fault === undefined ? 'Success' : 'Error';
    this.#metered?.point('Filter', status, sinceMs);
    return found;
  }

  #feasible(
    trial: Trial,
    profile: Profile,
    { explained }: { readonly explained: boolean },
  ): Feasible {
    const objections = new Map<string, Objection>();
    // What was written about the pod may not have come back yet.
    const { uid, pod } = trial.pod;
    const nominated = pod.status?.nominatedNodeName ?? this.#cluster.nominations.nodeOf(uid);
    const node = nominated ? this.#cluster.get(nominated) : undefined;
    if (node?.node !== undefined && trial.objection(node) === undefined) {
      return { nodes: [node], objections };
    }
    const { candidates } = trial;
    const enough = enoughNodes(candidates.length, profile.percentageOfNodesToScore);
    const nodes: NodeInfo[] = [];
    let asked = 0;
    while (asked < candidates.length && nodes.length < enough) {
      const candidate = candidates[(this.#start + asked) % candidates.length];
      asked += 1;
      if (candidate === undefined) continue;
      const objection = trial.objection(candidate);
      if (objection?.verdict.fault) {
        const [reason] = objection.verdict.reasons;
        const fault = `running "${objection.plugin}" filter plugin: ${reason}`;
        return { nodes: [], objections, fault };
      }
      if (objection === undefined) nodes.push(candidate);
      else if (explained || nodes.length === 0) objections.set(candidate.name, objection);
    }
    if (trial.onlyNodes === undefined && asked > 0) {
      this.#start = (this.#start + asked) % candidates.length;
    }
    return { nodes, objections };
  }

  /** One of the best, by chance; `extra` are points by node name. */
  choose(
    trial: Trial,
    profile: Profile,
    nodes: readonly NodeInfo[],
    extra?: ReadonlyMap<string, number>,
  ): NodeInfo {
    const [first] = nodes;
    if (first === undefined) throw new Error('there is at least one node to choose from');
    if (nodes.length === 1) return first;
    const scored = { pod: trial.pod, cluster: this.#cluster, metered: this.#metered };
    const scores = scoreNodes(profile, scored, nodes);
    let most = Number.NEGATIVE_INFINITY;
    let best: NodeInfo[] = [];
    for (let index = 0; index < nodes.length; index++) {
      const node = nodes[index];
      if (node === undefined) continue;
      const score = (scores[index] ?? 0) + (extra?.get(node.name) ?? 0);
      if (score > most) {
        most = score;
        best = [node];
      } else if (score === most) {
        best.push(node);
      }
    }
    return best[best.length === 1 ? 0 : this.#random.integer(best.length)] ?? first;
  }
}

/** `percentage` 0: by the number of nodes. */
export function enoughNodes(nodeCount: number, percentage = 0): number {
  const least = 100;
  if (nodeCount < least) return nodeCount;
  const percent = percentage === 0 ? Math.max(50 - Math.floor(nodeCount / 125), 5) : percentage;
  return Math.max(Math.floor((nodeCount * percent) / 100), least);
}
