/** Volumes that are made for claims and deleted with them: by whom, and what is left. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isReason } from '#api/errors.ts';
import { defaultSettings, type HostFolders } from '#controllers';
import {
  endpoints,
  persistentVolumeClaims,
  pods,
  services,
  statefulSets,
  storageClasses,
} from '#resources/kinds.ts';
import type { StatefulSet } from '#resources/types/apps-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { openWorld, type World } from './control-world.ts';
import {
  bondOf,
  claimOf,
  createClaim,
  createClass,
  createPod,
  createVolume,
  namespace,
  phaseOf,
  toldAbout,
  volumeOf,
} from './volume-world.ts';

/** A machine whose folders are only written down; removing one of them fails once. */
function notedFolders(broken?: string) {
  const done: string[] = [];
  let isBroken = broken !== undefined;
  const folders: HostFolders = {
    make: async (path) => {
      done.push(`make ${path}`);
    },
    remove: async (path) => {
      if (isBroken && path === broken) {
        isBroken = false;
        throw new Error('read-only file system');
      }
      done.push(`remove ${path}`);
    },
  };
  return { done, folders };
}

async function claimRow(world: World, name: string): Promise<readonly unknown[]> {
  const path = `/api/v1/namespaces/${namespace}/persistentvolumeclaims/${name}`;
  const accept = 'application/json;as=Table;g=meta.k8s.io;v=v1';
  const { body } = await world.server.request('GET', path, undefined, { headers: { accept } });
  return body.rows[0].cells;
}

const isGone = (world: World, name: string) =>
  volumeOf(world, name).then(
    () => false,
    (error: unknown) => isReason(error, 'NotFound'),
  );

test('Delete: a folder below /tmp goes with the volume, others are refused', async (t) => {
  const { done, folders } = notedFolders('/tmp/stuck');
  const world = await openWorld(t, { folders });
  const { client, signal } = world;
  const persistentVolumeReclaimPolicy = 'Delete';
  const release = async (name: string, source: object) => {
    await createVolume(world, name, { persistentVolumeReclaimPolicy, ...source });
    await createClaim(world, name, { volumeName: name });
    await client.delete(persistentVolumeClaims, { namespace, name }, { signal });
    await world.pass(1_000);
  };
  await release('data', { hostPath: { path: '/tmp/data' } });
  assert.equal(await isGone(world, 'data'), true);
  assert.deepEqual(done, ['remove /tmp/data']);
  await release('stuck', { hostPath: { path: '/tmp/stuck' } });
  await world.pass(5_000);
  assert.equal(await isGone(world, 'stuck'), true, 'tried again');
  assert.match((await toldAbout(world, 'stuck')).join(), /VolumeFailedDelete: read-only file sys/);
  const nfs = { server: 'files', path: '/' };
  const why = 'VolumeFailedDelete: error getting deleter volume plugin for volume';
  for (const [name, source, problem] of [
    ['files', { hostPath: undefined, nfs }, `${why} "files": no deletable volume plugin matched`],
    [
      'home',
      {},
      'VolumeFailedDelete: host_path deleter only supports /tmp/.+ but received provided /mnt/data',
    ],
  ] as const) {
    await release(name, source);
    assert.equal(await phaseOf(world, name), `Failed ${name}`);
    assert.ok((await toldAbout(world, name)).includes(problem), name);
  }
  assert.deepEqual(done, ['remove /tmp/data', 'remove /tmp/stuck']);
});

const provisioner = 'kubernetes.io/host-path';
const settings = { ...defaultSettings, hostPathProvisioner: true };

