/**
 * Pods that bring claims, on a whole cluster under a virtual clock: the scheduler chooses volumes
 * and devices with the node, writes them, and binds the pod when they are its own.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  deviceClasses,
  nodes,
  persistentVolumeClaims,
  persistentVolumes,
  pods,
  resourceClaims,
  resourceQuotas,
  resourceSlices,
  storageClasses,
} from '#resources/kinds.ts';
import type { PersistentVolume, Pod, PodSpec } from '#resources/types/core-v1.ts';
import { startCluster, type TestCluster } from '#testing';

function open(): Promise<TestCluster> {
  const nodes = ['n1', 'n2'].map((name) => ({ name }));
  return startCluster({ clock: 'virtual', seed: 5, nodes });
}

function pod(name: string, spec: Partial<PodSpec>): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: { containers: [{ name: 'c', image: 'db' }], ...spec },
  };
}

function get({ client, signal }: TestCluster, name: string): Promise<Pod> {
  return client.get(pods, { namespace: 'default', name }, { signal });
}

async function placed(cluster: TestCluster, name: string): Promise<string> {
  await cluster.until(`${name} has a node`, async () =>
    Boolean((await get(cluster, name)).spec?.nodeName),
  );
  return (await get(cluster, name)).spec?.nodeName ?? '';
}

function local(name: string, nodeName: string, storage: string): PersistentVolume {
  const expression = { key: 'kubernetes.io/hostname', operator: 'In', values: [nodeName] };
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name },
    spec: {
      capacity: { storage },
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'local',
      local: { path: '/mnt/disks/ssd1' },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [expression] }] } },
    },
  };
}

async function withClass(
  { client, signal }: TestCluster,
  name: string,
  provisioner: string,
): Promise<void> {
  const volumeBindingMode = 'WaitForFirstConsumer';
  const apiVersion = 'storage.k8s.io/v1';
  const metadata = { name };
  const made = { apiVersion, kind: 'StorageClass', metadata, provisioner, volumeBindingMode };
  await client.create(storageClasses, made, { signal });
}

async function withClaim(
  { client, signal }: TestCluster,
  name: string,
  storageClassName: string,
): Promise<void> {
  const resources = { requests: { storage: '5Gi' } };
  await client.create(
    persistentVolumeClaims,
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name, namespace: 'default' },
      spec: { accessModes: ['ReadWriteOnce'], storageClassName, resources },
    },
    { signal },
  );
}

const using = (claimName: string): Partial<PodSpec> => ({
  volumes: [{ name: 'data', persistentVolumeClaim: { claimName } }],
});

test('a local volume: the pod goes to its node, and the claim is bound with the pod', async () => {
  await using cluster = await open();
  const { client, signal } = cluster;
  await withClass(cluster, 'local', 'kubernetes.io/no-provisioner');
  await client.create(persistentVolumes, local('big', 'n1', '100Gi'), { signal });
  await client.create(persistentVolumes, local('small', 'n2', '10Gi'), { signal });
  await withClaim(cluster, 'one', 'local');
  await withClaim(cluster, 'two', 'local');
  const claim = async (name: string) =>
    client.get(persistentVolumeClaims, { namespace: 'default', name }, { signal });
  await cluster.advance('1m');
  assert.equal((await claim('one')).status?.phase, 'Pending');
  const nodeSelector = { 'kubernetes.io/hostname': 'n2' };
  await client.create(pods, pod('first', { ...using('one'), nodeSelector }), { signal });
  assert.equal(await placed(cluster, 'first'), 'n2');
  assert.equal((await claim('one')).status?.phase, 'Bound');
  assert.equal((await claim('one')).spec?.volumeName, 'small');
  // The other volume is on the other node, so that is where the second pod goes.
  await client.create(pods, pod('second', using('two')), { signal });
  assert.equal(await placed(cluster, 'second'), 'n1');
  assert.equal((await claim('two')).spec?.volumeName, 'big');
  const volume = await client.get(persistentVolumes, { name: 'big' }, { signal });
  assert.equal(volume.spec?.claimRef?.name, 'two');
  assert.equal(volume.metadata.annotations?.['pv.kubernetes.io/bound-by-controller'], 'yes');
});

test('a volume that is made: the provisioner learns the node, the pod waits for it', async () => {
  await using cluster = await open();
  const { client, signal } = cluster;
  await withClass(cluster, 'made', 'csi.example.com');
  await withClaim(cluster, 'data', 'made');
  await client.create(pods, pod('db', using('data')), { signal });
  const at = { namespace: 'default', name: 'data' };
  const chosen = async (): Promise<string | undefined> =>
    (await client.get(persistentVolumeClaims, at, { signal })).metadata.annotations?.[
      'volume.kubernetes.io/selected-node'
    ];
  await cluster.until('the node is chosen', async () => (await chosen()) !== undefined);
  const nodeName = (await chosen()) ?? '';
  await cluster.advance('10s');
  assert.equal((await get(cluster, 'db')).spec?.nodeName, undefined);
  // Who provisions makes the volume for the claim.
  const { uid } = (await client.get(persistentVolumeClaims, at, { signal })).metadata;
  const claimRef = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', ...at, uid };
  const volume = local('pvc-1', nodeName, '5Gi');
  const spec = { ...volume.spec, storageClassName: 'made', claimRef };
  await client.create(persistentVolumes, { ...volume, spec }, { signal });
  assert.equal(await placed(cluster, 'db'), nodeName);
});

const apiVersion = 'resource.k8s.io/v1';
const driver = 'gpu.example.com';

/** Two devices, models a and b, on the node. */
async function withDevices({ client, signal }: TestCluster, nodeName: string): Promise<void> {
  const pool = { name: nodeName, generation: 1, resourceSliceCount: 1 };
  const devices = ['gpu-0', 'gpu-1'].map((name, index) => ({
    name,
    attributes: { model: { string: index === 0 ? 'a' : 'b' } },
  }));
  const spec = { driver, nodeName, pool, devices };
  const metadata = { name: `${nodeName}-gpu` };
  await client.create(
    resourceSlices,
    { apiVersion, kind: 'ResourceSlice', metadata, spec },
    { signal },
  );
}

