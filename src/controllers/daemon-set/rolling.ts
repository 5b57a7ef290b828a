/**
 * Rolling update of a DaemonSet: which old pods to delete, or on which nodes to put a second, new
 * one. Pure.
 *
 * Without a surge, old pods are deleted while fewer than `maxUnavailable` nodes are without an
 * available pod; an old pod that is not available goes in any case. With a surge, up to `maxSurge`
 * nodes get a new pod beside the old one, which goes when the new one is available.
 *
 * Example: 10 nodes, maxUnavailable 3, all old, one of them unready: the unready one goes, and two
 * more. Behaviour: kubernetes.io, "Perform a Rolling Update on a DaemonSet"; KEP-1591.
 */
import { scaledCount } from '#api/int-or-string.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { isTerminating } from '../pod-state.ts';
import { type ByNode, type Facts, isAvailable, isNew, surgeOf } from './facts.ts';
import { suits } from './nodes.ts';

interface Rolling {
  readonly create: readonly string[];
  readonly remove: readonly Pod[];
}

/** What a node has: at most one old and one new pod, or `crowded`. */
interface Place {
  readonly name: string;
  readonly next: Pod | undefined;
  readonly old: Pod | undefined;
  readonly crowded: boolean;
}

export function planRolling(facts: Facts, byNode: ByNode, nowMs: number): Rolling {
  const { set, nodes } = facts;
  const wanted = nodes.filter((node) => suits(set, node).shouldRun);
  const names = new Set([...byNode.keys(), ...wanted.map(({ metadata }) => metadata.name ?? '')]);
  const places = [...names].map((name) => placeOf(facts, name, byNode.get(name) ?? []));
  const surge = surgeOf(set, wanted.length);
  if (surge > 0) return planSurge(facts, places, { surge, wanted: wanted.length }, nowMs);
  const most = set.spec?.updateStrategy?.rollingUpdate?.maxUnavailable ?? 0;
  const unavailable = scaledCount(most, { total: wanted.length, round: 'up' }) ?? 0;
  const atLeastOne = wanted.length > 0 ? Math.max(1, unavailable) : unavailable;
  return { create: [], remove: planReplacement(facts, places, atLeastOne, nowMs) };
}

function placeOf(facts: Facts, name: string, pods: readonly Pod[]): Place {
  const alive = pods.filter((pod) => !isTerminating(pod));
  const next = alive.filter((pod) => isNew(facts, pod));
  const old = alive.filter((pod) => !isNew(facts, pod));
  return { name, next: next[0], old: old[0], crowded: next.length > 1 || old.length > 1 };
}

function planReplacement(
  { set }: Facts,
  places: readonly Place[],
  most: number,
  nowMs: number,
): readonly Pod[] {
  let down = 0;
  const broken: Pod[] = [];
  const candidates: Pod[] = [];
  for (const { next, old, crowded } of places) {
    if (crowded || (next === undefined) === (old === undefined)) down += 1;
    else if (next !== undefined) down += isAvailable(set, next, nowMs) ? 0 : 1;
    else if (old !== undefined && isAvailable(set, old, nowMs)) candidates.push(old);
    else if (old !== undefined) {
      broken.push(old);
      down += 1;
    }
  }
  return [...broken, ...candidates.slice(0, Math.max(0, most - down))];
}

function planSurge(
  { set, nodes }: Facts,
  places: readonly Place[],
  bounds: { readonly surge: number; readonly wanted: number },
  nowMs: number,
): Rolling {
  const byName = new Map(nodes.map((node) => [node.metadata.name, node]));
  const shouldRun = (name: string): boolean => {
    const node = byName.get(name);
    return node !== undefined && suits(set, node).shouldRun;
  };
  const remove: Pod[] = [];
  const outOfPlace: Pod[] = [];
  const create: string[] = [];
  const candidates: string[] = [];
  let [surging, available] = [0, 0];
  for (const { name, next, old, crowded } of places) {
    if (crowded) {
      surging += 1;
      continue;
    }
    const counts = old ?? next;
    const isUp = counts !== undefined && isAvailable(set, counts, nowMs);
    if (isUp) available += 1;
    if (old === undefined) continue;
    if (next !== undefined) {
      if (isAvailable(set, next, nowMs)) remove.push(old);
      else surging += 1;
    } else if (shouldRun(name)) {
      (isUp ? candidates : create).push(name);
    } else {
      // Only while enough others are available, as a surge promises.
      (isUp ? outOfPlace : remove).push(old);
    }
  }
  const spare = Math.max(0, available - bounds.wanted);
  return {
    create: [...create, ...candidates.slice(0, Math.max(0, bounds.surge - surging))],
    remove: [...remove, ...outOfPlace.slice(0, spare)],
  };
}