test('folders of the machine are made for a class, and go with the claim or stay', async (t) => {
  covers('VOL-071', 'VOL-081', 'VOL-121', 'VOL-136', 'VOL-140');
  const { done, folders } = notedFolders();
  const world = await openWorld(t, { folders, settings });
  const { client, signal } = world;
  await world.addNode('n1');
  await createClass(world, 'folders', { provisioner });
  await createClass(world, 'kept', { provisioner, reclaimPolicy: 'Retain' });
  for (const name of ['folders', 'kept']) {
    await createClaim(world, name, { storageClassName: name });
    const { uid } = (await claimOf(world, name)).metadata;
    const volumeName = `pvc-${uid}`;
    assert.equal(await bondOf(world, name), `Bound ${volumeName}`);
    assert.deepEqual((await claimRow(world, name)).slice(0, 3), [name, 'Bound', volumeName]);
    const made = await volumeOf(world, volumeName);
    assert.deepEqual(made.spec?.hostPath, { path: `/tmp/hostpath_pv/${uid}`, type: '' });
    assert.deepEqual(made.spec?.capacity, { storage: '3Gi' });
    assert.equal(made.spec?.persistentVolumeReclaimPolicy, name === 'kept' ? 'Retain' : 'Delete');
    assert.equal(made.spec?.storageClassName, name);
    const how = `using ${provisioner}`;
    const told = `ProvisioningSucceeded: Successfully provisioned volume ${volumeName} ${how}`;
    assert.ok((await toldAbout(world, name)).includes(told));
    assert.equal(done.at(-1), `make /tmp/hostpath_pv/${uid}`);
    // While a pod uses it, the deleted claim is there, and so is the volume.
    await createPod(world, 'user', [{ name: 'd', persistentVolumeClaim: { claimName: name } }]);
    await client.delete(persistentVolumeClaims, { namespace, name }, { signal });
    await world.pass(5_000);
    assert.equal(await phaseOf(world, volumeName), `Bound ${name}`);
    await client.delete(pods, { namespace, name: 'user' }, { signal });
    await world.pass(5_000);
    if (name === 'kept') assert.equal(await phaseOf(world, volumeName), 'Released kept');
    else assert.equal(await isGone(world, volumeName), true);
    assert.equal(done.at(-1), `${name === 'kept' ? 'make' : 'remove'} /tmp/hostpath_pv/${uid}`);
  }
  // What fits is taken before anything is made; one made by hand keeps the policy that it has.
  await createVolume(world, 'by-hand', { storageClassName: 'folders' });
  await createClaim(world, 'fits', { storageClassName: 'folders' });
  assert.equal(await bondOf(world, 'fits'), 'Bound by-hand');
  await client.delete(persistentVolumeClaims, { namespace, name: 'fits' }, { signal });
  await world.pass(60_000);
  assert.equal(await phaseOf(world, 'by-hand'), 'Released fits');
});

test('a claim is told why no folder is made for it', async (t) => {
  covers('VOL-090', 'VOL-093');
  const { done, folders } = notedFolders();
  const world = await openWorld(t, { folders, settings });
  await createClass(world, 'folders', { provisioner });
  await createClass(world, 'options', { provisioner, mountOptions: ['ro', 'nolock'] });
  const failed = 'Failed to provision volume with StorageClass "folders"';
  const why = {
    mounted: [
      { storageClassName: 'options' },
      'Mount options are not supported by the provisioner but StorageClass "options" has mount options [ro nolock]',
    ],
    device: [
      { volumeMode: 'Block' },
      `${failed}: ${provisioner} does not support block volume provisioning`,
    ],
    labelled: [
      { selector: { matchLabels: { tier: 'gold' } } },
      `${failed}: claim Selector is not supported`,
    ],
  } as const;
  for (const [name, [spec, problem]] of Object.entries(why)) {
    await createClaim(world, name, { storageClassName: 'folders', ...spec });
    await world.pass(60_000);
    assert.equal(await bondOf(world, name), 'Pending');
    assert.ok((await toldAbout(world, name)).includes(`ProvisioningFailed: ${problem}`), name);
  }
  assert.deepEqual(done, []);
});

