/** Times as they come and as they are stored. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalTime, timeMs, timeProblem } from './timestamp.ts';

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

test('what is not a time is told where it stops to be one', () => {
  const layout = '"2006-01-02T15:04:05Z07:00"';
  const cases: readonly [string, string][] = [
    ['soon', ` as ${layout}: cannot parse "soon" as "2006"`],
    ['2020-01', ` as ${layout}: cannot parse "" as "-"`],
    ['2020-1-1', ` as ${layout}: cannot parse "1-1" as "01"`],
    ['2020-13-01T00:00:00Z', ': month out of range'],
    ['2020-01-01T00:00:00', ` as ${layout}: cannot parse "" as "Z07:00"`],
    ['2020-01-01T00:00:00X', ` as ${layout}: cannot parse "X" as "Z07:00"`],
    ['2020-02-31T00:00:00Z', ': day out of range'],
    ['2020-01-01T25:00:00Z', ': hour out of range'],
  ];
  for (const [text, problem] of cases) {
    assert.equal(timeProblem(text, 'second'), `parsing time "${text}"${problem}`);
  }
});
