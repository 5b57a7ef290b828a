/** The verbs through the whole lifecycle, on kinds that need no special treatment. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers, superseded } from '#test/covers.ts';
import { openTestServer } from '#test/fixtures.ts';

const configMaps = '/api/v1/namespaces/default/configmaps';
const deployments = '/apis/apps/v1/namespaces/default/deployments';

function configMap(name: string, data: object = { k: 'v' }, metadata: object = {}): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata }, data };
}

function deployment(name: string, replicas = 1): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: 'main', image: 'nginx:1' }] },
      },
    },
  };
}

test('create stamps metadata, get shows the same object', async () => {
  covers('API-023');
  superseded('API-156', { by: 'v1.20', now: 'the same fields, without selfLink' });
  await using server = await openTestServer();
  const created = await server.request('POST', configMaps, configMap('a'));
  assert.equal(created.status, 201);
  const { metadata } = created.body;
  assert.match(metadata.uid, /^[0-9a-f]{8}-[0-9a-f]{4}-4/);
  assert.match(metadata.creationTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assert.equal(metadata.namespace, 'default');
  assert.match(metadata.resourceVersion, /^\d+$/);
  const got = await server.request('GET', `${configMaps}/a`);
  assert.deepEqual(got.body, created.body);
  assert.ok(got.headers['audit-id']);
  assert.equal(metadata.selfLink, undefined);
});

test('names are unique within kind and namespace, and free again after a delete', async () => {
  covers('API-025', 'API-028', 'API-029', 'API-131');
  await using server = await openTestServer();
  const first = await server.request('POST', configMaps, configMap('a'));
  const again = await server.request('POST', configMaps, configMap('a'));
  assert.equal(again.status, 409);
  assert.equal(again.body.reason, 'AlreadyExists');
  assert.equal(again.body.message, 'configmaps "a" already exists');
  const otherKind = '/api/v1/namespaces/default/secrets';
  const { status } = await server.request('POST', otherKind, { metadata: { name: 'a' } });
  assert.equal(status, 201, 'of another kind');
  const elsewhere = '/api/v1/namespaces/kube-system/configmaps';
  assert.equal((await server.request('POST', elsewhere, configMap('a'))).status, 201);
  const gone = await server.request('DELETE', `${configMaps}/a`);
  assert.equal(gone.body.status, 'Success');
  assert.equal(gone.body.details.uid, first.body.metadata.uid);
  const renewed = await server.request('POST', configMaps, configMap('a'));
  assert.notEqual(renewed.body.metadata.uid, first.body.metadata.uid);
});

test('errors are Status objects with reason and code', async () => {
  covers('API-133', 'API-027', 'API-145');
  await using server = await openTestServer();
  const missing = await server.request('GET', `${configMaps}/none`);
  assert.deepEqual(missing.body, {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'configmaps "none" not found',
    reason: 'NotFound',
    details: { name: 'none', kind: 'configmaps' },
    code: 404,
  });
  const bad = await server.request('POST', configMaps, configMap('A_b'));
  assert.equal(bad.status, 422);
  assert.equal(bad.body.details.causes[0].field, 'metadata.name');
  const long = await server.request('POST', configMaps, configMap('a'.repeat(254)));
  assert.equal(long.status, 422);
  const longest = 'a.b-'.repeat(63).concat('9');
  assert.equal(longest.length, 253);
  assert.equal((await server.request('POST', configMaps, configMap(longest))).status, 201);
  assert.deepEqual([long.body.kind, long.body.reason, long.body.code], ['Status', 'Invalid', 422]);
  // The names of some kinds are narrower.
  for (const name of ['Foo_bar', 'a.b', 'a'.repeat(64)]) {
    const space = await server.request('POST', '/api/v1/namespaces', { metadata: { name } });
    assert.equal(space.status, 422, name);
  }
  const as = { name: 'jane', groups: [] };
  const { body: denied } = await server.request('GET', configMaps, undefined, { as });
  assert.deepEqual([denied.kind, denied.reason, denied.code], ['Status', 'Forbidden', 403]);
  const nowhere = await server.request('GET', '/apis/nothing.example.com/v1/things');
  assert.equal(nowhere.body.message, 'the server could not find the requested resource');
});

test('generateName adds five letters and avoids names that are taken', async () => {
  covers('API-132', 'API-153');
  const letters = ['a', 'a', 'b'];
  await using server = await openTestServer();
  const made = await server.request('POST', configMaps, {
    metadata: { generateName: 'x-' },
  });
  assert.match(made.body.metadata.name, /^x-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  const { seededRandom } = await import('#kit/random.ts');
  // A source of chance that says the same five letters twice, then others.
  const random = seededRandom(1);
  let calls = 0;
  await using clash = await openTestServer({
    random: {
      ...random,
      integer: (below) => {
        calls += 1;
        return calls <= 10 ? 0 : Math.min(below - 1, letters.length);
      },
    },
  });
  calls = 0;
  const one = await clash.request('POST', configMaps, { metadata: { generateName: 'x-' } });
  const two = await clash.request('POST', configMaps, { metadata: { generateName: 'x-' } });
  assert.equal(one.body.metadata.name, 'x-bbbbb');
  assert.equal(two.status, 201);
  assert.notEqual(two.body.metadata.name, 'x-bbbbb');
});

test('a body that contradicts the URL is refused', async () => {
  await using server = await openTestServer();
  const send = (body: object) => server.request('POST', configMaps, body);
  assert.equal((await send(configMap('a', {}, { namespace: 'other' }))).status, 400);
  assert.equal((await send({ ...configMap('a'), kind: 'Secret' })).status, 400);
  assert.equal((await send({ ...configMap('a'), apiVersion: 'v2' })).status, 400);
  assert.equal((await send(configMap('a', {}, { resourceVersion: '5' }))).status, 500);
  assert.equal((await send({ metadata: {} })).status, 422);
  assert.equal((await server.request('POST', configMaps)).status, 400);
  assert.equal((await server.request('POST', configMaps, '{')).status, 400);
});

test('fieldValidation decides what unknown fields do', async () => {
  covers('API-126');
  await using server = await openTestServer();
  const odd = { ...configMap('a'), commnd: 1 };
  const strict = await server.request('POST', `${configMaps}?fieldValidation=Strict`, odd);
  assert.equal(strict.status, 400);
  assert.match(strict.body.message, /strict decoding error: unknown field "commnd"/);
  const warned = await server.request('POST', configMaps, odd);
  assert.equal(warned.headers['warning'], '299 - "unknown field \\"commnd\\""');
  assert.equal('commnd' in warned.body, false);
  const ignored = await server.request('PUT', `${configMaps}/a?fieldValidation=Ignore`, odd);
  assert.equal(ignored.status, 200);
  assert.equal(ignored.headers['warning'], undefined);
});

test('update needs the current revision, or none at all', async () => {
  covers('API-105');
  await using server = await openTestServer();
  const { body: first } = await server.request('POST', configMaps, configMap('a'));
  const next = { ...first, data: { k: 'two' } };
  const second = await server.request('PUT', `${configMaps}/a`, next);
  assert.equal(second.status, 200);
  const stale = await server.request('PUT', `${configMaps}/a`, { ...next, data: { k: 'three' } });
  assert.equal(stale.status, 409);
  assert.equal(
    stale.body.message,
    'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again',
  );
  const blind = await server.request('PUT', `${configMaps}/a`, configMap('a', { k: 'four' }));
  assert.equal(blind.body.data.k, 'four');
  assert.equal(blind.body.metadata.uid, first.metadata.uid);
  assert.equal(blind.body.metadata.creationTimestamp, first.metadata.creationTimestamp);
  const other = configMap('a', {}, { uid: 'another' });
  assert.equal((await server.request('PUT', `${configMaps}/a`, other)).status, 409);
});

test('an update that changes nothing keeps the revision', async () => {
  await using server = await openTestServer();
  const { body } = await server.request('POST', configMaps, configMap('a'));
  const same = await server.request('PUT', `${configMaps}/a`, body);
  assert.equal(same.body.metadata.resourceVersion, body.metadata.resourceVersion);
  const patched = await server.request('PATCH', `${configMaps}/a`, { data: { k: 'v' } });
  assert.equal(patched.body.metadata.resourceVersion, body.metadata.resourceVersion);
});

test('the three kinds of patch', async () => {
  covers('API-070', 'API-093', 'API-108', 'API-109', 'API-110', 'API-135', 'API-157');
  await using server = await openTestServer();
  await server.request('POST', deployments, deployment('web'));
  const patch = (type: string, body: unknown) =>
    server.request('PATCH', `${deployments}/web`, body, {
      headers: { 'content-type': `application/${type}+json` },
    });
  const sidecar = { name: 'side', image: 'redis:1' };
  const template = { spec: { containers: [sidecar] } };
  const strategic = await patch('strategic-merge-patch', { spec: { template } });
  const names = (answer: {
    body: { spec: { template: { spec: { containers: { name: string }[] } } } };
  }) => answer.body.spec.template.spec.containers.map(({ name }) => name);
  assert.deepEqual(names(strategic), ['side', 'main']);
  const merge = await patch('merge-patch', { spec: { template } });
  assert.deepEqual(names(merge), ['side']);
  const json = await patch('json-patch', [
    { op: 'replace', path: '/spec/replicas', value: 4 },
    { op: 'add', path: '/metadata/annotations', value: {} },
    { op: 'add', path: '/metadata/annotations/example.com~1a', value: 'b' },
  ]);
  assert.equal(json.body.spec.replicas, 4);
  assert.equal(json.body.metadata.annotations['example.com/a'], 'b');
  const apply = await patch('apply-patch', {});
  assert.equal(apply.status, 415);
});

test('a patch without a revision is tried again after a lost race, one with it is not', async () => {
  await using server = await openTestServer();
  const { body } = await server.request('POST', configMaps, configMap('a'));
  const writers = Array.from({ length: 8 }, (_, index) =>
    server.request('PATCH', `${configMaps}/a`, { data: { [`k${index}`]: 'v' } }),
  );
  for (const answer of await Promise.all(writers)) assert.equal(answer.status, 200);
  const after = await server.request('GET', `${configMaps}/a`);
  assert.equal(Object.keys(after.body.data).length, 9);
  const { resourceVersion } = body.metadata;
  const stale = { metadata: { resourceVersion }, data: { k: 'x' } };
  assert.equal((await server.request('PATCH', `${configMaps}/a`, stale)).status, 409);
});

test('the generation counts changes of what is wanted, not of status or metadata', async () => {
  await using server = await openTestServer();
  const { body } = await server.request('POST', deployments, deployment('web'));
  assert.equal(body.metadata.generation, 1);
  const labelled = { metadata: { labels: { a: 'b' } } };
  const label = await server.request('PATCH', `${deployments}/web`, labelled);
  assert.equal(label.body.metadata.generation, 1);
  const scaled = await server.request('PATCH', `${deployments}/web`, { spec: { replicas: 2 } });
  assert.equal(scaled.body.metadata.generation, 2);
  const status = { status: { replicas: 2, observedGeneration: 2 }, spec: { replicas: 9 } };
  const reported = await server.request('PATCH', `${deployments}/web/status`, status);
  assert.equal(reported.body.metadata.generation, 2);
  assert.equal(reported.body.spec.replicas, 2);
  assert.equal(reported.body.status.observedGeneration, 2);
  const plain = await server.request('PATCH', `${deployments}/web`, { status: { replicas: 7 } });
  assert.equal(plain.body.status.replicas, 2);
});

test('dryRun goes through everything and stores nothing', async () => {
  await using server = await openTestServer();
  const made = await server.request('POST', `${configMaps}?dryRun=All`, configMap('a'));
  assert.equal(made.status, 201);
  assert.equal((await server.request('GET', `${configMaps}/a`)).status, 404);
  await server.request('POST', configMaps, configMap('a'));
  const changed = await server.request('PATCH', `${configMaps}/a?dryRun=All`, { data: { k: 'x' } });
  assert.equal(changed.body.data.k, 'x');
  await server.request('DELETE', `${configMaps}/a?dryRun=All`);
  assert.equal((await server.request('GET', `${configMaps}/a`)).body.data.k, 'v');
  assert.equal(
    (await server.request('POST', `${configMaps}?dryRun=Some`, configMap('b'))).status,
    422,
  );
});

test('finalizers turn a delete into a mark until the last one is gone', async () => {
  covers('API-129');
  await using server = await openTestServer();
  const finalizers = ['example.com/hold'];
  await server.request('POST', configMaps, configMap('a', {}, { finalizers }));
  const marked = await server.request('DELETE', `${configMaps}/a`);
  assert.equal(marked.status, 200);
  assert.ok(marked.body.metadata.deletionTimestamp);
  const still = await server.request('GET', `${configMaps}/a`);
  assert.equal(still.status, 200);
  const more = { metadata: { finalizers: [...finalizers, 'example.com/more'] } };
  assert.equal((await server.request('PATCH', `${configMaps}/a`, more)).status, 422);
  const released = await server.request('PATCH', `${configMaps}/a`, {
    metadata: { finalizers: [] },
  });
  assert.equal(released.status, 200);
  assert.equal((await server.request('GET', `${configMaps}/a`)).status, 404);
});

test('the propagation policy becomes a finalizer', async () => {
  covers('API-079');
  await using server = await openTestServer();
  const remove = async (name: string, policy: string) => {
    await server.request('POST', deployments, deployment(name));
    const body = { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy: policy };
    return server.request('DELETE', `${deployments}/${name}`, body);
  };
  const foreground = await remove('a', 'Foreground');
  assert.equal(foreground.status, 200);
  assert.deepEqual(foreground.body.metadata.finalizers, ['foregroundDeletion']);
  const orphan = await remove('b', 'Orphan');
  assert.deepEqual(orphan.body.metadata.finalizers, ['orphan']);
  const background = await remove('c', 'Background');
  assert.equal(background.body.status, 'Success');
  assert.equal((await remove('d', 'Sometimes')).status, 422);
  const old = await server.request('DELETE', `${deployments}/a`, { orphanDependents: true });
  assert.deepEqual(old.body.metadata.finalizers, ['orphan']);
});

test('delete honours preconditions', async () => {
  await using server = await openTestServer();
  const { body } = await server.request('POST', configMaps, configMap('a'));
  const wrong = { preconditions: { uid: 'another' } };
  assert.equal((await server.request('DELETE', `${configMaps}/a`, wrong)).status, 409);
  const old = { preconditions: { resourceVersion: '1' } };
  assert.equal((await server.request('DELETE', `${configMaps}/a`, old)).status, 409);
  const { uid, resourceVersion } = body.metadata;
  const right = { preconditions: { uid, resourceVersion } };
  assert.equal((await server.request('DELETE', `${configMaps}/a`, right)).status, 200);
});

test('delete of a collection honours the selection', async () => {
  await using server = await openTestServer();
  for (const name of ['a', 'b', 'c']) {
    const labels = { keep: name === 'b' ? 'yes' : 'no' };
    await server.request('POST', configMaps, configMap(name, {}, { labels }));
  }
  const gone = await server.request('DELETE', `${configMaps}?labelSelector=keep%3Dno`);
  assert.equal(gone.body.items.length, 2);
  const left = await server.request('GET', configMaps);
  assert.deepEqual(
    left.body.items.map((item: { metadata: { name: string } }) => item.metadata.name),
    ['b'],
  );
});

test('a namespace that goes away takes nothing new, and goes when its finalizer does', async () => {
  covers('API-143', 'API-013', 'API-144');
  await using server = await openTestServer();
  for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease']) {
    const found = await server.request('GET', `/api/v1/namespaces/${name}`);
    assert.equal(found.body.status.phase, 'Active');
  }
  const spaces = '/api/v1/namespaces';
  await server.request('POST', spaces, { metadata: { name: 'x' } });
  const ended = await server.request('DELETE', `${spaces}/x`);
  assert.equal(ended.body.status.phase, 'Terminating');
  const refused = await server.request('POST', `${spaces}/x/configmaps`, configMap('a'));
  assert.equal(refused.status, 403);
  assert.equal(
    refused.body.message,
    'configmaps "a" is forbidden: unable to create new content in namespace x because it is being terminated',
  );
  assert.equal(refused.body.details.causes[0].reason, 'NamespaceTerminating');
  const { body } = await server.request('GET', `${spaces}/x`);
  await server.request('PUT', `${spaces}/x/finalize`, { ...body, spec: { finalizers: [] } });
  assert.equal((await server.request('GET', `${spaces}/x`)).status, 404);
  const lost = await server.request('POST', `${spaces}/x/configmaps`, configMap('a'));
  assert.equal(lost.status, 404);
  assert.equal(lost.body.message, 'namespaces "x" not found');
  assert.equal((await server.request('DELETE', `${spaces}/default`)).status, 403);
});

test('a namespace waits for finalizers that nobody knows', async () => {
  covers('API-146');
  await using server = await openTestServer();
  const spaces = '/api/v1/namespaces';
  const spec = { finalizers: ['foo.example/bar'] };
  const made = await server.request('POST', spaces, { metadata: { name: 'x' }, spec });
  assert.deepEqual(made.body.spec.finalizers, ['foo.example/bar', 'kubernetes']);
  await server.request('DELETE', `${spaces}/x`);
  const { body } = await server.request('GET', `${spaces}/x`);
  const next = { ...body, spec };
  const done = await server.request('PUT', `${spaces}/x/finalize`, next);
  assert.equal(done.status, 200);
  const { body: stuck } = await server.request('GET', `${spaces}/x`);
  assert.equal(stuck.status.phase, 'Terminating');
  assert.deepEqual(stuck.spec.finalizers, ['foo.example/bar']);
});

test('YAML in and out', async () => {
  covers('API-007');
  await using server = await openTestServer();
  const yaml = 'kind: ConfigMap\napiVersion: v1\nmetadata:\n  name: a\ndata:\n  k: v\n';
  const headers = { 'content-type': 'application/yaml', accept: 'application/yaml' };
  const made = await server.request('POST', configMaps, yaml, { headers });
  assert.equal(made.status, 201);
  assert.match(made.text, /^apiVersion: v1\ndata:\n {2}k: v\nkind: ConfigMap\nmetadata:\n/);
  const list = await server.request('GET', configMaps, undefined, { headers });
  assert.match(list.text, /kind: ConfigMapList/);
  const broken = await server.request('POST', configMaps, 'a: [', { headers });
  assert.equal(broken.status, 400);
});

test('methods that a path does not have are refused', async () => {
  await using server = await openTestServer();
  assert.equal((await server.request('PUT', configMaps, configMap('a'))).status, 405);
  assert.equal((await server.request('POST', `${configMaps}/a`, configMap('a'))).status, 405);
  assert.equal((await server.request('POST', '/api/v1/configmaps', configMap('a'))).status, 405);
  assert.equal((await server.request('GET', '/api/v1/configmaps/a')).status, 404);
  assert.equal((await server.request('GET', `${configMaps}/a/status`)).status, 404);
  assert.equal((await server.request('GET', '/api/v1/namespaces/x/nodes')).status, 404);
});

test('what is valid is in the store, in the one version of its kind; what is not, is not', async () => {
  covers('API-168');
  superseded('API-142', { by: 'v1.11', now: 'the version in the store is chosen by the kind' });
  await using server = await openTestServer();
  const { spec } = deployment('d') as { readonly spec: object };
  const old = '/apis/extensions/v1beta1/namespaces/default/deployments';
  const made = await server.request('POST', old, { metadata: { name: 'd' }, spec });
  assert.deepEqual([made.status, made.body.apiVersion], [201, 'extensions/v1beta1']);
  const keys = () => server.store.list({ prefix: '/registry/deployments/' }).entries;
  const [entry] = keys();
  assert.equal(entry?.key, '/registry/deployments/default/d');
  assert.match(
    Buffer.from(entry.value).toString(),
    /^{"kind":"Deployment","apiVersion":"apps\/v1"/,
  );
  const wrong = { metadata: { name: 'e' }, spec: { ...spec, replicas: -1 } };
  assert.equal((await server.request('POST', deployments, wrong)).status, 422);
  assert.equal(keys().length, 1);
});
