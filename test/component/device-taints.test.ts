/** Devices that are tainted while pods use them, on a whole cluster under a virtual clock. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isReason } from '#api/errors.ts';
import { deviceClasses, events, pods, resourceClaims, resourceSlices } from '#resources/kinds.ts';
import type { DeviceTaint, DeviceToleration } from '#resources/types/resource-v1.ts';
import { startCluster, type TestCluster } from '#testing';

const apiVersion = 'resource.k8s.io/v1';
const space = { namespace: 'default' };

async function withPods(
  { client, signal }: TestCluster,
  tolerationsOf: Readonly<Record<string, readonly DeviceToleration[]>>,
): Promise<void> {
  const kind = 'DeviceClass';
  const gpu = { apiVersion, kind, metadata: { name: 'gpu' }, spec: {} };
  await client.create(deviceClasses, gpu, { signal });
  const pool = { name: 'n1', generation: 1, resourceSliceCount: 1 };
  const devices = Object.keys(tolerationsOf).map((name) => ({ name }));
  const spec = { driver: 'd.example.com', nodeName: 'n1', pool, devices };
  const slice = { apiVersion, kind: 'ResourceSlice', metadata: { name: 's' }, spec };
  await client.create(resourceSlices, slice, { signal });
  for (const [name, tolerations] of Object.entries(tolerationsOf)) {
    const metadata = { ...space, name };
    const requests = [{ name: 'r', exactly: { deviceClassName: 'gpu', tolerations } }];
    const claim = { apiVersion, kind: 'ResourceClaim', metadata, spec: { devices: { requests } } };
    await client.create(resourceClaims, claim, { signal });
    const podSpec = {
      containers: [{ name: 'c', image: 'train' }],
      resourceClaims: [{ name: 'gpu', resourceClaimName: name }],
      terminationGracePeriodSeconds: 0,
    };
    await client.create(
      pods,
      { apiVersion: 'v1', kind: 'Pod', metadata, spec: podSpec },
      { signal },
    );
  }
}

async function taint({ client, signal }: TestCluster, taints: readonly DeviceTaint[]) {
  const slice = await client.get(resourceSlices, { name: 's' }, { signal });
  const devices = slice.spec.devices?.map((one) => ({ ...one, taints })) ?? [];
  await client.update(resourceSlices, { ...slice, spec: { ...slice.spec, devices } }, { signal });
}

async function isThere({ client, signal }: TestCluster, name: string): Promise<boolean> {
  try {
    return (await client.get(pods, { ...space, name }, { signal })).spec?.nodeName !== undefined;
  } catch (error) {
    if (isReason(error, 'NotFound')) return false;
    throw error;
  }
}

test('pods leave devices that are tainted, as long as their claims do not tolerate it', async () => {
  await using cluster = await startCluster({ clock: 'virtual', seed: 3, nodes: [{ name: 'n1' }] });
  const { client, signal } = cluster;
  const bears = { key: 'dead', operator: 'Exists', effect: 'NoExecute' };
  await withPods(cluster, {
    plain: [],
    patient: [{ ...bears, tolerationSeconds: 60 }],
    brave: [bears],
  });
  for (const name of ['plain', 'patient', 'brave']) {
    await cluster.until(`${name} has a node`, () => isThere(cluster, name));
  }
  await taint(cluster, [{ key: 'dead', effect: 'NoSchedule' }]);
  await cluster.advance('10s');
  assert.equal(await isThere(cluster, 'plain'), true, 'it keeps others away only');
  await taint(cluster, [{ key: 'dead', effect: 'NoExecute' }]);
  await cluster.until('plain is gone', async () => !(await isThere(cluster, 'plain')));
  assert.equal(await isThere(cluster, 'patient'), true);
  // Gone in time: it may stay, and is told so.
  await cluster.advance('30s');
  await taint(cluster, []);
  await cluster.advance('90s');
  assert.equal(await isThere(cluster, 'patient'), true);
  await taint(cluster, [{ key: 'dead', effect: 'NoExecute' }]);
  await cluster.advance('50s');
  assert.equal(await isThere(cluster, 'patient'), true);
  await cluster.until('patient is gone', async () => !(await isThere(cluster, 'patient')));
  await cluster.advance('5m');
  assert.equal(await isThere(cluster, 'brave'), true);
  const { items } = await client.list(events, { ...space, signal });
  const told = items
    .filter(({ reason }) => reason === 'DeviceTaintManagerEviction')
    .map(({ regarding, note }) => `${regarding?.name}: ${note}`)
    .sort();
  assert.deepEqual(told, [
    'patient: Cancelling deletion',
    'patient: Marking for deletion',
    'plain: Marking for deletion',
  ]);
});
