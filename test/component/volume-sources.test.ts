/**
 * Volumes that others serve: the API still takes every sort that the documents name, in a pod and
 * as a PersistentVolume, whoever mounts it today. And what the pod is like that empties a volume.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultSettings } from '#controllers';
import { persistentVolumeClaims, persistentVolumes, pods } from '#resources/kinds.ts';
import { covers, superseded } from '#test/covers.ts';
import { openTestServer } from '#test/fixtures.ts';
import { openWorld } from './control-world.ts';

const namespace = 'default';

/** As they stand in a pod; where a PersistentVolume says it otherwise, that is the second. */
const sources: Readonly<Record<string, readonly [pod: object, volume?: object]>> = {
  gcePersistentDisk: [{ pdName: 'disk', fsType: 'ext4' }],
  awsElasticBlockStore: [{ volumeID: 'vol-1', fsType: 'ext4' }],
  azureFile: [
    { secretName: 'azure', shareName: 'k8stest' },
    { secretName: 'azure', shareName: 'k8stest', secretNamespace: 'default' },
  ],
  azureDisk: [{ diskName: 'test.vhd', diskURI: 'https://a.blob.example/vhds/test.vhd' }],
  fc: [{ targetWWNs: ['50060e801049cfd1', '50060e801049cfd2'], lun: 2, fsType: 'ext4' }],
  flexVolume: [{ driver: 'example.com/lvm', fsType: 'ext4', options: { size: '1000m' } }],
  flocker: [{ datasetName: 'my-flocker-vol' }],
  nfs: [{ server: 'nfs.example.com', path: '/exports' }],
  iscsi: [{ targetPortal: '10.0.2.15:3260', iqn: 'iqn.2001-04.com.example:disk', lun: 0 }],
  rbd: [{ monitors: ['10.16.154.78:6789'], image: 'foo', pool: 'kube', user: 'admin' }],
  cephfs: [{ monitors: ['10.16.154.78:6789'], user: 'admin' }],
  cinder: [{ volumeID: 'bd82f7e2', fsType: 'ext4' }],
  glusterfs: [{ endpoints: 'glusterfs-cluster', path: 'kube_vol' }],
  vsphereVolume: [{ volumePath: '[DatastoreName] volumes/myDisk', fsType: 'ext4' }],
  quobyte: [{ registry: 'registry:6789', volume: 'testVolume', user: 'root', group: 'root' }],
  hostPath: [{ path: '/data' }],
  photonPersistentDisk: [{ pdID: 'some-pd', fsType: 'ext4' }],
  portworxVolume: [{ volumeID: 'pxvol', fsType: 'ext4' }],
  scaleIO: [
    {
      ...{ gateway: 'https://localhost:443/api', system: 'scaleio', volumeName: 'vol-0' },
      ...{ protectionDomain: 'sd0', storagePool: 'sp1', secretRef: { name: 'sio' }, fsType: 'xfs' },
    },
  ],
  storageos: [{ volumeName: 'redis-vol01', fsType: 'ext4' }],
};

test('every sort of volume that the documents name is taken', async () => {
  covers('VOL-041', 'VOL-084');
  const withoutNode = (by: string) => ({ by, now: 'the API takes it; no node mounts it any more' });
  superseded('VOL-042', withoutNode('v1.25'));
  superseded('VOL-058', withoutNode('v1.25'));
  superseded('VOL-061', withoutNode('v1.25'));
  superseded('VOL-060', withoutNode('v1.22'));
  superseded('VOL-044', withoutNode('v1.31'));
  superseded('VOL-045', withoutNode('v1.31'));
  superseded('VOL-043', withoutNode('v1.26'));
  const withDriver = (by: string) => ({ by, now: 'the API takes it; its CSI driver serves it' });
  superseded('VOL-055', withDriver('v1.26'));
  superseded('VOL-056', withDriver('v1.24'));
  superseded('VOL-057', withDriver('v1.26'));
  superseded('VOL-059', withDriver('v1.33'));
  // Who may use such a disk at once is in src/scheduling/plugins/volume-rules.test.ts.
  superseded('VOL-037', withDriver('v1.28'));
  superseded('VOL-038', withDriver('v1.27'));
  await using server = await openTestServer();
  const accounts = '/api/v1/namespaces/default/serviceaccounts';
  await server.request('POST', accounts, { metadata: { name: 'default' } });
  for (const [sort, [inPod, inVolume = inPod]] of Object.entries(sources)) {
    const name = sort.toLowerCase();
    const pod = {
      metadata: { name },
      spec: {
        containers: [{ name: 'c', image: 'i', volumeMounts: [{ name: 'v', mountPath: '/v' }] }],
        volumes: [{ name: 'v', [sort]: inPod }],
      },
    };
    const made = await server.request('POST', '/api/v1/namespaces/default/pods', pod);
    assert.equal(made.status, 201, made.text);
    const [volume] = made.body.spec.volumes;
    for (const [field, value] of Object.entries(inPod)) {
      assert.deepEqual(volume[sort][field], value, `${sort}.${field}`);
    }
    const capacity = { storage: '1Gi' };
    const spec = { capacity, accessModes: ['ReadWriteOnce'], [sort]: inVolume };
    const body = { metadata: { name }, spec };
    const kept = await server.request('POST', '/api/v1/persistentvolumes', body);
    assert.equal(kept.status, 201, kept.text);
    for (const [field, value] of Object.entries(inVolume)) {
      assert.deepEqual(kept.body.spec[sort][field], value, `${sort}.${field}`);
    }
  }
});

