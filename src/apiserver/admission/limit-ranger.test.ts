/** LimitRanger: default requests and limits of containers; bounds of containers, pods, claims. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const space = '/api/v1/namespaces/default';

async function open(...limits: readonly object[]): Promise<TestServer> {
  const server = await openTestServer();
  await server.request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
  const made = await server.request('POST', `${space}/limitranges`, {
    metadata: { name: 'limits' },
    spec: { limits },
  });
  assert.equal(made.status, 201, made.text);
  return server;
}

const create = (server: TestServer, ...resources: readonly object[]) =>
  server.request('POST', `${space}/pods`, {
    metadata: { generateName: 'p-' },
    spec: {
      containers: resources.map((one, index) => ({
        name: `c${index}`,
        image: 'a:1',
        resources: one,
      })),
    },
  });

test('a container that says nothing gets the defaults of its namespace, and a note', async () => {
  await using server = await open({
    type: 'Container',
    default: { cpu: '500m', memory: '64Mi' },
    defaultRequest: { cpu: '100m' },
  });
  const { body } = await create(server, {}, { limits: { cpu: '200m' } });
  const [first, second] = body.spec.containers;
  assert.deepEqual(first.resources, {
    limits: { cpu: '500m', memory: '64Mi' },
    requests: { cpu: '100m', memory: '64Mi' },
  });
  assert.deepEqual(second.resources.requests, { cpu: '200m', memory: '64Mi' });
  assert.equal(
    body.metadata.annotations['kubernetes.io/limit-ranger'],
    'LimitRanger plugin set: cpu, memory request for container c0; cpu, memory limit for container c0; memory request for container c1; memory limit for container c1',
  );
  assert.equal(body.status.qosClass, 'Burstable');
});

test('containers, and pods as a whole, stay within their bounds', async () => {
  await using server = await open(
    {
      type: 'Container',
      min: { cpu: '100m' },
      max: { cpu: '1' },
      maxLimitRequestRatio: { cpu: '4' },
    },
    { type: 'Pod', max: { cpu: '1500m' } },
  );
  const cpu = (request: string, limit: string) => ({
    requests: { cpu: request },
    limits: { cpu: limit },
  });
  const cases: readonly [readonly object[], RegExp][] = [
    [
      [cpu('50m', '200m')],
      /forbidden: minimum cpu usage per Container is 100m, but request is 50m$/,
    ],
    [[cpu('1', '2')], /maximum cpu usage per Container is 1, but limit is 2/],
    [
      [cpu('100m', '500m')],
      /cpu max limit to request ratio per Container is 4, but provided ratio is 5\.000000$/,
    ],
    [
      [cpu('500m', '800m'), cpu('500m', '800m')],
      /maximum cpu usage per Pod is 1500m, but limit is 1600m$/,
    ],
  ];
  for (const [resources, text] of cases) {
    const { status, body } = await create(server, ...resources);
    assert.equal(status, 403);
    assert.match(body.message, text);
  }
  assert.equal((await create(server, cpu('500m', '700m'), cpu('500m', '700m'))).status, 201);
});

test('claims ask for no more and no less than allowed', async () => {
  await using server = await open({
    type: 'PersistentVolumeClaim',
    min: { storage: '1Gi' },
    max: { storage: '10Gi' },
  });
  const claim = (storage: string) =>
    server.request('POST', `${space}/persistentvolumeclaims`, {
      metadata: { generateName: 'c-' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage } } },
    });
  const small = await claim('1Mi');
  assert.match(
    small.body.message,
    /minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi$/,
  );
  const large = await claim('20Gi');
  assert.equal(large.status, 403);
  assert.match(large.body.message, /maximum storage usage per PersistentVolumeClaim is 10Gi/);
  assert.equal((await claim('5Gi')).status, 201);
});
