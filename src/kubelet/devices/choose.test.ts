/** Which devices a container gets, and in which words it gets none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DeviceFacts, planDevices, takeDevices } from './choose.ts';
import { nothing } from './devices.ts';
import { mergeDevices } from './merge.ts';

const facts: DeviceFacts = {
  ...{ podUid: 'u1', container: 'web', resource: 'example.com/gpu', required: 2 },
  held: undefined,
  reusable: new Set(),
  healthy: new Set(['c', 'a', 'b']),
  inUse: new Set(),
  nodesOf: new Map(),
  mask: undefined,
};

function refusal(more: Partial<DeviceFacts>): string {
  const choice = planDevices({ ...facts, ...more });
  assert.equal(choice.do, 'refuse');
  return choice.do === 'refuse' ? choice.message : '';
}

test('a container that cannot have its devices is told why', () => {
  assert.equal(
    refusal({ healthy: undefined }),
    'cannot allocate unregistered device example.com/gpu',
  );
  assert.equal(
    refusal({ healthy: new Set() }),
    'no healthy devices present; cannot allocate unhealthy devices example.com/gpu',
  );
  assert.equal(
    refusal({ held: new Set(['a']) }),
    'pod "u1" container "web" changed request for resource "example.com/gpu" from 1 to 2',
  );
  assert.equal(
    refusal({ held: new Set(['a', 'x']) }),
    'previously allocated devices are no longer healthy; cannot allocate unhealthy devices ' +
      'example.com/gpu',
  );
  assert.equal(
    refusal({ inUse: new Set(['a', 'b']) }),
    'requested number of devices unavailable for example.com/gpu. Requested: 2, Available: 1',
  );
});

test('what a container has stays its own, and what init containers had is used first', () => {
  assert.deepEqual(planDevices({ ...facts, held: new Set(['a', 'b']) }), { do: 'nothing' });
  assert.deepEqual(planDevices({ ...facts, required: 0 }), { do: 'nothing' });
  const used = new Set(['b', 'c']);
  assert.deepEqual(planDevices({ ...facts, reusable: used, inUse: used }), {
    ...{ do: 'take', ids: ['b', 'c'] },
  });
  const one = new Set(['c']);
  assert.deepEqual(planDevices({ ...facts, reusable: one, inUse: one }), {
    ...{ do: 'choose', certain: ['c'], available: ['a', 'b'], more: 1 },
  });
});

test('what the plugin prefers comes first, as far as it can be had', () => {
  const choice = { do: 'choose', certain: ['z'], available: ['a', 'b', 'c'], more: 2 } as const;
  assert.deepEqual(takeDevices(choice, []), ['z', 'a', 'b']);
  assert.deepEqual(takeDevices(choice, ['z', 'nope', 'c']), ['z', 'c', 'a']);
});

test('of two answers about the same thing the first one counts', () => {
  const answer = (value: string) => ({
    envs: { A: value },
    mounts: [{ containerPath: '/m', hostPath: value, readOnly: false }],
    devices: [{ containerPath: '/dev/x', hostPath: value, permissions: 'r' }],
    annotations: { note: value },
    cdiDevices: [{ name: 'v/c=1' }],
  });
  assert.deepEqual(mergeDevices([answer('one'), answer('two')], ['v/c=1', 'v/c=2']), {
    envs: new Map([['A', 'one']]),
    mounts: [{ containerPath: '/m', hostPath: 'one', readonly: false }],
    devices: [{ containerPath: '/dev/x', hostPath: 'one', permissions: 'r' }],
    annotations: { note: 'one' },
    cdiDevices: [{ name: 'v/c=1' }, { name: 'v/c=2' }],
  });
  assert.deepEqual(mergeDevices([], []), nothing);
});
