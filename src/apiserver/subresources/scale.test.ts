/** Replicas by server-side apply, through `scale`: who owns them, and who may take them away. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const path = '/apis/apps/v1/namespaces/default/deployments';

async function deployment(server: TestServer): Promise<void> {
  const template = {
    metadata: { labels: { a: 'b' } },
    spec: { containers: [{ name: 'main', image: 'x:1' }] },
  };
  const selector = { matchLabels: { a: 'b' } };
  const spec = { replicas: 1, selector, template };
  const made = await server.request('POST', `${path}?fieldManager=maker`, {
    metadata: { name: 'd' },
    spec,
  });
  assert.equal(made.status, 201, made.text);
}

function apply(server: TestServer, replicas: number, query: string) {
  const body = { apiVersion: 'autoscaling/v1', kind: 'Scale', spec: { replicas } };
  const headers = { 'content-type': 'application/apply-patch+yaml' };
  return server.request('PATCH', `${path}/d/scale?${query}`, body, { headers });
}

test('applied replicas belong to the manager that applied them', async () => {
  await using server = await openTestServer();
  await deployment(server);
  const taken = await apply(server, 3, 'fieldManager=scaler');
  assert.equal(taken.status, 409, taken.text);
  assert.match(taken.body.message, /conflict with "maker".*\.spec\.replicas/s);
  const forced = await apply(server, 3, 'fieldManager=scaler&force=true');
  assert.equal(forced.status, 200, forced.text);
  assert.equal(forced.body.kind, 'Scale');
  assert.equal(forced.body.spec.replicas, 3);
  const { body } = await server.request('GET', `${path}/d`);
  const owner = body.metadata.managedFields.find(
    ({ manager }: { manager: string }) => manager === 'scaler',
  );
  assert.deepEqual(
    [owner.operation, owner.subresource, owner.apiVersion],
    ['Apply', 'scale', 'apps/v1'],
  );
  assert.deepEqual(owner.fieldsV1, { 'f:spec': { 'f:replicas': {} } });
  const wrong = { apiVersion: 'apps/v1', kind: 'Deployment' };
  const headers = { 'content-type': 'application/apply-patch+yaml' };
  const refused = await server.request('PATCH', `${path}/d/scale?fieldManager=x`, wrong, {
    headers,
  });
  assert.equal(refused.status, 400);
});

test('the names of managers in a body are of bounded length', async () => {
  await using server = await openTestServer();
  const managedFields = [
    {
      manager: 'x'.repeat(129),
      operation: 'Update',
      apiVersion: 'v1',
      fieldsType: 'FieldsV1',
      fieldsV1: {},
    },
  ];
  const maps = '/api/v1/namespaces/default/configmaps';
  const map = { metadata: { name: 'c' }, data: { a: 'b' } };
  assert.equal((await server.request('POST', maps, map)).status, 201);
  const metadata = { name: 'c', managedFields };
  const made = await server.request('PUT', `${maps}/c`, { ...map, metadata });
  assert.equal(made.status, 422, made.text);
  assert.match(
    made.body.message,
    /metadata.managedFields\[0\].manager: Too long: may not be more than 128 bytes/,
  );
});
