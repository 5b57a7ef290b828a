/** Times as they come and as they are stored. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalTime, timeMs } from './timestamp.ts';

test('times are stored in UTC with whole seconds, micro times with six decimals', () => {
  assert.equal(canonicalTime('2026-03-04T05:06:07Z', 'second'), '2026-03-04T05:06:07Z');
  assert.equal(canonicalTime('2026-03-04T05:06:07.999Z', 'second'), '2026-03-04T05:06:07Z');
  assert.equal(canonicalTime('2026-03-04T05:06:07+02:00', 'second'), '2026-03-04T03:06:07Z');
  assert.equal(canonicalTime('2026-03-04T05:06:07.5Z', 'micro'), '2026-03-04T05:06:07.500000Z');
  assert.equal(canonicalTime('2026-03-04T05:06:07Z', 'micro'), '2026-03-04T05:06:07.000000Z');
});

test('what is no time is refused', () => {
  for (const text of [
    '',
    'yesterday',
    '2026-13-01T00:00:00Z',
    '2026-02-30T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T00:00:00',
    '2026-01-01 00:00:00Z',
  ]) {
    assert.equal(canonicalTime(text, 'second'), undefined, text);
  }
});

test('milliseconds for ages', () => {
  assert.equal(timeMs('1970-01-01T00:00:01Z'), 1000);
  assert.equal(timeMs('1970-01-01T00:00:01.250000Z'), 1250);
  assert.equal(timeMs(undefined), undefined);
});
