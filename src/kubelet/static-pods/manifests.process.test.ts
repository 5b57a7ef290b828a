/** Manifests from an address: what it serves is what there is to be. And what none may use. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { openLog, silentLog } from '#kit/log.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { KubeletBench } from '#test/kubelet-bench.ts';
import { readAddress, readFiles } from './manifests.ts';

const podText = (name: string): string =>
  `{ apiVersion: v1, kind: Pod, metadata: { name: ${name} }, spec: { containers: [{ name: c, image: i }] } }`;

test('manifests come from an address too, and follow what it says', async () => {
  const texts = [podText('from-afar'), podText('other')];
  const server = createServer((_request, response) => response.end(texts[0]));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  await using _closed = { [Symbol.asyncDispose]: async () => void server.close() };
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const deps = { log: silentLog, clock: systemClock() };
  const options = { nodeName: 'n', nowMs: 0, signal: new AbortController().signal };
  const sources = { url: `http://127.0.0.1:${address.port}/pods.yaml` };
  const names = async () =>
    (await readAddress(deps, sources, options))?.map(({ metadata }) => metadata.name);
  assert.deepEqual(await names(), ['from-afar-n']);
  texts.shift();
  assert.deepEqual(await names(), ['other-n']);
  texts[0] = JSON.stringify({ kind: 'PodList', apiVersion: 'v1', items: [] });
  assert.deepEqual(await names(), []);
});

test('a ConfigMap is for pods of its namespace, never for static ones; nor is a Secret', async () => {
  covers('CFG-027', 'POD-130');
  await using bench = await KubeletBench.open();
  const { server } = bench;
  const create = (namespace: string) =>
    server.request('POST', `/api/v1/namespaces/${namespace}/configmaps`, {
      ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data: { a: '1' } },
    });
  const space = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'other' } };
  await bench.while(server.request('POST', '/api/v1/namespaces', space));
  await bench.while(create('other'));
  const key = { name: 'A', valueFrom: { configMapKeyRef: { name: 'settings', key: 'a' } } };
  await bench.create('web', { containers: [bench.container({ env: [key] })] });
  const why = 'CreateContainerConfigError';
  const held = await bench.until('web', ({ state }) => state?.waiting?.reason === why);
  const [status] = held.status?.containerStatuses ?? [];
  assert.equal(status?.state?.waiting?.message, 'configmap "settings" not found');
  await bench.while(create('default'));
  await bench.untilReady('web');

  const uses: readonly Pod['spec'][] = [
    { containers: [bench.container({ env: [key] })] },
    { containers: [bench.container({ envFrom: [{ configMapRef: { name: 'settings' } }] })] },
    {
      containers: [bench.container()],
      volumes: [{ name: 'v', configMap: { name: 'settings' } }],
    },
    {
      containers: [bench.container()],
      volumes: [{ name: 'v', projected: { sources: [{ configMap: { name: 'settings' } }] } }],
    },
    {
      containers: [bench.container()],
      volumes: [{ name: 'v', secret: { secretName: 'settings' } }],
    },
  ];
  const texts = uses.map((spec, index) =>
    JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: `p${index}` }, spec }),
  );
  const said: string[] = [];
  const clock = systemClock();
  const log = openLog({ clock, level: 'info', format: 'json', write: (line) => said.push(line) });
  const options = { nodeName: 'n', nowMs: 0, signal: new AbortController().signal };
  const items = texts.map((text) => JSON.parse(text));
  const list = JSON.stringify({ kind: 'PodList', apiVersion: 'v1', items });
  mkdirSync(bench.manifestDir, { recursive: true });
  for (const [index, text] of texts.entries()) {
    writeFileSync(join(bench.manifestDir, `p${index}.json`), text);
    const listener = createServer((_request, response) => response.end(index === 0 ? list : text));
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const address = listener.address();
    assert.ok(typeof address === 'object' && address !== null);
    const sources = { url: `http://127.0.0.1:${address.port}/` };
    assert.deepEqual(await readAddress({ log, clock }, sources, options), []);
    listener.close();
  }
  assert.deepEqual(await readFiles(log, bench.manifestDir, options), []);
  assert.equal(said.length, 2 * texts.length);
  const refusal = /static pods may not reference (configmaps|secrets)/;
  for (const line of said) assert.match(line, refusal);
  assert.ok(said.some((line) => line.includes('secrets')));
  await bench.advance(21_000);
  assert.deepEqual(bench.runtime.running(), ['web']);
});