test('each pod of a StatefulSet has a volume of the default class, or one made beforehand', async (t) => {
  covers('VOL-015', 'VOL-017', 'VOL-128');
  const { folders } = notedFolders();
  const world = await openWorld(t, { folders, settings });
  const annotations = { 'storageclass.kubernetes.io/is-default-class': 'true' };
  await createClass(world, 'standard', { provisioner }, { annotations });
  await createClass(world, 'by-hand', { provisioner: 'kubernetes.io/no-provisioner' });
  const set = (name: string, storageClassName?: string): StatefulSet => ({
    ...{ apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: { namespace, name } },
    spec: {
      ...{ replicas: 2, serviceName: name, podManagementPolicy: 'Parallel' },
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: 'c', image: 'i' }] },
      },
      volumeClaimTemplates: ['www', 'log'].map((template) => ({
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: { name: template },
        spec: {
          accessModes: ['ReadWriteOnce'],
          resources: { requests: { storage: '1Gi' } },
          ...(storageClassName !== undefined && { storageClassName }),
        },
      })),
    },
  });
  const claims = (name: string) =>
    [0, 1].flatMap((pod) => [`www-${name}-${pod}`, `log-${name}-${pod}`]);
  await world.client.create(statefulSets, set('web'), world);
  await world.pass(2_000);
  const made = new Set<string>();
  for (const name of claims('web')) {
    const { metadata, spec } = await claimOf(world, name);
    assert.equal(await bondOf(world, name), `Bound pvc-${metadata.uid}`);
    assert.equal(spec?.storageClassName, 'standard');
    made.add(metadata.uid ?? '');
  }
  assert.equal(made.size, 4, 'a volume for each claim of each pod');
  await world.client.create(statefulSets, set('db', 'by-hand'), world);
  await world.pass(60_000);
  for (const name of claims('db')) assert.equal(await bondOf(world, name), 'Pending');
  for (const name of claims('db')) {
    await createVolume(world, `for-${name}`, { storageClassName: 'by-hand' });
  }
  await world.pass(1_000);
  for (const name of claims('db'))
    assert.match(await bondOf(world, name), /^Bound for-(www|log)-db/);
});

/** What the documents print for the classes of each plugin, and whose these are today. */
const oldPlugins = {
  'aws-ebs': [
    'VOL-097',
    'v1.23',
    'ebs.csi.aws.com',
    { type: 'io1', zones: 'a, b', zone: 'a', iopsPerGB: '10' },
  ],
  'gce-pd': ['VOL-098', 'v1.23', 'pd.csi.storage.gke.io', { type: 'pd-standard', zones: 'a, b' }],
  glusterfs: [
    'VOL-099',
    'v1.26',
    undefined,
    { resturl: 'http://127.0.0.1:8081', volumetype: 'replicate:3' },
  ],
  cinder: ['VOL-101', 'v1.21', 'cinder.csi.openstack.org', { type: 'fast', availability: 'nova' }],
  'vsphere-volume': ['VOL-102', 'v1.25', 'csi.vsphere.vmware.com', { diskformat: 'zeroedthick' }],
  rbd: [
    'VOL-103',
    'v1.31',
    undefined,
    { monitors: '10.16.153.105:6789', pool: 'kube', imageFormat: '1' },
  ],
  quobyte: ['VOL-104', 'v1.25', undefined, { quobyteAPIServer: 'http://138.68.74.142:7860' }],
  'azure-disk': [
    'VOL-105',
    'v1.23',
    'disk.csi.azure.com',
    { skuName: 'Standard_LRS', location: 'eastus' },
  ],
  'azure-file': ['VOL-106', 'v1.24', 'file.csi.azure.com', { skuName: 'Standard_LRS' }],
  'portworx-volume': ['VOL-107', 'v1.33', 'pxd.portworx.com', { repl: '1', snap_interval: '70' }],
  scaleio: [
    'VOL-108',
    'v1.22',
    undefined,
    { gateway: 'https://192.168.99.200:443/api', system: 'scaleio' },
  ],
  storageos: ['VOL-109', 'v1.25', undefined, { pool: 'default', fsType: 'ext4' }],
} as const;

test('classes of the plugins that Kubernetes had are those of their drivers, or of nobody', async (t) => {
  const world = await openWorld(t);
  for (const [name, [row, by, driver, parameters]] of Object.entries(oldPlugins)) {
    const plugin = `kubernetes.io/${name}`;
    await createClass(world, name, { provisioner: plugin, parameters });
    const kept = await world.client.get(storageClasses, { name }, world);
    assert.deepEqual(kept.parameters, parameters, 'whatever the parameters');
    await createClaim(world, name, { storageClassName: name });
    assert.equal(await bondOf(world, name), 'Pending');
    const told = await toldAbout(world, name);
    const { annotations = {} } = (await claimOf(world, name)).metadata;
    assert.equal(annotations['volume.kubernetes.io/storage-provisioner'], driver);
    if (driver === undefined) {
      superseded(row, {
        by,
        now: 'the plugin is gone: the class is kept as it is, its claims wait and are told so',
      });
      assert.deepEqual(told, [`ProvisioningFailed: no volume plugin matched name: ${plugin}`]);
    } else {
      superseded(row, {
        by,
        now: `the plugin is gone: the class is kept as it is, its claims are for ${driver} to serve`,
      });
      const waits = `Waiting for a volume to be created either by the external provisioner '${driver}'`;
      assert.ok(told[0]?.startsWith(`ExternalProvisioning: ${waits}`), `${told[0]}`);
    }
  }
  // With GlusterFS went the Services that stood for its volumes.
  superseded('VOL-100', { by: 'v1.26', now: 'no Service and no Endpoints are made for a claim' });
  const made = [
    ...(await world.list(services, namespace)),
    ...(await world.list(endpoints, namespace)),
  ];
  const names = made.map(({ metadata }) => metadata.name);
  // Those of the server itself are there once it has made them.
  assert.deepEqual(
    names.filter((one) => one !== 'kubernetes'),
    [],
  );
});

