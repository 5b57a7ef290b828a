/** How long the pod that empties a volume may run, by the size of the volume. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PersistentVolume } from '#resources/types/core-v1.ts';
import { planReclaim } from './reclaim.ts';

function secondsFor(storage: string, source: PersistentVolume['spec']): number | undefined {
  const volume: PersistentVolume = {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'again' },
    spec: { ...source, capacity: { storage }, persistentVolumeReclaimPolicy: 'Recycle' },
  };
  const action = planReclaim({ volume, recycler: undefined, users: [] });
  assert(action?.do === 'start-recycler');
  return action.pod.spec?.activeDeadlineSeconds;
}

test('a recycling pod has half a minute for each whole GiB, in whatever unit that is said', () => {
  const hostPath = { hostPath: { path: '/srv' } };
  const nfs = { nfs: { server: 'files', path: '/srv' } };
  const cases: readonly [string, PersistentVolume['spec'], number][] = [
    ['1Gi', hostPath, 60],
    ['3Gi', hostPath, 90],
    ['3583Mi', hostPath, 90],
    ['1Ti', hostPath, 30_720],
    ['10G', hostPath, 270],
    ['3Gi', nfs, 300],
    ['11Gi', nfs, 330],
  ];
  for (const [storage, source, seconds] of cases) {
    assert.equal(secondsFor(storage, source), seconds, storage);
  }
});
