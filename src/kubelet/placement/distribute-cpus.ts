/**
 * Which processors are given where they are to be spread evenly over the NUMA nodes that it takes
 * (option `distribute-cpus-across-numa`). Pure.
 *
 * One node, if all fit there; else the fewest nodes that can give equal shares. What is left over
 * after equal shares comes from those of them that leave the machine most balanced: the smallest
 * standard deviation of what remains on each node. Where nothing is even, `take-cpus.ts` packs.
 *
 * Example: two nodes of 8 free; 10 wanted: 5 of each. With groups of 2 (whole cores): 4 of each,
 * and the last 2 of one of them.
 */
import type { Numbers } from './number-set.ts';
import { nodesByFree, type Taken, takeCpus, tooFew } from './take-cpus.ts';
import type { Topology } from './topology.ts';

interface Choice {
  readonly balance: number;
  readonly nodes: readonly number[];
  /** Nodes that give what is left over. */
  readonly rest: readonly number[];
}

export function distributeCpus(
  topology: Topology,
  available: Numbers,
  count: number,
  groupSize: number,
): Taken {
  if (count % groupSize !== 0) return takeCpus(topology, available, count);
  if (count > available.size) return { ok: false, problem: tooFew(count, available) };
  const nodes = nodesByFree(topology, available);
  const groups = count / groupSize;
  const nodeCount = new Set(topology.cpus.map(({ node }) => node)).size;
  const groupsPerNode = Math.ceil(Math.ceil(topology.cpus.length / groupSize) / nodeCount);
  const most = Math.min(groups, nodes.length);
  for (let size = Math.ceil(groups / groupsPerNode); size <= most; size++) {
    const choice = bestOf(topology, available, { count, groupSize, nodes, size });
    if (choice !== undefined) return give(topology, available, { count, groupSize, choice });
  }
  return takeCpus(topology, available, count);
}

interface Wish {
  readonly count: number;
  readonly groupSize: number;
  readonly nodes: readonly number[];
  readonly size: number;
}

function bestOf(topology: Topology, available: Numbers, wish: Wish): Choice | undefined {
  const { count, groupSize, nodes, size } = wish;
  const free = new Map(nodes.map((node) => [node, cpusOf(topology, available, node).size]));
  let best: Choice | undefined;
  for (const combo of combinations(nodes, size)) {
    if (best?.balance === 0) break;
    const groups = combo.reduce((sum, node) => {
      return sum + Math.floor((free.get(node) ?? 0) / groupSize);
    }, 0);
    const share = shareOf(count, combo.length, groupSize);
    if (groups * groupSize < count || combo.some((node) => (free.get(node) ?? 0) < share)) continue;
    const left = new Map(free);
    for (const node of combo) left.set(node, (left.get(node) ?? 0) - share);
    const found = bestRest(combo, left, count - share * combo.length, groupSize);
    if (found !== undefined && found.balance < (best?.balance ?? Number.POSITIVE_INFINITY)) {
      best = { ...found, nodes: combo };
    }
  }
  return best;
}

/** Which of these nodes give what is left over after equal shares: as many as can. */
function bestRest(
  combo: readonly number[],
  left: ReadonlyMap<number, number>,
  rest: number,
  groupSize: number,
): Omit<Choice, 'nodes'> | undefined {
  if (rest === 0) return { balance: deviation([...left.values()]), rest: [] };
  const able = combo.filter((node) => (left.get(node) ?? 0) >= groupSize);
  let best: Omit<Choice, 'nodes'> | undefined;
  for (let size = able.length; size >= 1; size--) {
    for (const subset of combinations(able, size)) {
      const after = afterRest(subset, left, rest, groupSize);
      if (after === undefined) continue;
      const balance = deviation([...after.values()]);
      if (best === undefined || balance < best.balance) best = { balance, rest: subset };
    }
  }
  return best;
}

function afterRest(
  subset: readonly number[],
  left: ReadonlyMap<number, number>,
  rest: number,
  groupSize: number,
): ReadonlyMap<number, number> | undefined {
  const after = new Map(left);
  let open = rest;
  for (let gave = true; open > 0 && gave; ) {
    gave = false;
    for (const node of subset) {
      const has = after.get(node) ?? 0;
      if (open === 0 || has < groupSize) continue;
      after.set(node, has - groupSize);
      open -= groupSize;
      gave = true;
    }
  }
  return open > 0 ? undefined : after;
}

function give(
  topology: Topology,
  available: Numbers,
  { count, groupSize, choice }: Pick<Wish, 'count' | 'groupSize'> & { readonly choice: Choice },
): Taken {
  let free = available;
  let taken: Numbers = new Set();
  const takeFrom = (node: number, amount: number): number => {
    const given = takeCpus(topology, cpusOf(topology, free, node), amount);
    if (!given.ok) return 0;
    taken = taken.union(given.cpus);
    free = free.difference(given.cpus);
    return given.cpus.size;
  };
  const share = shareOf(count, choice.nodes.length, groupSize);
  for (const node of choice.nodes) takeFrom(node, share);
  for (let open = count - taken.size, gave = 1; open > 0 && gave > 0; ) {
    gave = 0;
    for (const node of choice.rest) if (open - gave > 0) gave += takeFrom(node, groupSize);
    open -= gave;
  }
  return { ok: true, cpus: taken };
}

function shareOf(count: number, nodes: number, groupSize: number): number {
  return Math.floor(count / nodes / groupSize) * groupSize;
}

function cpusOf(topology: Topology, among: Numbers, node: number): Numbers {
  const own = topology.cpus.filter((cpu) => cpu.node === node && among.has(cpu.id));
  return new Set(own.map(({ id }) => id));
}

/** In thousandths, so that two ways of adding up are equal. */
function deviation(numbers: readonly number[]): number {
  const round = (value: number): number => Math.round(value * 1000) / 1000;
  const sum = (of: (number: number) => number): number => numbers.reduce((a, b) => a + of(b), 0);
  const mean = round(sum((number) => number) / numbers.length);
  return round(Math.sqrt(sum((number) => (number - mean) ** 2) / numbers.length));
}

function* combinations(
  all: readonly number[],
  size: number,
  from = 0,
): Generator<readonly number[]> {
  if (size === 0) yield [];
  else {
    for (let at = from; at <= all.length - size; at++) {
      const first = all[at] ?? 0;
      for (const rest of combinations(all, size - 1, at + 1)) yield [first, ...rest];
    }
  }
}