test('a class names its provisioner, and only some of those with the old names do anything', async (t) => {
  superseded('VOL-096', {
    by: 'v1.31',
    now: 'provisioner is required; of the plugins of the table none makes volumes by itself',
  });
  const world = await openWorld(t);
  const kind = { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass' };
  const body = { ...kind, metadata: { name: 'none' } };
  const path = '/apis/storage.k8s.io/v1/storageclasses';
  const refused = await world.server.request('POST', path, body);
  assert.equal(refused.status, 422);
  assert.match(refused.body.message, /provisioner: Required value/);
  const unknown = 'no volume plugin matched name: kubernetes.io/';
  const unable = 'no provisionable volume plugin matched';
  const problems = {
    cephfs: `${unknown}cephfs`,
    flocker: `${unknown}flocker`,
    'photon-pd': `${unknown}photon-pd`,
    'no-provisioner': `${unknown}no-provisioner`,
    nfs: unable,
    iscsi: unable,
    fc: unable,
    'host-path': `Failed to create provisioner: provisioning in volume plugin "${provisioner}" is disabled`,
  };
  for (const [name, why] of Object.entries(problems)) {
    await createClass(world, name, { provisioner: `kubernetes.io/${name}` });
    await createClaim(world, name, { storageClassName: name });
    assert.deepEqual(await toldAbout(world, name), [`ProvisioningFailed: ${why}`]);
    assert.equal(await bondOf(world, name), 'Pending');
  }
});

test('what a plugin of a cloud made is for its driver to delete', async (t) => {
  superseded('VOL-080', {
    by: 'v1.26',
    now: 'drivers delete what clouds gave; of what has no driver, folders below /tmp are deleted',
  });
  const { done, folders } = notedFolders();
  const world = await openWorld(t, { folders });
  const { client, signal } = world;
  const persistentVolumeReclaimPolicy = 'Delete';
  const sources = {
    'aws-ebs': { awsElasticBlockStore: { volumeID: 'vol-1' } },
    'gce-pd': { gcePersistentDisk: { pdName: 'disk-1' } },
    'azure-disk': { azureDisk: { diskName: 'd', diskURI: 'https://example.com/d' } },
    cinder: { cinder: { volumeID: 'v' } },
  } as const;
  for (const [plugin, source] of Object.entries(sources)) {
    const annotations = { 'pv.kubernetes.io/provisioned-by': `kubernetes.io/${plugin}` };
    const finalizers = ['kubernetes.io/pv-controller'];
    const spec = { hostPath: undefined, persistentVolumeReclaimPolicy, ...source };
    await createVolume(world, plugin, spec, { annotations, finalizers });
    const { metadata } = await volumeOf(world, plugin);
    const driver = oldPlugins[plugin as keyof typeof sources][2];
    assert.equal(metadata.annotations?.['pv.kubernetes.io/migrated-to'], driver);
    assert.deepEqual(metadata.finalizers, ['kubernetes.io/pv-protection']);
    await createClaim(world, plugin, { volumeName: plugin });
    assert.equal(await bondOf(world, plugin), `Bound ${plugin}`);
    await client.delete(persistentVolumeClaims, { namespace, name: plugin }, { signal });
    await world.pass(60_000);
    assert.equal(await phaseOf(world, plugin), `Released ${plugin}`);
  }
  await createVolume(world, 'data', {
    persistentVolumeReclaimPolicy,
    hostPath: { path: '/tmp/data' },
  });
  await createClaim(world, 'data', { volumeName: 'data' });
  await client.delete(persistentVolumeClaims, { namespace, name: 'data' }, { signal });
  await world.pass(1_000);
  assert.equal(await isGone(world, 'data'), true);
  assert.deepEqual(done, ['remove /tmp/data']);
});
