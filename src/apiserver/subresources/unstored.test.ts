/** Kinds that are never stored: Bindings, which change pods, and ComponentStatus, which asks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const space = '/api/v1/namespaces/default';

async function pod(server: TestServer, name: string, spec: object = {}): Promise<void> {
  const containers = [{ name: 'main', image: 'x:1' }];
  await server.request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
  const made = await server.request('POST', `${space}/pods`, {
    metadata: { name },
    spec: { containers, ...spec },
  });
  assert.equal(made.status, 201, made.text);
}

test('a Binding of its own binds the pod that it names', async () => {
  await using server = await openTestServer();
  await pod(server, 'a');
  await server.request('POST', '/api/v1/nodes', {
    metadata: { name: 'n1', labels: { 'topology.kubernetes.io/zone': 'z1', other: 'x' } },
  });
  const target = { kind: 'Node', name: 'n1' };
  const metadata = { name: 'a', annotations: { by: 'me' }, labels: { way: 'own' } };
  const bound = await server.request('POST', `${space}/bindings`, { metadata, target });
  assert.equal(bound.status, 201, bound.text);
  assert.equal(bound.body.status, 'Success');
  const { body } = await server.request('GET', `${space}/pods/a`);
  assert.equal(body.spec.nodeName, 'n1');
  assert.equal(body.metadata.annotations.by, 'me');
  assert.deepEqual(body.metadata.labels, { way: 'own', 'topology.kubernetes.io/zone': 'z1' });
  const again = await server.request('POST', `${space}/bindings`, { metadata, target });
  assert.equal(again.status, 409);
  assert.match(again.body.message, /pods\/binding "a": pod a is already assigned to node "n1"$/);
  const none = await server.request('POST', `${space}/bindings`, {
    metadata: { name: 'none' },
    target,
  });
  assert.equal(none.status, 404);
  assert.equal((await server.request('GET', `${space}/bindings`)).status, 405);
});

test('a pod with gates, or that goes, is not bound; a binding must name a node', async () => {
  await using server = await openTestServer();
  await pod(server, 'gated', { schedulingGates: [{ name: 'x/y' }] });
  const bind = (name: string, target: object) =>
    server.request('POST', `${space}/pods/${name}/binding`, { metadata: { name }, target });
  const gated = await bind('gated', { name: 'n1' });
  assert.match(gated.body.message, /pod gated has non-empty \.spec\.schedulingGates$/);
  const nowhere = await bind('gated', {});
  assert.equal(nowhere.status, 500);
  assert.match(nowhere.body.message, /target.name: Required value/);
  const other = await bind('gated', { kind: 'Pod', name: 'x' });
  assert.match(other.body.message, /target.kind: Unsupported value: "Pod"/);
});

test('a namespace that goes takes no bindings, evictions or tokens', async () => {
  await using server = await openTestServer();
  await server.request('POST', '/api/v1/namespaces', { metadata: { name: 'x' } });
  const inside = '/api/v1/namespaces/x';
  await server.request('POST', `${inside}/serviceaccounts`, { metadata: { name: 'default' } });
  const containers = [{ name: 'main', image: 'x:1' }];
  await server.request('POST', `${inside}/pods`, { metadata: { name: 'p' }, spec: { containers } });
  await server.request('DELETE', '/api/v1/namespaces/x');
  const text = /unable to create new content in namespace x because it is being terminated/;
  const binding = { metadata: { name: 'p' }, target: { name: 'n' } };
  const bound = await server.request('POST', `${inside}/pods/p/binding`, binding);
  assert.match(bound.body.message, text);
  assert.equal(bound.body.details.causes[0].reason, 'NamespaceTerminating');
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'p' } };
  const evicted = await server.request('POST', `${inside}/pods/p/eviction`, eviction);
  assert.match(evicted.body.message, text);
});

test('ComponentStatus asks at the moment of the request', async () => {
  let problem: string | undefined;
  const components = [{ name: 'scheduler', problem: () => problem }];
  await using server = await openTestServer({ options: { components } });
  const path = '/api/v1/componentstatuses';
  const { body, headers } = await server.request('GET', path);
  assert.equal(body.kind, 'ComponentStatusList');
  assert.deepEqual(
    body.items.map(({ metadata }: { metadata: { name: string } }) => metadata.name),
    ['scheduler', 'etcd-0'],
  );
  assert.match(headers['warning'] ?? '', /v1 ComponentStatus is deprecated in v1.19\+/);
  const healthy = [{ type: 'Healthy', status: 'True', message: 'ok' }];
  assert.deepEqual((await server.request('GET', `${path}/etcd-0`)).body.conditions, healthy);
  problem = 'gone';
  const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
  const table = await server.request('GET', path, undefined, { headers: { accept } });
  assert.deepEqual(
    table.body.rows.map(({ cells }: { cells: string[] }) => cells),
    [
      ['scheduler', 'Unhealthy', 'gone', ''],
      ['etcd-0', 'Healthy', 'ok', ''],
    ],
  );
  const none = await server.request('GET', `${path}/none`);
  assert.equal(none.status, 404);
  assert.equal((await server.request('POST', path, { metadata: { name: 'x' } })).status, 405);
});
