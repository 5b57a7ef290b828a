/** What the log says of requests: answered, and not answered. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLog } from '#kit/log.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { logRequests } from './logged-requests.ts';

test('each request is told with its answer and how long that took', async () => {
  const { signal } = new AbortController();
  const clock = new VirtualClock();
  const lines: string[] = [];
  const write = (line: string) => lines.push(line.replace(/^T \S+ /, '').trimEnd());
  const log = openLog({ clock, level: 'trace', format: 'text', write });
  const transport = logRequests(
    {
      send: async ({ path }) => {
        if (path === '/gone') throw new Error('connection refused');
        await clock.sleep(12, { signal });
        return { status: 200, headers: {}, body: new Uint8Array() } as never;
      },
    },
    { clock, log },
    { logsRequests: true },
  );
  const request = { method: 'GET', path: '/api', headers: {} } as const;
  const sent = transport.send(request, { signal });
  await clock.advance(12);
  assert.equal((await sent).status, 200);
  await assert.rejects(transport.send({ ...request, path: '/gone' }, { signal }), /refused/);
  assert.deepEqual(lines, [
    'request sent verb="GET" path="/api" status=200 milliseconds=12',
    'request sent verb="GET" path="/gone" error="connection refused" milliseconds=0',
  ]);
});
