/**
 * Where a pod may run and how well it would run there: facts in, verdicts out, no I/O.
 *
 * `filterNode` asks the rules in order and stops at the first that objects; `scoreNodes` weighs the
 * nodes that passed. The rules are one file each in `plugins/`; the list below is their order. The
 * scheduler (`scheduler/cycle.ts`) calls this for each pending pod.
 */
import type { NodeInfo } from './node-info.ts';
import type { ClusterChange, Plugin, ScoreContext, Verdict } from './plugin.ts';
import { fits } from './plugin.ts';
import { balancedAllocation } from './plugins/balanced-allocation.ts';
import { imageLocality } from './plugins/image-locality.ts';
import { nodeAffinity } from './plugins/node-affinity.ts';
import { nodeName } from './plugins/node-name.ts';
import { nodePorts } from './plugins/node-ports.ts';
import { nodeUnschedulable } from './plugins/node-unschedulable.ts';
import { resourcesFit } from './plugins/resources-fit.ts';
import { taintToleration } from './plugins/taint-toleration.ts';
import type { PodFacts } from './pod-facts.ts';

export { NodeInfo } from './node-info.ts';
export type { ClusterChange, ScoreContext, Verdict } from './plugin.ts';
export { matchesRequired } from './plugins/node-affinity.ts';
export { hasEnded, type PodFacts, podFacts } from './pod-facts.ts';
export { toleratesAll } from './tolerations.ts';

/** In the order in which they are asked; the first objection is the one that is reported. */
const plugins: readonly Plugin[] = [
  nodeUnschedulable,
  nodeName,
  taintToleration,
  nodeAffinity,
  nodePorts,
  resourcesFit,
  balancedAllocation,
  imageLocality,
];

export interface Objection {
  /** Name of the rule that objected. */
  readonly plugin: string;
  readonly verdict: Extract<Verdict, { fits: false }>;
}

/** The first rule that objects to this pod on this node, or undefined. */
export function filterNode(pod: PodFacts, node: NodeInfo): Objection | undefined {
  for (const { name, filter } of plugins) {
    const verdict = filter === undefined ? fits : filter(pod, node);
    if (!verdict.fits) return { plugin: name, verdict };
  }
  return undefined;
}

/** Nodes that alone can pass, and the rules that say so; undefined: all nodes are worth asking. */
export function onlyNodes(
  pod: PodFacts,
): { readonly names: ReadonlySet<string>; readonly plugins: readonly string[] } | undefined {
  let names: ReadonlySet<string> | undefined;
  const by: string[] = [];
  for (const plugin of plugins) {
    const more = plugin.onlyNodes?.(pod);
    if (more === undefined) continue;
    names = names === undefined ? more : names.intersection(more);
    by.push(plugin.name);
  }
  return names === undefined ? undefined : { names, plugins: by };
}

/** Weighted sum of all scores for each node, in the order given. */
export function scoreNodes(
  pod: PodFacts,
  nodes: readonly NodeInfo[],
  context: ScoreContext,
): readonly number[] {
  const totals = new Array<number>(nodes.length).fill(0);
  for (const { score } of plugins) {
    if (score === undefined || !score.applies(pod)) continue;
    const raw = nodes.map((node) => score.of(pod, node, context));
    const most = score.scale === undefined ? 100 : Math.max(...raw);
    raw.forEach((value, index) => {
      const points = score.scale === undefined ? value : scaled(value, most, score.scale);
      totals[index] = (totals[index] ?? 0) + score.weight * points;
    });
  }
  return totals;
}

/** Whether a change could make a pod fit that these rules turned away. */
export function changeHelps(
  change: ClusterChange,
  pod: PodFacts,
  rejectedBy: ReadonlySet<string>,
): boolean {
  return plugins.some((plugin) => rejectedBy.has(plugin.name) && plugin.helps(change, pod));
}

function scaled(value: number, most: number, direction: 'up' | 'down'): number {
  if (most === 0) return direction === 'down' ? 100 : 0;
  const points = Math.floor((value * 100) / most);
  return direction === 'down' ? 100 - points : points;
}
