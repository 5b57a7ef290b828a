/** Resizes that the node of a pod can never give, or does not know how to. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readPlugins } from '#api/admission-plugins.ts';
import { openTestServer, type TestServer, type TestServerOptions } from '#test/fixtures.ts';

const pods = '/api/v1/namespaces/default/pods';
const strategic = { headers: { 'content-type': 'application/strategic-merge-patch+json' } };

const features = [
  'InPlacePodLevelResourcesVerticalScaling',
  'InPlacePodVerticalScalingInitContainers',
];

async function open(options: TestServerOptions['options'] = {}): Promise<TestServer> {
  const server = await openTestServer({ options });
  await server.request('POST', '/api/v1/namespaces/default/serviceaccounts', {
    metadata: { name: 'default' },
  });
  const nodes = [
    { name: 'small', os: 'linux', declaredFeatures: features },
    { name: 'old', os: 'linux', declaredFeatures: [] },
    { name: 'other', os: 'windows', declaredFeatures: [] },
  ];
  for (const { name, os, declaredFeatures } of nodes) {
    const allocatable = { cpu: '1900m', memory: '1Gi', pods: '110' };
    const made = await server.request('POST', '/api/v1/nodes', {
      metadata: { name, labels: { 'kubernetes.io/os': os } },
      status: { allocatable, capacity: allocatable, declaredFeatures },
    });
    assert.equal(made.status, 201, made.text);
  }
  return server;
}

async function add(server: TestServer, name: string, spec: object): Promise<void> {
  const made = await server.request('POST', pods, { metadata: { name }, spec });
  assert.equal(made.status, 201, made.text);
}

const container = (cpu: string, memory = '64Mi', name = 'main') => ({
  name,
  image: 'nginx:1',
  resources: { requests: { cpu, memory } },
});

const resize = (server: TestServer, name: string, spec: object) =>
  server.request('PATCH', `${pods}/${name}/resize`, { spec }, strategic);

test('a pod is not resized to what its node could never give it', async () => {
  await using server = await open();
  const containers = [container('100m'), container('100m', '64Mi', 'side')];
  await add(server, 'p', { nodeName: 'small', containers });
  const fits = await resize(server, 'p', { containers: [container('1800m')] });
  assert.equal(fits.status, 200, fits.text);
  const refused = await resize(server, 'p', { containers: [container('2', '2Gi')] });
  assert.equal(refused.status, 403);
  assert.equal(
    refused.body.message,
    'pods "p" is forbidden: node didn\'t have enough allocatable resources: cpu, requested: 2100, allocatable: 1900; memory, requested: 2214592512, allocatable: 1073741824',
  );
  assert.deepEqual(refused.body.details, {
    name: 'p',
    kind: 'pods',
    causes: [{ reason: 'NodeCapacity' }],
  });
  // Pods that wait for a node are not held to any.
  await add(server, 'waits', { containers: [container('100m')] });
  assert.equal((await resize(server, 'waits', { containers: [container('99')] })).status, 200);
});

test('a pod is resized only on Linux, and on a node that is there', async () => {
  await using server = await open();
  await add(server, 'w', { nodeName: 'other', containers: [container('100m')] });
  const refused = await resize(server, 'w', { containers: [container('200m')] });
  assert.equal(refused.status, 403);
  const why = 'pod resize is only supported on linux nodes, node "other" is "windows"';
  assert.equal(refused.body.message, `pods "w" is forbidden: ${why}`);
  assert.deepEqual(refused.body.details.causes, [{ reason: 'UnsupportedPlatform' }]);
  // What changes nothing is not asked for anything.
  assert.equal((await resize(server, 'w', { containers: [container('100m')] })).status, 200);
  await add(server, 'lost', { nodeName: 'gone', containers: [container('100m')] });
  const lost = await resize(server, 'lost', { containers: [container('200m')] });
  assert.equal(lost.body.message, 'pods "lost" is forbidden: node "gone" not found');
});

test('a pod as a whole and init containers are resized on nodes that declare it', async () => {
  await using server = await open();
  const spec = {
    containers: [container('100m')],
    initContainers: [container('100m', '64Mi', 'first')],
    resources: { requests: { cpu: '500m', memory: '128Mi' } },
  };
  for (const nodeName of ['small', 'old']) await add(server, nodeName, { nodeName, ...spec });
  const whole = { resources: { requests: { cpu: '600m' } } };
  const first = { initContainers: [container('200m', '64Mi', 'first')] };
  assert.equal((await resize(server, 'small', { ...whole, ...first })).status, 200);
  const both = await resize(server, 'old', { ...whole, ...first });
  assert.equal(both.status, 403);
  assert.equal(
    both.body.message,
    `pods "old" is forbidden: pod update requires features ${features.join(', ')} which are not available on node "old"`,
  );
  const second = await resize(server, 'old', first);
  assert.match(second.body.message, /requires features InPlacePodVerticalScalingInitContainers wh/);
  assert.equal((await resize(server, 'old', { containers: [container('200m')] })).status, 200);
  // What the pod says of itself as a whole is what it asks its node for.
  const more = await resize(server, 'small', { resources: { requests: { cpu: '2' } } });
  assert.match(more.body.message, /resources: cpu, requested: 2000, allocatable: 1900$/);
});

test('both are plugins of their own', async () => {
  const read = readPlugins({ disable: ['PodResizeValidator', 'NodeDeclaredFeatureValidator'] });
  assert.ok(read.ok);
  await using server = await open({ admissionPlugins: read.plugins });
  const spec = { resources: { requests: { cpu: '500m' } }, containers: [container('100m')] };
  await add(server, 'p', { nodeName: 'old', ...spec });
  const more = { resources: { requests: { cpu: '99' } } };
  assert.equal((await resize(server, 'p', more)).status, 200);
});
