/** Amounts of resources, as they are kept in every kind that names some. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import type {
  LimitRange,
  Node,
  PersistentVolumeClaim,
  Pod,
  ResourceQuota,
} from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { written } from '#test/descriptor.ts';
import { setPersistentVolumeClaimDefaults } from './core/persistent-volume-claim-defaults.ts';

function made<T extends KubeObject>(kind: string, more: object): T {
  const metadata = { name: 'a', namespace: 'b' };
  return written<T>({ apiVersion: 'v1', kind, metadata, ...more }).hub;
}

function asking(resources: object): Pod {
  return made<Pod>('Pod', { spec: { containers: [{ name: 'a', image: 'b:1', resources }] } });
}

test('nothing finer than a thousandth is kept: it is rounded up', () => {
  covers('API-083', 'API-098');
  for (const [cpu, kept] of Object.entries({
    ...{ '0.5': '500m', '0.1': '100m', '100m': '100m', '2': '2' },
    ...{ '0.0001': '1m', '1n': '1m', '1.0001': '1001m', '1e-6': '1e-3', '0.001': '1m' },
  })) {
    const { resources } = asking({ requests: { cpu } }).spec?.containers[0] ?? {};
    assert.equal(resources?.requests?.['cpu'], kept, cpu);
  }
});

test('so it is wherever amounts stand', () => {
  const fine = { cpu: '10u', memory: '1Gi' };
  const kept = { cpu: '1m', memory: '1Gi' };
  const spec = { containers: [], overhead: fine, resources: { limits: fine } };
  const pod = made<Pod>('Pod', { spec });
  assert.deepEqual([pod.spec?.overhead, pod.spec?.resources?.limits], [kept, kept]);
  const node = made<Node>('Node', { status: { capacity: fine } });
  assert.deepEqual([node.status?.capacity, node.status?.allocatable], [kept, kept]);
  const quota = made<ResourceQuota>('ResourceQuota', { spec: { hard: fine } });
  assert.deepEqual(quota.spec?.hard, kept);
  const range = made<LimitRange>('LimitRange', { spec: { limits: [{ type: 'Pod', max: fine }] } });
  assert.deepEqual(range.spec?.limits[0]?.max, kept);
  const storage = { resources: { requests: { storage: '1u' } } };
  const claim = made<PersistentVolumeClaim>('PersistentVolumeClaim', { spec: storage });
  assert.deepEqual(claim.spec?.resources?.requests, { storage: '1m' });
  const volumeClaimTemplate = { spec: storage };
  const volumes = [{ name: 'own', ephemeral: { volumeClaimTemplate } }];
  const [volume] = made<Pod>('Pod', { spec: { containers: [], volumes } }).spec?.volumes ?? [];
  const { resources } = volume?.ephemeral?.volumeClaimTemplate?.spec ?? {};
  assert.deepEqual(resources?.requests, { storage: '1m' });
  const told = setPersistentVolumeClaimDefaults({
    ...claim,
    status: { capacity: { storage: '1u' }, allocatedResources: { storage: '2n' } },
  });
  const { capacity, allocatedResources } = told.status ?? {};
  assert.deepEqual([capacity, allocatedResources], [{ storage: '1m' }, { storage: '1m' }]);
});

test('what is limited and not asked for is asked for as much', () => {
  covers('API-099');
  const limits = { cpu: '1', memory: '1Gi' };
  const resources = asking({ limits }).spec?.containers[0]?.resources;
  assert.deepEqual(resources, { limits, requests: limits });
});
