/**
 * Why a pod waits, node by node and rule by rule, and the smallest change that would let it run.
 *
 * Asks the very rules that decide, only that each node is asked for all objections instead of the
 * first. The smallest change is that of the node with the least to mend; what is short by a part
 * counts as that part, any other objection as one for each thing to do.
 *
 * Called by the API server for a `PlacementReview`, which `coracle why` shows.
 */
import type { Cluster } from './cluster.ts';
import { countedReasons, type FitFailure, fitMessage } from './fit-failure.ts';
import { type Objection, prepare, type Trial } from './framework.ts';
import type { PodFacts } from './pod-facts.ts';
import { heldBack, type Profile } from './profile.ts';

export interface NodeExplanation {
  readonly name: string;
  readonly fits: boolean;
  readonly objections: readonly {
    readonly plugin: string;
    readonly reasons: readonly string[];
    /** Any of these would satisfy the rule, or all of them where there are several. */
    readonly remedies: readonly string[];
    /** Removing pods of lower priority could help. */
    readonly preemptable: boolean;
  }[];
}

export interface Explanation {
  readonly state: 'Scheduled' | 'Held' | 'Fits' | 'Unschedulable' | 'Unknown';
  /** In the words of the pod's condition, where there is one. */
  readonly message: string;
  readonly nodes: readonly NodeExplanation[];
  readonly smallestChange:
    | { readonly node: string; readonly changes: readonly string[] }
    | undefined;
}

export function explain(pod: PodFacts, profile: Profile | undefined, cluster: Cluster) {
  const nodeName = pod.pod.spec?.nodeName;
  if (nodeName) return said('Scheduled', `the pod runs on ${nodeName}`);
  if (profile === undefined) {
    const name = pod.pod.spec?.schedulerName ?? '';
    return said('Unknown', `the pod waits for scheduler ${name}, which is not this one`);
  }
  const hold = heldBack(profile, pod, cluster);
  if (hold !== undefined) return said('Held', hold.message);
  const prepared = prepare(profile, pod, cluster);
  if (prepared.do === 'fail') return said('Unknown', prepared.message);
  const nodeCount = cluster.nodes.length;
  if (prepared.do === 'reject') {
    const failure = { nodeCount, objections: new Map(), narrowedBy: [], whole: prepared };
    return said('Unschedulable', fitMessage(failure, ''));
  }
  return explainNodes(prepared.trial, cluster);
}

function said(state: Explanation['state'], message: string): Explanation {
  return { state, message, nodes: [], smallestChange: undefined };
}

function explainNodes(trial: Trial, cluster: Cluster): Explanation {
  const first = new Map<string, Objection>();
  const nodes: NodeExplanation[] = [];
  let least: { readonly node: string; readonly changes: readonly string[] } | undefined;
  let leastCost = Number.POSITIVE_INFINITY;
  for (const node of cluster.nodes) {
    const objections = trial.objections(node);
    const nominated = objections.length === 0 ? trial.objection(node) : undefined;
    const [objection] = objections;
    if (objection !== undefined) first.set(node.name, objection);
    else if (nominated !== undefined) first.set(node.name, nominated);
    const cost = objections.reduce((sum, one) => sum + one.cost, 0);
    const changes = objections.flatMap(({ remedies }) => remedies);
    if (objections.length > 0 && changes.length > 0 && cost < leastCost) {
      leastCost = cost;
      least = { node: node.name, changes };
    }
    const all =
      nominated === undefined
        ? objections
        : [{ ...nominated, remedies: ['wait for the pods nominated there'] }];
    nodes.push({
      name: node.name,
      fits: all.length === 0,
      objections: all.map(({ plugin, verdict, remedies }) => ({
        plugin,
        reasons: verdict.reasons,
        remedies,
        preemptable: !verdict.unresolvable,
      })),
    });
  }
  const failure: FitFailure = { nodeCount: nodes.length, objections: first, narrowedBy: [] };
  const fitting = nodes.filter(({ fits }) => fits).map(({ name }) => name);
  if (fitting.length === 0) {
    const message = fitMessage(failure, '');
    return { state: 'Unschedulable', message, nodes, smallestChange: least };
  }
  const counted = countedReasons(new Map([['node(s) would take the pod', fitting.length]]));
  return { state: 'Fits', message: `${counted} now`, nodes, smallestChange: undefined };
}
