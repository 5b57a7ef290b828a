/** LimitRanges as the tutorials use them: defaults, bounds, and what they leave alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers } from '#test/covers.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const space = (namespace: string): string => `/api/v1/namespaces/${namespace}`;

async function open(...namespaces: readonly string[]): Promise<TestServer> {
  const server = await openTestServer();
  for (const name of ['default', ...namespaces]) {
    if (name !== 'default') {
      await server.request('POST', '/api/v1/namespaces', { metadata: { name } });
    }
    const account = { metadata: { name: 'default' } };
    await server.request('POST', `${space(name)}/serviceaccounts`, account);
  }
  return server;
}

function range(server: TestServer, limits: object, namespace = 'default', name = 'range') {
  const body = { metadata: { name }, spec: { limits: [limits] } };
  return server.request('POST', `${space(namespace)}/limitranges`, body);
}

function pod(server: TestServer, name: string, resources: object, namespace = 'default') {
  const containers = [{ name: 'main', image: 'x:1', resources }];
  return server.request('POST', `${space(namespace)}/pods`, {
    metadata: { name },
    spec: { containers },
  });
}

test('memory: both defaults, only a limit, only a request', async () => {
  covers('QUO-019', 'QUO-021');
  await using server = await open();
  const limits = {
    type: 'Container',
    default: { memory: '512Mi' },
    defaultRequest: { memory: '256Mi' },
  };
  assert.equal((await range(server, limits)).status, 201);
  const amounts = async (name: string, given: object) =>
    (await pod(server, name, given)).body.spec.containers[0].resources;
  assert.deepEqual(await amounts('a', {}), {
    limits: { memory: '512Mi' },
    requests: { memory: '256Mi' },
  });
  assert.deepEqual(await amounts('b', { requests: { memory: '128Mi' } }), {
    limits: { memory: '512Mi' },
    requests: { memory: '128Mi' },
  });
});

test('cpu as numbers is stored as text, in its shortest form', async () => {
  covers('QUO-023');
  await using server = await open();
  const limits = { type: 'Container', default: { cpu: 1 }, defaultRequest: { cpu: 0.5 } };
  const made = await range(server, limits);
  assert.equal(made.status, 201, made.text);
  const [item] = made.body.spec.limits;
  assert.deepEqual([item.default.cpu, item.defaultRequest.cpu], ['1', '500m']);
  const { body } = await pod(server, 'default-cpu-demo', {});
  assert.deepEqual(body.spec.containers[0].resources, {
    limits: { cpu: '1' },
    requests: { cpu: '500m' },
  });
});

test('bounds alone make defaults of the most', async () => {
  covers('QUO-024');
  await using server = await open();
  const limits = { type: 'Container', max: { memory: '1Gi' }, min: { memory: '500Mi' } };
  const { body } = await range(server, limits);
  const [item] = body.spec.limits;
  assert.deepEqual(item.default, { memory: '1Gi' });
  assert.deepEqual(item.defaultRequest, { memory: '1Gi' });
  const made = await pod(server, 'a', {});
  assert.deepEqual(made.body.spec.containers[0].resources, {
    limits: { memory: '1Gi' },
    requests: { memory: '1Gi' },
  });
});

test('a tighter bound leaves pods alone that are there, and refuses new ones', async () => {
  covers('QUO-028', 'QUO-029');
  await using server = await open();
  await range(server, { type: 'Container', max: { cpu: '800m' } });
  const most = { limits: { cpu: '800m' } };
  assert.equal((await pod(server, 'old', most)).status, 201);
  const tighter = { spec: { limits: [{ type: 'Container', max: { cpu: '400m' } }] } };
  const path = `${space('default')}/limitranges/range`;
  assert.equal((await server.request('PATCH', path, tighter)).status, 200);
  const { status, body } = await server.request('GET', `${space('default')}/pods/old`);
  assert.equal(status, 200);
  assert.equal(body.spec.containers[0].resources.limits.cpu, '800m');
  const labels = { metadata: { labels: { a: 'b' } } };
  const touched = await server.request('PATCH', `${space('default')}/pods/old`, labels);
  assert.equal(touched.status, 200, touched.text);
  const refused = await pod(server, 'new', most);
  assert.equal(refused.status, 403);
  assert.match(refused.body.message, /maximum cpu usage per Container is 400m, but limit is 800m/);
});

test('each namespace has bounds of its own', async () => {
  covers('QUO-030');
  await using server = await open('prod', 'dev');
  await range(server, { type: 'Container', max: { cpu: '3' } }, 'prod');
  await range(server, { type: 'Container', max: { cpu: '1' } }, 'dev');
  const two = { limits: { cpu: '2' } };
  assert.equal((await pod(server, 'a', two, 'prod')).status, 201);
  assert.equal((await pod(server, 'a', two, 'dev')).status, 403);
});

test('claims are bounded too', async () => {
  covers('QUO-040');
  await using server = await open();
  const limits = {
    type: 'PersistentVolumeClaim',
    max: { storage: '2Gi' },
    min: { storage: '1Gi' },
  };
  await range(server, limits);
  const claim = (name: string, storage: string) =>
    server.request('POST', `${space('default')}/persistentvolumeclaims`, {
      metadata: { name },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage } } },
    });
  const large = await claim('a', '10Gi');
  assert.equal(large.status, 403);
  assert.match(large.body.message, /maximum storage usage per PersistentVolumeClaim is 2Gi, but/);
  const small = await claim('a', '500Mi');
  assert.match(small.body.message, /minimum storage usage per PersistentVolumeClaim is 1Gi, but/);
  assert.equal((await claim('a', '2Gi')).status, 201);
});
