/** Evictions and disruption budgets: who may go, who may not, and what two may not share. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers } from '#test/covers.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const space = '/api/v1/namespaces/default';
const pods = `${space}/pods`;
const budgets = '/apis/policy/v1/namespaces/default/poddisruptionbudgets';
const labels = { app: 'zk' };

async function pod(server: TestServer, name: string, ready = true): Promise<void> {
  const spec = { nodeName: 'n1', containers: [{ name: 'main', image: 'zk:1' }] };
  const made = await server.request('POST', pods, { metadata: { name, labels }, spec });
  assert.equal(made.status, 201, made.text);
  const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }];
  const status = { phase: 'Running', conditions };
  assert.equal((await server.request('PATCH', `${pods}/${name}/status`, { status })).status, 200);
}

async function open(): Promise<TestServer> {
  const server = await openTestServer();
  await server.request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
  return server;
}

/** A budget as the disruption controller would have left it. */
async function budget(server: TestServer, status: object, spec: object = {}): Promise<void> {
  const wish = { minAvailable: 2, selector: { matchLabels: labels }, ...spec };
  const made = await server.request('POST', budgets, { metadata: { name: 'zk' }, spec: wish });
  assert.equal(made.status, 201, made.text);
  const counted = await server.request('PATCH', `${budgets}/zk/status`, {
    status: { observedGeneration: 1, ...status },
  });
  assert.equal(counted.status, 200, counted.text);
}

const evict = (server: TestServer, name: string) =>
  server.request('POST', `${pods}/${name}/eviction`, { metadata: { name } });

test('a pod goes while the budget allows it, and the budget notes who goes', async () => {
  covers('API-065');
  await using server = await open();
  await pod(server, 'zk-0');
  const counts = { currentHealthy: 3, desiredHealthy: 2, disruptionsAllowed: 1, expectedPods: 3 };
  await budget(server, counts);
  assert.equal((await evict(server, 'zk-0')).status, 201);
  const { body } = await server.request('GET', `${budgets}/zk`);
  assert.equal(body.status.disruptionsAllowed, 0);
  assert.deepEqual(Object.keys(body.status.disruptedPods), ['zk-0']);
  assert.equal(body.status.conditions[0].reason, 'InsufficientPods');
  const gone = await server.request('GET', `${pods}/zk-0`);
  assert.notEqual(gone.body.metadata.deletionTimestamp, undefined);
  assert.equal(gone.body.metadata.deletionGracePeriodSeconds, 30);
  const target = gone.body.status.conditions.find(
    ({ type }: { type: string }) => type === 'DisruptionTarget',
  );
  assert.equal(target.reason, 'EvictionByEvictionAPI');
  await pod(server, 'zk-1');
  assert.equal((await evict(server, 'zk-1')).status, 429);
});

test('where the budget would be violated, the eviction is to be tried again', async () => {
  covers('API-150');
  await using server = await open();
  await pod(server, 'zk-0');
  const counts = { currentHealthy: 2, desiredHealthy: 2, disruptionsAllowed: 0, expectedPods: 2 };
  await budget(server, counts);
  const { status, headers, body } = await evict(server, 'zk-0');
  assert.equal(status, 429);
  assert.equal(headers['retry-after'], undefined);
  assert.equal(body.reason, 'TooManyRequests');
  assert.equal(body.message, "Cannot evict pod as it would violate the pod's disruption budget.");
  assert.deepEqual(body.details.causes, [
    {
      reason: 'DisruptionBudget',
      message: 'The disruption budget zk needs 2 healthy pods and has 2 currently',
    },
  ]);
  const kept = await server.request('GET', `${pods}/zk-0`);
  assert.equal(kept.body.metadata.deletionTimestamp, undefined);
});

test('of evictions that race for one leave, one gets it', async () => {
  await using server = await open();
  const names = ['zk-0', 'zk-1', 'zk-2', 'zk-3'];
  for (const name of names) await pod(server, name);
  await budget(server, { currentHealthy: 4, desiredHealthy: 3, disruptionsAllowed: 1 });
  const answers = await Promise.all(names.map((name) => evict(server, name)));
  const codes = answers.map(({ status }) => status).sort();
  assert.deepEqual(codes, [201, 429, 429, 429]);
});

test('a budget that has not been counted yet makes everybody wait', async () => {
  await using server = await open();
  await pod(server, 'zk-0');
  const spec = { minAvailable: 1, selector: { matchLabels: labels } };
  await server.request('POST', budgets, { metadata: { name: 'zk' }, spec });
  const { status, body } = await evict(server, 'zk-0');
  assert.equal(status, 429);
  assert.equal(body.details.retryAfterSeconds, 10);
  assert.match(body.details.causes[0].message, /zk is still being processed by the server\.$/);
});

test('a pod that is not ready disrupts nothing while enough others are, or the budget says so', async () => {
  await using server = await open();
  await pod(server, 'sick', false);
  await budget(server, { currentHealthy: 1, desiredHealthy: 2, disruptionsAllowed: 0 });
  assert.equal((await evict(server, 'sick')).status, 429);
  await server.request('PATCH', `${budgets}/zk/status`, { status: { currentHealthy: 2 } });
  assert.equal((await evict(server, 'sick')).status, 201);
  await pod(server, 'weak', false);
  await server.request('PATCH', `${budgets}/zk/status`, { status: { currentHealthy: 0 } });
  await server.request('PATCH', `${budgets}/zk`, {
    spec: { unhealthyPodEvictionPolicy: 'AlwaysAllow' },
  });
  assert.equal((await evict(server, 'weak')).status, 201);
});

test('two budgets for one pod are one too many; a dry run takes nothing', async () => {
  covers('API-151');
  await using server = await open();
  await pod(server, 'zk-0');
  await budget(server, { currentHealthy: 3, desiredHealthy: 2, disruptionsAllowed: 1 });
  const dry = await server.request('POST', `${pods}/zk-0/eviction?dryRun=All`, {
    metadata: { name: 'zk-0' },
  });
  assert.equal(dry.status, 201);
  const { body } = await server.request('GET', `${budgets}/zk`);
  assert.equal(body.status.disruptionsAllowed, 1);
  const spec = { maxUnavailable: 1, selector: {} };
  await server.request('POST', budgets, { metadata: { name: 'all' }, spec });
  const refused = await evict(server, 'zk-0');
  assert.equal(refused.status, 500);
  assert.match(refused.body.message, /more than one PodDisruptionBudget/);
});
