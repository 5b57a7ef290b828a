/** Writes begin in order, a few in a turn of the loop, and a lone one at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Starts } from './starts.ts';

test('of many writes that come at once a few begin in each turn, in order', async () => {
  const starts = new Starts();
  const begun: number[] = [];
  for (let write = 0; write < 80; write++) starts.begin(() => begun.push(write));
  assert.equal(begun.length, 32);
  await setImmediate();
  assert.equal(begun.length, 64);
  starts.begin(() => begun.push(80));
  assert.equal(begun.length, 64);
  await setImmediate();
  assert.deepEqual(
    begun,
    Array.from({ length: 81 }, (_, write) => write),
  );
});

test('a write that comes in a later turn begins at once', async () => {
  const starts = new Starts();
  let begun = 0;
  for (let write = 1; write <= 30; write++) {
    starts.begin(() => {
      begun += 1;
    });
    assert.equal(begun, write);
    await setImmediate();
  }
});

test('what a write does when it begins holds up none that waits', async () => {
  const starts = new Starts();
  const begun: string[] = [];
  for (let write = 0; write < 32; write++) starts.begin(() => {});
  starts.begin(() => {
    begun.push('outer');
    starts.begin(() => begun.push('inner'));
  });
  await setImmediate();
  await setImmediate();
  assert.deepEqual(begun, ['outer', 'inner']);
});
