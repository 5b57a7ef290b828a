/** Durations and ages as people read them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ageSince, formatDuration } from './columns.ts';

test('durations get coarser the longer they are', () => {
  const second = 1000;
  const minute = 60 * second;
  const hour = 60 * minute;
  const day = 24 * hour;
  const cases: readonly [number, string][] = [
    [0, '0s'],
    [999, '0s'],
    [-1500, '0s'],
    [-2000, '<invalid>'],
    [1 * second, '1s'],
    [119 * second, '119s'],
    [2 * minute, '2m'],
    [2 * minute + 3 * second, '2m3s'],
    [5 * minute + 3 * second, '5m3s'],
    [10 * minute - second, '9m59s'],
    [10 * minute + 30 * second, '10m'],
    [3 * hour - second, '179m'],
    [3 * hour, '3h'],
    [3 * hour + 5 * minute, '3h5m'],
    [8 * hour + 59 * minute, '8h'],
    [47 * hour, '47h'],
    [48 * hour, '2d'],
    [2 * day + 4 * hour, '2d4h'],
    [8 * day + 4 * hour, '8d'],
    [729 * day, '729d'],
    [2 * 365 * day, '2y'],
    [2 * 365 * day + 30 * day, '2y30d'],
    [8 * 365 * day + 30 * day, '8y'],
  ];
  for (const [durationMs, text] of cases) assert.equal(formatDuration(durationMs), text);
});

test('an age without a time is unknown', () => {
  assert.equal(ageSince(undefined)(0), '<unknown>');
  assert.equal(ageSince('1970-01-01T00:00:00Z')(303_000), '5m3s');
});
