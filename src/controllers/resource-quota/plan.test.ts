/** What a quota's status becomes, and when nothing is to be written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pods } from '#resources/kinds.ts';
import type { Pod, ResourceQuota } from '#resources/types/core-v1.ts';
import { lowers, planQuotaStatus, raisedStatus } from './plan.ts';

const quota = (hard: Record<string, string>, status?: ResourceQuota['status']): ResourceQuota => ({
  apiVersion: 'v1',
  kind: 'ResourceQuota',
  metadata: { namespace: 'default', name: 'q' },
  spec: { hard },
  ...(status === undefined ? {} : { status }),
});

const pod = (name: string, phase: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: 'default', name },
  spec: {
    containers: [{ name: 'c', image: 'i', resources: { requests: { memory: '600Mi' } } }],
  },
  status: { phase },
});

test('used is counted of what the spec names; what is so already is left', () => {
  const counted = [{ kind: pods, objects: [pod('a', 'Running'), pod('b', 'Succeeded')] }];
  const hard = { pods: '2', 'requests.memory': '1Gi', 'example.com/none': '1' };
  const status = planQuotaStatus(quota(hard), counted, 0);
  assert.deepEqual(status, { hard, used: { pods: '1', 'requests.memory': '600Mi' } });
  assert.equal(planQuotaStatus(quota(hard, status), counted, 0), undefined);
  const more = { ...hard, pods: '3' };
  assert.deepEqual(planQuotaStatus(quota(more, status), counted, 0)?.hard, more);
  const none = planQuotaStatus(quota(hard, status), [{ kind: pods, objects: [] }], 0);
  assert.deepEqual(none?.used, { pods: '0', 'requests.memory': '0' });
});

test('a count is raised at once, and lowered only when that is sure', () => {
  const used = { pods: '2', 'requests.cpu': '500m' };
  const status = { hard: { pods: '4', 'requests.cpu': '1' }, used };
  const quota = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: {}, status };
  const counted = { hard: status.hard, used: { pods: '1', 'requests.cpu': '600m' } };
  assert.equal(lowers(quota, counted), true);
  const raised = { pods: '2', 'requests.cpu': '600m' };
  assert.deepEqual(raisedStatus(quota, counted), { hard: status.hard, used: raised });
  const more = { hard: status.hard, used: raised };
  assert.equal(lowers(quota, more), false);
  assert.equal(raisedStatus({ ...quota, status: more }, counted), undefined);
});
