/** Why a pod waits, asked of the API server: the scheduler's own rules about what is stored. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const reviews = '/apis/scheduling.coracle.dev/v1/namespaces/default/placementreviews';

async function withPods(server: TestServer): Promise<void> {
  const space = '/api/v1/namespaces/default';
  await server.request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
  const allocatable = { cpu: '1', memory: '1Gi', pods: '10' };
  await server.request('POST', '/api/v1/nodes', {
    metadata: { name: 'n1' },
    status: { capacity: allocatable, allocatable },
  });
  const pod = (name: string, cpu: string, more: object = {}) => ({
    metadata: { name },
    spec: {
      containers: [{ name: 'c', image: 'web:1', resources: { requests: { cpu } } }],
      tolerations: [{ operator: 'Exists' }],
      ...more,
    },
  });
  for (const body of [
    pod('placed', '700m', { nodeName: 'n1' }),
    pod('waits', '600m'),
    pod('gated', '1m', { schedulingGates: [{ name: 'g' }] }),
  ]) {
    const made = await server.request('POST', `${space}/pods`, body);
    assert.equal(made.status, 201, made.text);
  }
}

test('a review says why, for each node and rule, and what would help', async () => {
  await using server = await openTestServer();
  await withPods(server);
  const answer = await server.request('POST', reviews, { spec: { pod: 'waits' } });
  assert.equal(answer.status, 201, answer.text);
  assert.equal(answer.body.kind, 'PlacementReview');
  assert.deepEqual(answer.body.status, {
    state: 'Unschedulable',
    message: '0/1 nodes are available: 1 Insufficient cpu.',
    nodes: [
      {
        name: 'n1',
        fits: false,
        objections: [
          {
            plugin: 'NodeResourcesFit',
            reasons: ['Insufficient cpu'],
            remedies: ['300m less cpu (asks 600m, 300m are free)'],
            preemptable: true,
          },
        ],
      },
    ],
    smallestChange: { node: 'n1', changes: ['300m less cpu (asks 600m, 300m are free)'] },
  });
  const held = await server.request('POST', reviews, { spec: { pod: 'gated' } });
  assert.equal(held.body.status.message, 'waiting for scheduling gates: [g]');
  const placed = await server.request('POST', reviews, { spec: { pod: 'placed' } });
  assert.equal(placed.body.status.state, 'Scheduled');
});

test('pods that are not there, and questions without a pod, are refused; discovery is as it was', async () => {
  await using server = await openTestServer();
  await withPods(server);
  const none = await server.request('POST', reviews, { spec: { pod: 'none' } });
  assert.equal(none.status, 404);
  assert.equal((await server.request('POST', reviews, { spec: {} })).status, 400);
  assert.equal((await server.request('GET', reviews)).status, 404);
  const groups = await server.request('GET', '/apis');
  assert.ok(!groups.text.includes('coracle'));
});
