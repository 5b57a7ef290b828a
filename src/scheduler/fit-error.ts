/**
 * Why no node was good enough, in the words that people grep for.
 *
 * `0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. preemption:
 * 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims
 * found for incoming pod.` Counts first, sorted as text. The part after `preemption:` says on how
 * many nodes removing pods could not help at all, and on how many nothing was found to remove.
 * Preempting lower-priority pods is not part of this scheduler yet, so nothing is ever found.
 */
import type { Objection } from '#scheduling';

export interface FitFailure {
  readonly nodeCount: number;
  /** By node name. */
  readonly objections: ReadonlyMap<string, Objection>;
  /** Rules that narrowed the nodes down by name; the nodes left out have no objection above. */
  readonly narrowedBy: readonly string[];
  /** The pod's `preemptionPolicy` is Never. */
  readonly neverPreempts: boolean;
}

export function fitMessage(failure: FitFailure): string {
  const { nodeCount, objections } = failure;
  if (nodeCount === 0) return 'no nodes available to schedule pods';
  const reasons = new Counter();
  for (const { verdict } of objections.values()) {
    for (const reason of verdict.reasons) reasons.add(reason);
  }
  const leftOut = nodeCount - objections.size;
  if (leftOut > 0) {
    reasons.add(`node(s) didn't satisfy plugin(s) [${failure.narrowedBy.join(' ')}]`, leftOut);
  }
  return `${available(nodeCount, reasons)} preemption: ${preemptionMessage(failure)}`;
}

/** The rules that a change has to satisfy before the pod is worth another try. */
export function rejectingPlugins(failure: FitFailure): ReadonlySet<string> {
  const plugins = new Set(failure.narrowedBy);
  for (const { plugin } of failure.objections.values()) plugins.add(plugin);
  // Without any node every rule waits for one; this one wakes up for each that could hold the pod.
  if (failure.nodeCount === 0) plugins.add('NodeName');
  return plugins;
}

function preemptionMessage({ nodeCount, objections, neverPreempts }: FitFailure): string {
  if (neverPreempts) return 'not eligible due to preemptionPolicy=Never.';
  const reasons = new Counter();
  let helpless = nodeCount;
  for (const { verdict } of objections.values()) {
    if (verdict.unresolvable) continue;
    helpless -= 1;
    reasons.add('No preemption victims found for incoming pod');
  }
  if (helpless > 0) reasons.add('Preemption is not helpful for scheduling', helpless);
  return available(nodeCount, reasons);
}

function available(nodeCount: number, reasons: Counter): string {
  return `0/${nodeCount} nodes are available: ${reasons.format()}.`;
}

class Counter {
  readonly #counts = new Map<string, number>();

  add(reason: string, times = 1): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + times);
  }

  format(): string {
    return [...this.#counts]
      .map(([reason, count]) => `${count} ${reason}`)
      .sort()
      .join(', ');
  }
}
