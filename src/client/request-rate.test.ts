/** Requests that are held back, and those that never are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { limitRequests } from './request-rate.ts';

const { signal } = new AbortController();

test('requests and events wait for their own turn, signs of life never', async () => {
  const clock = new VirtualClock();
  const sent: string[] = [];
  const transport = limitRequests(
    {
      clock,
      transport: {
        send: async ({ method, path }) => {
          sent.push(`${method} ${path}`);
          return { status: 200, headers: {}, body: Buffer.alloc(0) };
        },
      },
    },
    { requests: { perSecond: 1, burst: 1 }, events: { perSecond: 2, burst: 1 } },
  );
  const ask = (method: string, path: string): void => {
    void transport.send({ method, path, headers: {} }, { signal });
  };
  const pods = '/api/v1/pods?limit=500';
  const events = '/api/v1/namespaces/a/events';
  const signs = [
    '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n?timeout=10s',
    '/api/v1/nodes/n',
    '/api/v1/nodes/n/status',
  ];
  for (const path of [pods, pods]) ask('GET', path);
  for (const path of [events, `${events}/e.1`, events]) ask('POST', path);
  for (const path of [...signs, ...signs]) ask('PATCH', path);
  await clock.advance(0);
  const first = [`GET ${pods}`, `POST ${events}`];
  const life = [...signs, ...signs].map((path) => `PATCH ${path}`);
  assert.deepEqual(sent.splice(0).toSorted(), [...first, ...life].toSorted());
  await clock.advance(500);
  assert.deepEqual(sent.splice(0), [`POST ${events}/e.1`]);
  await clock.advance(500);
  assert.deepEqual(sent.splice(0).toSorted(), [`GET ${pods}`, `POST ${events}`]);
});

test('who no longer waits sends nothing', async () => {
  const clock = new VirtualClock();
  let sent = 0;
  const transport = limitRequests(
    {
      clock,
      transport: {
        send: async () => {
          sent += 1;
          return { status: 200, headers: {}, body: Buffer.alloc(0) };
        },
      },
    },
    { requests: { perSecond: 1, burst: 1 }, events: { perSecond: 1, burst: 1 } },
  );
  const request = { method: 'GET', path: '/api/v1/pods', headers: {} };
  await transport.send(request, { signal });
  const leaving = new AbortController();
  const answer = transport.send(request, { signal: leaving.signal });
  leaving.abort(new Error('gone'));
  await assert.rejects(answer, /gone/);
  assert.equal(sent, 1);
});
