/** What `kubectl get services` prints of each type, and what a provider of balancers fills in. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers, superseded } from '#test/covers.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const path = '/api/v1/namespaces/default/services';

async function create(server: TestServer, name: string, spec: object): Promise<void> {
  const ports = [{ port: 80, name: 'http' }];
  const body = { metadata: { name }, spec: { selector: { app: 'web' }, ports, ...spec } };
  const { status, text } = await server.request('POST', path, body);
  assert.equal(status, 201, text);
}

async function rowOf(server: TestServer, name: string): Promise<Readonly<Record<string, string>>> {
  const headers = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };
  const { body } = await server.request('GET', `${path}/${name}`, undefined, { headers });
  const columns: readonly { readonly name: string }[] = body.columnDefinitions;
  return Object.fromEntries(columns.map((one, index) => [one.name, body.rows[0].cells[index]]));
}

test('each type of Service is printed in its own way', async () => {
  superseded('SVC-082', {
    by: 'v1.8',
    now: 'the type has a column of its own, and a NodePort Service has <none> for its external address',
  });
  await using server = await openTestServer();
  await create(server, 'inside', {});
  await create(server, 'headless', { clusterIP: 'None' });
  await create(server, 'nodes', { type: 'NodePort', ports: [{ port: 80, nodePort: 31323 }] });
  await create(server, 'balanced', { type: 'LoadBalancer' });
  const shown = async (name: string) => {
    const row = await rowOf(server, name);
    return [row['Type'], row['External-IP'], row['Port(s)']];
  };
  assert.deepEqual(await shown('inside'), ['ClusterIP', '<none>', '80/TCP']);
  assert.equal((await rowOf(server, 'headless'))['Cluster-IP'], 'None');
  assert.deepEqual(await shown('nodes'), ['NodePort', '<none>', '80:31323/TCP']);
  const [type, address, ports = ''] = await shown('balanced');
  assert.deepEqual([type, address], ['LoadBalancer', '<pending>']);
  assert.match(ports, /^80:3\d{4}\/TCP$/);
});

test('a balancer is pending until its provider has it', async () => {
  covers('SVC-036', 'SVC-096');
  await using server = await openTestServer();
  await create(server, 'web', { type: 'LoadBalancer' });
  const { body } = await server.request('GET', `${path}/web`);
  // What it is besides: a port of each node, and an address inside.
  assert.match(body.spec.clusterIP, /^10\.43\./);
  assert.ok(body.spec.ports[0].nodePort >= 30_000);
  assert.deepEqual(body.status.loadBalancer, {});
  assert.equal((await rowOf(server, 'web'))['External-IP'], '<pending>');
  const fill = async (ingress: readonly object[]) => {
    const status = { loadBalancer: { ingress } };
    const current = (await server.request('GET', `${path}/web`)).body;
    const answer = await server.request('PUT', `${path}/web/status`, { ...current, status });
    assert.equal(answer.status, 200, answer.text);
    return (await rowOf(server, 'web'))['External-IP'];
  };
  assert.equal(await fill([{ ip: '146.148.47.155' }]), '146.148.47.155');
  assert.equal(await fill([{ hostname: 'lb.example.com' }]), 'lb.example.com');
});
