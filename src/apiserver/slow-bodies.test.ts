/** Bodies that take too long are ended, each at its time; those that have come are left alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { SlowBodies } from './slow-bodies.ts';

test('each body has its whole time, and no more', async () => {
  const clock = new VirtualClock();
  const bodies = new SlowBodies({ clock }, { limitMs: 100 });
  const ended: string[] = [];
  const add = (name: string): (() => void) => {
    const end = (): void => void ended.push(name);
    bodies.add(end);
    return end;
  };
  add('first');
  const quick = add('quick');
  await clock.advance(60);
  bodies.delete(quick);
  add('second');
  await clock.advance(39);
  assert.deepEqual(ended, []);
  await clock.advance(1);
  assert.deepEqual(ended, ['first']);
  await clock.advance(60);
  assert.deepEqual(ended, ['first', 'second']);
  add('third');
  bodies.close();
  await clock.advance(1000);
  assert.deepEqual(ended, ['first', 'second']);
});
