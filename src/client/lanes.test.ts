/** Who goes first when there are more requests than may be on their way. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Lane, Lanes } from './lanes.ts';

const { signal } = new AbortController();

function open(inFlightMax: number) {
  const lanes = new Lanes({ inFlightMax });
  const done: string[] = [];
  const begun: string[] = [];
  const send = (name: string, lane: Lane, by: AbortSignal = signal) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const sent = lanes.run(lane, by, async () => {
      begun.push(name);
      await promise;
      done.push(name);
    });
    return { answer: resolve, sent };
  };
  return { send, begun, done };
}

test('below the limit everything goes at once', async () => {
  const { send, begun } = open(2);
  send('a', 'last');
  send('b', 'usual');
  assert.deepEqual(begun, ['a', 'b']);
});

test('above it, leases go first and events last', async () => {
  const { send, begun } = open(1);
  const a = send('a', 'usual');
  const rest = [send('event', 'last'), send('pod', 'usual'), send('lease', 'first')];
  a.answer();
  for (const one of rest.toReversed()) one.answer();
  await Promise.all([a, ...rest].map(({ sent }) => sent));
  assert.deepEqual(begun, ['a', 'lease', 'pod', 'event']);
});

test('who gives up leaves the line, and its place goes to the next', async () => {
  const { send, begun } = open(1);
  const a = send('a', 'usual');
  const gone = new AbortController();
  const b = send('b', 'usual', gone.signal);
  const c = send('c', 'usual');
  gone.abort(new Error('enough'));
  await assert.rejects(b.sent, /enough/);
  a.answer();
  c.answer();
  await c.sent;
  assert.deepEqual(begun, ['a', 'c']);
});
