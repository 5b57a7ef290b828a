/**
 * From what each resource would like to the one set of NUMA nodes that a container, or a whole
 * pod, is to be on. Pure.
 *
 * Whoever gives a resource says with hints on which nodes it could be given, and which of them it
 * prefers (the fewest). A policy looks at all combinations of one hint each and takes the best:
 * preferred before not, then the narrowest. `best-effort` takes what comes out, `restricted`
 * refuses what is not preferred, `single-numa-node` looks at single nodes only. Behaviour:
 * kubernetes.io, "Control Topology Management Policies on a Node". `placer.ts` asks.
 */
import { countOf, isNarrower, type Mask, maskOf, nodesOf } from './masks.ts';
import type { NumaNode } from './topology.ts';

export interface Hint {
  /** Undefined: anywhere. */
  readonly mask: Mask | undefined;
  readonly preferred: boolean;
}

/** By resource; undefined: it does not matter; none: it cannot be given. */
export type Hints = ReadonlyMap<string, readonly Hint[] | undefined>;

export type TopologyPolicy = 'none' | 'best-effort' | 'restricted' | 'single-numa-node';

export interface MergeOptions {
  readonly policy: Exclude<TopologyPolicy, 'none'>;
  readonly nodes: readonly NumaNode[];
  /** Of two sets of as many nodes the one whose nodes are nearer to one another. */
  readonly preferClosest: boolean;
}

export interface Merged {
  readonly hint: Hint;
  readonly isAdmitted: boolean;
}

/** One after the other as the givers were asked; an empty one has no wishes. */
export function mergeHints(given: readonly Hints[], options: MergeOptions): Merged {
  const all = maskOf(options.nodes.map(({ id }) => id));
  const isSingle = options.policy === 'single-numa-node';
  const lists = given.flatMap(listsOf).map((hints) => (isSingle ? singleOf(hints) : hints));
  const best = bestOf(lists, all, options) ?? { mask: all, preferred: false };
  const hint = isSingle && best.mask === all ? { ...best, mask: undefined } : best;
  return { hint, isAdmitted: options.policy === 'best-effort' || hint.preferred };
}

function listsOf(hints: Hints): readonly (readonly Hint[])[] {
  if (hints.size === 0) return [[{ mask: undefined, preferred: true }]];
  return [...hints.values()].map((list) => {
    if (list === undefined) return [{ mask: undefined, preferred: true }];
    return list.length === 0 ? [{ mask: undefined, preferred: false }] : list;
  });
}

function singleOf(hints: readonly Hint[]): readonly Hint[] {
  return hints.filter(({ mask, preferred }) => {
    return preferred && (mask === undefined || countOf(mask) === 1);
  });
}

function bestOf(
  lists: readonly (readonly Hint[])[],
  all: Mask,
  options: MergeOptions,
): Hint | undefined {
  // What a hint that is not preferred may at best have: nobody can do with fewer nodes.
  const least = Math.max(0, ...lists.map(narrowestCount));
  let best: Hint | undefined;
  for (const combination of combinations(lists)) {
    const merged = merge(combination, all);
    if (merged.mask === 0n) continue;
    if (best === undefined || isBetter(merged, best, least, options)) best = merged;
  }
  return best;
}

function* combinations(lists: readonly (readonly Hint[])[]): Generator<readonly Hint[]> {
  const [first, ...rest] = lists;
  if (first === undefined) yield [];
  else for (const hint of first) for (const more of combinations(rest)) yield [hint, ...more];
}

interface MergedHint {
  readonly mask: Mask;
  readonly preferred: boolean;
}

/** What they have in common; preferred if all prefer, and prefer the same. */
function merge(combination: readonly Hint[], all: Mask): MergedHint {
  const masks = combination.flatMap(({ mask }) => (mask === undefined ? [] : [mask]));
  return {
    mask: masks.reduce((common, mask) => common & mask, all),
    preferred:
      combination.every(({ preferred }) => preferred) && masks.every((mask) => mask === masks[0]),
  };
}

function narrowestCount(hints: readonly Hint[]): number {
  const masks = hints.flatMap(({ mask }) => (mask === undefined ? [] : [mask]));
  if (masks.length === 0) return 0;
  return countOf(masks.reduce((best, mask) => (isNarrower(mask, best) ? mask : best)));
}

function isBetter(
  candidate: MergedHint,
  current: Hint,
  least: number,
  options: MergeOptions,
): boolean {
  const { mask = 0n } = current;
  if (current.preferred !== candidate.preferred) return candidate.preferred;
  const wins = (): boolean => candidate.mask !== mask && isNearer(candidate.mask, mask, options);
  if (current.preferred) return wins();
  const [has, offers] = [countOf(mask), countOf(candidate.mask)];
  if (has > least) return wins();
  if (has === least) return offers === least && wins();
  // Too few for some resource: as many as the neediest needs are best, then as many as possible.
  if (offers > least) return false;
  if (offers === least) return true;
  return offers === has ? wins() : offers > has;
}

/** Of two sets that are not the same. */
function isNearer(candidate: Mask, current: Mask, options: MergeOptions): boolean {
  const byDistance = options.preferClosest && options.policy !== 'single-numa-node';
  if (!byDistance || countOf(candidate) !== countOf(current)) return isNarrower(candidate, current);
  const [far, farther] = [distanceOf(candidate, options.nodes), distanceOf(current, options.nodes)];
  return far === farther ? candidate < current : far < farther;
}

function distanceOf(mask: Mask, nodes: readonly NumaNode[]): number {
  const ids = nodesOf(mask);
  let sum = 0;
  for (const from of ids) {
    const { distances = [] } = nodes.find(({ id }) => id === from) ?? {};
    for (const to of ids) sum += distances[nodes.findIndex(({ id }) => id === to)] ?? 0;
  }
  return ids.length === 0 ? 0 : sum / ids.length ** 2;
}
