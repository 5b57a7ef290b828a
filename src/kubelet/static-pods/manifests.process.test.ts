/** Manifests from an address: what it serves is what there is to be. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { covers } from '#test/covers.ts';
import { readAddress } from './manifests.ts';

const podText = (name: string): string =>
  `{ apiVersion: v1, kind: Pod, metadata: { name: ${name} }, spec: { containers: [{ name: c, image: i }] } }`;

test('manifests come from an address too, and follow what it says', async () => {
  covers('POD-236');
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
