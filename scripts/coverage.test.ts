/** Rows count as proven by tests that passed, and only by those. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatCoverage, formatRows, gatherCoverage, staleness } from './coverage.ts';
import type { SavedRun } from './test.ts';
import type { TestResult } from './testing/reporter.ts';

const rows = { api: { 'API-001': 'get', 'API-002': 'list' }, dns: { 'DNS-001': 'names' } };

function run(results: readonly Partial<TestResult>[]): SavedRun {
  const whole = results.map((part, i): TestResult => {
    const plain = { name: `test ${i}`, place: 'a.test.ts:1', durationMs: 1, text: '', claims: [] };
    return { outcome: 'passed', ...plain, ...part };
  });
  const reports = [{ name: 'unit', results: whole, durationMs: 1 }];
  return { finishedAtMs: 0, commit: 'c0ffee', reports };
}

const proves = (...ids: readonly string[]) => ({ state: 'proven', ids }) as const;

test('rows of failed and skipped tests do not count', () => {
  const { proven } = gatherCoverage(
    run([
      { claims: [proves('API-001')] },
      { outcome: 'failed', claims: [proves('API-002')] },
      { outcome: 'skipped', claims: [proves('DNS-001')] },
    ]),
    '',
  );
  assert.deepEqual([...proven], [['API-001', ['test 0 (a.test.ts:1)']]]);
});

test('the figures by area end with the count of proven rows', () => {
  const coverage = gatherCoverage(
    run([
      { claims: [proves('API-001'), proves('API-001')] },
      { claims: [{ state: 'superseded', id: 'DNS-001', by: 'v1.22', now: 'longer names' }] },
    ]),
    '| row | reason |\n| API-002 | a product of somebody else |\n',
  );
  assert.deepEqual(formatCoverage(coverage, rows).split('\n'), [
    'area                 proven superseded        out       rows',
    'api                       1          0          1          2',
    'dns                       0          1          0          1',
    'proven 1 / 3',
  ]);
  assert.match(formatRows(coverage, rows), /^API-001 proven: get\n {2}test 0 \(a\.test\.ts:1\)/);
});

test('figures older than the tree say so', () => {
  assert.equal(staleness(10, 9), '');
  assert.match(staleness(10, 11), /run `npm test` again/);
});
