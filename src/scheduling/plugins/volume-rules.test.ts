/** Pods with claims: where their volumes are, can be found, or can be made. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '#resources/types/core-v1.ts';
import type {
  CSIDriver,
  CSINode,
  CSIStorageCapacity,
  StorageClass,
} from '#resources/types/storage-v1.ts';
import { nodeIn, nodeOf, Picture, podOf } from '#test/cluster-picture.ts';
import { covers, superseded } from '#test/covers.ts';
import { type Facts, readerOf } from '../facts.ts';
import type { FactKind } from '../plugin.ts';
import { podFacts } from '../pod-facts.ts';
import { openPlugins } from '../profile.ts';

const zone = 'topology.kubernetes.io/zone';
const nodes = [nodeIn('a', 'a1'), nodeIn('b', 'b1')];

function using(...claims: readonly string[]): Pod {
  const volumes = claims.map((claimName) => ({
    name: claimName,
    persistentVolumeClaim: { claimName },
  }));
  return podOf('web', { volumes });
}

function claim(
  name: string,
  spec: PersistentVolumeClaim['spec'] = {},
  annotations: Record<string, string> = {},
): PersistentVolumeClaim {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name, namespace: 'default', uid: `uid-${name}`, annotations },
    spec: {
      storageClassName: 'late',
      accessModes: ['ReadWriteOnce'],
      resources: { requests: { storage: '5Gi' } },
      ...spec,
    },
  };
}

const bound = { 'pv.kubernetes.io/bind-completed': 'yes' };

function volume(name: string, more: Partial<PersistentVolume> = {}): PersistentVolume {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name, ...more.metadata },
    spec: {
      storageClassName: 'late',
      accessModes: ['ReadWriteOnce'],
      capacity: { storage: '10Gi' },
      ...more.spec,
    },
    status: { phase: 'Available' },
  };
}

function inZone(value: string): NonNullable<PersistentVolume['spec']> {
  const expression = { key: zone, operator: 'In', values: [value] };
  const nodeSelectorTerms = [{ matchExpressions: [expression] }];
  return { nodeAffinity: { required: { nodeSelectorTerms } } };
}

function storageClass(name: string, more: Partial<StorageClass> = {}): StorageClass {
  return {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name },
    provisioner: 'kubernetes.io/no-provisioner',
    volumeBindingMode: 'WaitForFirstConsumer',
    ...more,
  };
}

function pictureOf(facts: {
  readonly claims?: readonly PersistentVolumeClaim[];
  readonly volumes?: readonly PersistentVolume[];
  readonly classes?: readonly StorageClass[];
  readonly more?: Partial<Facts>;
}): Picture {
  return new Picture(nodes, {
    persistentVolumeClaims: readerOf(...(facts.claims ?? [])),
    persistentVolumes: readerOf(...(facts.volumes ?? [])),
    storageClasses: readerOf(...(facts.classes ?? [storageClass('late')])),
    ...facts.more,
  });
}

test('a pod is tried again for its own claims, and for volumes whosever they are', () => {
  const { cluster } = pictureOf({});
  const pod = podFacts(using('own'));
  const fact = (kind: FactKind, name: string, action: 'Add' | 'Delete' = 'Add') =>
    ({ what: 'fact', kind, key: `default/${name}`, action }) as const;
  for (const name of ['VolumeBinding', 'VolumeZone', 'VolumeRestrictions', 'NodeVolumeLimits']) {
    const plugin = openPlugins().get(name);
    assert.equal(plugin?.helps(fact('claim', 'own'), pod, cluster), true, name);
    assert.equal(plugin?.helps(fact('claim', 'other'), pod, cluster), false, name);
    assert.equal(plugin?.helps(fact('claim', 'own', 'Delete'), pod, cluster), false, name);
  }
  const binding = openPlugins().get('VolumeBinding');
  assert.equal(binding?.helps(fact('volume', 'any'), pod, cluster), true);
});

test('a claim that is missing, ending or not bound at all turns the pod away', () => {
  const picture = pictureOf({
    claims: [
      claim('immediate', { storageClassName: 'now' }),
      { ...claim('ending'), metadata: { ...claim('ending').metadata, deletionTimestamp: 'x' } },
    ],
    classes: [storageClass('late'), storageClass('now', { volumeBindingMode: 'Immediate' })],
  });
  assert.equal(
    picture.why(using('none')),
    '0/2 nodes are available: persistentvolumeclaim "none" not found.',
  );
  const template = { spec: { accessModes: ['ReadWriteOnce'] } };
  const ephemeral = { name: 'own', ephemeral: { volumeClaimTemplate: template } };
  assert.equal(
    picture.why(podOf('web', { volumes: [ephemeral] })),
    '0/2 nodes are available: waiting for ephemeral volume controller to create the ' +
      'persistentvolumeclaim "web-own".',
  );
  assert.equal(
    picture.why(using('immediate')),
    '0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.',
  );
  assert.equal(
    picture.why(using('ending')),
    '0/2 nodes are available: persistentvolumeclaim "ending" is being deleted.',
  );
});

test('a bound volume draws the pod to the nodes that can reach it', () => {
  covers('SCH-009');
  superseded('SCH-051', { by: 'v1.10', now: 'the field spec.nodeAffinity of the volume says it' });
  const picture = pictureOf({
    claims: [claim('data', { volumeName: 'v' }, bound), claim('old', { volumeName: 'w' }, bound)],
    volumes: [
      volume('v', { spec: inZone('b') }),
      volume('w', { metadata: { labels: { 'failure-domain.beta.kubernetes.io/zone': 'a' } } }),
    ],
  });
  assert.deepEqual(picture.fits(using('data')), ['b1']);
  assert.deepEqual(picture.fits(using('old')), ['a1']);
  assert.equal(
    picture.why(using('data', 'old')),
    "0/2 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, " +
      '1 node(s) had no available volume zone.',
  );
  // Volumes named in the pod itself say nothing of a zone.
  covers('SCH-010');
  const inline = podOf('inline', {
    volumes: [{ name: 'd', awsElasticBlockStore: { volumeID: 'v1' } }],
  });
  assert.deepEqual(picture.fits(inline), ['a1', 'b1']);
});

test('a waiting claim takes the smallest volume that the node reaches, and no other pod gets it', () => {
  const picture = pictureOf({
    claims: [claim('data'), claim('other')],
    volumes: [
      volume('big', { spec: { ...inZone('b'), capacity: { storage: '50Gi' } } }),
      volume('small', { spec: inZone('b') }),
      volume('tiny', { spec: { ...inZone('a'), capacity: { storage: '1Gi' } } }),
    ],
  });
  assert.deepEqual(picture.fits(using('data')), ['b1']);
  const decision = picture.cycle.decide(podFacts(using('data')), picture.profile);
  assert.ok(decision.do === 'place');
  const steps = [{ do: 'bindVolume', volume: 'small', claim: 'default/data' }];
  assert.deepEqual(decision.steps, steps);
  picture.cluster.assume(podFacts(using('data')), 'b1', decision.steps);
  const next = { ...using('other'), metadata: { ...using('other').metadata, uid: 'next' } };
  const second = picture.cycle.decide(podFacts(next), picture.profile);
  assert.ok(second.do === 'place');
  assert.deepEqual(second.steps, [{ do: 'bindVolume', volume: 'big', claim: 'default/other' }]);
  picture.cluster.forget('uid-web');
  const again = picture.cycle.decide(podFacts(next), picture.profile);
  assert.ok(again.do === 'place');
  assert.deepEqual(again.steps, [{ do: 'bindVolume', volume: 'small', claim: 'default/other' }]);
});

test('where no volume suits, one is made, if the class can and allows the node', () => {
  const makes = { provisioner: 'csi.example.com' };
  const onlyA = [{ matchLabelExpressions: [{ key: zone, values: ['a'] }] }];
  const picture = pictureOf({
    claims: [
      claim('data'),
      claim('made', { storageClassName: 'makes' }),
      claim(
        'chosen',
        { storageClassName: 'makes' },
        {
          'volume.kubernetes.io/selected-node': 'b1',
        },
      ),
      claim('limited', { storageClassName: 'limited' }),
    ],
    classes: [
      storageClass('late'),
      storageClass('makes', makes),
      storageClass('limited', { ...makes, allowedTopologies: onlyA }),
    ],
  });
  assert.equal(
    picture.why(using('data')),
    "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.",
  );
  assert.deepEqual(picture.fits(using('made')), ['a1', 'b1']);
  assert.deepEqual(picture.fits(using('limited')), ['a1']);
  assert.deepEqual(picture.fits(using('chosen')), ['b1']);
  const decision = picture.cycle.decide(podFacts(using('limited')), picture.profile);
  assert.ok(decision.do === 'place');
  assert.deepEqual(decision.steps, [{ do: 'selectNode', claim: 'default/limited', node: 'a1' }]);
});

test('a driver that tells its capacity gets no more than it has where the node is', () => {
  const driver = {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'CSIDriver',
    metadata: { name: 'csi.example.com' },
    spec: { storageCapacity: true },
  } as CSIDriver;
  const capacity = (name: string, value: string, amount: string) =>
    ({
      apiVersion: 'storage.k8s.io/v1',
      kind: 'CSIStorageCapacity',
      metadata: { name, namespace: 'default' },
      storageClassName: 'makes',
      nodeTopology: { matchLabels: { [zone]: value } },
      capacity: amount,
    }) as CSIStorageCapacity;
  const picture = pictureOf({
    claims: [claim('data', { storageClassName: 'makes' })],
    classes: [storageClass('makes', { provisioner: 'csi.example.com' })],
    more: {
      csiDrivers: readerOf(driver),
      csiStorageCapacities: readerOf(capacity('1', 'a', '1Gi'), capacity('2', 'b', '6Gi')),
    },
  });
  assert.deepEqual(picture.fits(using('data')), ['b1']);
  picture.cluster.removeNode('b1');
  assert.equal(
    picture.why(using('data')),
    '0/1 nodes are available: 1 node(s) did not have enough free storage.',
  );
});

test('a claim for one pod is used by one pod, and a disk by one pod of a node', () => {
  const picture = pictureOf({
    claims: [claim('one', { accessModes: ['ReadWriteOncePod'], volumeName: 'v' }, bound)],
    volumes: [volume('v')],
  });
  const holder = podOf('holder', using('one').spec);
  picture.run(holder, 'a1');
  superseded('VOL-149', {
    by: 'v1.29',
    now: 'ReadWriteOnce is one node, ReadWriteOncePod one pod',
  });
  assert.equal(
    picture.why(using('one')),
    '0/2 nodes are available: 2 node(s) unavailable due to PersistentVolumeClaim with ' +
      'ReadWriteOncePod access mode already in-use by another pod.',
  );
  // A pod of higher priority may push the holder out.
  const high = podOf('high', { ...using('one').spec, priority: 10 });
  assert.deepEqual(picture.victims(high), ['a1', 'holder']);
  picture.cluster.removePod('uid-holder');
  assert.deepEqual(picture.fits(using('one')), ['a1', 'b1']);
  const disk = (name: string, readOnly: boolean) =>
    podOf(name, { volumes: [{ name: 'd', gcePersistentDisk: { pdName: 'p', readOnly } }] });
  picture.run(disk('reader', true), 'a1');
  assert.deepEqual(picture.fits(disk('second', true)), ['a1', 'b1']);
  assert.deepEqual(picture.fits(disk('writer', false)), ['b1']);
  const block = (name: string) =>
    podOf(name, {
      volumes: [{ name: 'd', awsElasticBlockStore: { volumeID: 'vol-1', readOnly: true } }],
    });
  picture.run(block('first'), 'a1');
  assert.deepEqual(picture.fits(block('other')), ['b1'], 'readers too');
});

test('a node takes no more volumes of a driver than it says', () => {
  const csi = (name: string) =>
    volume(name, { spec: { csi: { driver: 'csi.example.com', volumeHandle: name } } });
  const csiNode = {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'CSINode',
    metadata: { name: 'a1' },
    spec: { drivers: [{ name: 'csi.example.com', nodeID: 'a1', allocatable: { count: 1 } }] },
  } as CSINode;
  const picture = pictureOf({
    claims: ['1', '2'].map((name) => claim(name, { volumeName: name }, bound)),
    volumes: [csi('1'), csi('2')],
    more: { csiNodes: readerOf(csiNode) },
  });
  picture.run(podOf('first', using('1').spec), 'a1');
  assert.deepEqual(picture.fits(using('2')), ['b1']);
  assert.deepEqual(picture.fits(using('1')), ['a1', 'b1']);
  picture.cluster.removeNode('b1');
  assert.equal(
    picture.why(using('2')),
    '0/1 nodes are available: 1 node(s) exceed max volume count.',
  );
  assert.deepEqual(picture.fits(podOf('plain')), ['a1']);
  picture.cluster.setNode(nodeOf('b1'));
  assert.deepEqual(picture.fits(using('2')), ['b1']);
});
