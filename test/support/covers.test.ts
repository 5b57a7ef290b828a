/** The claims that tests make about the specification: known rows only, inside a test only. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { claimPrefix, covers, parseClaim, superseded } from './covers.ts';

test('a row that does not exist fails the test', () => {
  assert.throws(() => covers('WRK-9999'), /no row WRK-9999/);
  assert.throws(() => superseded('toString', { by: 'v1.22', now: 'gone' }), /no row toString/);
});

test('a claim survives the way through a diagnostic', () => {
  const claim = { state: 'superseded', id: 'WRK-001', by: 'v1.22', now: 'served as apps/v1' };
  assert.deepEqual(parseClaim(claimPrefix + JSON.stringify(claim)), claim);
  assert.equal(parseClaim('tests 5'), undefined);
});
