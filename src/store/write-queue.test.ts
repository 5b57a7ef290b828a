/**
 * What becomes of waiting writes when a batch is decided.
 */
import { deepEqual, equal } from 'node:assert/strict';
import { test } from 'node:test';
import type { Entry, Expectation, WriteResult } from './store.ts';
import { WriteQueue } from './write-queue.ts';

function openQueue() {
  const queue = new WriteQueue();
  const answers: string[] = [];
  const state = new Map<string, Entry>();
  const push = (name: string, options: { expect?: Expectation; bytes?: number } = {}): void => {
    const { expect = 'any', bytes = 1 } = options;
    queue.push({
      key: name.slice(0, 1),
      value: new Uint8Array(bytes),
      expect,
      expiresMs: 0,
      resolve: (result: WriteResult) => answers.push(`${name} ${result.ok}`),
      reject: () => {},
    });
  };
  const take = (options: { rowsMax?: number; bytesMax?: number; revision?: number } = {}) => {
    const { rowsMax = 100, bytesMax = 1000, revision = 10 } = options;
    const get = (key: string) => state.get(key);
    const decided = queue.takeBatch({ get, revision, writtenMs: 5, rowsMax, bytesMax });
    return decided.rows.map((row) => `${row.key}${row.value?.byteLength}@${row.revision}`);
  };
  return { queue, answers, state, push, take };
}

test('a write held against one of the same batch waits, and its successors behind it', () => {
  const { queue, push, take, answers, state } = openQueue();
  push('a1', { expect: 'absent' });
  push('a2', { expect: 'absent', bytes: 2 });
  push('a3', { bytes: 3 });
  push('b1');
  deepEqual(take(), ['a1@11', 'b1@12']);
  deepEqual([queue.length, answers], [2, []]);
  state.set('a', { key: 'a', value: new Uint8Array(1), revision: 11, createRevision: 11 });
  deepEqual(take({ revision: 12 }), ['a3@13']);
  deepEqual(answers, ['a2 false']);
});

test('what waits longer goes first', () => {
  const { push, take } = openQueue();
  push('a1', { expect: 'absent' });
  push('a2', { expect: 'absent', bytes: 2 });
  push('b1');
  push('c1');
  deepEqual(take({ rowsMax: 2 }), ['a1@11', 'b1@12']);
  deepEqual(take({ rowsMax: 1, revision: 12 }), ['a2@13'], 'the first batch had failed');
  deepEqual(take({ revision: 13 }), ['c1@14']);
});

test('a batch is bounded in rows and in bytes, but never empty for one large write', () => {
  const { queue, push, take } = openQueue();
  for (const name of ['a', 'b', 'c', 'd']) push(name, { bytes: 60 });
  push('e', { bytes: 500 });
  push('f');
  deepEqual(take({ bytesMax: 130 }), ['a60@11', 'b60@12']);
  deepEqual(take({ rowsMax: 1 }), ['c60@11']);
  deepEqual(take({ bytesMax: 130 }), ['d60@11']);
  deepEqual(take({ bytesMax: 130 }), ['e500@11']);
  equal(queue.bytes, 2);
  deepEqual(take(), ['f1@11']);
  deepEqual([queue.bytes, queue.length], [0, 0]);
});
