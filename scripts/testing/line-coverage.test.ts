/** Lines that ran are told from lines that did not, by the ranges that the engine counts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linesOf } from './line-coverage.ts';

test('a branch that never ran is not counted as run, nor are comments as code', () => {
  const text = ['// says why', 'function f(a) {', '  if (a) {', '    g();', '  }', '}', ''].join(
    '\n',
  );
  const range = (part: string, count: number) => {
    const startOffset = text.indexOf(part);
    return { startOffset, endOffset: startOffset + part.length, count };
  };
  const branch = range('{\n    g();\n  }', 0);
  const whole = { startOffset: 0, endOffset: text.length, count: 1 };
  const functions = [{ ranges: [whole] }, { ranges: [range('function f', 2), branch] }];
  assert.deepEqual(linesOf(text, { url: 'file:///f.ts', functions }), { all: 3, ran: 2 });
});
