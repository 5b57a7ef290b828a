/** Percentages of counts, rounded the way that each bound of a rolling update asks for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePercent, scaledCount } from './int-or-string.ts';

test('a percentage is rounded as asked, a number stays', () => {
  assert.equal(scaledCount('25%', { total: 10, round: 'down' }), 2);
  assert.equal(scaledCount('25%', { total: 10, round: 'up' }), 3);
  assert.equal(scaledCount('0%', { total: 10, round: 'up' }), 0);
  assert.equal(scaledCount(3, { total: 10, round: 'up' }), 3);
  assert.equal(scaledCount('http', { total: 10, round: 'up' }), undefined);
  assert.equal(parsePercent('93%'), 93);
  assert.equal(parsePercent('93'), undefined);
});
