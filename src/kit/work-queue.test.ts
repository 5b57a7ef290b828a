/** The queue hands each key to one worker at a time, once, and later after failures. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from './virtual-clock.ts';
import { WorkQueue } from './work-queue.ts';

const { signal } = new AbortController();

test('a key added several times is handed out once, in the order of first adding', async () => {
  const queue = new WorkQueue({ clock: new VirtualClock() });
  for (const key of ['a', 'b', 'a']) queue.add(key);
  assert.equal(queue.length, 2);
  assert.deepEqual([await queue.take({ signal }), await queue.take({ signal })], ['a', 'b']);
  assert.equal(queue.length, 0);
});

test('a key added while it is worked on comes again only after done', async () => {
  const queue = new WorkQueue({ clock: new VirtualClock() });
  queue.add('a');
  const key = await queue.take({ signal });
  queue.add('a');
  queue.add('a');
  assert.equal(queue.length, 0);
  queue.done(key);
  assert.equal(queue.length, 1);
  assert.equal(await queue.take({ signal }), 'a');
  queue.done('a');
  assert.equal(queue.length, 0);
});

test('a waiting taker gets the next key; an aborted one does not', async () => {
  const queue = new WorkQueue({ clock: new VirtualClock() });
  const stop = new AbortController();
  const reason = new Error('stop');
  const first = queue.take({ signal: stop.signal });
  const second = queue.take({ signal });
  stop.abort(reason);
  await assert.rejects(first, reason);
  queue.add('a');
  assert.equal(await second, 'a');
  await assert.rejects(queue.take({ signal: stop.signal }), reason);
});

test('retries wait 5 ms, then twice as long each time, until forgotten', async () => {
  const clock = new VirtualClock();
  const queue = new WorkQueue({ clock }, { retryDelayMsMax: 12 });
  const delayOfRetry = async (): Promise<number> => {
    queue.retry('a');
    const startMs = clock.monotonic();
    while (queue.length === 0) await clock.advance(1);
    queue.done(await queue.take({ signal }));
    return clock.monotonic() - startMs;
  };
  const delays: number[] = [];
  for (let i = 0; i < 4; i++) delays.push(await delayOfRetry());
  assert.deepEqual(delays, [5, 10, 12, 12]);
  queue.forget('a');
  assert.equal(await delayOfRetry(), 5);
});

test('of several delays the shortest wins', async () => {
  const clock = new VirtualClock();
  const queue = new WorkQueue({ clock });
  queue.addAfter('a', 50);
  queue.addAfter('a', 10);
  queue.addAfter('a', 90);
  await clock.advance(10);
  assert.equal(queue.length, 1);
  queue.done(await queue.take({ signal }));
  await clock.advance(100);
  assert.equal(queue.length, 0);
});
