/** What takes too long is ended, each at its time; what is over is left alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { Deadlines } from './deadlines.ts';

test('each has its whole time, and no more', async () => {
  const clock = new VirtualClock();
  const deadlines = new Deadlines({ clock }, { limitMs: 100 });
  const ended: string[] = [];
  const add = (name: string): (() => void) => {
    const end = (): void => void ended.push(name);
    deadlines.add(end);
    return end;
  };
  add('first');
  const quick = add('quick');
  await clock.advance(60);
  deadlines.delete(quick);
  add('second');
  await clock.advance(39);
  assert.deepEqual(ended, []);
  await clock.advance(1);
  assert.deepEqual(ended, ['first']);
  await clock.advance(60);
  assert.deepEqual(ended, ['first', 'second']);
  add('third');
  deadlines.close();
  await clock.advance(1000);
  assert.deepEqual(ended, ['first', 'second']);
});
