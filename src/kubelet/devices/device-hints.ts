/**
 * On which NUMA nodes a container could have its devices. Pure; `placement/hints.ts` says what
 * hints are. Devices that are on no node, or a resource none of whose devices tells, do not
 * matter.
 */
import type { Hint } from '../placement/hints.ts';
import { countOf, has, type Mask, masksOf } from '../placement/masks.ts';

export interface PlacedDevices {
  /** All devices of the resource, healthy or not, with their nodes. */
  readonly nodesOf: ReadonlyMap<string, readonly number[]>;
  readonly available: ReadonlySet<string>;
  /** Of the pod's init containers: these are used, wherever they are. */
  readonly reusable: ReadonlySet<string>;
  readonly wanted: number;
  /** Of the machine. */
  readonly nodes: readonly number[];
}

/** Undefined: it does not matter. None: there are not enough. */
export function deviceHints(facts: PlacedDevices): readonly Hint[] | undefined {
  const { nodesOf, available, reusable, wanted } = facts;
  const bearing = new Set([...nodesOf.values()].flat());
  if (bearing.size === 0) return undefined;
  if (available.union(reusable).size < wanted) return [];
  // Nodes without devices would only make more combinations of the same.
  const known = facts.nodes.filter((node) => bearing.has(node));
  const nodes = known.length === 0 ? facts.nodes : known;
  const isOn = (mask: Mask, device: string): boolean =>
    (nodesOf.get(device) ?? []).some((node) => has(mask, node));
  let least = nodes.length;
  const found: Mask[] = [];
  for (const mask of masksOf(nodes)) {
    const all = [...nodesOf.keys()].filter((device) => isOn(mask, device));
    if (all.length >= wanted) least = Math.min(least, countOf(mask));
    const placed = [...reusable].filter((device) => (nodesOf.get(device) ?? []).length > 0);
    if (!placed.every((device) => isOn(mask, device))) continue;
    const free = [...available].filter((device) => isOn(mask, device));
    if (placed.length + free.length >= wanted) found.push(mask);
  }
  return found.map((mask) => ({ mask, preferred: countOf(mask) === least }));
}

/** Devices on the wished nodes, on other nodes, on none; those of the smallest nodes first. */
export function byAffinity(
  devices: readonly string[],
  nodesOf: ReadonlyMap<string, readonly number[]>,
  mask: Mask | undefined,
): { readonly near: readonly string[]; readonly far: readonly string[] } {
  if (mask === undefined || [...nodesOf.values()].every((nodes) => nodes.length === 0)) {
    return { near: [], far: devices };
  }
  const sizes = new Map<number, number>();
  for (const device of devices) {
    for (const node of nodesOf.get(device) ?? []) sizes.set(node, (sizes.get(node) ?? 0) + 1);
  }
  const sizeOf = (device: string): number => {
    const nodes = nodesOf.get(device) ?? [];
    return Math.min(...nodes.map((node) => sizes.get(node) ?? 0));
  };
  const smallFirst = (some: readonly string[]): readonly string[] =>
    some.toSorted((a, b) => sizeOf(a) - sizeOf(b));
  const isNear = (device: string): boolean =>
    (nodesOf.get(device) ?? []).some((node) => has(mask, node));
  const isPlaced = (device: string): boolean => (nodesOf.get(device) ?? []).length > 0;
  return {
    near: smallFirst(devices.filter(isNear)),
    far: [
      ...smallFirst(devices.filter((device) => isPlaced(device) && !isNear(device))),
      ...devices.filter((device) => !isPlaced(device)),
    ],
  };
}
