/** What the log says of requests that are answered, and what it keeps to itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLog } from '#kit/log.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { openTestServer } from '#test/fixtures.ts';

test('each request is told with its answer, without what may be secret', async () => {
  const clock = new VirtualClock();
  const lines: string[] = [];
  const write = (line: string) => {
    if (line.startsWith('T ')) lines.push(line.replace(/^T \S+ /, '').trimEnd());
  };
  const log = openLog({ clock, level: 'trace', format: 'text', write });
  await using server = await openTestServer({ clock, log });
  lines.length = 0;
  const secrets = '/api/v1/namespaces/default/secrets';
  const headers = { 'user-agent': 'kubectl', authorization: 'Bearer hidden' };
  const secret = { metadata: { name: 's' }, stringData: { key: 'hidden' } };
  await server.request('POST', `${secrets}?dryRun=All`, secret, { headers });
  for (const end of ['exec?command=hidden', 'proxy/a?b=hidden', 'log?tailLines=1']) {
    await server.request('GET', `/api/v1/namespaces/default/pods/p/${end}`);
  }
  assert.deepEqual(lines.slice(0, 1), [
    `request verb="POST" uri="${secrets}?dryRun=All" status=201 milliseconds=0 userAgent="kubectl"`,
  ]);
  assert.deepEqual(
    lines.slice(1).map((line) => /uri="([^"]*)"/.exec(line)?.[1]),
    ['exec', 'proxy/a', 'log?tailLines=1'].map((end) => `/api/v1/namespaces/default/pods/p/${end}`),
  );
});
