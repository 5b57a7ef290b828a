/** On which NUMA nodes devices could be given, and which of them are taken. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maskOf, nodesOf } from '../placement/masks.ts';
import { type DeviceFacts, planDevices } from './choose.ts';
import { deviceHints, type PlacedDevices } from './device-hints.ts';

const nodesByDevice = new Map<string, readonly number[]>([
  ['a', [0]],
  ['b', [1]],
  ['c', [1]],
  ['d', []],
]);

function hintsOf(more: Partial<PlacedDevices>): readonly string[] | undefined {
  const facts = {
    ...{ nodesOf: nodesByDevice, available: new Set(['a', 'b', 'c', 'd']), nodes: [0, 1, 2] },
    ...{ reusable: new Set<string>(), wanted: 1, ...more },
  };
  return deviceHints(facts)?.map(({ mask = 0n, preferred }) => `${nodesOf(mask)} ${preferred}`);
}

test('hints name the nodes that have enough devices, and prefer the fewest', () => {
  assert.deepEqual(hintsOf({}), ['0 true', '1 true', '0,1 false']);
  assert.deepEqual(hintsOf({ wanted: 2 }), ['1 true', '0,1 false']);
  assert.deepEqual(hintsOf({ wanted: 3 }), ['0,1 true']);
  assert.deepEqual(hintsOf({ wanted: 2, available: new Set(['a', 'b']) }), ['0,1 false']);
  assert.deepEqual(hintsOf({ wanted: 5 }), [], 'there are not so many');
  assert.deepEqual(hintsOf({ reusable: new Set(['a']), available: new Set(['b']) }), [
    '0 true',
    '0,1 false',
  ]);
  assert.equal(hintsOf({ nodesOf: new Map([['d', []]]) }), undefined, 'nobody tells of nodes');
});

const facts: DeviceFacts = {
  ...{ podUid: 'u1', container: 'web', resource: 'example.com/gpu', required: 1 },
  ...{ held: undefined, reusable: new Set(), inUse: new Set() },
  healthy: new Set(['a', 'b', 'c', 'd']),
  nodesOf: nodesByDevice,
  mask: maskOf([1]),
};

test('devices on the agreed nodes come first, then others, last those on none', () => {
  assert.deepEqual(planDevices(facts), {
    ...{ do: 'choose', certain: [], available: ['b', 'c'], more: 1 },
  });
  assert.deepEqual(planDevices({ ...facts, required: 2 }), { do: 'take', ids: ['b', 'c'] });
  assert.deepEqual(planDevices({ ...facts, required: 3 }), {
    ...{ do: 'choose', certain: ['b', 'c'], available: ['a', 'd'], more: 1 },
  });
});