const claimsGpu: Partial<PodSpec> = {
  resourceClaims: [{ name: 'gpu', resourceClaimName: 'gpu' }],
};

test('a pod waits untried for a claim that is not there, and goes once it is', async () => {
  await using cluster = await open();
  const { client, signal } = cluster;
  await withDevices(cluster, 'n2');
  const gpu = { apiVersion, kind: 'DeviceClass', metadata: { name: 'gpu' }, spec: {} };
  await client.create(pods, pod('train', claimsGpu), { signal });
  await cluster.advance('10m');
  const conditions = async (): Promise<readonly (string | undefined)[]> =>
    ((await get(cluster, 'train')).status?.conditions ?? []).map(({ message }) => message);
  assert.deepEqual(await conditions(), [], 'nothing is said, as nothing was tried');
  const exactly = { deviceClassName: 'gpu' };
  const claim = {
    apiVersion,
    kind: 'ResourceClaim',
    metadata: { namespace: 'default', name: 'gpu' },
    spec: { devices: { requests: [{ name: 'one', exactly }] } },
  };
  await client.create(resourceClaims, claim, { signal });
  await cluster.until('it is tried', async () => (await conditions()).length > 0);
  assert.deepEqual(await conditions(), [
    '0/2 nodes are available: request one: device class gpu does not exist. no new claims to ' +
      'deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.',
  ]);
  await client.create(deviceClasses, gpu, { signal });
  assert.equal(await placed(cluster, 'train'), 'n2');
});

