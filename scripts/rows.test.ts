/** Rows of the specification's lists: ids, titles, and what is not a row. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRows } from './rows.ts';

test('rows are read from tables; long titles end at a word', () => {
  const text = [
    '| id | feature | how | seed |',
    '|---|---|---|---|',
    '| API-001 | takes `a \\| b` | try | 003:1 |',
    `| API-002 | ${'word '.repeat(30)}| try | 003:2 |`,
    'API-003 is mentioned here.',
  ].join('\n');
  const rows = parseRows(text);
  assert.deepEqual(Object.keys(rows), ['API-001', 'API-002']);
  assert.equal(rows['API-001'], 'takes `a | b`');
  assert.match(rows['API-002'] ?? '', /^(word )+word…$/);
  assert.throws(() => parseRows('| A-1 | x | y |\n| A-1 | x | y |'), /A-1 is listed twice/);
});
