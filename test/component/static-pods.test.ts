/**
 * Static pods: files become pods of this node, with or without the API, and show in it as mirrors.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pods } from '#resources/kinds.ts';
import { covers } from '#test/covers.ts';
import { KubeletBench, testImage } from '#test/kubelet-bench.ts';

/** Longer than the kubelet takes between two looks. */
const lookMs = 21_000;

function manifest(name: string, { image = testImage, more = '' } = {}): string {
  return [
    'apiVersion: v1',
    'kind: Pod',
    `metadata: { name: ${name}, labels: { role: myrole } }`,
    `spec: { containers: [{ name: web, image: "${image}" }]${more} }`,
    '',
  ].join('\n');
}

function write(bench: KubeletBench, file: string, text: string): void {
  mkdirSync(bench.manifestDir, { recursive: true });
  writeFileSync(join(bench.manifestDir, file), text);
}

test('a file becomes a pod and its mirror, and both go with it', async () => {
  covers('POD-043', 'POD-235', 'POD-237');
  await using bench = await KubeletBench.open();
  const { runtime, client, signal } = bench;
  await bench.advance(1000);
  write(bench, 'web.yaml', manifest('static-web'));
  write(bench, '.hidden.yaml', manifest('hidden'));
  await bench.advance(lookMs);
  const pod = await bench.untilReady('static-web-node-1');
  assert.deepEqual(pod.metadata.labels, { role: 'myrole' });
  assert.equal(pod.metadata.ownerReferences?.[0]?.kind, 'Node');
  assert.equal(pod.metadata.annotations?.['kubernetes.io/config.source'], 'file');
  assert.equal(pod.spec?.nodeName, 'node-1');
  assert.deepEqual(runtime.running(), ['web']);
  const selected = await bench.while(client.list(pods, { labelSelector: 'role=myrole', signal }));
  assert.equal(selected.items.length, 1, 'the hidden file is no pod');
  rmSync(join(bench.manifestDir, 'web.yaml'));
  await bench.advance(lookMs);
  await bench.untilGone('static-web-node-1');
  assert.deepEqual(runtime.running(), []);
  const spec = { containers: [bench.container({ name: 'json' })] };
  const head = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'of-json' } };
  write(bench, 'web.json', JSON.stringify({ ...head, spec }));
  await bench.advance(lookMs);
  assert.deepEqual(runtime.running(), ['json']);
});

test('deleting the mirror does not end the pod: the mirror comes back', async () => {
  covers('POD-002', 'POD-238');
  await using bench = await KubeletBench.open();
  const { runtime, client, signal } = bench;
  await bench.advance(1000);
  write(
    bench,
    'web.json',
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'static-web' },
      spec: { containers: [bench.container()] },
    }),
  );
  await bench.advance(lookMs);
  const before = await bench.untilReady('static-web-node-1');
  const container = runtime.idOf('web');
  const at = { namespace: 'default', name: 'static-web-node-1' };
  await bench.while(client.delete(pods, at, { signal }));
  await bench.advance(2000);
  const after = await bench.untilReady('static-web-node-1');
  assert.notEqual(after.metadata.uid, before.metadata.uid);
  assert.equal(runtime.idOf('web'), container);
  assert.deepEqual(runtime.running(), ['web']);
});

test('a container of a static pod that ends is started again', async () => {
  covers('POD-239');
  await using bench = await KubeletBench.open();
  await bench.advance(1000);
  write(bench, 'web.yaml', manifest('static-web'));
  await bench.advance(lookMs);
  await bench.untilReady('static-web-node-1');
  bench.runtime.exit('web', 1);
  const pod = await bench.until('static-web-node-1', ({ restartCount }) => restartCount === 1);
  assert.equal(pod.status?.phase, 'Running');
});

test('a changed manifest is a new pod, which waits for the end of the old one', async () => {
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  runtime.images.add('example.com/app:2');
  await bench.advance(1000);
  write(bench, 'web.yaml', manifest('static-web'));
  await bench.advance(lookMs);
  await bench.untilReady('static-web-node-1');
  write(bench, 'web.yaml', manifest('static-web', { image: 'example.com/app:2' }));
  await bench.advance(lookMs);
  const pod = await bench.until('static-web-node-1', (status, { spec }) => {
    return status.ready && spec?.containers[0]?.image === 'example.com/app:2';
  });
  assert.equal(pod.spec?.containers[0]?.image, 'example.com/app:2');
  assert.deepEqual(runtime.running(), ['web'], 'never two at once');
});

test('what is no pod, or needs the API, is left out, and the others run', async () => {
  await using bench = await KubeletBench.open();
  await bench.advance(1000);
  write(bench, 'broken.yaml', 'kind: [');
  write(bench, 'wrong.yaml', manifest('Wrong_Name'));
  const volumes = ', volumes: [{ name: s, secret: { secretName: s } }]';
  write(bench, 'secret.yaml', manifest('with-secret', { more: volumes }));
  write(bench, 'good.yaml', manifest('good'));
  await bench.advance(lookMs);
  await bench.untilReady('good-node-1');
  const list = await bench.while(bench.client.list(pods, { signal: bench.signal }));
  assert.deepEqual(
    list.items.map(({ metadata }) => metadata.name),
    ['good-node-1'],
  );
});

test('a kubelet that starts anew finds its static pods running', async () => {
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  await bench.advance(1000);
  write(bench, 'web.yaml', manifest('static-web'));
  await bench.advance(lookMs);
  await bench.untilReady('static-web-node-1');
  const container = runtime.idOf('web');
  await bench.stop();
  bench.start();
  await bench.advance(5000);
  await bench.untilReady('static-web-node-1');
  assert.equal(runtime.idOf('web'), container);
});

test('without the API static pods start, restart and stop; it hears of them when it is back', async () => {
  covers('POD-001', 'POD-119', 'POD-240');
  await using bench = await KubeletBench.open();
  const { runtime } = bench;
  await bench.stop();
  bench.isCutOff = true;
  write(bench, 'web.yaml', manifest('static-web'));
  write(bench, 'other.yaml', manifest('other'));
  bench.start();
  await bench.advance(lookMs);
  assert.deepEqual(runtime.running(), ['web', 'web']);
  runtime.exit('web', 1);
  await bench.advance(2000);
  assert.deepEqual(runtime.running(), ['web', 'web']);
  rmSync(join(bench.manifestDir, 'other.yaml'));
  await bench.advance(2 * lookMs);
  assert.deepEqual(runtime.running(), ['web']);
  bench.isCutOff = false;
  await bench.advance(60_000);
  const pod = await bench.untilReady('static-web-node-1');
  assert.equal(pod.status?.phase, 'Running');
  // What is told of it is no handle to it.
  const { client, signal } = bench;
  const at = { namespace: 'default', name: 'static-web-node-1' };
  const id = runtime.idOf('web');
  await bench.while(client.delete(pods, at, { signal }));
  await bench.advance(2000);
  assert.deepEqual([runtime.running(), runtime.idOf('web')], [['web'], id]);
});
