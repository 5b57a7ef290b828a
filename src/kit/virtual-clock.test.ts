/** The virtual clock fires in order, lets promises run between timers, and never goes back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatMicroTime, formatTime } from './clock.ts';
import { VirtualClock } from './virtual-clock.ts';

test('timers fire in order of time, equal times in order of creation', async () => {
  const clock = new VirtualClock();
  const fired: string[] = [];
  const note = (name: string) => () => fired.push(`${name}@${clock.monotonic()}`);
  clock.after(20, note('c'));
  clock.after(10, note('a'));
  clock.after(10, note('b'));
  const cancel = clock.after(15, note('never'));
  cancel();
  await clock.advance(19);
  assert.deepEqual(fired, ['a@10', 'b@10']);
  assert.equal(clock.monotonic(), 19);
  await clock.advance(1);
  assert.deepEqual(fired, ['a@10', 'b@10', 'c@20']);
});

test('what a timer starts has run before the next timer fires', async () => {
  const clock = new VirtualClock();
  const order: string[] = [];
  const { signal } = new AbortController();
  const walk = async (): Promise<void> => {
    for (let i = 0; i < 3; i++) {
      await clock.sleep(10, { signal });
      await Promise.resolve();
      order.push(`walk ${clock.monotonic()}`);
    }
  };
  const walking = walk();
  clock.after(25, () => order.push('timer 25'));
  await clock.advance(100);
  await walking;
  assert.deepEqual(order, ['walk 10', 'walk 20', 'timer 25', 'walk 30']);
});

test('a sleep ends with the reason of its signal', async () => {
  const clock = new VirtualClock();
  const stop = new AbortController();
  const reason = new Error('enough');
  const sleeping = clock.sleep(1_000, { signal: stop.signal });
  stop.abort(reason);
  await assert.rejects(sleeping, reason);
  assert.equal(clock.nextMs(), undefined, 'the timer is gone');
  await assert.rejects(clock.sleep(1, { signal: stop.signal }), reason);
});

test('times are written as Kubernetes writes them', () => {
  const ms = Date.UTC(2026, 2, 4, 5, 6, 7, 89);
  assert.equal(formatTime(ms), '2026-03-04T05:06:07Z');
  assert.equal(formatMicroTime(ms), '2026-03-04T05:06:07.089000Z');
});
