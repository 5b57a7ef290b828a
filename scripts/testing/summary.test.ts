/** The end of a test run as text, and what counts as what. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestResult } from './reporter.ts';
import { forbidSkips, formatSummary, type PartReport } from './summary.ts';

function result(outcome: TestResult['outcome'], name: string, text = ''): TestResult {
  return { outcome, name, place: 'a.test.ts:1', durationMs: 1, text, claims: [] };
}

const unit: PartReport = {
  name: 'unit',
  results: [result('passed', 'a'), result('passed', 'b'), result('failed', 'c', 'Error: no\n at')],
  durationMs: 1_234,
};
const endToEnd: PartReport = {
  name: 'e2e',
  results: [result('skipped', 'all of e2e', 'real containers need root')],
  durationMs: 0,
  note: 'not here',
};

test('a summary lists parts, failures and skips with the reason, and counts at its end', () => {
  assert.deepEqual(formatSummary([unit, endToEnd]).split('\n'), [
    'part           passed   failed  skipped  seconds',
    'unit                2        1        0      1.2',
    'e2e                 0        0        1      0.0   not here',
    '',
    'failed:',
    '  unit: c (a.test.ts:1) Error: no',
    '',
    'skipped:',
    '  e2e: all of e2e (a.test.ts:1) real containers need root',
    '',
    '2 passed, 1 failed, 1 skipped',
  ]);
});

test('without skips the last line has two numbers', () => {
  const lines = formatSummary([unit]).split('\n');
  assert.equal(lines.at(-1), '2 passed, 1 failed');
});

test('where nothing may be skipped, a skip fails and says why', () => {
  const lines = formatSummary([forbidSkips(endToEnd)]).split('\n');
  assert.equal(lines.at(-1), '0 passed, 1 failed');
  assert.match(lines.join('\n'), /skipped, which is a failure here: real containers need root/);
});
