/**
 * One decision: filter → score → choose. Synchronous and without side effects but for the place
 * where the next decision starts looking, so that all nodes get their turn.
 *
 * In a large cluster not every node is asked: looking stops when enough nodes passed. Enough is all
 * up to 100 nodes, then a share that falls from 50 % by one point per 125 nodes to 5 % at least.
 * Example: 5,000 nodes: 50 − 40 = 10 %, that is 500 nodes.
 *
 * `scheduler.ts` calls it for each pod and then reserves and binds.
 */
import type { Random } from '#kit/random.ts';
import {
  filterNode,
  type NodeInfo,
  type Objection,
  onlyNodes,
  type PodFacts,
  scoreNodes,
} from '#scheduling';
import type { SchedulerCache } from './cache.ts';
import type { FitFailure } from './fit-error.ts';

export type Decision =
  | { readonly chosen: NodeInfo }
  | { readonly chosen: undefined; readonly failure: FitFailure };

export class SchedulingCycle {
  readonly #cache: SchedulerCache;
  readonly #random: Random;
  #start = 0;

  constructor(deps: { readonly cache: SchedulerCache; readonly random: Random }) {
    this.#cache = deps.cache;
    this.#random = deps.random;
  }

  decide(pod: PodFacts): Decision {
    const all = this.#cache.nodes;
    const only = onlyNodes(pod);
    const candidates = only === undefined ? all : all.filter(({ name }) => only.names.has(name));
    const objections = new Map<string, Objection>();
    const feasible = this.#filter(pod, candidates, objections);
    if (feasible.length === 0) {
      const neverPreempts = pod.pod.spec?.preemptionPolicy === 'Never';
      const narrowedBy = only?.plugins ?? [];
      return {
        chosen: undefined,
        failure: { nodeCount: all.length, objections, narrowedBy, neverPreempts },
      };
    }
    const [first, ...others] = feasible;
    if (first !== undefined && others.length === 0) return { chosen: first };
    const scores = scoreNodes(pod, feasible, {
      nodeCount: all.length,
      nodesWithImage: (image) => this.#cache.nodesWithImage(image),
    });
    return { chosen: this.#choose(feasible, scores) };
  }

  #filter(
    pod: PodFacts,
    candidates: readonly NodeInfo[],
    objections: Map<string, Objection>,
  ): readonly NodeInfo[] {
    const enough = enoughNodes(candidates.length);
    const feasible: NodeInfo[] = [];
    let asked = 0;
    while (asked < candidates.length && feasible.length < enough) {
      const node = candidates[(this.#start + asked) % candidates.length];
      asked += 1;
      if (node === undefined) continue;
      const objection = filterNode(pod, node);
      if (objection === undefined) feasible.push(node);
      else objections.set(node.name, objection);
    }
    if (candidates === this.#cache.nodes && asked > 0) {
      this.#start = (this.#start + asked) % candidates.length;
    }
    return feasible;
  }

  /** One of the best, by chance. */
  #choose(nodes: readonly NodeInfo[], scores: readonly number[]): NodeInfo {
    const most = Math.max(...scores);
    const best = nodes.filter((_, index) => scores[index] === most);
    const chosen = best[best.length === 1 ? 0 : this.#random.integer(best.length)];
    if (chosen === undefined) throw new Error('there is at least one node to choose from');
    return chosen;
  }
}

export function enoughNodes(nodeCount: number): number {
  const least = 100;
  if (nodeCount < least) return nodeCount;
  const percent = Math.max(50 - Math.floor(nodeCount / 125), 5);
  return Math.max(Math.floor((nodeCount * percent) / 100), least);
}
