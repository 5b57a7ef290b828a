/** What is new on a machine between two looks at it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newSince } from './leftovers.ts';

test('only what was not there before is left behind', () => {
  const state = (mounts: readonly string[], tables: readonly string[]) =>
    new Map([
      ['mount', new Set(mounts)],
      ['nft table', new Set(tables)],
    ]);
  const before = state(['/', '/old'], ['table inet foreign']);
  assert.deepEqual(newSince(before, state(['/'], ['table inet foreign'])), []);
  assert.deepEqual(newSince(before, state(['/', '/pods/x'], ['table inet coracle-abc'])), [
    'mount /pods/x',
    'nft table table inet coracle-abc',
  ]);
});
