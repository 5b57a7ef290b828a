/** Conditions of devices: all true, one not yet, one that means never. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ResourceClaim } from '#resources/types/resource-v1.ts';
import { deviceReadiness } from './device-readiness.ts';

const place = { driver: 'fabric.example.com', pool: 'p', device: 'd0' };

function claim(conditions: Readonly<Record<string, 'True' | 'False'>>): ResourceClaim {
  const told = Object.entries(conditions).map(([type, status]) => ({
    type,
    status,
    reason: 'Told',
    message: '',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  }));
  const result = {
    ...place,
    request: 'r',
    bindingConditions: ['Attached', 'Powered'],
    bindingFailureConditions: ['Broken'],
  };
  return {
    apiVersion: 'resource.k8s.io/v1',
    kind: 'ResourceClaim',
    metadata: { name: 'a', namespace: 'default' },
    spec: {},
    status: {
      allocation: { devices: { results: [result], config: [] } },
      devices: [{ ...place, conditions: told }],
    },
  };
}

test('a pod waits until all conditions of its devices are true', () => {
  assert.deepEqual(deviceReadiness(undefined), { do: 'wait' });
  assert.deepEqual(deviceReadiness(claim({})), { do: 'wait' });
  assert.deepEqual(deviceReadiness(claim({ Attached: 'True' })), { do: 'wait' });
  assert.deepEqual(deviceReadiness(claim({ Attached: 'True', Powered: 'False' })), { do: 'wait' });
  const ready = claim({ Attached: 'True', Powered: 'True', Broken: 'False' });
  assert.deepEqual(deviceReadiness(ready), { do: 'go on' });
});

test('a failure ends the waiting, whatever else is true', () => {
  const failed = claim({ Attached: 'True', Powered: 'True', Broken: 'True' });
  assert.deepEqual(deviceReadiness(failed), {
    do: 'give up',
    why: 'device binding failed: claim=a, reason=Told, message=""',
  });
});

test('devices without conditions are ready at once', () => {
  const plain = claim({});
  const results = [{ ...place, request: 'r' }];
  const status = { ...plain.status, allocation: { devices: { results, config: [] } } };
  assert.deepEqual(deviceReadiness({ ...plain, status }), { do: 'go on' });
});