test('devices: allocated with the node, reserved for the pod, protected from deletion', async () => {
  await using cluster = await open();
  const { client, signal } = cluster;
  await withDevices(cluster, 'n2');
  const selectors = [{ cel: { expression: `device.driver == "${driver}"` } }];
  await client.create(
    deviceClasses,
    { apiVersion, kind: 'DeviceClass', metadata: { name: 'gpu' }, spec: { selectors } },
    { signal },
  );
  const model = `device.attributes["${driver}"].model == "b"`;
  const exactly = { deviceClassName: 'gpu', selectors: [{ cel: { expression: model } }] };
  const at = { namespace: 'default', name: 'gpu' };
  await client.create(
    resourceClaims,
    {
      apiVersion,
      kind: 'ResourceClaim',
      metadata: at,
      spec: { devices: { requests: [{ name: 'one', exactly }] } },
    },
    { signal },
  );
  await client.create(pods, pod('train', claimsGpu), { signal });
  assert.equal(await placed(cluster, 'train'), 'n2');
  const claim = await client.get(resourceClaims, at, { signal });
  const { allocation, reservedFor } = claim.status ?? {};
  assert.deepEqual(allocation?.devices?.results, [
    { request: 'one', driver, pool: 'n2', device: 'gpu-1' },
  ]);
  const { uid } = (await get(cluster, 'train')).metadata;
  assert.deepEqual(reservedFor, [{ resource: 'pods', name: 'train', uid }]);
  assert.ok(claim.metadata.finalizers?.includes('resource.kubernetes.io/delete-protection'));
  // A second pod may share the claim, on the node that has the device.
  await client.create(pods, pod('shares', claimsGpu), { signal });
  assert.equal(await placed(cluster, 'shares'), 'n2');
  const shared = await client.get(resourceClaims, at, { signal });
  assert.equal(shared.status?.reservedFor?.length, 2);
});

test('a claim that nobody uses gives its devices back where the pod cannot go', async () => {
  await using cluster = await open();
  const { client, signal } = cluster;
  for (const name of ['n1', 'n2']) await withDevices(cluster, name);
  await client.create(
    deviceClasses,
    { apiVersion, kind: 'DeviceClass', metadata: { name: 'gpu' }, spec: {} },
    { signal },
  );
  const at = { namespace: 'default', name: 'gpu' };
  const exactly = { deviceClassName: 'gpu' };
  const claim = {
    apiVersion,
    kind: 'ResourceClaim',
    metadata: at,
    spec: { devices: { requests: [{ name: 'one', exactly }] } },
  };
  const made = await client.create(resourceClaims, claim, { signal });
  // Allocated on a node that takes no pods any more, for a pod that is gone.
  const field = { key: 'metadata.name', operator: 'In', values: ['n1'] };
  const nodeSelector = { nodeSelectorTerms: [{ matchFields: [field] }] };
  const results = [{ request: 'one', driver, pool: 'n1', device: 'gpu-0' }];
  const status = { allocation: { devices: { results }, nodeSelector } };
  const finalizers = ['resource.kubernetes.io/delete-protection'];
  const kept = { ...made, metadata: { ...made.metadata, finalizers } };
  const { metadata } = await client.update(resourceClaims, kept, { signal });
  const allocated = { ...made, metadata, status };
  await client.update(resourceClaims, allocated, { subresource: 'status', signal });
  const cordoned = { spec: { unschedulable: true } };
  await client.patch(nodes, { name: 'n1' }, cordoned, { type: 'merge', signal });
  await client.create(pods, pod('train', claimsGpu), { signal });
  assert.equal(await placed(cluster, 'train'), 'n2');
  const { allocation } = (await client.get(resourceClaims, at, { signal })).status ?? {};
  assert.equal(allocation?.devices?.results?.[0]?.pool, 'n2');
});

