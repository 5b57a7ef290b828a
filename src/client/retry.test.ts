/** What the client sends again by itself, after how long, and what it leaves to its caller. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isReason } from '#api/errors.ts';
import type { PlainRequest, PlainResponse } from '#kit/transport.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { configMaps } from '#resources/kinds.ts';
import { openClient } from './client.ts';

const { signal } = new AbortController();
const at = { namespace: 'shop', name: 'prices' };
const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: at };
const encode = (value: object): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

function busy(more: object = {}): PlainResponse {
  const details = { retryAfterSeconds: 2, ...more };
  const body = { kind: 'Status', reason: 'TooManyRequests', code: 429, message: 'later', details };
  return { status: 429, headers: {}, body: encode(body) };
}

const fine: PlainResponse = { status: 200, headers: {}, body: encode(configMap) };

/** Answers in this order; the last one again and again. */
function open(answers: readonly (PlainResponse | Error)[]) {
  const clock = new VirtualClock();
  const sentMs: number[] = [];
  const transport = {
    send: async (_: PlainRequest): Promise<PlainResponse> => {
      const answer = answers[Math.min(sentMs.length, answers.length - 1)];
      sentMs.push(clock.monotonic());
      if (answer === undefined || answer instanceof Error) throw answer;
      return answer;
    },
  };
  return { client: openClient({ transport, clock }), clock, sentMs };
}

test('what the server puts off is sent again when it says', async () => {
  const { client, clock, sentMs } = open([busy(), busy(), fine]);
  const created = client.create(configMaps, configMap, { signal });
  await clock.advance(10_000);
  assert.equal((await created).metadata.name, 'prices');
  assert.deepEqual(sentMs, [0, 2000, 4000]);
});

test('a server that is always busy is given up after a while', async () => {
  const { client, clock, sentMs } = open([busy({ retryAfterSeconds: 9 })]);
  const refused = assert.rejects(client.get(configMaps, at, { signal }), (error) =>
    isReason(error, 'TooManyRequests'),
  );
  await clock.advance(60_000);
  await refused;
  assert.deepEqual(sentMs, [0, 9000, 18_000, 27_000]);
});

test('a refusal with its reasons is a decision, and is not asked about again', async () => {
  const { client, sentMs } = open([busy({ causes: [{ reason: 'DisruptionBudget' }] })]);
  await assert.rejects(client.get(configMaps, at, { signal }));
  assert.equal(sentMs.length, 1);
});

test("a read that got lost is sent again, a write is its caller's to judge", async () => {
  const lost = new Error('connection reset');
  const read = open([lost, lost, fine]);
  const got = read.client.get(configMaps, at, { signal });
  await read.clock.advance(1000);
  assert.equal((await got).metadata.name, 'prices');
  assert.deepEqual(read.sentMs, [0, 50, 150]);
  const write = open([lost, fine]);
  await assert.rejects(write.client.create(configMaps, configMap, { signal }), lost);
  assert.equal(write.sentMs.length, 1);
});

test('who gives up while waiting is not kept', async () => {
  const { client, clock } = open([busy()]);
  const gone = new AbortController();
  const rejected = assert.rejects(client.get(configMaps, at, { signal: gone.signal }), /enough/);
  await clock.advance(100);
  gone.abort(new Error('enough'));
  await rejected;
});
