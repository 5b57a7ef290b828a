/**
 * Why no node was good enough, in the words that people grep for.
 *
 * `0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. no new claims
 * to deallocate, preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2
 * No preemption victims found for incoming pod.` Counts first, sorted as text. Where a rule turned
 * the pod away before any node was looked at, its words stand alone.
 */
import type { Objection } from './framework.ts';
import type { Rejection } from './plugin.ts';

export interface FitFailure {
  readonly nodeCount: number;
  /** By node name. */
  readonly objections: ReadonlyMap<string, Objection>;
  /** Rules that narrowed the nodes down by name; the nodes left out have no objection above. */
  readonly narrowedBy: readonly string[];
  /** The pod was turned away as such, by these rules. */
  readonly whole?:
    | {
        readonly rejection: Rejection;
        readonly plugins: readonly string[];
        readonly early: boolean;
      }
    | undefined;
}

/** `afterwards` is what the attempts to make room came to; empty where one is under way. */
export function fitMessage(failure: FitFailure, afterwards: string): string {
  const { nodeCount } = failure;
  if (nodeCount === 0) return 'no nodes available to schedule pods';
  const what =
    failure.whole === undefined
      ? countedReasons(nodeReasons(failure))
      : failure.whole.rejection.reasons.join(', ');
  const reasons = what === '' ? '' : ` ${what}.`;
  return `0/${nodeCount} nodes are available:${reasons}${afterwards === '' ? '' : ` ${afterwards}`}`;
}

/** Reason → on how many nodes. */
export function nodeReasons(failure: FitFailure): ReadonlyMap<string, number> {
  const reasons = new Map<string, number>();
  const add = (reason: string, times: number): void => {
    reasons.set(reason, (reasons.get(reason) ?? 0) + times);
  };
  for (const { verdict } of failure.objections.values()) {
    for (const reason of verdict.reasons) add(reason, 1);
  }
  const leftOut = failure.nodeCount - failure.objections.size;
  if (leftOut > 0 && failure.narrowedBy.length > 0) {
    add(`node(s) didn't satisfy plugin(s) [${failure.narrowedBy.toSorted().join(' ')}]`, leftOut);
  }
  return reasons;
}

/** `1 this, 2 that`, sorted as text. */
export function countedReasons(reasons: ReadonlyMap<string, number>): string {
  return [...reasons]
    .map(([reason, count]) => `${count} ${reason}`)
    .sort()
    .join(', ');
}

/** The rules that a change has to satisfy before the pod is worth another try. */
export function rejectingPlugins(failure: FitFailure): ReadonlySet<string> {
  const plugins = new Set([...failure.narrowedBy, ...(failure.whole?.plugins ?? [])]);
  for (const { plugin } of failure.objections.values()) plugins.add(plugin);
  // Without any node every rule waits for one; this one wakes up for each that could hold the pod.
  if (failure.nodeCount === 0) plugins.add('NodeName');
  return plugins;
}
