/** Garbage is collected once, and not while the thread is busy. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectWhenIdle, ownGarbage } from './collect-garbage.ts';
import { VirtualClock } from './virtual-clock.ts';

test('a busy thread is left alone until it is idle for a while', async () => {
  const clock = new VirtualClock();
  let share = 0.9;
  let collected = 0;
  const deps = { clock, utilization: () => share, collect: () => (collected += 1) };
  const done = collectWhenIdle(deps, { signal: new AbortController().signal });
  await clock.advance(60_000);
  assert.equal(collected, 0);
  share = 0.05;
  await clock.advance(2_500);
  await done;
  assert.equal(collected, 1);
});

test('a collection ends what nobody holds', async () => {
  let ended = 0;
  const registry = new FinalizationRegistry(() => {
    ended += 1;
  });
  for (let i = 0; i < 10; i++) registry.register({ i }, i);
  ownGarbage().collect();
  // Told in turns of its own.
  for (let turn = 0; turn < 50 && ended === 0; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(ended > 0);
});
