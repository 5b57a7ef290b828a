/** Rows about volumes that need no driver: what may be said of them, and what is left of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { persistentVolumeClaims, persistentVolumes } from '#resources/kinds.ts';
import type { PersistentVolume } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { openWorld, type World } from './control-world.ts';

const namespace = 'default';
const volumesPath = '/api/v1/persistentvolumes';
const claimsPath = `/api/v1/namespaces/${namespace}/persistentvolumeclaims`;
const accept = 'application/json;as=Table;g=meta.k8s.io;v=v1';

const volumeOf = (name: string, spec: object = {}) => ({
  ...{ apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name } },
  spec: {
    ...{ capacity: { storage: '10Gi' }, accessModes: ['ReadWriteOnce'] },
    ...{ storageClassName: 'manual', hostPath: { path: '/tmp/data' } },
    ...spec,
  },
});

const claimOf = (name: string, spec: object = {}) => ({
  ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { namespace, name } },
  spec: {
    ...{ accessModes: ['ReadWriteOnce'], storageClassName: 'manual' },
    resources: { requests: { storage: '3Gi' } },
    ...spec,
  },
});

const local = {
  hostPath: undefined,
  local: { path: '/mnt/disks/ssd1' },
  nodeAffinity: {
    required: {
      nodeSelectorTerms: [
        {
          matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: ['n1'] }],
        },
      ],
    },
  },
};

async function create(world: World, path: string, object: object): Promise<void> {
  const { status, body } = await world.server.request('POST', path, object);
  assert.equal(status, 201, JSON.stringify(body));
  await world.pass(300);
}

async function refused(world: World, path: string, object: object): Promise<string> {
  const { status, body } = await world.server.request('POST', path, object);
  assert.ok(status >= 400, 'it was taken');
  return body.message;
}

async function volume(world: World, name: string): Promise<PersistentVolume> {
  return world.client.get(persistentVolumes, { name }, { signal: world.signal });
}

async function cellsOf(world: World, path: string): Promise<readonly string[]> {
  const { body } = await world.server.request('GET', path, undefined, { headers: { accept } });
  return body.rows[0].cells;
}

test('a volume is the cluster’s, a claim a namespace’s, both with spec and status', async (t) => {
  covers('VOL-068');
  const world = await openWorld(t);
  await create(world, volumesPath, volumeOf('task'));
  await create(world, claimsPath, claimOf('task'));
  const { metadata, spec, status } = await volume(world, 'task');
  assert.deepEqual([metadata.namespace, spec?.claimRef?.name], [undefined, 'task']);
  assert.equal(status?.phase, 'Bound');
  const at = { namespace, name: 'task' };
  const claim = await world.client.get(persistentVolumeClaims, at, { signal: world.signal });
  assert.deepEqual([claim.spec?.volumeName, claim.status?.phase], ['task', 'Bound']);
  assert.deepEqual((await cellsOf(world, `${volumesPath}/task`)).slice(0, 6), [
    ...['task', '10Gi', 'RWO', 'Retain', 'Bound', 'default/task'],
  ]);
  assert.deepEqual((await cellsOf(world, `${claimsPath}/task`)).slice(0, 5), [
    ...['task', 'Bound', 'task', '10Gi', 'RWO'],
  ]);
});

test('access modes are abbreviated, and a claim has those that it asks for', async (t) => {
  covers('VOL-075');
  const world = await openWorld(t);
  const all = ['ReadWriteOnce', 'ReadOnlyMany', 'ReadWriteMany'];
  await create(world, volumesPath, volumeOf('one'));
  await create(world, claimsPath, claimOf('many', { accessModes: ['ReadWriteMany'] }));
  const phase = async () => (await cellsOf(world, `${claimsPath}/many`))[1];
  assert.equal(await phase(), 'Pending');
  await create(world, volumesPath, volumeOf('all', { accessModes: all }));
  await world.pass(20_000);
  assert.equal(await phase(), 'Bound');
  assert.equal((await cellsOf(world, `${volumesPath}/all`))[2], 'RWO,ROX,RWX');
  assert.equal((await cellsOf(world, `${volumesPath}/one`))[2], 'RWO');
  const wrong = volumeOf('wrong', { accessModes: ['ReadWriteSometimes'] });
  assert.match(await refused(world, volumesPath, wrong), /accessModes: Unsupported value/);
});

test('storage is all that a volume has and a claim asks for', async (t) => {
  covers('VOL-085');
  const world = await openWorld(t);
  for (const capacity of [{ iops: '5' }, { storage: '1Gi', 'example.com/iops': '5' }]) {
    const message = await refused(world, volumesPath, volumeOf('more', { capacity }));
    assert.match(message, /spec.capacity: Unsupported value: .*supported values: "storage"/);
  }
  assert.match(
    await refused(world, volumesPath, volumeOf('none', { capacity: {} })),
    /spec.capacity: Required value/,
  );
  const asking = claimOf('none', { resources: { requests: { 'example.com/iops': '5' } } });
  const message = await refused(world, claimsPath, asking);
  assert.match(message, /spec.resources\[?.*storage\]?: Required value/);
});

test('a local volume is made by an administrator, for a node, and cleaned by him', async (t) => {
  const world = await openWorld(t);
  const podsPath = `/api/v1/namespaces/${namespace}/pods`;
  const inline = {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name: 'inline' } },
    spec: {
      containers: [{ name: 'c', image: 'i' }],
      volumes: [{ name: 'disk', local: { path: '/mnt/disks/ssd1' } }],
    },
  };
  assert.match(
    await refused(world, `${podsPath}?fieldValidation=Strict`, inline),
    /unknown field "spec.volumes\[0\].local"/,
  );
  const anywhere = volumeOf('anywhere', { ...local, nodeAffinity: undefined });
  assert.match(
    await refused(world, volumesPath, anywhere),
    /spec.nodeAffinity: Required value: Local volume requires node affinity/,
  );
  const deleted = { ...local, persistentVolumeReclaimPolicy: 'Delete' };
  await create(world, volumesPath, volumeOf('disk', deleted));
  await create(world, claimsPath, claimOf('disk'));
  assert.equal((await volume(world, 'disk')).status?.phase, 'Bound');
  covers('VOL-062');
  const at = { namespace, name: 'disk' };
  await world.client.delete(persistentVolumeClaims, at, { signal: world.signal });
  await world.pass(2_000);
  const { status } = await volume(world, 'disk');
  assert.equal(status?.phase, 'Failed');
  assert.match(status?.message ?? '', /error getting deleter volume plugin for volume "disk"/);
  covers('VOL-063');
});
