/** Rows about claims: what they bind, which annotations still count, and who may use them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  persistentVolumeClaims,
  persistentVolumes,
  pods,
  storageClasses,
} from '#resources/kinds.ts';
import type { PersistentVolumeClaim } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { startCluster } from '#testing';
import { openWorld, type World } from './control-world.ts';

const namespace = 'default';
const modes = { accessModes: ['ReadWriteOnce'] };
const size = (storage: string) => ({ resources: { requests: { storage } } });

const claim = (name: string, spec: object, annotations = {}): PersistentVolumeClaim => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { namespace, name, annotations },
  spec: { ...modes, ...size('3Gi'), ...spec },
});

const volume = (name: string, spec: object) => ({
  apiVersion: 'v1',
  kind: 'PersistentVolume',
  metadata: { name },
  spec: { ...modes, capacity: { storage: '10Gi' }, hostPath: { path: '/data' }, ...spec },
});

async function createClass(world: World, name: string, annotations = {}) {
  const kind = { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass' };
  const made = { ...kind, metadata: { name, annotations }, provisioner: 'example.com/disks' };
  return await world.client.create(storageClasses, made, { signal: world.signal });
}

const provisionerOf = ({ metadata }: PersistentVolumeClaim): string | undefined =>
  metadata.annotations?.['volume.kubernetes.io/storage-provisioner'];

test('a claim binds what is there, or is left to the provisioner of the default class', async (t) => {
  covers('VOL-125', 'VOL-139');
  superseded('VOL-002', {
    by: 'v1.29',
    now: 'RECLAIM POLICY, STORAGECLASS and VOLUMEATTRIBUTESCLASS too; ACCESS MODES is two words',
  });
  const world = await openWorld(t);
  const { client, signal } = world;
  const made = await createClass(world, 'standard', {
    'storageclass.kubernetes.io/is-default-class': 'true',
  });
  assert.equal(made.reclaimPolicy, 'Delete', 'of what is provisioned, if nothing is said');
  const retained = { persistentVolumeReclaimPolicy: 'Retain', storageClassName: 'standard' };
  await client.create(
    persistentVolumes,
    volume('small', { ...retained, capacity: { storage: '1Gi' } }),
    { signal },
  );
  await client.create(persistentVolumes, volume('large', retained), { signal });
  await client.create(persistentVolumeClaims, claim('one', {}), { signal });
  await world.pass(1_000);
  await client.create(persistentVolumeClaims, claim('two', {}), { signal });
  await world.pass(1_000);
  const get = (name: string) => client.get(persistentVolumeClaims, { namespace, name }, { signal });
  const one = await get('one');
  assert.deepEqual([one.status?.phase, one.spec?.volumeName], ['Bound', 'large']);
  const two = await get('two');
  assert.deepEqual([two.status?.phase, provisionerOf(two)], ['Pending', 'example.com/disks']);
  const accept = 'application/json;as=Table;g=meta.k8s.io;v=v1';
  const headers = { accept };
  const shown = async (name: string) => {
    const path = `/api/v1/persistentvolumes/${name}`;
    const { body } = await world.server.request('GET', path, undefined, { headers });
    const columns: { name: string; priority: number }[] = body.columnDefinitions;
    return columns.flatMap(({ name: column, priority }, index) =>
      priority === 0 && column !== 'Age' ? [[column, body.rows[0].cells[index]]] : [],
    );
  };
  assert.deepEqual(Object.fromEntries(await shown('large')), {
    Name: 'large',
    Capacity: '10Gi',
    'Access Modes': 'RWO',
    'Reclaim Policy': 'Retain',
    Status: 'Bound',
    Claim: 'default/one',
    StorageClass: 'standard',
    VolumeAttributesClass: '<unset>',
    Reason: '',
  });
  await client.delete(persistentVolumeClaims, { namespace, name: 'one' }, { signal });
  await world.pass(1_000);
  const { status } = await client.get(persistentVolumes, { name: 'large' }, { signal });
  assert.equal(status?.phase, 'Released');
  // The three policies, and no other.
  for (const policy of ['Retain', 'Recycle', 'Delete', 'Burn']) {
    const body = volume(policy.toLowerCase(), { persistentVolumeReclaimPolicy: policy });
    const answer = await world.server.request('POST', '/api/v1/persistentvolumes', body);
    assert.equal(answer.status, policy === 'Burn' ? 422 : 201, answer.text);
  }
});

test('of the old annotations the later one still names a class', async (t) => {
  const by = 'v1.6';
  const now = 'the alpha annotation means nothing; the beta one still names a class';
  superseded('VOL-003', { by, now });
  superseded('VOL-110', { by, now });
  superseded('VOL-145', { by, now });
  const world = await openWorld(t);
  const { client, signal } = world;
  await createClass(world, 'fast');
  const beta = { 'volume.beta.kubernetes.io/storage-class': 'fast' };
  const alpha = { 'volume.alpha.kubernetes.io/storage-class': 'anything' };
  await client.create(persistentVolumeClaims, claim('beta', {}, beta), { signal });
  await client.create(persistentVolumeClaims, claim('alpha', {}, alpha), { signal });
  await world.pass(5_000);
  const get = (name: string) => client.get(persistentVolumeClaims, { namespace, name }, { signal });
  assert.equal(provisionerOf(await get('beta')), 'example.com/disks');
  assert.equal(provisionerOf(await get('alpha')), undefined);
});

test('a claim is for pods of its own namespace', async () => {
  covers('VOL-094');
  await using cluster = await startCluster({ clock: 'virtual', seed: 9, nodes: 1 });
  const { client, signal } = cluster;
  const both = { storageClassName: 'manual', accessModes: ['ReadWriteMany'] };
  await client.create(persistentVolumes, volume('v', both), { signal });
  await client.create(persistentVolumeClaims, claim('c', both), { signal });
  const create = async (place: string, name: string): Promise<void> => {
    const volumes = [{ name: 'v', persistentVolumeClaim: { claimName: 'c' } }];
    const spec = { containers: [{ name: 'c', image: 'i' }], volumes };
    const metadata = { namespace: place, name };
    await client.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec }, { signal });
  };
  for (const name of ['one', 'two']) await create(namespace, name);
  await create('kube-public', 'other');
  const statusOf = async (place: string, name: string) =>
    (await client.get(pods, { namespace: place, name }, { signal })).status;
  await cluster.until('both of its namespace run', async () => {
    const phases = [await statusOf(namespace, 'one'), await statusOf(namespace, 'two')];
    return phases.every((status) => status?.phase === 'Running');
  });
  await cluster.advance('30s');
  const other = await statusOf('kube-public', 'other');
  assert.equal(other?.phase, 'Pending');
  const why = other?.conditions?.find(({ type }) => type === 'PodScheduled')?.message ?? '';
  assert.match(why, /persistentvolumeclaim "c" not found/);
});
