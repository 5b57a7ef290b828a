/**
 * A store that was put back to an older state by other means than `coracle restore`, so that its
 * revisions are lower than those that clients have seen: who goes on from a revision that never was
 * here is told to list again, and nobody has to be restarted.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configMaps } from '#resources/kinds.ts';
import { covers } from '#test/covers.ts';
import { KubeletBench } from '#test/kubelet-bench.ts';

test('a kubelet goes on from the state that there is', async () => {
  covers('API-140');
  await using bench = await KubeletBench.open();
  const { runtime, signal } = bench;
  await bench.create('old', { containers: [bench.container({ name: 'main' })] });
  await bench.untilReady('old');
  const kept = bench.server.store.list({ prefix: '/registry/' }).entries;
  for (let index = 0; index < 300; index++) {
    const metadata = { namespace: 'default', name: `map-${index}` };
    const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata } as const;
    await bench.while(bench.client.create(configMaps, map, { signal }));
  }
  await bench.create('young');
  await bench.untilReady('young');
  // Bookmarks tell those who watch what does not change how far the store has come.
  await bench.advance(31_000);
  const revision = bench.server.store.revision;
  const container = runtime.idOf('main');
  await bench.rollBack(kept);
  await bench.create('next');
  await bench.untilReady('next');
  assert.ok(bench.server.store.revision < revision - 100);
  await bench.advance(5000);
  assert.deepEqual(runtime.running().length, 2);
  assert.equal(runtime.idOf('main'), container);
  assert.equal((await bench.get('old')).status?.containerStatuses?.[0]?.restartCount, 0);
});
