/** Priorities of pods: by name, by default, never by number; the cluster's own classes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers } from '#test/covers.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const pods = '/api/v1/namespaces/default/pods';
const classes = '/apis/scheduling.k8s.io/v1/priorityclasses';

async function open(): Promise<TestServer> {
  const server = await openTestServer();
  const metadata = { name: 'default' };
  await server.request('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata });
  return server;
}

const create = (server: TestServer, name: string, fields: object = {}) => {
  const spec = { containers: [{ name: 'main', image: 'a:1' }], ...fields };
  return server.request('POST', pods, { metadata: { name }, spec });
};

test('the cluster has two classes of its own from the start', async () => {
  await using server = await open();
  const { body } = await server.request('GET', classes);
  assert.deepEqual(
    body.items.map(({ metadata, value }: { metadata: { name: string }; value: number }) => [
      metadata.name,
      value,
    ]),
    [
      ['system-cluster-critical', 2_000_000_000],
      ['system-node-critical', 2_000_001_000],
    ],
  );
  const { body: pod } = await create(server, 'p', { priorityClassName: 'system-node-critical' });
  assert.equal(pod.spec.priority, 2_000_001_000);
});

test('a class gives its number and its policy; none gives zero', async () => {
  await using server = await open();
  const high = { metadata: { name: 'high' }, value: 1000, preemptionPolicy: 'Never' };
  assert.equal((await server.request('POST', classes, high)).status, 201);
  const { body } = await create(server, 'a', { priorityClassName: 'high' });
  assert.deepEqual([body.spec.priority, body.spec.preemptionPolicy], [1000, 'Never']);
  const plain = (await create(server, 'b')).body.spec;
  assert.deepEqual([plain.priority, plain.preemptionPolicy], [0, 'PreemptLowerPriority']);
  const unknown = await create(server, 'c', { priorityClassName: 'none' });
  assert.equal(unknown.status, 403);
  assert.match(unknown.body.message, /no PriorityClass with name none was found/);
  const chosen = await create(server, 'd', { priorityClassName: 'high', priority: 7 });
  assert.equal(chosen.status, 403);
  assert.match(chosen.body.message, /computed 1000 from the given PriorityClass name/);
});

test('a default class counts for pods that name none; there is only one', async () => {
  covers('API-090');
  await using server = await open();
  const unfit = { metadata: { name: 'unfit' }, value: 2_000_000_000 };
  const refused = await server.request('POST', classes, unfit);
  assert.equal(refused.status, 422);
  assert.match(refused.body.message, /value: Forbidden: maximum allowed value of a user defined/);
  const wide = { metadata: { name: 'wide' }, value: 3_000_000_000 };
  assert.equal((await server.request('POST', classes, wide)).status, 400, 'no number of 32 bits');
  const most = { metadata: { name: 'most' }, value: 1_000_000_000, description: 'the most' };
  assert.equal((await server.request('POST', classes, most)).status, 201);
  const usual = { metadata: { name: 'usual' }, value: 50, globalDefault: true };
  assert.equal((await server.request('POST', classes, usual)).status, 201);
  const { body } = await create(server, 'a');
  assert.deepEqual([body.spec.priorityClassName, body.spec.priority], ['usual', 50]);
  const second = await server.request('POST', classes, { ...usual, metadata: { name: 'other' } });
  assert.equal(second.status, 403);
  assert.match(
    second.body.message,
    /usual is already marked as default\. Only one default can exist$/,
  );
  const again = await server.request('PATCH', `${classes}/usual`, { description: 'mine' });
  assert.equal(again.status, 200);
});

test('an update need not repeat what the server computed', async () => {
  await using server = await open();
  const { body } = await create(server, 'a', { priorityClassName: 'system-node-critical' });
  const { priority: _priority, preemptionPolicy: _policy, ...spec } = body.spec;
  const metadata = { ...body.metadata, labels: { a: 'b' } };
  const next = await server.request('PUT', `${pods}/a`, { ...body, metadata, spec });
  assert.equal(next.status, 200, next.text);
  assert.equal(next.body.spec.priority, 2_000_001_000);
});