test('a StorageClass says how volumes are made, and says so for good', async () => {
  covers('VOL-069', 'VOL-095');
  await using server = await openTestServer();
  const path = '/apis/storage.k8s.io/v1/storageclasses';
  const fields = {
    provisioner: 'example.com/disks',
    parameters: { type: 'gp2' },
    reclaimPolicy: 'Retain',
    mountOptions: ['debug'],
    allowVolumeExpansion: true,
  };
  const made = await server.request('POST', path, { metadata: { name: 'standard' }, ...fields });
  assert.equal(made.status, 201, made.text);
  const { body } = await server.request('GET', `${path}/standard`);
  for (const [field, value] of Object.entries(fields)) assert.deepEqual(body[field], value, field);
  const changes = [
    { provisioner: 'example.com/other' },
    { parameters: { type: 'io1' } },
    { reclaimPolicy: 'Delete' },
  ];
  for (const change of changes) {
    const { status, text } = await server.request('PUT', `${path}/standard`, {
      ...body,
      ...change,
    });
    assert.equal(status, 422, text);
    assert.match(text, new RegExp(`${Object.keys(change)[0]}.*(immutable|[Ff]orbidden)`));
  }
});

test('the pod that empties a volume is made from the template of its operator', async (t) => {
  // That a flag names its file, and that it must have volumes, is in
  // src/cluster/commands/controller-manager-command.process.test.ts.
  covers('VOL-079');
  const template = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'pv-recycler', namespace: 'default' },
    spec: {
      restartPolicy: 'Never',
      volumes: [
        { name: 'vol', hostPath: { path: '/any/path/it/will/be/replaced' } },
        { name: 'more', emptyDir: {} },
      ],
      containers: [
        {
          name: 'pv-recycler',
          image: 'registry.example/busybox',
          command: ['/bin/sh', '-c', 'rm -rf /scrub/*'],
          volumeMounts: [{ name: 'vol', mountPath: '/scrub' }],
        },
      ],
    },
  };
  const before = defaultSettings.recycling;
  const hostPath = { secondsMin: 60, secondsPerGiB: 30, template };
  const recycling = { ...before, hostPath };
  const world = await openWorld(t, { settings: { ...defaultSettings, recycling } });
  const { client, signal } = world;
  const size = { storage: '5Gi' };
  const modes = { accessModes: ['ReadWriteOnce'], storageClassName: 'slow' };
  for (const [name, source] of [
    ['local', { hostPath: { path: '/somepath' } }] as const,
    ['remote', { nfs: { server: 's', path: '/' } }] as const,
  ]) {
    const policy = { persistentVolumeReclaimPolicy: 'Recycle' };
    const spec = { capacity: size, ...modes, ...policy, ...source };
    const volume = { apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name }, spec };
    await client.create(persistentVolumes, volume, { signal });
    const claim = {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { namespace, name },
      spec: { ...modes, volumeName: name, resources: { requests: size } },
    };
    await client.create(persistentVolumeClaims, claim, { signal });
    await world.pass(1_000);
    await client.delete(persistentVolumeClaims, { namespace, name }, { signal });
    await world.pass(1_000);
  }
  const recycler = async (name: string) =>
    client.get(pods, { namespace, name: `recycler-for-${name}` }, { signal });
  const { spec } = await recycler('local');
  assert.equal(spec?.containers[0]?.image, 'registry.example/busybox');
  assert.deepEqual(spec?.containers[0]?.command, ['/bin/sh', '-c', 'rm -rf /scrub/*']);
  assert.equal(spec?.volumes?.[0]?.hostPath?.path, '/somepath', 'its path is replaced');
  assert.equal(spec?.volumes?.[1]?.name, 'more');
  assert.equal(spec?.activeDeadlineSeconds, 150);
  // Volumes of NFS have a template of their own.
  assert.notEqual(
    (await recycler('remote')).spec?.containers[0]?.image,
    'registry.example/busybox',
  );
});
