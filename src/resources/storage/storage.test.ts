/** The kinds of storage.k8s.io: defaults, refusals, what stays as it is, lists. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import { covers } from '#test/covers.ts';
import { updated, written } from '#test/descriptor.ts';
import type {
  CSIDriver,
  CSINode,
  CSIStorageCapacity,
  StorageClass,
  VolumeAttachment,
  VolumeAttributesClass,
} from '../types/storage-v1.ts';

function create<T extends KubeObject>(kind: string, fields: object, version = 'v1') {
  const metadata = { name: 'csi.example.com', namespace: 'default' };
  return written<T>({ apiVersion: `storage.k8s.io/${version}`, kind, metadata, ...fields });
}

test('a class deletes and binds at once unless it says otherwise, in old and new versions', () => {
  for (const version of ['v1', 'v1beta1']) {
    const fields = { provisioner: 'example.com/disk' };
    const { hub, errors, cells } = create<StorageClass>('StorageClass', fields, version);
    assert.deepEqual(errors, []);
    assert.equal(hub.apiVersion, 'storage.k8s.io/v1');
    assert.equal(hub.reclaimPolicy, 'Delete');
    assert.equal(hub.volumeBindingMode, 'Immediate');
    assert.equal(cells(0)['AllowVolumeExpansion'], false);
  }
});

test('the default class is marked in lists', () => {
  covers('VOL-126');
  const shown = (annotations: object) =>
    create<StorageClass>('StorageClass', {
      metadata: { name: 'fast', annotations },
      provisioner: 'x',
    }).cells(0)['Name'];
  const key = 'storageclass.kubernetes.io/is-default-class';
  assert.equal(shown({ [key]: 'true' }), 'fast (default)');
  assert.equal(shown({ [key]: 'yes' }), 'fast');
  assert.equal(shown({}), 'fast');
});

test('classes that are refused, and what stays', () => {
  const { hub, errors } = create<StorageClass>('StorageClass', {
    provisioner: '',
    reclaimPolicy: 'Recycle',
    volumeBindingMode: 'Never',
    allowedTopologies: [{ matchLabelExpressions: [{ key: 'zone', values: ['a', 'a'] }] }],
  });
  assert.deepEqual(errors, [
    'provisioner: Required value',
    'reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"',
    'volumeBindingMode: Unsupported value: "Never": supported values: "Immediate", "WaitForFirstConsumer"',
    'allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: "a"',
  ]);
  const base = { ...hub, provisioner: 'x', reclaimPolicy: 'Delete', allowedTopologies: [] };
  const old = { ...base, volumeBindingMode: 'Immediate' };
  const next = {
    ...old,
    provisioner: 'y',
    parameters: { a: 'b' },
    reclaimPolicy: 'Retain',
    volumeBindingMode: 'WaitForFirstConsumer',
  };
  assert.deepEqual(updated(next, old).errors, [
    'parameters: Invalid value: {"a":"b"}: field is immutable',
    'provisioner: Invalid value: "y": field is immutable',
    'reclaimPolicy: Invalid value: "Retain": field is immutable',
    'volumeBindingMode: Invalid value: "WaitForFirstConsumer": field is immutable',
  ]);
  assert.deepEqual(updated({ ...old, allowVolumeExpansion: true }, old).errors, []);
});

test('attributes classes have parameters, and keep them', () => {
  const kind = 'VolumeAttributesClass';
  assert.deepEqual(create<VolumeAttributesClass>(kind, { driverName: '' }).errors, [
    'driverName: Required value',
    'parameters: Required value: must contain at least one key/value pair',
  ]);
  const fields = { driverName: 'csi.example.com', parameters: { iops: '1' } };
  const { hub, errors } = create<VolumeAttributesClass>(kind, fields);
  assert.deepEqual(errors, []);
  assert.deepEqual(updated({ ...hub, parameters: { iops: '2' } }, hub).errors, [
    'parameters: Forbidden: updates to parameters are forbidden.',
  ]);
});

test('drivers: defaults, refusals, what stays', () => {
  const { hub, errors, cells, resource } = create<CSIDriver>('CSIDriver', { spec: {} });
  assert.deepEqual(errors, []);
  assert.deepEqual(hub.spec, {
    attachRequired: true,
    podInfoOnMount: false,
    storageCapacity: false,
    fsGroupPolicy: 'ReadWriteOnceWithFSType',
    requiresRepublish: false,
    seLinuxMount: false,
    volumeLifecycleModes: ['Persistent'],
  });
  assert.equal(cells(0)['AttachRequired'], true);
  assert.equal(cells(0)['TokenRequests'], '<unset>');
  assert.equal(cells(0)['Modes'], 'Persistent');
  const { spec: _spec, ...bare } = hub;
  assert.equal(resource.specChanged?.(hub, bare as CSIDriver), false);
  assert.deepEqual(
    create<CSIDriver>('CSIDriver', {
      spec: {
        fsGroupPolicy: 'All',
        volumeLifecycleModes: ['Eternal'],
        tokenRequests: [{ audience: 'a', expirationSeconds: 1 }, { audience: 'a' }],
      },
    }).errors,
    [
      'spec.volumeLifecycleModes[0]: Unsupported value: "Eternal": supported values: "Ephemeral", "Persistent"',
      'spec.fsGroupPolicy: Unsupported value: "All": supported values: "File", "None", "ReadWriteOnceWithFSType"',
      'spec.tokenRequests[0].expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes',
      'spec.tokenRequests[1].audience: Duplicate value: "a"',
    ],
  );
  const next = { ...hub, spec: { ...hub.spec, attachRequired: false, podInfoOnMount: true } };
  assert.deepEqual(updated(next, hub).errors, [
    'spec.attachRequired: Invalid value: false: field is immutable',
  ]);
  assert.equal(resource.specChanged?.(next, hub), true);
});

test('drivers of a node come and go but do not change', () => {
  const driver = { name: 'csi.example.com', nodeID: 'n1', topologyKeys: ['zone'] };
  const { hub, errors, cells } = create<CSINode>('CSINode', { spec: { drivers: [driver] } });
  assert.deepEqual(errors, []);
  assert.equal(cells(0)['Drivers'], 1);
  const drivers = [{ ...driver, nodeID: 'n2' }];
  assert.match(updated({ ...hub, spec: { drivers } }, hub).errors.join(), /field is immutable$/);
  const roomier = [{ ...driver, allocatable: { count: 3 } }];
  assert.deepEqual(updated({ ...hub, spec: { drivers: roomier } }, hub).errors, []);
  assert.deepEqual(updated({ ...hub, spec: { drivers: [] } }, hub).errors, []);
  const twice = { drivers: [driver, { name: 'csi.example.com', nodeID: '' }] };
  assert.deepEqual(create<CSINode>('CSINode', { spec: twice }).errors, [
    'spec.drivers[1].nodeID: Required value',
    'spec.drivers[1].name: Duplicate value: "csi.example.com"',
  ]);
});

test('capacities belong to a class and a place', () => {
  const fields = { storageClassName: 'fast', capacity: '1Gi', nodeTopology: {} };
  const { hub, errors, cells } = create<CSIStorageCapacity>('CSIStorageCapacity', fields);
  assert.deepEqual(errors, []);
  assert.equal(Object.keys(cells(0)).join(), 'Name,Created At');
  assert.deepEqual(updated({ ...hub, storageClassName: 'slow', capacity: '-1' }, hub).errors, [
    'capacity: Invalid value: "-1": must be greater than or equal to 0',
    'storageClassName: Invalid value: "slow": field is immutable',
  ]);
});

test('an attachment is one volume on one node, for good', () => {
  const spec = {
    attacher: 'csi.example.com',
    nodeName: 'n1',
    source: { persistentVolumeName: 'pv-1' },
  };
  const { hub, errors, cells } = create<VolumeAttachment>('VolumeAttachment', { spec });
  assert.deepEqual(errors, []);
  assert.deepEqual(hub.status, { attached: false });
  assert.equal(cells(0)['PV'], 'pv-1');
  const next = { ...hub, spec: { ...spec, nodeName: 'n2' } };
  assert.match(updated(next, hub).errors.join(), /^spec: Invalid value: .*: field is immutable$/);
  const status = { attached: true };
  const reported = updated<VolumeAttachment>({ ...next, status }, hub, 'status').hub;
  assert.deepEqual([reported.spec, reported.status], [spec, status]);
  assert.deepEqual(updated<VolumeAttachment>({ ...hub, status }, hub).hub.status, hub.status);
  const refused = (source: object) =>
    create<VolumeAttachment>('VolumeAttachment', { spec: { ...spec, source } }).errors;
  assert.deepEqual(refused({}), [
    'spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName',
  ]);
  const [empty, unfit, ...more] = refused({ persistentVolumeName: '' });
  assert.equal(
    empty,
    'spec.source.persistentVolumeName: Required value: must specify non empty persistentVolumeName',
  );
  assert.match(unfit ?? '', /^spec\.source\.persistentVolumeName: Invalid value: "": a lowercase/);
  assert.deepEqual(more, []);
});

test('a status of an attachment changes nothing but the status', () => {
  const spec = {
    attacher: 'csi.example.com',
    nodeName: 'n',
    source: { persistentVolumeName: 'v' },
  };
  const { hub } = create<VolumeAttachment>('VolumeAttachment', { spec });
  const next = {
    ...hub,
    metadata: { ...hub.metadata, labels: { a: 'b' } },
    spec: { ...spec, nodeName: 'other' },
    status: { attached: true },
  };
  const written = updated<VolumeAttachment>(next, hub, 'status').hub;
  assert.deepEqual(written, { ...hub, status: { attached: true } });
});

test('a driver is asked how many volumes a node takes every ten seconds at most', () => {
  const fields = { spec: { nodeAllocatableUpdatePeriodSeconds: 9 } };
  assert.deepEqual(create<CSIDriver>('CSIDriver', fields).errors, [
    'spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds',
  ]);
});

test('a class says no two topologies that are the same, and none that says nothing', () => {
  const term = (...values: string[]) => ({ matchLabelExpressions: [{ key: 'zone', values }] });
  const refused = (...allowedTopologies: object[]) =>
    create<StorageClass>('StorageClass', { provisioner: 'a.b/c', allowedTopologies }).errors;
  assert.deepEqual(refused(term('a'), term('b')), []);
  assert.deepEqual(refused(term('a', 'b'), term('b', 'a')), [
    'allowedTopologies[1].matchLabelExpressions: Duplicate value: ""',
  ]);
  assert.deepEqual(refused({}), [
    'allowedTopologies[0].matchLabelExpressions: Duplicate value: ""',
  ]);
});
