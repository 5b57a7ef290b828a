/** What a client's requests count for: answers, failures, and the time that they took. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { RequestFigures } from './request-figures.ts';

test('requests count by their answer, and those without one as well', async () => {
  const clock = new VirtualClock();
  const figures = new RequestFigures({ clock }, { host: '127.0.0.1:6443' });
  const { signal } = new AbortController();
  const statuses = [200, 200, 409];
  const transport = figures.observed({
    send: async () => {
      await clock.sleep(150, { signal });
      const status = statuses.shift();
      if (status === undefined) throw new Error('refused');
      return { status, headers: {}, body: new Uint8Array() };
    },
  });
  for (const method of ['GET', 'GET', 'PUT', 'PUT']) {
    const sent = transport.send({ method, path: '/api', headers: {} }, { signal });
    await Promise.all([sent.catch(() => {}), clock.advance(150)]);
  }
  const host = 'host="127.0.0.1:6443"';
  const lines = figures.format().split('\n');
  for (const line of [
    `rest_client_requests_total{code="200",${host},method="GET"} 2`,
    `rest_client_requests_total{code="409",${host},method="PUT"} 1`,
    `rest_client_requests_total{code="<error>",${host},method="PUT"} 1`,
    `rest_client_request_duration_seconds_bucket{${host},verb="GET",le="0.1"} 0`,
    `rest_client_request_duration_seconds_bucket{${host},verb="GET",le="0.25"} 2`,
    `rest_client_request_duration_seconds_count{${host},verb="PUT"} 2`,
  ]) {
    assert.ok(lines.includes(line), line);
  }
});
