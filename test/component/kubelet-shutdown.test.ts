/** A node that is shut down: what becomes of its pods, what it says, and how it begins again. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { events, nodes, pods } from '#resources/kinds.ts';
import type { NodeCondition } from '#resources/types/core-v1.ts';
import { KubeletBench, testImage } from '#test/kubelet-bench.ts';

async function readyOf(bench: KubeletBench): Promise<NodeCondition | undefined> {
  const { signal } = bench;
  const node = await bench.while(bench.client.get(nodes, { name: 'node-1' }, { signal }));
  return node.status?.conditions?.find(({ type }) => type === 'Ready');
}

async function openBench(): Promise<KubeletBench> {
  const bench = await KubeletBench.open({
    settings: { shutdownGracePeriodMs: 30_000, shutdownGracePeriodCriticalPodsMs: 10_000 },
  });
  await bench.advance(1000);
  return bench;
}

test('pods end in peace and fail, critical ones last, and then the lock is given back', async () => {
  await using bench = await openBench();
  const { runtime, shutdowns, client, signal } = bench;
  assert.equal(shutdowns.waitsMs, 30_000, 'the shutdown waits for as long as was asked for');
  assert.equal(shutdowns.locks, 1);
  const named = (name: string) => [bench.container({ name })];
  await bench.create('web', { containers: named('web') });
  const dns = { containers: named('dns'), priorityClassName: 'system-cluster-critical' };
  await bench.create('dns', dns);
  await bench.untilReady('web');
  await bench.untilReady('dns');
  runtime.stubborn.add('web');
  shutdowns.tell(true);
  await bench.advance(5000);
  assert.deepEqual(runtime.running().toSorted(), ['dns', 'web'], 'web has 20 s');
  const ready = await readyOf(bench);
  assert.deepEqual(
    [ready?.status, ready?.reason, ready?.message],
    ['False', 'KubeletNotReady', 'node is shutting down'],
  );
  await bench.create('late', { containers: named('late') });
  await bench.advance(16_000);
  assert.ok(runtime.calls.includes('stopContainer web 20s'));
  await bench.advance(2000);
  assert.deepEqual(runtime.running(), []);
  assert.ok(runtime.calls.includes('stopContainer dns 10s'), 'after the others');
  assert.equal(shutdowns.locks, 0);
  for (const name of ['web', 'dns']) {
    const { status } = await bench.get(name);
    assert.deepEqual(
      [status?.phase, status?.reason, status?.message],
      ['Failed', 'Terminated', 'Pod was terminated in response to imminent node shutdown.'],
    );
    const target = status?.conditions?.find(({ type }) => type === 'DisruptionTarget');
    assert.equal(target?.reason, 'TerminationByKubelet');
  }
  const { status: late } = await bench.get('late');
  assert.deepEqual(
    [late?.phase, late?.reason, late?.message],
    ['Failed', 'NodeShutdown', 'Pod was rejected: Pod was rejected as the node is shutting down.'],
  );
  const list = await bench.while(client.list(events, { signal }));
  const notes = list.items.filter(({ reason }) => reason === 'NodeShutdown');
  assert.ok(notes.some(({ note }) => note === 'Shutdown manager detected shutdown event'));
});

test('a shutdown that is called off makes the node ready again', async () => {
  await using bench = await openBench();
  bench.shutdowns.tell(true);
  await bench.advance(1000);
  assert.equal((await readyOf(bench))?.status, 'False');
  bench.shutdowns.tell(false);
  await bench.advance(1000);
  assert.equal((await readyOf(bench))?.status, 'True');
  assert.equal(bench.shutdowns.locks, 1);
  await bench.create('web');
  await bench.untilReady('web');
});

test('after the start what failed stays so, and static pods run again', async () => {
  await using bench = await openBench();
  const { runtime, shutdowns } = bench;
  const manifest = { name: 'static', labels: { app: 'static' } };
  mkdirSync(bench.manifestDir, { recursive: true });
  const spec = { containers: [{ name: 'static', image: testImage }] };
  const text = JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: manifest, spec });
  writeFileSync(join(bench.manifestDir, 'static.json'), text);
  await bench.create('web');
  await bench.untilReady('web');
  await bench.advance(21_000);
  await bench.untilReady('static-node-1');
  shutdowns.tell(true);
  await bench.advance(2000);
  assert.deepEqual(runtime.running(), []);
  await bench.stop();
  runtime.loseSandbox('web');
  bench.start();
  await bench.untilReady('static-node-1');
  await bench.advance(3000);
  assert.deepEqual(runtime.running(), ['static']);
  const { status } = await bench.get('web');
  assert.deepEqual([status?.phase, status?.reason], ['Failed', 'Terminated']);
  const at = { namespace: 'default', name: 'web' };
  await bench.while(bench.client.delete(pods, at, { signal: bench.signal }));
  await bench.untilGone('web');
});
