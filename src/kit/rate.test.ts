/** How often something may happen. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Rate } from './rate.ts';
import { VirtualClock } from './virtual-clock.ts';

const { signal } = new AbortController();

test('who asks too often is refused, until time has passed', async () => {
  const clock = new VirtualClock();
  const rate = new Rate(clock, { perSecond: 5, burst: 2 });
  assert.deepEqual([rate.take(), rate.take(), rate.take()], [true, true, false]);
  await clock.advance(199);
  assert.equal(rate.take(), false);
  await clock.advance(1);
  assert.equal(rate.take(), true);
  const free = new Rate(clock, { perSecond: 0, burst: 0 });
  assert.equal(free.take(), true);
  await free.turn({ signal });
});

test('who waits goes in the order of asking', async () => {
  const clock = new VirtualClock();
  const rate = new Rate(clock, { perSecond: 10, burst: 1 });
  const gone: string[] = [];
  for (const name of ['a', 'b', 'c']) void rate.turn({ signal }).then(() => gone.push(name));
  await clock.advance(0);
  assert.deepEqual(gone, ['a']);
  await clock.advance(100);
  assert.deepEqual(gone, ['a', 'b']);
  await clock.advance(100);
  assert.deepEqual(gone, ['a', 'b', 'c']);
});
