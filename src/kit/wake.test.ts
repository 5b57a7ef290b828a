/** A sleep ends by its time, by news, or by the end of all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settle, VirtualClock } from './virtual-clock.ts';
import { Wake } from './wake.ts';

test('a sleep ends by its time, and at once by news, also by news from before it began', async () => {
  const clock = new VirtualClock();
  const wake = new Wake(clock);
  const { signal } = new AbortController();
  let isOver = false;
  const begin = (): void => {
    isOver = false;
    wake.sleep(1000, signal).then(
      () => {
        isOver = true;
      },
      () => {},
    );
  };
  begin();
  await clock.advance(999);
  assert.equal(isOver, false);
  await clock.advance(1);
  await settle();
  assert.equal(isOver, true);
  begin();
  await settle();
  wake.now();
  await settle();
  assert.equal(isOver, true);
  wake.now();
  begin();
  await settle();
  assert.equal(isOver, true);
  begin();
  await settle();
  assert.equal(isOver, false, 'news is used up by the sleep that it ended');
});

test('the end of all ends the sleep with its reason', async () => {
  const stop = new AbortController();
  const sleeping = new Wake(new VirtualClock()).sleep(1000, stop.signal);
  stop.abort(new Error('over'));
  await assert.rejects(sleeping, /over/);
});
