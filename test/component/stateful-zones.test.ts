/**
 * A StatefulSet with several volumes for each pod, on nodes in three zones: its volumes are made
 * where the pod goes, by a stand-in for the driver that makes them in the zone of the chosen node.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isReason } from '#api/errors.ts';
import {
  nodes,
  persistentVolumeClaims,
  persistentVolumes,
  pods,
  statefulSets,
  storageClasses,
} from '#resources/kinds.ts';
import type { PersistentVolumeClaim } from '#resources/types/core-v1.ts';
import { superseded } from '#test/covers.ts';
import { startCluster, type TestCluster } from '#testing';

const zoneKey = 'topology.kubernetes.io/zone';
const namespace = 'default';
const labels = { app: 'my-db' };
const claim = (name: string): PersistentVolumeClaim => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name },
  spec: {
    accessModes: ['ReadWriteOnce'],
    storageClassName: 'made',
    resources: { requests: { storage: '1Gi' } },
  },
});
const term = { topologyKey: zoneKey, labelSelector: { matchLabels: labels } };

function start(): Promise<TestCluster> {
  const nodes = ['a', 'b', 'c'].flatMap((zone) =>
    [1, 2].map((number) => ({ name: `n-${zone}${number}`, labels: { [zoneKey]: zone } })),
  );
  return startCluster({ clock: 'virtual', seed: 11, nodes });
}

async function withStatefulSet({ client, signal }: TestCluster): Promise<void> {
  const storageClass = {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: 'made' },
    provisioner: 'csi.example.com',
    volumeBindingMode: 'WaitForFirstConsumer',
  };
  await client.create(storageClasses, storageClass, { signal });
  const set = {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    // With dashes, which once upset how zones were shared out.
    metadata: { namespace, name: 'my-own-db' },
    spec: {
      serviceName: 'db',
      replicas: 3,
      podManagementPolicy: 'Parallel',
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          containers: [{ name: 'c', image: 'db' }],
          affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } },
        },
      },
      volumeClaimTemplates: [claim('data'), claim('log')],
    },
  };
  await client.create(statefulSets, set, { signal });
}

async function zoneOf({ client, signal }: TestCluster, node: string): Promise<string> {
  const { metadata } = await client.get(nodes, { name: node }, { signal });
  return metadata.labels?.[zoneKey] ?? '';
}

function ignoreExisting(error: unknown): void {
  if (!isReason(error, 'AlreadyExists')) throw error;
}

/** Makes a volume in the zone of the node that was chosen for the claim. */
async function makeVolume(cluster: TestCluster, claim: PersistentVolumeClaim): Promise<void> {
  const { client, signal } = cluster;
  const { name = '', uid, annotations = {} } = claim.metadata;
  const node = annotations['volume.kubernetes.io/selected-node'];
  if (node === undefined || claim.spec?.volumeName) return;
  const zone = await zoneOf(cluster, node);
  const expression = { key: zoneKey, operator: 'In', values: [zone] };
  const volume = {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: `pv-${name}`, labels: { [zoneKey]: zone } },
    spec: {
      capacity: { storage: '1Gi' },
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'made',
      csi: { driver: 'csi.example.com', volumeHandle: name },
      claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [expression] }] } },
    },
  };
  await client.create(persistentVolumes, volume, { signal }).catch(ignoreExisting);
}

test('all volumes of a replica are in one zone, those of the replicas in different ones', async () => {
  superseded('WRK-008', {
    by: 'v1.12',
    now: 'the scheduler chooses the zone with the node, by the rules of the pod, affinity included',
  });
  await using cluster = await start();
  const { client, signal } = cluster;
  await withStatefulSet(cluster);
  const placed = async () => (await client.list(pods, { namespace, signal })).items;
  await cluster.until('all pods have nodes', async () => {
    const claims = await client.list(persistentVolumeClaims, { namespace, signal });
    for (const one of claims.items) await makeVolume(cluster, one);
    const all = await placed();
    return all.length === 3 && all.every(({ spec }) => Boolean(spec?.nodeName));
  });
  const volumes = (await client.list(persistentVolumes, { signal })).items;
  assert.equal(volumes.length, 6);
  const seen = new Set<string>();
  for (const { metadata, spec } of await placed()) {
    const zone = await zoneOf(cluster, spec?.nodeName ?? '');
    seen.add(zone);
    const own = volumes.filter((one) => one.spec?.claimRef?.name?.endsWith(metadata.name ?? '-'));
    assert.deepEqual(
      own.map((one) => one.metadata.labels?.[zoneKey]),
      [zone, zone],
    );
  }
  assert.deepEqual([...seen].sort(), ['a', 'b', 'c']);
});
