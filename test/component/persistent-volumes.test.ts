/** Claims that stand for folders of the node: what the kubelet mounts, and what it refuses. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { events, persistentVolumeClaims, persistentVolumes } from '#resources/kinds.ts';
import type { PersistentVolumeSpec } from '#resources/types/core-v1.ts';
import { KubeletBench } from '#test/kubelet-bench.ts';

/** A claim that is bound to a volume, as the binder leaves them. */
async function bind(
  bench: KubeletBench,
  name: string,
  spec: Partial<PersistentVolumeSpec>,
): Promise<void> {
  const { client, signal } = bench;
  const common = {
    accessModes: ['ReadWriteOnce'],
    storageClassName: 'manual',
    volumeMode: 'Filesystem',
  };
  const claim = await bench.while(
    client.create(
      persistentVolumeClaims,
      {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: { namespace: 'default', name },
        spec: { ...common, volumeName: name, resources: { requests: { storage: '1Gi' } } },
      },
      { signal },
    ),
  );
  const claimRef = { namespace: 'default', name, uid: claim.metadata.uid };
  await bench.while(
    client.create(
      persistentVolumes,
      {
        apiVersion: 'v1',
        kind: 'PersistentVolume',
        metadata: { name },
        spec: { ...common, capacity: { storage: '1Gi' }, claimRef, ...spec },
      },
      { signal },
    ),
  );
}

async function setPhase(bench: KubeletBench, name: string, phase: string): Promise<void> {
  const { client, signal } = bench;
  const at = { namespace: 'default', name };
  const options = { type: 'merge', subresource: 'status', signal } as const;
  await bench.while(client.patch(persistentVolumeClaims, at, { status: { phase } }, options));
}

function using(bench: KubeletBench, claimName: string, readOnly = false) {
  return {
    containers: [bench.container({ volumeMounts: [{ name: 'data', mountPath: '/data' }] })],
    volumes: [{ name: 'data', persistentVolumeClaim: { claimName, readOnly } }],
  };
}

test('a bound claim is the folder of its volume', async () => {
  await using bench = await KubeletBench.open();
  const path = join(bench.dataDir, 'volume');
  await bind(bench, 'host', { hostPath: { path, type: 'DirectoryOrCreate' } });
  await setPhase(bench, 'host', 'Bound');
  await bench.create('web', using(bench, 'host'));
  await bench.untilReady('web');
  const mount = bench.runtime
    .mountsOf('web')
    .find(({ containerPath }) => containerPath === '/data');
  assert.deepEqual([mount?.hostPath, mount?.readonly], [path, false]);
  await bench.create('reader', {
    ...using(bench, 'host', true),
  });
  await bench.untilReady('reader');
  const read = bench.runtime.mountsOf('web').find(({ containerPath }) => containerPath === '/data');
  assert.equal(read?.readonly, true);
});

test('a claim that is not bound yet holds the pod until it is', async () => {
  await using bench = await KubeletBench.open();
  const path = join(bench.dataDir, 'local');
  mkdirSync(path);
  const terms = [
    { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: ['node-1'] }] },
  ];
  await bind(bench, 'late', {
    local: { path },
    nodeAffinity: { required: { nodeSelectorTerms: terms } },
  });
  await bench.create('web', using(bench, 'late'));
  await bench.advance(2000);
  const { client, runtime, signal } = bench;
  assert.deepEqual(runtime.running(), []);
  const said = await bench.while(client.list(events, { namespace: 'default', signal }));
  const texts = said.items.map(({ note = '' }) => note).join('\n');
  assert.match(texts, /PVC default\/late has non-bound phase \("Pending"\)/);
  await setPhase(bench, 'late', 'Bound');
  await bench.untilReady('web');
});

test('a volume of another node, or one that names another claim, is refused', async () => {
  await using bench = await KubeletBench.open();
  const { client, signal } = bench;
  const elsewhere = [
    { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: ['node-2'] }] },
  ];
  mkdirSync(join(bench.dataDir, 'local'));
  await bind(bench, 'far', {
    local: { path: join(bench.dataDir, 'local') },
    nodeAffinity: { required: { nodeSelectorTerms: elsewhere } },
  });
  await setPhase(bench, 'far', 'Bound');
  const hostPath = { path: bench.dataDir };
  const claimRef = { namespace: 'default', name: 'taken', uid: 'somebody-else' };
  await bind(bench, 'taken', { hostPath, claimRef });
  await setPhase(bench, 'taken', 'Bound');
  await bench.create('one', using(bench, 'far'));
  await bench.create('two', using(bench, 'taken'));
  await bench.create('three', using(bench, 'absent'));
  await bench.advance(3000);
  const said = await bench.while(client.list(events, { namespace: 'default', signal }));
  const texts = said.items.map(({ note = '' }) => note).join('\n');
  assert.match(texts, /Storage node affinity check failed for volume "far"/);
  assert.match(texts, /spec\.ClaimRef\.UID somebody-else does not match pvc\.UID/);
  assert.match(texts, /persistentvolumeclaim "absent" not found/);
  assert.deepEqual(bench.runtime.running(), []);
});
