/** One line per record: message first, fields as JSON values, levels below the limit left out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLog } from './log.ts';

const clock = { now: () => Date.UTC(2026, 0, 2, 3, 4, 5, 6) };

test('text and JSON lines carry the fields of the child and of the record', () => {
  for (const [format, expected] of [
    ['text', 'I 2026-01-02T03:04:05.006Z pod bound component="scheduler" pod="a/b" try=2\n'],
    [
      'json',
      '{"ts":"2026-01-02T03:04:05.006Z","level":"info","msg":"pod bound","component":"scheduler","pod":"a/b","try":2}\n',
    ],
  ] as const) {
    const lines: string[] = [];
    const log = openLog({ clock, level: 'info', format, write: (line) => lines.push(line) });
    const child = log.child({ component: 'scheduler' });
    child.info('pod bound', { pod: 'a/b', try: 2 });
    child.debug('not wanted');
    assert.deepEqual(lines, [expected]);
  }
});

test('an error is written with its causes', () => {
  const lines: string[] = [];
  const log = openLog({ clock, level: 'debug', format: 'text', write: (line) => lines.push(line) });
  const error = new Error('put failed', { cause: new Error('disk full') });
  log.warn('write refused', { error });
  assert.match(lines[0] ?? '', /^W 2026-\S+Z write refused error="put failed: disk full"/);
});

test('fields that a function makes are made only where they are written', () => {
  for (const [level, expected] of [
    ['trace', ['T 2026-01-02T03:04:05.006Z request code=200\n']],
    ['debug', []],
  ] as const) {
    const lines: string[] = [];
    const log = openLog({ clock, level, format: 'text', write: (line) => lines.push(line) });
    let made = 0;
    log.trace('request', () => {
      made += 1;
      return { code: 200 };
    });
    assert.deepEqual(lines, expected);
    assert.equal(made, expected.length);
  }
});
