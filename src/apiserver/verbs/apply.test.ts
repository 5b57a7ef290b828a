/**
 * Server-side apply and the owners of fields, as a client of the API meets them.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const configMaps = '/api/v1/namespaces/default/configmaps';
const deployments = '/apis/apps/v1/namespaces/default/deployments';
const headers = { 'content-type': 'application/apply-patch+yaml' };

function apply(server: TestServer, path: string, body: object, query = 'fieldManager=one') {
  return server.request('PATCH', `${path}?${query}`, body, { headers });
}

function configMap(data: object, metadata: object = {}): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', ...metadata }, data };
}

function deployment(replicas: number | undefined, image = 'a:1', more: readonly object[] = []) {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'd' },
    spec: {
      ...(replicas === undefined ? {} : { replicas }),
      selector: { matchLabels: { app: 'd' } },
      template: {
        metadata: { labels: { app: 'd' } },
        spec: { containers: [{ name: 'c', image, ports: [{ containerPort: 80 }] }, ...more] },
      },
    },
  };
}

test('applying creates, and applying the same again changes nothing', async () => {
  await using server = await openTestServer();
  const made = await apply(server, `${deployments}/d`, deployment(2));
  assert.equal(made.status, 201);
  const [entry] = made.body.metadata.managedFields;
  assert.equal(entry.manager, 'one');
  assert.equal(entry.operation, 'Apply');
  assert.deepEqual(entry.fieldsV1, {
    'f:spec': {
      'f:replicas': {},
      'f:selector': {},
      'f:template': {
        'f:metadata': { 'f:labels': { 'f:app': {} } },
        'f:spec': {
          'f:containers': {
            'k:{"name":"c"}': {
              '.': {},
              'f:image': {},
              'f:name': {},
              'f:ports': {
                'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} },
              },
            },
          },
        },
      },
    },
  });
  const again = await apply(server, `${deployments}/d`, deployment(2));
  assert.equal(again.status, 200);
  assert.deepEqual(again.body.metadata, made.body.metadata);
});

test('what is dropped goes, unless somebody else owns it', async () => {
  await using server = await openTestServer();
  await apply(server, `${configMaps}/a`, configMap({ x: '1', y: '1' }));
  await apply(server, `${configMaps}/a`, configMap({ y: '1' }), 'fieldManager=two');
  const left = await apply(server, `${configMaps}/a`, configMap({ z: '1' }));
  assert.equal(left.status, 200);
  assert.deepEqual(left.body.data, { y: '1', z: '1' });
  const sidecar = { name: 's', image: 's:1' };
  await apply(server, `${deployments}/d`, deployment(1, 'a:1', [sidecar]));
  const { body } = await apply(server, `${deployments}/d`, deployment(undefined));
  assert.equal(body.spec.replicas, 1);
  assert.equal(body.spec.template.spec.containers.length, 1);
  assert.equal(body.spec.template.spec.containers[0].ports[0].protocol, 'TCP');
});

test('a field of somebody else is a conflict, until it is forced', async () => {
  await using server = await openTestServer();
  await apply(server, `${deployments}/d`, deployment(1));
  await server.request('PATCH', `${deployments}/d?fieldManager=hand`, { spec: { replicas: 5 } });
  const refused = await apply(server, `${deployments}/d`, deployment(2));
  assert.equal(refused.status, 409);
  assert.equal(refused.body.reason, 'Conflict');
  assert.match(
    refused.body.message,
    /^Apply failed with 1 conflict: conflict with "hand" using apps\/v1: \.spec\.replicas$/,
  );
  const [cause] = refused.body.details.causes;
  assert.equal(cause.reason, 'FieldManagerConflict');
  assert.equal(cause.field, '.spec.replicas');
  const two = await apply(server, `${deployments}/d`, deployment(2, 'b:1'), 'fieldManager=two');
  assert.equal(
    two.body.message.replace(/ at [^:]*:\d+:\d+Z/, ''),
    'Apply failed with 2 conflicts: conflicts with "hand" using apps/v1:\n- .spec.replicas\n' +
      'conflicts with "one":\n- .spec.template.spec.containers[name="c"].image',
  );
  const forced = await apply(
    server,
    `${deployments}/d`,
    deployment(2),
    'fieldManager=one&force=true',
  );
  assert.equal(forced.status, 200);
  assert.deepEqual(
    forced.body.metadata.managedFields.map(({ manager }: { manager: string }) => manager),
    ['one'],
  );
});

test('every writer owns what it wrote, the status apart', async () => {
  await using server = await openTestServer();
  const agent = { 'user-agent': 'kubectl/v1.36.0 (linux)' };
  const made = await server.request('POST', configMaps, configMap({ x: '1' }), { headers: agent });
  const [owner] = made.body.metadata.managedFields;
  assert.equal(owner.manager, 'kubectl');
  assert.equal(owner.operation, 'Update');
  assert.deepEqual(owner.fieldsV1, { 'f:data': { '.': {}, 'f:x': {} } });
  const same = await server.request('PUT', `${configMaps}/a?fieldManager=b`, configMap({ x: '1' }));
  assert.deepEqual(same.body, made.body);
  const changed = await server.request(
    'PUT',
    `${configMaps}/a?fieldManager=b`,
    configMap({ x: '2' }),
  );
  const entries = changed.body.metadata.managedFields;
  const sets = new Map<string, object>();
  for (const one of entries) sets.set(one.manager, one.fieldsV1);
  assert.deepEqual(sets.get('b'), { 'f:data': { 'f:x': {} } });
  assert.deepEqual(sets.get('kubectl'), { 'f:data': {} });
  await apply(server, `${deployments}/d`, deployment(1));
  const status = await server.request('PATCH', `${deployments}/d/status?fieldManager=s`, {
    status: { replicas: 1 },
  });
  const last = status.body.metadata.managedFields[1];
  assert.equal(last.subresource, 'status');
  assert.deepEqual(last.fieldsV1, { 'f:status': { 'f:replicas': {} } });
});

test('[{}] forgets all owners; nonsense is not believed', async () => {
  await using server = await openTestServer();
  const { body } = await apply(server, `${configMaps}/a`, configMap({ x: '1' }));
  const nonsense = [{ manager: 'm', operation: 'Steal', apiVersion: 'v1', fieldsType: 'FieldsV1' }];
  const kept = await server.request('PATCH', `${configMaps}/a`, {
    metadata: { managedFields: nonsense },
  });
  assert.deepEqual(kept.body.metadata.managedFields, body.metadata.managedFields);
  const reset = await server.request('PATCH', `${configMaps}/a`, {
    metadata: { managedFields: [{}] },
  });
  assert.equal(reset.body.metadata.managedFields, undefined);
  const after = await apply(server, `${configMaps}/a`, configMap({ x: '2' }));
  assert.equal(after.status, 409);
  assert.match(after.body.message, /"before-first-apply" using v1/);
});

test('too many updating managers become one', async () => {
  await using server = await openTestServer();
  await server.request('POST', `${configMaps}?fieldManager=m`, configMap({ x: '1' }));
  for (let index = 0; index < 12; index++) {
    const data = { [`k${index}`]: '1' };
    await server.request('PATCH', `${configMaps}/a?fieldManager=m${index}`, { data });
  }
  const { body } = await server.request('GET', `${configMaps}/a`);
  const names = body.metadata.managedFields.map(({ manager }: { manager: string }) => manager);
  assert.equal(names.length, 10);
  assert.ok(names.includes('ancient-changes'));
});

test('configurations that make no sense are refused', async () => {
  await using server = await openTestServer();
  const path = `${configMaps}/a`;
  const nobody = await apply(server, path, configMap({}), 'force=true');
  assert.equal(nobody.status, 422);
  assert.match(nobody.body.message, /fieldManager: Required value: is required for apply patch/);
  const unknown = await apply(server, path, { ...configMap({}), spec: 1 });
  assert.equal(unknown.status, 500);
  assert.match(unknown.body.message, /\.spec: field not declared in schema$/);
  const version = await apply(server, path, { ...configMap({}), apiVersion: 'v2' });
  assert.match(version.body.message, /^invalid object type: /);
  const managed = await apply(server, path, configMap({}, { managedFields: [{ manager: 'x' }] }));
  assert.equal(managed.body.message, 'metadata.managedFields must be nil');
  const twice = deployment(1, 'a:1', [{ name: 'c', image: 'b' }]);
  const doubled = await apply(server, `${deployments}/d`, twice);
  assert.match(doubled.body.message, /containers: duplicate entries for key \[name="c"\]$/);
  const ghost = await apply(server, path, configMap({}, { uid: 'u' }));
  assert.equal(ghost.status, 409);
  const dry = await apply(server, path, configMap({ x: '1' }), 'fieldManager=one&dryRun=All');
  assert.equal(dry.status, 201);
  assert.equal((await server.request('GET', path)).status, 404);
  await apply(server, path, configMap({ x: '1' }));
  const stale = await apply(server, path, configMap({ x: '2' }, { resourceVersion: '1' }));
  assert.equal(stale.status, 409);
});

test('kubectl goes on from the server with what it applied from the client', async () => {
  await using server = await openTestServer();
  const annotation = 'kubectl.kubernetes.io/last-applied-configuration';
  const annotations = { [annotation]: JSON.stringify(configMap({ x: '1' })) };
  const byHand = 'fieldManager=kubectl-client-side-apply';
  const before = configMap({ x: '1', y: '1' }, { annotations });
  await server.request('POST', `${configMaps}?${byHand}`, before);
  const path = `${configMaps}/a`;
  const other = await apply(server, path, configMap({ x: '2' }), 'fieldManager=other');
  assert.equal(other.status, 409);
  const beyond = await apply(server, path, configMap({ y: '2' }), 'fieldManager=kubectl');
  assert.equal(beyond.status, 409);
  const taken = await apply(server, path, configMap({ x: '2' }), 'fieldManager=kubectl');
  assert.equal(taken.status, 200);
  assert.deepEqual(taken.body.data, { x: '2', y: '1' });
  const kept = `${JSON.stringify({ apiVersion: 'v1', data: { x: '2' }, kind: 'ConfigMap' })}\n`;
  const applied = JSON.parse(taken.body.metadata.annotations[annotation]);
  assert.deepEqual(applied, { ...JSON.parse(kept), metadata: applied.metadata });
  assert.match(taken.body.metadata.annotations[annotation], /^\{"apiVersion":.*\}\n$/);
  await server.request('PATCH', `${path}?fieldManager=hand`, { data: { x: '3' } });
  const changed = await apply(server, path, configMap({ x: '4' }), 'fieldManager=kubectl');
  assert.equal(changed.status, 409);
});
