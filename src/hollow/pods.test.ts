/** What a hollow node writes of a pod that ran in an earlier process. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inPlaceOf } from './pods.ts';

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
