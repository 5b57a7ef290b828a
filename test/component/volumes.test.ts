/** Claims and volumes: who gets which, what is left when a claim goes, and who protects whom. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { isReason } from '#api/errors.ts';
import {
  nodes,
  persistentVolumeClaims,
  persistentVolumes,
  pods,
  volumeAttachments,
  volumeAttributesClasses,
} from '#resources/kinds.ts';
import { covers, superseded } from '#test/covers.ts';
import { openWorld } from './control-world.ts';
import {
  bondOf,
  claimOf,
  createClaim,
  createClass,
  createPod,
  createVolume,
  merge,
  namespace,
  phaseOf,
  rowOf,
  toldAbout,
  volumeOf,
} from './volume-world.ts';

test('the walkthrough: a 3Gi claim of class manual binds the 10Gi volume, alone', async (t) => {
  covers('VOL-070', 'VOL-073', 'VOL-112', 'VOL-118', 'VOL-143');
  const world = await openWorld(t);
  await createVolume(world, 'task-pv-volume', {}, { labels: { type: 'local' } });
  assert.equal(await phaseOf(world, 'task-pv-volume'), 'Available');
  const made = await volumeOf(world, 'task-pv-volume');
  assert.equal(made.spec?.hostPath?.path, '/mnt/data');
  assert.equal(made.spec?.persistentVolumeReclaimPolicy, 'Retain');
  assert.deepEqual((await rowOf(world, 'task-pv-volume')).slice(0, 6), [
    ...['task-pv-volume', '10Gi', 'RWO', 'Retain', 'Available', ''],
  ]);
  await createClaim(world, 'task-pv-claim');
  assert.equal(await bondOf(world, 'task-pv-claim'), 'Bound task-pv-volume');
  assert.equal(await phaseOf(world, 'task-pv-volume'), 'Bound task-pv-claim');
  const claim = await claimOf(world, 'task-pv-claim');
  assert.deepEqual(claim.status?.capacity, { storage: '10Gi' });
  assert.deepEqual(claim.status?.accessModes, ['ReadWriteOnce']);
  assert.equal(claim.metadata.annotations?.['pv.kubernetes.io/bind-completed'], 'yes');
  const volume = await volumeOf(world, 'task-pv-volume');
  assert.equal(volume.spec?.claimRef?.uid, claim.metadata.uid);
  assert.equal(volume.metadata.annotations?.['pv.kubernetes.io/bound-by-controller'], 'yes');
  // Reserved, although no pod uses it.
  await createClaim(world, 'second');
  await world.pass(60_000);
  assert.equal(await bondOf(world, 'second'), 'Pending');
  // What a provisioner makes for a claim is that claim's, although it came before others.
  const { uid } = (await claimOf(world, 'second')).metadata;
  const claimRef = { namespace, name: 'second', uid };
  await createVolume(world, `pvc-${uid}`, { capacity: { storage: '3Gi' }, claimRef });
  assert.equal(await bondOf(world, 'second'), `Bound pvc-${uid}`);
});

test('a claim that nothing matches waits, and binds what comes later', async (t) => {
  covers('VOL-074', 'VOL-086');
  const world = await openWorld(t);
  await createVolume(world, 'small', { capacity: { storage: '50Gi' } });
  await createVolume(world, 'classless', { capacity: { storage: '500Gi' }, storageClassName: '' });
  const resources = { requests: { storage: '100Gi' } };
  await createClaim(world, 'large', { resources });
  await createClaim(world, 'plain', { storageClassName: '' });
  await world.pass(600_000);
  assert.equal(await bondOf(world, 'large'), 'Pending');
  assert.equal(await bondOf(world, 'plain'), 'Bound classless');
  assert.match(
    (await toldAbout(world, 'large')).join(),
    /ProvisioningFailed: storageclass.storage.k8s.io "manual" not found/,
  );
  await createVolume(world, 'huge', { capacity: { storage: '100Gi' } });
  assert.equal(await bondOf(world, 'large'), 'Bound huge');
});

test('access modes and labels must match; of several the smallest is taken', async (t) => {
  covers('VOL-092');
  const world = await openWorld(t);
  const labels = (tier: string) => ({ labels: { tier } });
  await createVolume(world, 'many', { accessModes: ['ReadWriteMany', 'ReadWriteOnce'] });
  await createVolume(world, 'big', { capacity: { storage: '20Gi' } }, labels('gold'));
  await createVolume(world, 'mid', { capacity: { storage: '5Gi' } }, labels('silver'));
  await createVolume(world, 'block', { volumeMode: 'Block', capacity: { storage: '3Gi' } });
  await createClaim(world, 'shared', { accessModes: ['ReadWriteMany'] });
  assert.equal(await bondOf(world, 'shared'), 'Bound many');
  await createClaim(world, 'any');
  assert.equal(await bondOf(world, 'any'), 'Bound mid');
  const requirements = (...matchExpressions: object[]) => ({ selector: { matchExpressions } });
  const key = 'tier';
  await createClaim(world, 'none', requirements({ key, operator: 'NotIn', values: ['gold'] }));
  assert.equal(await bondOf(world, 'none'), 'Pending');
  const both = requirements(
    { key, operator: 'Exists' },
    { key, operator: 'In', values: ['gold', 'silver'] },
    { key: 'old', operator: 'DoesNotExist' },
  );
  const { selector } = both;
  const matchLabels = { tier: 'silver' };
  await createClaim(world, 'silver', { selector: { ...selector, matchLabels } });
  assert.equal(await bondOf(world, 'silver'), 'Pending', 'all must hold');
  await createClaim(world, 'other-class', { ...both, storageClassName: 'other' });
  assert.equal(await bondOf(world, 'other-class'), 'Pending', 'labels and class');
  await createClaim(world, 'gold', both);
  assert.equal(await bondOf(world, 'gold'), 'Bound big');
});

test('a volume may be promised to a claim, and a claim may name its volume', async (t) => {
  const world = await openWorld(t);
  const claimRef = { namespace, name: 'chosen' };
  await createVolume(world, 'promised', { capacity: { storage: '3Gi' }, claimRef });
  await createVolume(world, 'free');
  await createClaim(world, 'somebody');
  assert.equal(await bondOf(world, 'somebody'), 'Bound free');
  await createClaim(world, 'naming', { volumeName: 'promised' });
  assert.equal(await bondOf(world, 'naming'), 'Pending promised');
  assert.match(
    (await toldAbout(world, 'naming')).join(),
    /FailedBinding: volume "promised" already bound to a different claim\./,
  );
  await createClaim(world, 'chosen');
  assert.equal(await bondOf(world, 'chosen'), 'Bound promised');
  const kept = await volumeOf(world, 'promised');
  assert.equal(kept.metadata.annotations?.['pv.kubernetes.io/bound-by-controller'], undefined);
  await createVolume(world, 'tiny', { capacity: { storage: '1Gi' } });
  await createClaim(world, 'wrong', { volumeName: 'tiny' });
  assert.match(
    (await toldAbout(world, 'wrong')).join(),
    /VolumeMismatch: Cannot bind to requested volume "tiny": requested PV is too small/,
  );
});

test('Retain: the volume is Released, bound to nobody, until somebody deletes it', async (t) => {
  covers('VOL-077', 'VOL-082', 'VOL-091');
  const world = await openWorld(t);
  const { client, signal } = world;
  await createVolume(world, 'kept', { persistentVolumeReclaimPolicy: 'Delete' });
  const policy = { spec: { persistentVolumeReclaimPolicy: 'Retain' } };
  await client.patch(persistentVolumes, { name: 'kept' }, policy, merge(world));
  assert.equal(await phaseOf(world, 'kept'), 'Available');
  await createClaim(world, 'one');
  assert.equal(await phaseOf(world, 'kept'), 'Bound one');
  await client.delete(persistentVolumeClaims, { namespace, name: 'one' }, { signal });
  await world.pass(1_000);
  assert.equal(await phaseOf(world, 'kept'), 'Released one');
  assert.deepEqual(await world.list(pods), [], 'nobody touches what is in it');
  const row = await rowOf(world, 'kept');
  assert.deepEqual(row.slice(0, 6), ['kept', '10Gi', 'RWO', 'Retain', 'Released', 'default/one']);
  // The same name again is another claim.
  await createClaim(world, 'one');
  await world.pass(60_000);
  assert.equal(await bondOf(world, 'one'), 'Pending');
  await client.delete(persistentVolumes, { name: 'kept' }, { signal });
  await world.pass(1_000);
  await createVolume(world, 'kept');
  assert.equal(await bondOf(world, 'one'), 'Bound kept');
  await createVolume(world, 'doomed', { persistentVolumeReclaimPolicy: 'Delete' });
  await createClaim(world, 'two');
  await client.delete(persistentVolumeClaims, { namespace, name: 'two' }, { signal });
  await world.pass(1_000);
  assert.equal(await phaseOf(world, 'doomed'), 'Failed two');
  assert.match(
    (await toldAbout(world, 'doomed')).join(),
    /VolumeFailedDelete: host_path deleter only supports \/tmp\/\.\+ but received provided/,
  );
});

test('Recycle: a pod empties the volume, which then serves the next claim', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  await createVolume(world, 'again', { persistentVolumeReclaimPolicy: 'Recycle' });
  await createClaim(world, 'first');
  await client.delete(persistentVolumeClaims, { namespace, name: 'first' }, { signal });
  await world.pass(1_000);
  const at = { namespace, name: 'recycler-for-again' };
  const recycler = await client.get(pods, at, { signal });
  assert.deepEqual(recycler.spec?.volumes?.[0]?.hostPath?.path, '/mnt/data');
  assert.equal(await phaseOf(world, 'again'), 'Released first');
  world.becomesReady = () => false;
  const done = { ...recycler.status, phase: 'Succeeded' };
  await client.patch(pods, at, { status: done }, { ...merge(world), subresource: 'status' });
  await world.pass(2_000);
  assert.equal(await phaseOf(world, 'again'), 'Available');
  await assert.rejects(client.get(pods, at, { signal }), (error) => isReason(error, 'NotFound'));
  assert.match((await toldAbout(world, 'again')).join(), /VolumeRecycled: Volume recycled/);
  await createClaim(world, 'next');
  assert.equal(await bondOf(world, 'next'), 'Bound again');
  // What is no directory of NFS or of a host cannot be recycled.
  const nodeAffinity = {
    required: {
      nodeSelectorTerms: [{ matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }] }],
    },
  };
  const local = { hostPath: undefined, local: { path: '/d' }, nodeAffinity };
  await createVolume(world, 'local', { ...local, persistentVolumeReclaimPolicy: 'Recycle' });
  await createClaim(world, 'l');
  await client.delete(persistentVolumeClaims, { namespace, name: 'l' }, { signal });
  await world.pass(1_000);
  assert.match((await toldAbout(world, 'local')).join(), /No recycler plugin found/);
});

test('a claim that loses its volume is Lost', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  await createVolume(world, 'gone');
  await createClaim(world, 'sad');
  const free = { metadata: { finalizers: null } };
  await client.delete(persistentVolumes, { name: 'gone' }, { signal });
  await world.pass(1_000);
  // It is protected while it is bound.
  assert.equal(await phaseOf(world, 'gone'), 'Bound sad');
  await client.patch(persistentVolumes, { name: 'gone' }, free, merge(world));
  await world.pass(1_000);
  assert.equal(await bondOf(world, 'sad'), 'Lost gone');
  assert.match(
    (await toldAbout(world, 'sad')).join(),
    /ClaimLost: Bound claim has lost its PersistentVolume\. Data on the volume is lost!/,
  );
});

test('a claim in use outlives its deletion until the pod is gone', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  await createVolume(world, 'v');
  await createClaim(world, 'used');
  await createPod(world, 'user', [{ name: 'data', persistentVolumeClaim: { claimName: 'used' } }]);
  await client.delete(persistentVolumeClaims, { namespace, name: 'used' }, { signal });
  await world.pass(60_000);
  const ending = await claimOf(world, 'used');
  assert.deepEqual(ending.metadata.finalizers, ['kubernetes.io/pvc-protection']);
  await client.delete(pods, { namespace, name: 'user' }, { signal });
  await world.pass(5_000);
  await assert.rejects(claimOf(world, 'used'), (error) => isReason(error, 'NotFound'));
});

test('a class that waits for its first consumer is bound by the choice of the scheduler', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  await createClass(world, 'manual', {
    provisioner: 'kubernetes.io/no-provisioner',
    volumeBindingMode: 'WaitForFirstConsumer',
  });
  await createVolume(world, 'a', { capacity: { storage: '4Gi' } });
  await createVolume(world, 'b');
  await createClaim(world, 'late');
  await world.pass(30_000);
  assert.equal(await bondOf(world, 'late'), 'Pending');
  const waits = 'WaitForFirstConsumer: waiting for first consumer to be created before binding';
  assert.ok((await toldAbout(world, 'late')).includes(waits));
  await createPod(world, 'first', [{ name: 'd', persistentVolumeClaim: { claimName: 'late' } }]);
  const scheduled = 'WaitForPodScheduled: waiting for pod first to be scheduled';
  assert.ok((await toldAbout(world, 'late')).includes(scheduled));
  // The scheduler takes the larger one, for its node's sake.
  const claim = await claimOf(world, 'late');
  const claimRef = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    namespace,
    name: 'late',
    uid: claim.metadata.uid ?? '',
  };
  const volume = await volumeOf(world, 'b');
  const annotations = { 'pv.kubernetes.io/bound-by-controller': 'yes' };
  const chosen = { ...volume, metadata: { ...volume.metadata, annotations } };
  await client.update(
    persistentVolumes,
    { ...chosen, spec: { ...volume.spec, claimRef } },
    { signal },
  );
  await world.pass(1_000);
  assert.equal(await bondOf(world, 'late'), 'Bound b');
});

test('a claim without class takes the default class once there is one', async (t) => {
  covers('VOL-072');
  superseded('VOL-127', { by: 'v1.26', now: 'of several default classes the newest counts' });
  const world = await openWorld(t);
  await createClaim(world, 'early', { storageClassName: undefined });
  assert.match(
    (await toldAbout(world, 'early')).join(),
    /FailedBinding: no persistent volumes available for this claim and no storage class is set/,
  );
  const annotations = { 'storageclass.kubernetes.io/is-default-class': 'true' };
  await createClass(world, 'older', {}, { annotations });
  await world.pass(1_000);
  assert.equal((await claimOf(world, 'early')).spec?.storageClassName, 'older');
  await world.pass(5_000);
  await createClass(world, 'a-newer', {}, { annotations });
  await createClaim(world, 'later', { storageClassName: undefined });
  await world.pass(1_000);
  assert.equal((await claimOf(world, 'later')).spec?.storageClassName, 'a-newer');
  const told = await toldAbout(world, 'early');
  assert.match(told.join(), /ExternalProvisioning: Waiting for a volume to be created either by/);
  const claim = await claimOf(world, 'early');
  assert.equal(claim.metadata.annotations?.['volume.kubernetes.io/storage-provisioner'], 'x.y/z');
  // A claim that wants no class keeps none.
  await createClaim(world, 'none', { storageClassName: '' });
  await world.pass(1_000);
  const none = await claimOf(world, 'none');
  assert.equal(none.spec?.storageClassName, '');
  assert.equal(none.status?.phase, 'Pending');
  assert.equal(none.metadata.annotations?.['volume.kubernetes.io/storage-provisioner'], undefined);
  await createVolume(world, 'classless', { storageClassName: '' });
  assert.equal(await bondOf(world, 'none'), 'Bound classless');
});

test('the old annotation names a class as the field does', async (t) => {
  covers('VOL-087');
  const world = await openWorld(t);
  const metadata = { annotations: { 'volume.beta.kubernetes.io/storage-class': 'fast' } };
  await createVolume(world, 'v', { storageClassName: undefined }, metadata);
  await createVolume(world, 'w', { storageClassName: '' });
  await createClaim(world, 'c', { storageClassName: undefined }, metadata);
  assert.equal(await bondOf(world, 'c'), 'Bound v');
});

test('ephemeral volumes get claims that go with their pod', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  await createVolume(world, 'v');
  const volumeClaimTemplate = {
    metadata: { labels: { scratch: 'yes' } },
    spec: {
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'manual',
      resources: { requests: { storage: '1Gi' } },
    },
  };
  const volume = { name: 'scratch', ephemeral: { volumeClaimTemplate } };
  await createClaim(world, 'foreign-scratch');
  await createPod(world, 'foreign', [volume]);
  await world.pass(1_000);
  assert.match(
    (await toldAbout(world, 'foreign')).join(),
    /FailedBinding: ephemeral volume scratch: PVC default\/foreign-scratch was not created for pod/,
  );
  await createVolume(world, 'v2');
  await createPod(world, 'own', [volume]);
  await world.pass(1_000);
  const claim = await claimOf(world, 'own-scratch');
  assert.equal(claim.metadata.ownerReferences?.[0]?.name, 'own');
  assert.deepEqual(claim.metadata.labels, { scratch: 'yes' });
  assert.equal(await bondOf(world, 'own-scratch'), 'Bound v2');
  await client.delete(pods, { namespace, name: 'own' }, { signal });
  await world.pass(5_000);
  await assert.rejects(claimOf(world, 'own-scratch'), (error) => isReason(error, 'NotFound'));
});

test('a volume of a driver is attached where a pod uses it, and detached after', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  for (const name of ['n1', 'n2']) {
    await world.addNode(name);
    const annotations = { 'volumes.kubernetes.io/controller-managed-attach-detach': 'true' };
    await client.patch(nodes, { name }, { metadata: { annotations } }, merge(world));
  }
  const csi = { driver: 'disk.example.com', volumeHandle: 'h1' };
  await createVolume(world, 'disk', { hostPath: undefined, csi });
  await createClaim(world, 'c');
  const volumes = [{ name: 'd', persistentVolumeClaim: { claimName: 'c' } }];
  await createPod(world, 'first', volumes);
  await world.pass(2_000);
  const [attachment, ...more] = await world.list(volumeAttachments);
  assert.equal(more.length, 0);
  const hash = createHash('sha256').update('h1disk.example.comn1').digest('hex');
  const name = `csi-${hash}`;
  assert.equal(attachment?.metadata.name, name);
  assert.deepEqual(attachment?.spec, {
    attacher: 'disk.example.com',
    nodeName: 'n1',
    source: { persistentVolumeName: 'disk' },
  });
  const status = { status: { attached: true } };
  await client.patch(volumeAttachments, { name }, status, {
    ...merge(world),
    subresource: 'status',
  });
  await world.pass(1_000);
  const attached = async () =>
    (await client.get(nodes, { name: 'n1' }, { signal })).status?.volumesAttached ?? [];
  const volumeName = 'kubernetes.io/csi/disk.example.com^h1';
  assert.deepEqual(await attached(), [{ name: volumeName, devicePath: '' }]);
  assert.match(
    (await toldAbout(world, 'first')).join(),
    /SuccessfulAttachVolume: AttachVolume\.Attach succeeded for volume "disk"/,
  );
  // Another node has to wait.
  world.living.delete('n1');
  await createPod(world, 'second', volumes);
  await world.pass(2_000);
  assert.match(
    (await toldAbout(world, 'second')).join(),
    /Multi-Attach error for volume "disk" Volume is already used by pod\(s\) first/,
  );
  await client.delete(pods, { namespace, name: 'first' }, { signal, gracePeriodSeconds: 0 });
  await world.pass(2_000);
  const [next] = await world.list(volumeAttachments);
  assert.equal(next?.spec.nodeName, 'n2');
  assert.deepEqual(await attached(), []);
});

test('a volume is attached when its node leaves that to the controllers only later', async (t) => {
  const world = await openWorld(t);
  const { client } = world;
  await world.addNode('n1');
  const csi = { driver: 'disk.example.com', volumeHandle: 'h1' };
  await createVolume(world, 'disk', { hostPath: undefined, csi });
  await createClaim(world, 'c');
  await createPod(world, 'first', [{ name: 'd', persistentVolumeClaim: { claimName: 'c' } }]);
  await world.pass(2_000);
  assert.deepEqual(await world.list(volumeAttachments), []);
  const annotations = { 'volumes.kubernetes.io/controller-managed-attach-detach': 'true' };
  await client.patch(nodes, { name: 'n1' }, { metadata: { annotations } }, merge(world));
  await world.pass(2_000);
  const attachments = await world.list(volumeAttachments);
  assert.deepEqual(
    attachments.map(({ spec }) => spec.nodeName),
    ['n1'],
  );
});

test('a claim that is to grow is left to its driver', async (t) => {
  const world = await openWorld(t);
  const { client } = world;
  await createClass(world, 'manual', { allowVolumeExpansion: true });
  const csi = { driver: 'disk.example.com', volumeHandle: 'h1' };
  await createVolume(world, 'disk', { hostPath: undefined, csi });
  await createClaim(world, 'c');
  const more = { spec: { resources: { requests: { storage: '20Gi' } } } };
  await client.patch(persistentVolumeClaims, { namespace, name: 'c' }, more, merge(world));
  await world.pass(1_000);
  assert.match(
    (await toldAbout(world, 'c')).join(),
    /ExternalExpanding: waiting for an external controller to expand this PVC/,
  );
});

test('an attributes class stays while a claim names it', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  const kind = { apiVersion: 'storage.k8s.io/v1', kind: 'VolumeAttributesClass' };
  const metadata = { name: 'fast' };
  const parameters = { iops: '9' };
  const attributes = { ...kind, metadata, driverName: 'x.y', parameters };
  await client.create(volumeAttributesClasses, attributes, { signal });
  await createClaim(world, 'c', { volumeAttributesClassName: 'fast' });
  await client.delete(volumeAttributesClasses, metadata, { signal });
  await world.pass(5_000);
  await client.get(volumeAttributesClasses, metadata, { signal });
  await client.delete(persistentVolumeClaims, { namespace, name: 'c' }, { signal });
  await world.pass(2_000);
  await assert.rejects(client.get(volumeAttributesClasses, metadata, { signal }), (error) =>
    isReason(error, 'NotFound'),
  );
});
