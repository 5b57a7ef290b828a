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

test('a Scale is read as strictly as any object', async () => {
  await using server = await openTestServer();
  await deployment(server);
  const put = async (body: object, query = '') => {
    const whole = { apiVersion: 'autoscaling/v1', kind: 'Scale', ...body };
    const { status, body: answer } = await server.request('PUT', `${path}/d/scale${query}`, whole);
    return [status, answer.message] as const;
  };
  const metadata = { name: 'd', namespace: 'default' };
  assert.deepEqual(await put({ metadata, spec: { replicas: -1 } }), [
    422,
    'Scale.autoscaling "d" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0',
  ]);
  assert.deepEqual(await put({ metadata, spec: { replicas: 'many' } }), [
    400,
    'Scale in version "v1" cannot be handled as a Scale: json: cannot unmarshal string into Go struct field ScaleSpec.spec.replicas of type int32',
  ]);
  assert.deepEqual(await put({ metadata: {} }), [
    400,
    'the name of the object (d based on URL) was undeterminable: name must be provided',
  ]);
  const [elsewhere] = await put({ metadata: { ...metadata, namespace: 'other' } });
  assert.equal(elsewhere, 400);
  const [otherUid] = await put({ metadata: { ...metadata, uid: 'other' } });
  assert.equal(otherUid, 409);
  const [odd] = await put({ metadata, spec: { odd: 1 } }, '?fieldValidation=Strict');
  assert.equal(odd, 400);
  const [fine] = await put({ metadata, spec: { replicas: 2 } });
  assert.equal(fine, 200);
});

test('the annotation of a DaemonSet belongs to whoever left it out of a status', async () => {
  await using server = await openTestServer();
  const sets = '/apis/apps/v1/namespaces/default/daemonsets';
  const template = {
    metadata: { labels: { a: 'b' } },
    spec: { containers: [{ name: 'main', image: 'x:1' }] },
  };
  const set = {
    metadata: { name: 's' },
    spec: { selector: { matchLabels: { a: 'b' } }, template },
  };
  assert.equal((await server.request('POST', `${sets}?fieldManager=maker`, set)).status, 201);
  const written = await server.request('PUT', `${sets}/s/status?fieldManager=writer`, {
    ...set,
    status: { currentNumberScheduled: 1 },
  });
  assert.equal(written.status, 200, written.text);
  const owner = written.body.metadata.managedFields.find(
    ({ manager }: { manager: string }) => manager === 'writer',
  );
  assert.deepEqual(owner.fieldsV1['f:metadata'], {
    'f:annotations': { 'f:deprecated.daemonset.template.generation': {} },
  });
  const kept = written.body.metadata.annotations;
  assert.equal(kept['deprecated.daemonset.template.generation'], '1');
});
