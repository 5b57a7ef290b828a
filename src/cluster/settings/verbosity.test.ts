/** What `-v` and `--logging-format` mean. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logFormatOf, verbosityOf } from './verbosity.ts';

test('the higher the number, the more is said', () => {
  const of = (v: string | undefined) => {
    const { logLevel, logsRequests } = verbosityOf(v);
    return `${logLevel}${logsRequests ? ' and requests' : ''}`;
  };
  assert.deepEqual(['0', undefined, 'x', '1'].map(of), ['info', 'info', 'info', 'info']);
  assert.deepEqual(['2', '=3', '4', '5'].map(of), ['debug', 'debug', 'trace', 'trace']);
  assert.deepEqual(['6', '=10'].map(of), ['trace and requests', 'trace and requests']);
});

test('a log is text or JSON', () => {
  assert.deepEqual(['json', 'text', undefined].map(logFormatOf), ['json', 'text', 'text']);
  assert.throws(() => logFormatOf('xml'), /format: Invalid value: "xml": Unsupported log format/);
});
