/** Patches of one node that are wanted at once leave together, and so many at a time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Client, openClient } from '#client';
import type { Transport } from '#kit/transport.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { NodePatches, nodePatchLimits } from './node-patches.ts';

const { signal } = new AbortController();

interface Sent {
  readonly path: string;
  readonly patch: unknown;
  answer(status: number, body?: object): void;
}

function open() {
  const clock = new VirtualClock();
  const sent: Sent[] = [];
  const transport: Transport = {
    send: ({ path, body }) =>
      new Promise((resolve) => {
        const patch = JSON.parse(new TextDecoder().decode(body));
        const answer = (status: number, object = {}): void => {
          const text = new TextEncoder().encode(JSON.stringify(object));
          resolve({ status, headers: {}, body: text });
        };
        sent.push({ path, patch, answer });
      }),
  };
  const client: Client = openClient({ transport, clock });
  return { clock, sent, patches: new NodePatches({ client, clock }) };
}

test('what is wanted of a node in one turn is one request', async () => {
  const { clock, sent, patches } = open();
  const spec = { podCIDR: '10.42.0.0/24', podCIDRs: ['10.42.0.0/24'] };
  const annotations = { a: 'b' };
  const all = Promise.all([
    patches.patch('n1', { spec }, { signal }),
    patches.patch('n2', { metadata: { annotations } }, { signal }),
    patches.patch('n1', { metadata: { annotations } }, { signal }),
    patches.patch('n1', { metadata: { resourceVersion: '7' }, spec: { taints: [] } }, { signal }),
  ]);
  assert.equal(sent.length, 0);
  await clock.advance(0);
  assert.deepEqual(
    sent.map(({ path, patch }) => [path, patch]),
    [
      [
        '/api/v1/nodes/n1',
        { metadata: { annotations, resourceVersion: '7' }, spec: { ...spec, taints: [] } },
      ],
      ['/api/v1/nodes/n2', { metadata: { annotations } }],
    ],
  );
  for (const one of sent) one.answer(200);
  await all;
});

test('a refusal reaches everybody who had a part in it, and nobody else', async () => {
  const { clock, sent, patches } = open();
  const results = Promise.allSettled([
    patches.patch('n1', { metadata: { resourceVersion: '7' }, spec: { taints: [] } }, { signal }),
    patches.patch('n1', { spec: { podCIDR: '10.42.0.0/24' } }, { signal }),
    patches.patch('n2', { spec: { taints: [] } }, { signal }),
  ]);
  await clock.advance(0);
  sent[0]?.answer(409, { kind: 'Status', reason: 'Conflict', code: 409, status: 'Failure' });
  sent[1]?.answer(200);
  const outcomes = (await results).map(({ status }) => status);
  assert.deepEqual(outcomes, ['rejected', 'rejected', 'fulfilled']);
});

test('only so many are on their way; what is wanted meanwhile of one that waits goes with it', async () => {
  const { clock, sent, patches } = open();
  const { inFlightMax } = nodePatchLimits;
  const all = Array.from({ length: inFlightMax + 1 }, (_, index) =>
    patches.patch(`n${index}`, { spec: { taints: [] } }, { signal }),
  );
  await clock.advance(0);
  assert.equal(sent.length, inFlightMax);
  const labels = { late: 'yes' };
  all.push(patches.patch(`n${inFlightMax}`, { metadata: { labels } }, { signal }));
  await clock.advance(0);
  assert.equal(sent.length, inFlightMax);
  sent[0]?.answer(200);
  await clock.advance(0);
  const last = { metadata: { labels }, spec: { taints: [] } };
  assert.deepEqual(sent.at(-1)?.patch, last);
  for (const one of sent) one.answer(200);
  await Promise.all(all);
});

test('who does not wait any more gets no answer, and nothing is sent', async () => {
  const { clock, sent, patches } = open();
  const stop = new AbortController();
  const patch = { spec: { taints: [] } };
  const waits = patches.patch('n1', patch, { signal: stop.signal });
  const reason = new Error('the controllers end');
  stop.abort(reason);
  await assert.rejects(waits, reason);
  await assert.rejects(patches.patch('n1', patch, { signal: stop.signal }), reason);
  await clock.advance(0);
  assert.equal(sent.length, 0);
});
