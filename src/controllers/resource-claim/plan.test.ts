/** When a claim of devices is given back and let go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ResourceClaim } from '#resources/types/resource-v1.ts';
import { allocationFinalizer, isHeldInVain, isSpent } from './plan.ts';

function claim(status: ResourceClaim['status'], ending: boolean): ResourceClaim {
  const deletion = ending ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {};
  const metadata = { name: 'gpu', finalizers: [allocationFinalizer], ...deletion };
  const spec = { devices: {} };
  return { apiVersion: 'resource.k8s.io/v1', kind: 'ResourceClaim', metadata, spec, status };
}

const consumer = { resource: 'pods', name: 'train', uid: 'u' };

test('devices are given back with the last consumer, or when the claim is deleted', () => {
  const held = claim({ allocation: {}, reservedFor: [consumer] }, false);
  assert.equal(isSpent(held, [consumer]), false);
  assert.equal(isSpent(held, []), true);
  assert.equal(isSpent(claim({ allocation: {} }, false), []), false, 'nobody has had it yet');
  assert.equal(isSpent(claim({ allocation: {} }, true), []), true);
});

test('a deleted claim that was given back unheard of is let go', () => {
  assert.equal(isHeldInVain(claim({}, true)), true);
  assert.equal(isHeldInVain(claim(undefined, true)), true);
  assert.equal(isHeldInVain(claim({}, false)), false, 'it may just be allocated');
  assert.equal(isHeldInVain(claim({ allocation: {} }, true)), false);
  assert.equal(isHeldInVain(claim({ reservedFor: [consumer] }, true)), false);
});
