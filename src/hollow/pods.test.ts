/** What a hollow node writes of a pod that ran in an earlier process. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inPlaceOf, meantOf } from './pods.ts';

test('new addresses take the place of old ones, those that stay are written as they are', () => {
  const old = { hostIPs: [{ ip: '192.0.2.1' }], podIPs: [{ ip: '10.42.1.2' }] };
  const status = { ...old, podIPs: [{ ip: '10.42.1.7' }] };
  // A strategic patch joins such lists by address: without the directive the pod would have two.
  assert.deepEqual(inPlaceOf(old, status), {
    hostIPs: [{ ip: '192.0.2.1' }],
    podIPs: [{ $patch: 'replace' }, { ip: '10.42.1.7' }],
  });
  assert.deepEqual(inPlaceOf(old, { phase: 'Failed' }), { phase: 'Failed' });
});

test('a condition that gives no reason any more loses the one it had', () => {
  const ready = { type: 'Ready', status: 'True' };
  const unready = { type: 'ContainersReady', status: 'False', reason: 'ContainersNotReady' };
  // A strategic patch keeps the fields of a condition that it does not name.
  assert.deepEqual(inPlaceOf({}, { conditions: [ready, unready] }), {
    conditions: [
      { ...ready, reason: null, message: null },
      { ...unready, message: null },
    ],
  });
});

test('a pod that begins again is meant as it was seen: it may have failed meanwhile', () => {
  const metadata = { name: 'web', uid: 'u1', resourceVersion: '7' };
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata, status: { phase: 'Running' } };
  assert.deepEqual(meantOf(pod, { phase: 'Pending' }), { uid: 'u1', resourceVersion: '7' });
  assert.deepEqual(meantOf(pod, { phase: 'Running' }), { uid: 'u1' });
  const fresh = { ...pod, status: { phase: 'Pending' } };
  assert.deepEqual(meantOf(fresh, { phase: 'Pending' }), { uid: 'u1' });
});
