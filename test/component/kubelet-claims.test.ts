/** Claims that grow while a pod of the node has them: the node's part of it, and what it tells. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { events, persistentVolumeClaims, persistentVolumes } from '#resources/kinds.ts';
import { KubeletBench, testImage } from '#test/kubelet-bench.ts';

const at = { namespace: 'default', name: 'disk' };
const asStatus = { type: 'merge', subresource: 'status' } as const;

/** A pod that has a claim of a folder of the node. */
async function withClaim(bench: KubeletBench, context: TestContext, readOnly = false) {
  const { client, signal } = bench;
  const path = mkdtempSync(join(tmpdir(), 'coracle-claim-'));
  context.after(() => rmSync(path, { recursive: true }));
  const capacity = { storage: '1Gi' };
  const spec = { accessModes: ['ReadWriteOnce'], storageClassName: 'manual' } as const;
  const claim = await bench.while(
    client.create(
      persistentVolumeClaims,
      {
        ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: at },
        spec: { ...spec, volumeName: 'disk', resources: { requests: capacity } },
      },
      { signal },
    ),
  );
  const here = { key: 'kubernetes.io/hostname', operator: 'In', values: ['node-1'] };
  const nodeAffinity = { required: { nodeSelectorTerms: [{ matchExpressions: [here] }] } };
  await bench.while(
    client.create(
      persistentVolumes,
      {
        ...{ apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name: 'disk' } },
        spec: {
          ...{ ...spec, capacity, local: { path }, nodeAffinity },
          claimRef: { ...at, uid: claim.metadata.uid ?? '' },
        },
      },
      { signal },
    ),
  );
  const status = { phase: 'Bound', accessModes: spec.accessModes, capacity };
  await bench.while(client.patch(persistentVolumeClaims, at, { status }, { ...asStatus, signal }));
  const persistentVolumeClaim = { claimName: 'disk', readOnly };
  await bench.create('web', {
    containers: [
      { name: 'web', image: testImage, volumeMounts: [{ name: 'disk', mountPath: '/disk' }] },
    ],
    volumes: [{ name: 'disk', persistentVolumeClaim }],
  });
  await bench.untilReady('web');
}

/** As whoever grows volumes does: the volume is larger, the claim waits for its node. */
async function grow(bench: KubeletBench): Promise<void> {
  const { client, signal } = bench;
  const spec = { capacity: { storage: '2Gi' } };
  const merge = { type: 'merge', signal } as const;
  await bench.while(client.patch(persistentVolumes, { name: 'disk' }, { spec }, merge));
  const condition = (type: string) => ({ type, status: 'True' });
  const status = {
    allocatedResources: { storage: '2Gi' },
    allocatedResourceStatuses: { storage: 'NodeResizePending' },
    conditions: [condition('FileSystemResizePending'), condition('ModifyingVolume')],
  };
  await bench.while(client.patch(persistentVolumeClaims, at, { status }, { ...asStatus, signal }));
}

test('a claim that grows in use has its new size within a minute or so', async (context) => {
  await using bench = await KubeletBench.open();
  const { client, signal } = bench;
  await withClaim(bench, context);
  await grow(bench);
  await bench.advance(61_000);
  const { status } = await bench.while(client.get(persistentVolumeClaims, at, { signal }));
  assert.deepEqual(status?.capacity, { storage: '2Gi' });
  assert.equal(status?.allocatedResourceStatuses, undefined);
  assert.deepEqual(status?.allocatedResources, { storage: '2Gi' });
  assert.deepEqual(
    status?.conditions?.map(({ type }) => type),
    ['ModifyingVolume'],
    'what has to do with the size is over',
  );
  await bench.advance(1000);
  const { items } = await bench.while(client.list(events, { namespace: 'default', signal }));
  const told = items.filter(({ reason }) => reason === 'FileSystemResizeSuccessful');
  assert.deepEqual(told.map(({ regarding }) => regarding?.kind).sort(), [
    'PersistentVolumeClaim',
    'Pod',
  ]);
  const note = 'MountVolume.NodeExpandVolume succeeded for volume "disk" node-1';
  assert.equal(told[0]?.note, note);
});

test('who only reads a claim does not grow it', async (context) => {
  await using bench = await KubeletBench.open();
  const { client, signal } = bench;
  await withClaim(bench, context, true);
  await grow(bench);
  await bench.advance(130_000);
  const { status } = await bench.while(client.get(persistentVolumeClaims, at, { signal }));
  assert.deepEqual(status?.capacity, { storage: '1Gi' });
  assert.deepEqual(status?.allocatedResourceStatuses, { storage: 'NodeResizePending' });
});
