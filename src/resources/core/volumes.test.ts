/** Volumes and claims: defaults, what is refused, what is fixed, columns. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { updated, written } from '#test/descriptor.ts';
import type { PersistentVolume, PersistentVolumeClaim } from '../types/core-v1.ts';

const claimSpec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } };

function claimBody(spec: object) {
  const metadata = { name: 'data', namespace: 'default' };
  return { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata, spec };
}

const claim = (spec: object = {}) =>
  written<PersistentVolumeClaim>(claimBody({ ...claimSpec, ...spec }));

test('a claim is pending until it is bound', () => {
  const { hub, errors, cells } = claim({ storageClassName: 'fast' });
  assert.deepEqual(errors, []);
  assert.equal(hub.spec?.volumeMode, 'Filesystem');
  assert.deepEqual(hub.status, { phase: 'Pending' });
  const { Status, Volume, Capacity, StorageClass } = cells(0);
  assert.deepEqual([Status, Volume, Capacity, StorageClass], ['Pending', '', '', 'fast']);
});

test('both fields for the source say the same', () => {
  const dataSource = { kind: 'PersistentVolumeClaim', name: 'other' };
  assert.deepEqual(claim({ dataSource }).hub.spec?.dataSourceRef, dataSource);
  assert.deepEqual(claim({ dataSourceRef: dataSource }).hub.spec?.dataSource, dataSource);
  const dataSourceRef = { kind: 'PersistentVolumeClaim', name: 'third' };
  assert.deepEqual(claim({ dataSource, dataSourceRef }).errors, [
    'spec: Invalid value: "spec.dataSource": must match dataSourceRef',
  ]);
});

test('claims that are refused', () => {
  const cases: readonly [object, string][] = [
    [{ accessModes: [] }, 'spec.accessModes: Required value: at least 1 access mode is required'],
    [
      { accessModes: ['Any'] },
      'spec.accessModes: Unsupported value: "Any": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
    ],
    [
      { accessModes: ['ReadWriteOncePod', 'ReadWriteOnce'] },
      'spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes',
    ],
    [{ resources: {} }, 'spec.resources[storage]: Required value'],
    [
      { resources: { requests: { storage: '0' } } },
      'spec.resources[storage]: Invalid value: "0": must be greater than zero',
    ],
    [
      { volumeMode: 'Tape' },
      'spec.volumeMode: Unsupported value: "Tape": supported values: "Block", "Filesystem"',
    ],
  ];
  for (const [spec, text] of cases) assert.equal(claim(spec).errors.join('|'), text);
});

test('a claim stays as it is; a bound one may grow, and shrink no further than it is', () => {
  const { hub } = claim({ storageClassName: 'fast' });
  const next = (spec: object) => ({ ...hub, spec: { ...hub.spec, ...spec } });
  const size = (storage: string) => ({ resources: { requests: { storage } } });
  assert.deepEqual(updated(next({ volumeName: 'pv' }), hub).errors, []);
  const fixed = [
    'spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims',
  ];
  assert.deepEqual(updated(next({ storageClassName: 'slow' }), hub).errors, fixed);
  assert.deepEqual(updated(next(size('2Gi')), hub).errors, fixed);
  const capacity = { storage: '1Gi' };
  const bound: PersistentVolumeClaim = { ...hub, status: { phase: 'Bound', capacity } };
  assert.deepEqual(updated(next(size('2Gi')), bound).errors, []);
  assert.deepEqual(updated(next(size('1Mi')), bound).errors, [
    'spec.resources.requests.storage: Forbidden: field can not be less than status.capacity',
  ]);
});

function volumeBody(spec: object) {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'pv' },
    spec: {
      accessModes: ['ReadWriteOnce'],
      capacity: { storage: '5Gi' },
      hostPath: { path: '/data' },
      ...spec,
    },
  };
}

const volume = (spec: object = {}) => written<PersistentVolume>(volumeBody(spec));

test('a volume is kept by default', () => {
  const { hub, errors, cells } = volume();
  assert.deepEqual(errors, []);
  assert.equal(hub.spec?.persistentVolumeReclaimPolicy, 'Retain');
  assert.equal(hub.spec?.volumeMode, 'Filesystem');
  assert.equal(hub.status?.phase, 'Pending');
  const { Capacity, 'Access Modes': modes, 'Reclaim Policy': policy } = cells(0);
  assert.deepEqual([Capacity, modes, policy], ['5Gi', 'RWO', 'Retain']);
});

test('volumes that are refused', () => {
  const cases: readonly [object, string][] = [
    [{ accessModes: [] }, 'spec.accessModes: Required value'],
    [
      { capacity: { storage: '1Gi', cpu: '1' } },
      'spec.capacity: Unsupported value: {"storage":"1Gi","cpu":"1"}: supported values: "storage"',
    ],
    [
      { persistentVolumeReclaimPolicy: 'Forget' },
      'spec.persistentVolumeReclaimPolicy: Unsupported value: "Forget": supported values: "Delete", "Recycle", "Retain"',
    ],
    [{ hostPath: undefined }, 'spec: Required value: must specify a volume type'],
    [
      { nfs: { server: 'a', path: '/b' } },
      'spec.nfs: Forbidden: may not specify more than 1 volume type',
    ],
    [
      { hostPath: { path: '/a/../b' } },
      'spec.hostPath.path: Invalid value: "/a/../b": must not contain \'..\'',
    ],
    [
      { hostPath: undefined, local: { path: '/mnt' } },
      'spec.nodeAffinity: Required value: Local volume requires node affinity',
    ],
  ];
  for (const [spec, text] of cases) assert.equal(volume(spec).errors.join('|'), text);
});

test('where a volume lies is fixed', () => {
  const { hub } = volume();
  const policy = volumeBody({ persistentVolumeReclaimPolicy: 'Delete' });
  assert.deepEqual(updated(policy, hub).errors, []);
  assert.deepEqual(updated(volumeBody({ hostPath: { path: '/other' } }), hub).errors, [
    'spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation',
  ]);
});

test('a source that is neither a claim nor a snapshot is as none in the older field', () => {
  const odd = { apiGroup: 'example.com', kind: 'Backup', name: 'x' };
  assert.equal(claim({ dataSource: odd }).hub.spec?.dataSource, undefined);
  assert.deepEqual(claim({ dataSourceRef: odd }).hub.spec?.dataSource, odd);
});

test('what a resize says is judged', () => {
  const { hub } = claim();
  const { errors } = updated(
    {
      ...hub,
      status: {
        allocatedResourceStatuses: { storage: 'Later' },
        allocatedResources: { storage: '-1', cpu: '1' },
      },
    },
    hub,
    'status',
  );
  assert.deepEqual(errors, [
    'status.allocatedResourceStatuses: Unsupported value: "storage": supported values: "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible", "NodeResizePending"',
    'status.allocatedResources[storage]: Invalid value: -1: must be a valid resource quantity',
    'status.allocatedResources: Unsupported value: "cpu": supported values: "storage"',
  ]);
});

test('volumes that are refused for their driver, their nodes or their target', () => {
  const volume = (spec: object) =>
    written<PersistentVolume>({
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: 'v' },
      spec: { accessModes: ['ReadWriteOnce'], capacity: { storage: '1Gi' }, ...spec },
    }).errors.join('|');
  assert.match(
    volume({ csi: { driver: 'No!', volumeHandle: '1', nodePublishSecretRef: {} } }),
    /csi.driver: Invalid value: "No!": .*SecretRef.name: Required .*SecretRef.namespace: Required/,
  );
  const iscsi = { targetPortal: '10.0.0.1', iqn: 'iqn.2001-04.com.example', lun: 300 };
  assert.equal(
    volume({ iscsi }),
    'spec.iscsi.iqn: Invalid value: "iqn.2001-04.com.example": must be valid format|spec.iscsi.lun: Invalid value: 300: must be between 0 and 255, inclusive',
  );
  const nfs = { server: 'a', path: '/b' };
  assert.equal(
    volume({ nfs, nodeAffinity: { required: { nodeSelectorTerms: [] } }, volumeMode: '' }),
    'spec.nodeAffinity.required.nodeSelectorTerms: Required value: must have at least one node selector term|spec.volumeMode: Unsupported value: "": supported values: "Block", "Filesystem"',
  );
  assert.equal(
    volume({ nfs, volumeAttributesClassName: '' }),
    'spec.volumeAttributesClassName: Required value: an empty string is disallowed|spec.csi: Required value: has to be specified when using volumeAttributesClassName',
  );
});