test('devices asked for as an extended resource: a claim is made, told to the pod, and ended', async () => {
  await using cluster = await open();
  const { client, signal } = cluster;
  await withDevices(cluster, 'n2');
  const gpu = 'example.com/gpu';
  const spec = { extendedResourceName: gpu };
  const gpuClass = { apiVersion, kind: 'DeviceClass', metadata: { name: 'gpu' }, spec };
  await client.create(deviceClasses, gpuClass, { signal });
  const resources = { requests: { [gpu]: '2' }, limits: { [gpu]: '2' } };
  const containers = [{ name: 'c', image: 'train', resources }];
  await client.create(pods, pod('train', { containers, restartPolicy: 'Never' }), { signal });
  assert.equal(await placed(cluster, 'train'), 'n2');
  const { metadata, status } = await get(cluster, 'train');
  const { resourceClaimName = '', requestMappings } = status?.extendedResourceClaimStatus ?? {};
  assert.match(resourceClaimName, /^train-extended-resources-/);
  assert.deepEqual(requestMappings, [
    { containerName: 'c', requestName: 'container-0-request-0', resourceName: gpu },
  ]);
  const at = { namespace: 'default', name: resourceClaimName };
  const claim = await client.get(resourceClaims, at, { signal });
  assert.equal(
    claim.metadata.annotations?.['resource.kubernetes.io/extended-resource-claim'],
    'true',
  );
  const { uid = '' } = metadata;
  assert.deepEqual(claim.metadata.ownerReferences, [
    { apiVersion: 'v1', kind: 'Pod', name: 'train', uid, controller: true },
  ]);
  assert.deepEqual(claim.status?.reservedFor, [{ resource: 'pods', name: 'train', uid }]);
  assert.deepEqual(
    claim.status?.allocation?.devices?.results?.map(({ device }) => device),
    ['gpu-0', 'gpu-1'],
  );
  // The next pod waits for them, and has them when the first has ended.
  await client.create(pods, pod('waits', { containers }), { signal });
  await cluster.until('it waits', async () => {
    const [condition] = (await get(cluster, 'waits')).status?.conditions ?? [];
    return condition?.message?.includes('cannot allocate all claims') === true;
  });
  const ended = { status: { phase: 'Succeeded' } };
  const type = 'merge';
  const first = { namespace: 'default', name: 'train' };
  await client.patch(pods, first, ended, { type, subresource: 'status', signal });
  assert.equal(await placed(cluster, 'waits'), 'n2');
  await cluster.until('its claim is gone', async () => {
    const { items } = await client.list(resourceClaims, { namespace: 'default', signal });
    return items.length === 1 && items[0]?.metadata.name?.startsWith('waits-') === true;
  });
});

test('a quota counts devices once, whether asked for by name or by claim', async () => {
  await using cluster = await open();
  const { client, signal } = cluster;
  await withDevices(cluster, 'n2');
  const gpu = 'example.com/gpu';
  const gpuClass = { metadata: { name: 'gpu' }, spec: { extendedResourceName: gpu } };
  await client.create(deviceClasses, { apiVersion, kind: 'DeviceClass', ...gpuClass }, { signal });
  const at = { namespace: 'default', name: 'q' };
  const named = `requests.${gpu}`;
  const spec = { hard: { [named]: '2' } };
  const quota = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: at, spec };
  await client.create(resourceQuotas, quota, { signal });
  const used = async () => (await client.get(resourceQuotas, at, { signal })).status?.used?.[named];
  await cluster.until('the quota is counted', async () => (await used()) === '0');
  const resources = { requests: { [gpu]: '2' }, limits: { [gpu]: '2' } };
  const containers = [{ name: 'c', image: 'train', resources }];
  await client.create(pods, pod('train', { containers }), { signal });
  assert.equal(await used(), '2');
  // The claim that the scheduler makes for it has been paid for.
  assert.equal(await placed(cluster, 'train'), 'n2');
  await cluster.advance('10s');
  assert.equal(await used(), '2');
  const requests = [{ name: 'one', exactly: { deviceClassName: 'gpu' } }];
  const metadata = { namespace: 'default', name: 'mine' };
  const claim = { metadata, spec: { devices: { requests } } };
  const asked = client.create(
    resourceClaims,
    { apiVersion, kind: 'ResourceClaim', ...claim },
    { signal },
  );
  await assert.rejects(
    asked,
    /exceeded quota: q, requested: requests.example.com\/gpu=1, used: requests.example.com\/gpu=2/,
  );
  await client.delete(pods, { namespace: 'default', name: 'train' }, { signal });
  await cluster.until('all is given back', async () => (await used()) === '0');
});
