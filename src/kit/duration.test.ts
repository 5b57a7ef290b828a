/** Durations as text, and what is none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDuration } from './duration.ts';

test('durations are read as they are written', () => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ['0', 0],
    ['24h', 86_400_000],
    ['1h30m', 5_400_000],
    ['1.5s', 1500],
    ['500ms', 500],
    ['5m0s', 300_000],
    ['-10s', -10_000],
    ['1s500us', 1000.5],
    ['', undefined],
    ['5', undefined],
    ['s', undefined],
    ['5 s', undefined],
    ['5sx', undefined],
    ['1d', undefined],
  ];
  for (const [text, expected] of cases) assert.equal(parseDuration(text), expected, text);
});
