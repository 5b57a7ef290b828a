/** Turns of live streams: rest after a write, a few at a time, nothing that waits for ever. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { Turns } from './turns.ts';

function immediate(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test('a stream goes on when its rest is over, the earliest first, a few in one turn', async () => {
  const clock = new VirtualClock();
  const turns = new Turns({ clock });
  const resumed: number[] = [];
  for (let stream = 0; stream < 10; stream++) turns.rest(() => resumed.push(stream));
  await clock.advance(4);
  assert.deepEqual(resumed, []);
  await clock.advance(1);
  assert.deepEqual(resumed.slice(0, 4), [0, 1, 2, 3]);
  for (let turn = 0; turn < 4; turn++) await immediate();
  assert.deepEqual(resumed, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test('streams that came later rest as long, and the next ones after a silence too', async () => {
  const clock = new VirtualClock();
  const turns = new Turns({ clock });
  const resumed: string[] = [];
  const rest = (name: string): void => turns.rest(() => resumed.push(name));
  rest('first');
  await clock.advance(3);
  rest('second');
  await clock.advance(2);
  assert.deepEqual(resumed, ['first']);
  await clock.advance(3);
  assert.deepEqual(resumed, ['first', 'second']);
  await clock.advance(100);
  rest('third');
  await clock.advance(5);
  assert.deepEqual(resumed, ['first', 'second', 'third']);
});
