/** What nobody asks for any more is forgotten after its time, and sooner when there is too much. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { Recent } from './recent.ts';

test('what is asked for stays, what is not is forgotten after its time', async () => {
  const clock = new VirtualClock();
  const recent = new Recent<number>({ clock }, { ageMs: 60_000, countMax: 100 });
  recent.set('used', 1);
  recent.set('left', 2);
  for (let round = 0; round < 4; round++) {
    await clock.advance(45_000);
    assert.equal(recent.get('used'), 1);
  }
  assert.equal(recent.get('left'), undefined);
  assert.equal(recent.size, 1);
});

test('after a long silence nothing is left', async () => {
  const clock = new VirtualClock();
  const recent = new Recent<number>({ clock }, { ageMs: 60_000, countMax: 100 });
  recent.set('a', 1);
  await clock.advance(120_000);
  assert.equal(recent.get('a'), undefined);
  assert.equal(recent.size, 0);
});

test('there are never more than are allowed', () => {
  const clock = new VirtualClock();
  const recent = new Recent<number>({ clock }, { ageMs: 60_000, countMax: 100 });
  for (let i = 0; i < 1000; i++) {
    recent.set(String(i), i);
    assert.ok(recent.size <= 100);
    assert.equal(recent.get(String(i)), i);
  }
  recent.get('0');
  assert.equal(recent.get('999'), 999);
  assert.equal(recent.get('900'), undefined);
});
