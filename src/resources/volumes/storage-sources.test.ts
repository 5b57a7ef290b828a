/** Volumes of storage systems: what has to be said, and what may not, in upstream's words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatFieldError } from '#api/field-error.ts';
import { isStorageSource, validateStorageSource } from './storage-sources.ts';

/** What is wrong with a volume that has this one source, in the order of telling. */
function problems(name: string, source: object, persistent = true): readonly string[] {
  assert.ok(isStorageSource(name), name);
  // Spoilt on purpose.
  const sources = { [name]: source } as never;
  return validateStorageSource(sources, name, { field: 'spec', persistent }).map(formatFieldError);
}

test('what has to be said', () => {
  const missing = {
    gcePersistentDisk: ['persistentDisk.pdName'],
    awsElasticBlockStore: ['awsElasticBlockStore.volumeID'],
    glusterfs: ['glusterfs.endpoints', 'glusterfs.path'],
    rbd: ['rbd.monitors', 'rbd.image'],
    cephfs: ['cephfs.monitors'],
    cinder: ['cinder.volumeID'],
    flexVolume: ['flexVolume.driver'],
    azureFile: ['azureFile.secretName', 'azureFile.shareName'],
    vsphereVolume: ['vsphereVolume.volumePath'],
    photonPersistentDisk: ['photonPersistentDisk.pdID'],
    portworxVolume: ['portworxVolume.volumeID'],
    azureDisk: ['azureDisk.diskName', 'azureDisk.diskURI'],
    scaleIO: ['scaleIO.gateway', 'scaleIO.system', 'scaleIO.volumeName'],
    storageos: ['storageos.volumeName'],
  };
  for (const [name, fields] of Object.entries(missing)) {
    const expected = fields.map((field) => `spec.${field}: Required value`);
    assert.deepEqual(problems(name, {}), expected, name);
  }
  const either = 'must specify either targetWWNs or wwids, but not both';
  assert.deepEqual(problems('fc', {}), [`spec.fc.targetWWNs: Required value: ${either}`]);
  const one = 'one of datasetName and datasetUUID is required';
  assert.deepEqual(problems('flocker', {}), [`spec.flocker: Required value: ${one}`]);
  const pairs = 'must be a host:port pair or multiple pairs separated by commas';
  assert.deepEqual(problems('quobyte', {}), [
    `spec.quobyte.registry: Required value: ${pairs}`,
    'spec.quobyte.volume: Required value',
  ]);
});

test('what is said has to be right', () => {
  const disk = { diskName: 'd', diskURI: 'https://a.blob.core.windows.net/c/d.vhd' };
  for (const [name, source, expected] of [
    [
      'gcePersistentDisk',
      { pdName: 'd', partition: 256 },
      ['persistentDisk.partition: Invalid value: 256: must be between 1 and 255, inclusive'],
    ],
    ['awsElasticBlockStore', { volumeID: 'v', partition: 0 }, []],
    [
      'glusterfs',
      { endpoints: 'e', path: 'p', endpointsNamespace: '' },
      [
        'glusterfs.endpointsNamespace: Invalid value: "": if the endpointnamespace is set, it must be a valid namespace name',
      ],
    ],
    [
      'cinder',
      { volumeID: 'v', secretRef: { name: 's' } },
      ['cinder.secretRef.namespace: Required value'],
    ],
    [
      'flexVolume',
      { driver: 'd', options: { 'x.kubernetes.io/a': '1', 'kubernetes.io.b/a': '1' } },
      [
        'flexVolume.options[x.kubernetes.io/a]: Invalid value: "x.kubernetes.io/a": kubernetes.io and k8s.io namespaces are reserved',
      ],
    ],
    [
      'azureFile',
      { secretName: 's', shareName: 'a', secretNamespace: '' },
      ['azureFile.secretNamespace: Required value'],
    ],
    ['azureDisk', { ...disk, kind: 'Shared', cachingMode: 'None' }, []],
    [
      'azureDisk',
      { ...disk, kind: 'Managed', cachingMode: 'Some' },
      [
        'azureDisk.cachingMode: Unsupported value: "Some": supported values: "None", "ReadOnly", "ReadWrite"',
        `azureDisk.diskURI: Unsupported value: "${disk.diskURI}": supported values: "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"`,
      ],
    ],
    [
      'fc',
      { targetWWNs: ['a'], wwids: ['b'] },
      [
        'fc.targetWWNs: Invalid value: ["a"]: targetWWNs and wwids can not be specified simultaneously',
        'fc.lun: Required value: lun is required if targetWWNs is specified',
      ],
    ],
    [
      'fc',
      { targetWWNs: ['a'], lun: 256 },
      ['fc.lun: Invalid value: 256: must be between 0 and 255, inclusive'],
    ],
    [
      'flocker',
      { datasetName: 'a/b', datasetUUID: 'u' },
      [
        'flocker: Invalid value: "resource": datasetName and datasetUUID can not be specified simultaneously',
        `flocker.datasetName: Invalid value: "a/b": must not contain '/'`,
      ],
    ],
    [
      'quobyte',
      { registry: 'a:1,b', volume: 'v' },
      [
        'quobyte.registry: Invalid value: "a:1,b": must be a host:port pair or multiple pairs separated by commas',
      ],
    ],
    [
      'storageos',
      { volumeName: 'v', secretRef: {} },
      ['storageos.secretRef.name: Required value', 'storageos.secretRef.namespace: Required value'],
    ],
  ] as const) {
    assert.deepEqual(
      problems(name, source),
      expected.map((text) => `spec.${text}`),
      name,
    );
  }
  assert.match(`${problems('storageos', { volumeName: 'V' })}`, /volumeName: Invalid value: "V": /);
  assert.deepEqual(problems('cinder', { volumeID: 'v', secretRef: { name: 's' } }, false), []);
});
