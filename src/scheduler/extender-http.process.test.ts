/** Extenders over a real socket: the body goes, the answer comes, and nobody is waited for long. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { readSchedulerConfiguration } from './configuration/configuration.ts';
import { openExtenderPost } from './extender-http.ts';

test('a request is JSON to the verb below the prefix; other answers than 200 and silence fail', async () => {
  const server = createServer(async (request, response) => {
    if (request.url === '/x/silent') return;
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    response.statusCode = request.url === '/x/filter' ? 200 : 500;
    response.end(JSON.stringify({ got: JSON.parse(Buffer.concat(chunks).toString()) }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  // Who answers has all the time that a busy machine may need; who never does has little.
  const [extender, hasty] = readSchedulerConfiguration(`
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
extenders:
- {urlPrefix: "http://127.0.0.1:${port}/x/", filterVerb: filter, httpTimeout: 60s}
- {urlPrefix: "http://127.0.0.1:${port}/x/", filterVerb: filter, httpTimeout: 200ms}
`).extenders;
  assert.ok(extender !== undefined && hasty !== undefined);
  const post = openExtenderPost({ clock: systemClock() });
  const { signal } = new AbortController();
  try {
    assert.deepEqual(await post(extender, 'filter', { a: 1 }, { signal }), { got: { a: 1 } });
    await assert.rejects(post(extender, 'other', {}, { signal }), /failed other .* code 500/);
    await assert.rejects(post(hasty, 'silent', {}, { signal }), /no answer within 200 ms/);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
