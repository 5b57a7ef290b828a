/**
 * Sets of NUMA nodes as bits, because hints are combined by the thousand: node 3 is the bit 8.
 * Pure.
 */
export type Mask = bigint;

export function maskOf(nodes: Iterable<number>): Mask {
  let mask = 0n;
  for (const node of nodes) mask |= 1n << BigInt(node);
  return mask;
}

export function nodesOf(mask: Mask): readonly number[] {
  const nodes: number[] = [];
  for (let rest = mask, node = 0; rest > 0n; rest >>= 1n, node++) {
    if ((rest & 1n) === 1n) nodes.push(node);
  }
  return nodes;
}

export function countOf(mask: Mask): number {
  return nodesOf(mask).length;
}

export function has(mask: Mask, node: number): boolean {
  return ((mask >> BigInt(node)) & 1n) === 1n;
}

/** Fewer nodes; of as many, lower ones. */
export function isNarrower(a: Mask, b: Mask): boolean {
  const difference = countOf(a) - countOf(b);
  return difference === 0 ? a < b : difference < 0;
}

/** All sets of these nodes but the empty one, small ones first. */
export function* masksOf(nodes: readonly number[]): Generator<Mask> {
  const sorted = [...nodes].sort((a, b) => a - b);
  for (let size = 1; size <= sorted.length; size++) yield* ofSize(sorted, size);
}

function* ofSize(nodes: readonly number[], size: number): Generator<Mask> {
  if (size === 0) {
    yield 0n;
    return;
  }
  for (const [at, node] of nodes.entries()) {
    for (const rest of ofSize(nodes.slice(at + 1), size - 1)) yield rest | (1n << BigInt(node));
  }
}
