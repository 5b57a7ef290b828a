/** What every cluster has is there again a while after somebody has deleted it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { covers } from '#test/covers.ts';
import { openTestServer } from '#test/fixtures.ts';

const space = '/api/v1/namespaces/default';
const service = `${space}/services/kubernetes`;
const endpoints = `${space}/endpoints/kubernetes`;
const slice = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes';

test('the Service of the API comes back, at its address and with its endpoints', async () => {
  covers('API-014');
  const clock = new VirtualClock();
  await using server = await openTestServer({ clock, options: { serviceCIDR: '10.10.10.0/24' } });
  const status = async (path: string): Promise<number> =>
    (await server.request('GET', path)).status;
  const { body: first } = await server.request('GET', service);
  assert.equal(first.spec.clusterIP, '10.10.10.1');
  assert.deepEqual(
    first.spec.ports.map(({ port, protocol }: Record<string, unknown>) => [port, protocol]),
    [[443, 'TCP']],
  );
  for (const path of [service, endpoints, slice]) await server.request('DELETE', path);
  await clock.advance(9_000);
  assert.equal(await status(service), 404);
  await clock.advance(2_000);
  const { body: again } = await server.request('GET', service);
  assert.notEqual(again.metadata.uid, first.metadata.uid);
  assert.deepEqual(again.spec, first.spec);
  for (const path of [endpoints, slice]) assert.equal(await status(path), 200, path);
  // One of them alone, and not the first time.
  await server.request('DELETE', slice);
  await clock.advance(11_000);
  assert.equal(await status(slice), 200);
});

test('an address that somebody took meanwhile is waited for', async () => {
  const clock = new VirtualClock();
  await using server = await openTestServer({ clock, options: { serviceCIDR: '10.10.10.0/24' } });
  await server.request('DELETE', service);
  const spec = { clusterIP: '10.10.10.1', ports: [{ port: 80 }] };
  const thief = { metadata: { name: 'thief' }, spec };
  assert.equal((await server.request('POST', `${space}/services`, thief)).status, 201);
  await clock.advance(60_000);
  assert.equal((await server.request('GET', service)).status, 404);
  await server.request('DELETE', `${space}/services/thief`);
  await clock.advance(11_000);
  assert.equal((await server.request('GET', service)).body.spec.clusterIP, '10.10.10.1');
});

test('of the namespaces of the system those that can be deleted come back', async () => {
  const clock = new VirtualClock();
  await using server = await openTestServer({ clock });
  const path = '/api/v1/namespaces/kube-node-lease';
  const { body } = await server.request('DELETE', path);
  const ended = { ...body, spec: { finalizers: [] } };
  assert.equal((await server.request('PUT', `${path}/finalize`, ended)).status, 200);
  assert.equal((await server.request('GET', path)).status, 404);
  await clock.advance(11_000);
  assert.equal((await server.request('GET', path)).body.status.phase, 'Active');
});
