/** From the wishes of several to one set of NUMA nodes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Hint, type Hints, type MergeOptions, mergeHints } from './hints.ts';
import { maskOf, nodesOf } from './masks.ts';
import type { NumaNode } from './topology.ts';

function nodesWith(distances: readonly (readonly number[])[]): readonly NumaNode[] {
  return distances.map((row, id) => ({ id, distances: row, memoryBytes: 0, hugepages: new Map() }));
}

const two = nodesWith([
  [10, 20],
  [20, 10],
]);

function wish(resource: string, ...hints: readonly Hint[]): Hints {
  return new Map([[resource, hints]]);
}

function on(nodes: readonly number[], preferred = true): Hint {
  return { mask: maskOf(nodes), preferred };
}

function merge(given: readonly Hints[], policy: MergeOptions['policy'], nodes = two) {
  const { hint, isAdmitted } = mergeHints(given, { policy, nodes, preferClosest: true });
  return [hint.mask === undefined ? 'any' : nodesOf(hint.mask), hint.preferred, isAdmitted];
}

test('the narrowest nodes that all prefer win', () => {
  const cpu = wish('cpu', on([0]), on([1]), on([0, 1], false));
  const gpu = wish('example.com/gpu', on([1]), on([0, 1], false));
  for (const policy of ['best-effort', 'restricted', 'single-numa-node'] as const) {
    assert.deepEqual(merge([gpu, cpu], policy), [[1], true, true]);
  }
});

test('without a place that all prefer, policies differ', () => {
  const cpu = wish('cpu', on([0]));
  const gpu = wish('example.com/gpu', on([1]));
  assert.deepEqual(merge([cpu, gpu], 'best-effort'), [[0, 1], false, true]);
  assert.deepEqual(merge([cpu, gpu], 'restricted'), [[0, 1], false, false]);
  const wide = wish('cpu', on([0, 1]));
  assert.deepEqual(merge([wide], 'restricted'), [[0, 1], true, true]);
  assert.deepEqual(merge([wide], 'single-numa-node'), ['any', false, false]);
});

test('who has no wishes does not disturb, who can give nowhere does', () => {
  const cpu = wish('cpu', on([1]));
  assert.deepEqual(merge([new Map(), cpu], 'restricted'), [[1], true, true]);
  assert.deepEqual(merge([new Map([['gpu', undefined]]), cpu], 'restricted'), [[1], true, true]);
  assert.deepEqual(merge([new Map([['gpu', []]]), cpu], 'restricted'), [[1], false, false]);
  assert.deepEqual(merge([new Map()], 'single-numa-node'), ['any', true, true]);
});

test('of sets of as many nodes the nearer ones are taken where that is wished', () => {
  const four = nodesWith([
    [10, 40, 11, 40],
    [40, 10, 40, 40],
    [11, 40, 10, 40],
    [40, 40, 40, 10],
  ]);
  const cpu = wish('cpu', on([0, 1]), on([0, 2]));
  assert.deepEqual(merge([cpu], 'restricted', four), [[0, 2], true, true]);
  const options = { policy: 'restricted', nodes: four, preferClosest: false } as const;
  assert.deepEqual(mergeHints([cpu], options).hint.mask, maskOf([0, 1]));
});
