/** What the documents describe and today's API no longer has: it is not there, and says so. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { superseded } from '#test/covers.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const pods = '/api/v1/namespaces/default/pods';

async function isGone(server: TestServer, ...paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const { status } = await server.request('GET', path);
    assert.equal(status, 404, path);
  }
}

async function createPod(server: TestServer, name: string, metadata: object, spec: object = {}) {
  const containers = [{ name: 'main', image: 'nginx:1' }];
  const { status, body } = await server.request('POST', pods, {
    metadata: { name, ...metadata },
    spec: { automountServiceAccountToken: false, containers, ...spec },
  });
  assert.equal(status, 201, body.message);
  return body;
}

async function open(): Promise<TestServer> {
  const server = await openTestServer();
  const account = { metadata: { name: 'default' } };
  await server.request('POST', '/api/v1/namespaces/default/serviceaccounts', account);
  return server;
}

test('there are no pod presets, and annotations of theirs do nothing', async () => {
  const now = 'PodPreset was removed; nothing injects into pods by label';
  const ids = ['ADM-012', 'ADM-036', 'ADM-037', 'ADM-038', 'ADM-039', 'ADM-040', 'ADM-041'];
  const more = ['ADM-042', 'ADM-043', 'ADM-044', 'ADM-045', 'ADM-046', 'ADM-047', 'ADM-048'];
  for (const id of [...ids, ...more]) superseded(id, { by: 'v1.20', now });
  await using server = await open();
  await isGone(server, '/apis/settings.k8s.io/v1alpha1', '/apis/settings.k8s.io');
  const annotations = { 'podpreset.admission.kubernetes.io/exclude': 'true' };
  const { metadata, spec } = await createPod(server, 'a', { annotations });
  assert.deepEqual(metadata.annotations, annotations);
  assert.equal(spec.containers[0].env, undefined);
  assert.equal(spec.volumes, undefined);
});

test('there are no policies of pod security, and their annotations do nothing', async () => {
  const now = 'PodSecurityPolicy was removed; what pods may is not decided by objects of this kind';
  const numbers = [21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 49, 52, 53];
  for (const number of numbers) superseded(`ADM-0${number}`, { by: 'v1.25', now });
  for (const id of ['AUT-038', 'AUT-039']) superseded(id, { by: 'v1.25', now });
  await using server = await open();
  const paths = ['/apis/extensions/v1beta1', '/apis/policy/v1beta1', '/apis/policy/v1'];
  await isGone(server, ...paths.map((path) => `${path}/podsecuritypolicies`));
  const { body } = await server.request('GET', '/apis/policy/v1');
  const names = body.resources.map(({ name }: { name: string }) => name);
  assert.equal(names.includes('podsecuritypolicies'), false);
  const spec = {
    hostNetwork: true,
    hostPID: true,
    volumes: [{ name: 'v', hostPath: { path: '/' } }],
    containers: [{ name: 'main', image: 'a', securityContext: { privileged: true } }],
  };
  const pod = await createPod(server, 'a', {}, spec);
  assert.equal(pod.metadata.annotations?.['kubernetes.io/psp'], undefined);
  assert.equal(pod.spec.securityContext.runAsUser, undefined);
});

test('annotations of rkt mean nothing', async () => {
  superseded('ADM-005', { by: 'v1.11', now: 'rkt is gone, and its annotation asks for nothing' });
  await using server = await open();
  const annotations = { 'rkt.alpha.kubernetes.io/stage1-name-override': 'coreos.com/stage1-fly' };
  await createPod(server, 'b', { annotations });
});

test('names with passwords are nobody', async () => {
  for (const id of ['AUT-002', 'AUT-046', 'AUT-049', 'AUT-068']) {
    superseded(id, { by: 'v1.19', now: 'who sends a name and a password is anonymous' });
  }
  await using server = await open();
  const authorization = `Basic ${Buffer.from('admin:admin').toString('base64')}`;
  const { status, body } = await server.unbound('GET', pods, { authorization });
  assert.equal(status, 403);
  assert.match(body.message, /User "system:anonymous" cannot list resource "pods"/);
  const alive = await server.unbound('GET', '/livez', { authorization });
  assert.equal(alive.status, 200);
});

test('the server has no pages, and labels no volumes', async () => {
  superseded('API-011', { by: 'v1.9', now: 'there is no /ui/' });
  superseded('API-046', { by: 'v1.14', now: 'OpenAPI has taken the place of Swagger UI' });
  superseded('ADM-003', { by: 'v1.31', now: 'providers of disks label their volumes themselves' });
  await using server = await open();
  await isGone(server, '/ui/', '/ui', '/swagger-ui', '/swagger-ui/', '/swaggerapi');
  const spec = {
    accessModes: ['ReadWriteOnce'],
    capacity: { storage: '1Gi' },
    gcePersistentDisk: { pdName: 'disk' },
  };
  const volume = { metadata: { name: 'v' }, spec };
  const { status, body } = await server.request('POST', '/api/v1/persistentvolumes', volume);
  assert.equal(status, 201, body.message);
  assert.equal(body.metadata.labels, undefined);
});

test('groups of old versions are not served, beta and alpha versions only where asked for', async () => {
  superseded('API-050', { by: 'v1.24', now: 'new beta versions are off, as alpha ones were' });
  const now = 'apps, batch, autoscaling and networking.k8s.io have their stable versions';
  superseded('API-055', { by: 'v1.16', now });
  await using server = await open();
  await isGone(server, '/apis/extensions', '/apis/extensions/v1beta1', '/apis/apps/v1beta1');
  const { body } = await server.request('GET', '/apis');
  const versions: readonly string[] = body.groups.flatMap(
    ({ versions: list }: { versions: readonly { version: string }[] }) =>
      list.map(({ version }) => version),
  );
  assert.deepEqual(
    versions.filter((version) => /alpha|beta/.test(version)),
    [],
  );
  for (const path of ['apps/v1', 'batch/v1', 'autoscaling/v2', 'networking.k8s.io/v1']) {
    assert.equal((await server.request('GET', `/apis/${path}`)).status, 200);
  }
});

test('a node keeps no source of its kubelet’s configuration', async () => {
  await using server = await open();
  const configMap = { name: 'c', namespace: 'kube-system', kubeletConfigKey: 'kubelet' };
  const { status, body } = await server.request('POST', '/api/v1/nodes', {
    metadata: { name: 'n1' },
    spec: { configSource: { configMap } },
  });
  assert.equal(status, 201);
  assert.equal(body.spec.configSource, undefined);
  const patched = await server.request(
    'PATCH',
    '/api/v1/nodes/n1',
    { spec: { configSource: { configMap } } },
    { headers: { 'content-type': 'application/merge-patch+json' } },
  );
  assert.equal(patched.status, 200);
  assert.equal(patched.body.spec.configSource, undefined);
  const now = 'the field is dropped: a kubelet reads a file (--config) when it starts';
  for (const number of [273, 274, 276, 277, 278, 279, 280]) {
    superseded(`POD-${number}`, { by: 'v1.24', now });
  }
});
