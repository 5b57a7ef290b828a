/** What is awaited, and what may have happened although nobody said so. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { Expectations } from './expectations.ts';

test('a deletion without an answer is not awaited, but remembered until it is seen', () => {
  const expectations = new Expectations({ clock: new VirtualClock() });
  expectations.expect('a', { deletions: ['u'] });
  assert.equal(expectations.areMet('a'), false);
  expectations.lostDeletion('a', 'u');
  assert.equal(expectations.areMet('a'), true);
  assert.equal(expectations.mayBeDeleted('a', 'u'), true);
  expectations.sawDeletion('a', 'u');
  assert.equal(expectations.mayBeDeleted('a', 'u'), false);
  expectations.lostDeletion('a', 'u');
  expectations.forget('a');
  assert.equal(expectations.mayBeDeleted('a', 'u'), false);
});
