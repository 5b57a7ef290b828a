/**
 * Memory by NUMA node: what there is, what is the system's, what containers have been promised.
 * Pure: the map follows from the machine and from the blocks that were given.
 *
 * Memory that does not fit one node comes from a group of nodes, and as long as anything of it is
 * given, a node of a group gives to that same group only: so nobody's single node fills up from
 * elsewhere. `memory-pool.ts` keeps the blocks and asks here where more could be given. Behaviour:
 * kubernetes.io, "Control Memory Management Policies on a Node".
 */
import type { Hint } from './hints.ts';
import { countOf, isNarrower, type Mask, maskOf, masksOf, nodesOf } from './masks.ts';
import type { Wants } from './requests.ts';
import type { Topology } from './topology.ts';

/** Names are those of upstream's state file. */
export interface Block {
  readonly numaAffinity: readonly number[];
  /** `memory` or `hugepages-2Mi`. */
  readonly type: string;
  readonly size: number;
}

export interface MemoryTable {
  readonly total: number;
  readonly systemReserved: number;
  readonly allocatable: number;
  readonly reserved: number;
  readonly free: number;
}

export interface NodeMemory {
  readonly numberOfAssignments: number;
  readonly memoryMap: Readonly<Record<string, MemoryTable>>;
  /** The nodes of its group; of a node that gives alone itself. */
  readonly cells: readonly number[];
}

/** By id of the node. */
export type MemoryMap = Readonly<Record<string, NodeMemory>>;

/** By id of the node, by resource: bytes that are the system's. */
export type Reserved = ReadonlyMap<number, Wants>;

export function memoryMap(
  topology: Topology,
  reserved: Reserved,
  blocks: readonly Block[],
): MemoryMap {
  const nodes = topology.nodes.map(({ id, memoryBytes, hugepages }) => {
    const pages = [...hugepages.values()].reduce((sum, bytes) => sum + bytes, 0);
    const tables = new Map<string, MemoryTable>();
    for (const [name, total] of [...hugepages, ['memory', memoryBytes] as const]) {
      const systemReserved = reserved.get(id)?.get(name) ?? 0;
      const rest = total - systemReserved - (name === 'memory' ? pages : 0);
      const allocatable = Math.max(rest, 0);
      tables.set(name, { total, systemReserved, allocatable, reserved: 0, free: allocatable });
    }
    return [id, { numberOfAssignments: 0, cells: [id], tables }] as const;
  });
  const drafts = new Map<number, Draft>(nodes);
  for (const block of blocks) give(drafts, block);
  return Object.fromEntries(
    [...drafts].map(([id, { tables, ...node }]) => [
      id,
      { ...node, memoryMap: Object.fromEntries(tables) },
    ]),
  );
}

interface Draft {
  numberOfAssignments: number;
  cells: readonly number[];
  readonly tables: Map<string, MemoryTable>;
}

/** From the first node of its group as much as that has, then from the next. */
function give(drafts: ReadonlyMap<number, Draft>, { numaAffinity, type, size }: Block): void {
  let open = size;
  for (const id of numaAffinity) {
    const node = drafts.get(id);
    if (node === undefined) continue;
    node.numberOfAssignments += 1;
    node.cells = numaAffinity;
    const table = node.tables.get(type);
    const part = Math.min(open, table?.free ?? 0);
    if (table === undefined || part === 0) continue;
    const { reserved, free } = table;
    node.tables.set(type, { ...table, reserved: reserved + part, free: free - part });
    open -= part;
  }
}

/** Where all that is wanted could be given, each place once for each resource. */
export function memoryHints(
  map: MemoryMap,
  wants: Wants,
  reusable: (mask: Mask, resource: string) => number,
): readonly Hint[] {
  const ids = Object.keys(map).map(Number);
  const sum = (mask: Mask, resource: string, of: 'free' | 'allocatable'): number =>
    nodesOf(mask).reduce((all, id) => all + (map[id]?.memoryMap[resource]?.[of] ?? 0), 0);
  let least = ids.length;
  const found: Mask[] = [];
  for (const mask of masksOf(ids)) {
    const isEnough = [...wants].every(([name, size]) => sum(mask, name, 'allocatable') >= size);
    if (!isEnough) continue;
    least = Math.min(least, countOf(mask));
    if (!mayGroup(map, mask)) continue;
    const isFree = [...wants].every(([name, size]) => {
      return sum(mask, name, 'free') + reusable(mask, name) >= size;
    });
    if (isFree) found.push(mask);
  }
  return found.map((mask) => ({ mask, preferred: countOf(mask) === least }));
}

/** Whether what was given before lets these nodes give together, or this one alone. */
function mayGroup(map: MemoryMap, mask: Mask): boolean {
  const ids = nodesOf(mask);
  const [first = 0] = ids;
  if (ids.length === 1) return (map[first]?.cells.length ?? 1) === 1;
  return ids.every((id) => map[id]?.numberOfAssignments === 0 || isGroup(map[id], mask));
}

function isGroup(node: NodeMemory | undefined, mask: Mask): boolean {
  return node !== undefined && node.cells.length > 1 && maskOf(node.cells) === mask;
}

/** Whether giving there would mix groups. */
export function isMixed(map: MemoryMap, mask: Mask): boolean {
  const ids = nodesOf(mask);
  if (ids.length === 1) return false;
  return ids.some((id) => map[id]?.numberOfAssignments !== 0 && !isGroup(map[id], mask));
}

export function isRoomy(map: MemoryMap, mask: Mask, wants: Wants): boolean {
  return [...wants].every(([name, size]) => {
    const ids = nodesOf(mask);
    return ids.reduce((all, id) => all + (map[id]?.memoryMap[name]?.free ?? 0), 0) >= size;
  });
}

/** Preferred before not, then the narrowest. */
export function bestHint(hints: readonly Hint[]): Hint | undefined {
  let best: Hint | undefined;
  for (const hint of hints) {
    const isBetter =
      best === undefined ||
      (hint.preferred && !best.preferred) ||
      (hint.preferred === best.preferred && isNarrower(hint.mask ?? 0n, best.mask ?? 0n));
    if (isBetter) best = hint;
  }
  return best;
}

/** Whether two maps tell of the same machine and of as much given to each group. */
export function isSameMap(a: MemoryMap, b: MemoryMap): boolean {
  const ids = Object.keys(a);
  if (ids.length !== Object.keys(b).length) return false;
  return ids.every((id) => {
    const [one, other] = [a[id], b[id]];
    if (one === undefined || other === undefined) return false;
    if (one.numberOfAssignments !== other.numberOfAssignments) return false;
    if (maskOf(one.cells) !== maskOf(other.cells)) return false;
    const names = Object.keys(one.memoryMap);
    if (names.length !== Object.keys(other.memoryMap).length) return false;
    return names.every((name) => {
      const [table, same] = [one.memoryMap[name], other.memoryMap[name]];
      const fixed = ['total', 'systemReserved', 'allocatable'] as const;
      const isSame = fixed.every((field) => table?.[field] === same?.[field]);
      return isSame && groupSum(a, one.cells, name) === groupSum(b, one.cells, name);
    });
  });
}

function groupSum(map: MemoryMap, cells: readonly number[], name: string): number {
  return cells.reduce((sum, id) => sum + (map[id]?.memoryMap[name]?.free ?? 0), 0);
}
