/** What can wait does so while the thread is busy. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { threadUtilization, untilQuiet } from './quiet.ts';
import { VirtualClock } from './virtual-clock.ts';

test('a busy thread is looked at again and again, and left alone until it is quiet', async () => {
  const clock = new VirtualClock();
  let share = 0.9;
  let looks = 0;
  const utilization = (): number => {
    looks += 1;
    return share;
  };
  let isQuiet = false;
  const options = { forMs: 50, signal: new AbortController().signal };
  const done = untilQuiet({ clock, utilization }, options).then(() => {
    isQuiet = true;
  });
  await clock.advance(1000);
  assert.equal(isQuiet, false);
  // At the beginning, and each 50 ms from then on.
  assert.equal(looks, 21);
  share = 0.05;
  await clock.advance(49);
  assert.equal(isQuiet, false);
  await clock.advance(1);
  await done;
});

test('what was done before the wait does not count', async () => {
  const clock = new VirtualClock();
  const shares = [0.9, 0.1];
  const utilization = (): number => shares.shift() ?? 1;
  const done = untilQuiet(
    { clock, utilization },
    { forMs: 2, signal: new AbortController().signal },
  );
  await clock.advance(2);
  assert.equal(await done, true);
});

test('what is quiet can be told', async () => {
  const clock = new VirtualClock();
  const options = { forMs: 2, limitMs: 10, signal: new AbortController().signal };
  const within = (shareMax?: number) =>
    untilQuiet({ clock, utilization: () => 0.1 }, { ...options, shareMax });
  const [usual, strict] = [within(), within(0.05)];
  await clock.advance(10);
  assert.deepEqual([await usual, await strict], [true, false]);
});

test('one that stays busy is given up', async () => {
  const clock = new VirtualClock();
  const options = { forMs: 50, limitMs: 1000, signal: new AbortController().signal };
  const done = untilQuiet({ clock, utilization: () => 1 }, options);
  await clock.advance(1000);
  assert.equal(await done, false);
});

test('who waits ends with the signal', async () => {
  const clock = new VirtualClock();
  const closing = new AbortController();
  const done = untilQuiet({ clock, utilization: () => 1 }, { forMs: 2, signal: closing.signal });
  const ended = assert.rejects(done, /closed/);
  await clock.advance(10);
  closing.abort(new Error('closed'));
  await ended;
});

test('a thread that waits is not busy, one that reckons is', () => {
  const utilization = threadUtilization();
  utilization();
  // As long as a turn of a thread that others keep from the processor, and without using it.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  const waiting = utilization();
  assert.ok(waiting < 0.5, `busy for ${waiting} of the time`);
  const { user } = process.threadCpuUsage();
  while (process.threadCpuUsage().user - user < 20_000);
  assert.ok(utilization() > 0);
});
