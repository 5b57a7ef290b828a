/** What claims, volumes and Ingresses get and may: protection, default classes, growth. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { covers, superseded } from '#test/covers.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const claims = '/api/v1/namespaces/default/persistentvolumeclaims';
const storageClasses = '/apis/storage.k8s.io/v1/storageclasses';
const isDefault = 'storageclass.kubernetes.io/is-default-class';

function claim(name: string, spec: object = {}, metadata: object = {}): object {
  const resources = { requests: { storage: '1Gi' } };
  return {
    metadata: { name, ...metadata },
    spec: { accessModes: ['ReadWriteOnce'], resources, ...spec },
  };
}

function storageClass(server: TestServer, name: string, fields: object = {}) {
  const { annotations = {}, ...rest } = fields as { annotations?: object };
  return server.request('POST', storageClasses, {
    metadata: { name, annotations },
    provisioner: 'example.com/disk',
    ...rest,
  });
}

test('volumes, claims and classes of attributes are protected from the start', async () => {
  await using server = await openTestServer();
  const made = await server.request('POST', claims, claim('a', {}, { finalizers: ['x/y'] }));
  assert.deepEqual(made.body.metadata.finalizers, ['x/y', 'kubernetes.io/pvc-protection']);
  const volume = await server.request('POST', '/api/v1/persistentvolumes', {
    metadata: { name: 'v' },
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteOnce'],
      hostPath: { path: '/x' },
    },
  });
  assert.deepEqual(volume.body.metadata.finalizers, ['kubernetes.io/pv-protection']);
  const kind = '/apis/storage.k8s.io/v1/volumeattributesclasses';
  const attributes = {
    metadata: { name: 'fast' },
    driverName: 'x.example.com',
    parameters: { a: 'b' },
  };
  const made2 = await server.request('POST', kind, attributes);
  assert.deepEqual(made2.body.metadata.finalizers, ['kubernetes.io/vac-protection']);
  // Once made, it is the user's or a controller's: an update does not bring it back.
  const metadata = { ...made.body.metadata, finalizers: [] };
  const put = await server.request('PUT', `${claims}/a`, { ...made.body, metadata });
  assert.equal(put.body.metadata.finalizers, undefined);
});

test('a claim without a class gets the newest default; an empty name wants none', async () => {
  covers('ADM-015', 'ADM-017');
  superseded('ADM-016', { by: 'v1.26', now: 'of several default classes the newest is taken' });
  const clock = new VirtualClock();
  await using server = await openTestServer({ clock });
  const classOf = async (name: string, spec: object = {}, metadata: object = {}) =>
    (await server.request('POST', claims, claim(name, spec, metadata))).body.spec.storageClassName;
  assert.equal(await classOf('none'), undefined);
  await storageClass(server, 'plain');
  await storageClass(server, 'b', { annotations: { [isDefault]: 'true' } });
  await storageClass(server, 'a', { annotations: { [isDefault]: 'true' } });
  assert.equal(await classOf('one'), 'a');
  await clock.advance(2000);
  await storageClass(server, 'z', { annotations: { [isDefault]: 'true' } });
  assert.equal(await classOf('two'), 'z');
  assert.equal(await classOf('three', { storageClassName: '' }), '');
  assert.equal(await classOf('four', { storageClassName: 'plain' }), 'plain');
  for (const [name, value] of Object.entries({ five: 'plain', six: '' })) {
    const annotations = { 'volume.beta.kubernetes.io/storage-class': value };
    assert.equal(await classOf(name, {}, { annotations }), undefined);
  }
});

test('a bound claim grows where its class says so, and only then', async () => {
  covers('ADM-014');
  await using server = await openTestServer();
  await storageClass(server, 'fixed');
  await storageClass(server, 'grows', { allowVolumeExpansion: true });
  const grow = (name: string, storage: string) =>
    server.request('PATCH', `${claims}/${name}`, {
      spec: { resources: { requests: { storage } } },
    });
  for (const storageClassName of ['fixed', 'grows']) {
    await server.request(
      'POST',
      claims,
      claim(storageClassName, { storageClassName, volumeName: 'v' }),
    );
  }
  const early = await grow('grows', '2Gi');
  // The kind's own validation comes first.
  assert.equal(early.status, 422, early.text);
  for (const name of ['fixed', 'grows']) {
    const status = { phase: 'Bound', capacity: { storage: '1Gi' } };
    await server.request('PATCH', `${claims}/${name}/status`, { status });
  }
  assert.equal(
    (await grow('fixed', '2Gi')).body.message,
    'persistentvolumeclaims "fixed" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize',
  );
  const grown = await grow('grows', '2Gi');
  assert.equal(grown.status, 200, grown.text);
  assert.equal(grown.body.spec.resources.requests.storage, '2Gi');
});

test('an Ingress without a class gets the default one', async () => {
  await using server = await openTestServer();
  const path = '/apis/networking.k8s.io/v1/namespaces/default/ingresses';
  const backend = { service: { name: 'web', port: { number: 80 } } };
  const make = async (name: string, spec: object = {}, annotations: object = {}) =>
    (
      await server.request('POST', path, {
        metadata: { name, annotations },
        spec: { defaultBackend: backend, ...spec },
      })
    ).body.spec.ingressClassName;
  assert.equal(await make('a'), undefined);
  await server.request('POST', '/apis/networking.k8s.io/v1/ingressclasses', {
    metadata: {
      name: 'front',
      annotations: { 'ingressclass.kubernetes.io/is-default-class': 'true' },
    },
    spec: { controller: 'example.com/front' },
  });
  assert.equal(await make('b'), 'front');
  assert.equal(await make('c', { ingressClassName: 'other' }), 'other');
  assert.equal(await make('d', {}, { 'kubernetes.io/ingress.class': 'old' }), undefined);
});
