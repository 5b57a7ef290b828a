/** Events that rest before they are written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#kit/random.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { EventQueue } from './event-queue.ts';

test('an event rests for its time before it is written, and counts as waiting', async () => {
  const clock = new VirtualClock();
  const written: string[] = [];
  const queue = new EventQueue<{ readonly reason: string }>(
    { clock, random: seededRandom(1) },
    {
      ...{ lengthMax: 2, writesMax: 2, attemptsMax: 1, retryMs: 1000, restMs: 20 },
      objectOf: ({ reason }) => reason,
      writeOf:
        ({ reason }) =>
        async () => {
          written.push(reason);
        },
    },
  );
  const stop = new AbortController();
  const ended = queue.run(stop.signal).catch(() => {});
  queue.put({ reason: 'Created' });
  assert.equal(queue.isFull, false);
  await clock.advance(10);
  queue.put({ reason: 'Started' });
  assert.equal(queue.isFull, true);
  await clock.advance(9);
  assert.deepEqual(written, []);
  await clock.advance(1);
  assert.deepEqual(written, ['Created']);
  assert.equal(queue.isFull, false);
  await clock.advance(10);
  assert.deepEqual(written, ['Created', 'Started']);
  stop.abort(new Error('the test is over'));
  await ended;
});
