/**
 * What a DaemonSet needs next: nodes that lack their pod, and pods to delete. Pure.
 *
 * First each node by itself: a pod where one should run, none where none may, no second one, and
 * ended ones away (failed ones with growing delay, so as not to fight with a kubelet that refuses
 * them). Only when no node needs anything is it the turn of the rolling update (`rolling.ts`).
 * `daemon-set.ts` gathers the facts and performs; `status.ts` counts.
 *
 * Example: nodes a, b and c, a pod on a, one on b that has failed, c tainted NoSchedule with a pod
 * on it: delete the failed one; next turn b lacks its pod. The one on c stays.
 */
import type { DaemonSet } from '#resources/types/apps-v1.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import { revisionLabel } from '../controller-revision.ts';
import { isReady, isTerminated, isTerminating } from '../pod-state.ts';
import { inBackoffUntilMs } from './backoff.ts';
import { type ByNode, compareAge, type Facts, isAvailable, podsByNode, surgeOf } from './facts.ts';
import { suits } from './nodes.ts';
import { planRolling } from './rolling.ts';

export const limits = { burst: 250 } as const;

export interface DaemonSetPlan {
  /** Names of nodes to make a pod for. */
  readonly create: readonly string[];
  readonly remove: readonly Pod[];
  /** Of those to be removed, the ones that ended by themselves. */
  readonly ended: readonly Pod[];
  /** When a failed pod may be deleted. */
  readonly againAtMs: number | undefined;
}

export function planDaemonSet(facts: Facts, nowMs: number): DaemonSetPlan {
  const byNode = podsByNode(facts.pods);
  const create: string[] = [];
  const remove: Pod[] = [];
  const ended: Pod[] = [];
  let againAtMs: number | undefined;
  for (const node of facts.nodes) {
    const name = node.metadata.name ?? '';
    const need = planNode(facts, node, byNode.get(name) ?? [], nowMs);
    if (need.lacks) create.push(name);
    remove.push(...need.remove);
    ended.push(...need.ended);
    const later = need.againAtMs;
    if (later !== undefined) againAtMs = Math.min(againAtMs ?? later, later);
  }
  remove.push(...withoutNode(facts.nodes, byNode));
  if (create.length + remove.length > 0) {
    return { ...limited(create, remove), ended, againAtMs };
  }
  if (facts.set.spec?.updateStrategy?.type !== 'RollingUpdate') {
    return { create, remove, ended, againAtMs };
  }
  const rolling = planRolling(facts, byNode, nowMs);
  return { ...limited(rolling.create, rolling.remove), ended, againAtMs };
}

function limited(create: readonly string[], remove: readonly Pod[]) {
  return { create: create.slice(0, limits.burst), remove: remove.slice(0, limits.burst) };
}

interface Need {
  readonly lacks: boolean;
  readonly remove: readonly Pod[];
  readonly ended: readonly Pod[];
  readonly againAtMs?: number | undefined;
}

function planNode(facts: Facts, node: Node, pods: readonly Pod[], nowMs: number): Need {
  const { set, hash, backoffs } = facts;
  const { shouldRun, mayStay } = suits(set, node);
  if (pods.length === 0) return { lacks: shouldRun, remove: [], ended: [] };
  const alive = pods.filter((pod) => !isTerminating(pod));
  if (!mayStay) return { lacks: false, remove: alive, ended: [] };
  const waitsUntilMs = inBackoffUntilMs(backoffs.get(node.metadata.name ?? ''), nowMs);
  const failed = alive.filter(({ status }) => status?.phase === 'Failed');
  const succeeded = alive.filter(({ status }) => status?.phase === 'Succeeded');
  const waits = failed.length > 0 && waitsUntilMs !== undefined;
  const ended = waits ? succeeded : [...failed, ...succeeded];
  const running = alive.filter((pod) => !isTerminated(pod)).toSorted(compareAge);
  const surges = surgeOf(set, 1) > 0;
  const surplus = surges ? surplusOfSurge(set, running, hash, nowMs) : running.slice(1);
  return {
    // With a surge, one pod may end while the other runs: there must be one at any time.
    lacks: surges && shouldRun && running.length === 0,
    remove: [...ended, ...surplus],
    ended,
    againAtMs: waits ? waitsUntilMs : undefined,
  };
}

/** With a surge: one old and one new, until the new one is available or the old one unready. */
function surplusOfSurge(
  set: DaemonSet,
  running: readonly Pod[],
  hash: string,
  nowMs: number,
): readonly Pod[] {
  if (running.length <= 1) return [];
  const [next, ...otherNew] = running.filter((pod) => hasHash(pod, hash));
  const [old, ...otherOld] = running.filter((pod) => !hasHash(pod, hash));
  const surplus = [...otherNew, ...otherOld];
  if (next === undefined || old === undefined) return surplus;
  return !isReady(old) || isAvailable(set, next, nowMs) ? [...surplus, old] : surplus;
}

function hasHash({ metadata }: Pod, hash: string): boolean {
  return metadata.labels?.[revisionLabel] === hash;
}

/** Pods that wait for a node that is no more: they would wait for ever. */
function withoutNode(nodes: readonly Node[], byNode: ByNode): readonly Pod[] {
  const known = new Set(nodes.map(({ metadata }) => metadata.name));
  return [...byNode]
    .filter(([name]) => !known.has(name))
    .flatMap(([, pods]) => pods.filter((pod) => !pod.spec?.nodeName && !isTerminating(pod)));
}
