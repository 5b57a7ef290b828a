/** Limits of memory that shrink under containers that run. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decreaseProblem, isDecrease } from './memory-decrease.ts';

const mebi = 2 ** 20;
const ofPod = (hasBytes: number | undefined, wantedBytes: number | undefined) => ({
  hasBytes,
  wantedBytes,
});
const ofWeb = (hasBytes: number | undefined, wantedBytes: number | undefined) => ({
  container: 'web',
  hasBytes,
  wantedBytes,
});

test('a limit shrinks when it gets smaller, or when there was none', () => {
  assert.equal(isDecrease(ofPod(2, 1)), true);
  assert.equal(isDecrease(ofPod(undefined, 1)), true);
  assert.equal(isDecrease(ofPod(1, 1)), false);
  assert.equal(isDecrease(ofPod(1, undefined)), false);
});

test('what is in use is not taken away, in upstream’s words', () => {
  const use = new Map([
    ['', 40 * mebi],
    ['web', 30 * mebi],
  ]);
  assert.equal(
    decreaseProblem([ofPod(64 * mebi, 48 * mebi), ofWeb(64 * mebi, 48 * mebi)], use),
    undefined,
  );
  assert.equal(
    decreaseProblem([ofPod(64 * mebi, 48 * mebi), ofWeb(64 * mebi, 30 * mebi)], use),
    'cannot decrease memory limits: attempting to set container "web" memory limit (31457280) ' +
      'below current usage (31457280)',
  );
  assert.equal(
    decreaseProblem([ofPod(undefined, 20 * mebi), ofWeb(undefined, 20 * mebi)], use),
    'cannot decrease memory limits: [attempting to set pod memory limit (20971520) below current ' +
      'usage (41943040), attempting to set container "web" memory limit (20971520) below current ' +
      'usage (31457280)]',
  );
});

test('what grows is not looked at, nor what nobody tells', () => {
  const use = new Map([['web', 30 * mebi]]);
  assert.equal(decreaseProblem([ofWeb(10 * mebi, 20 * mebi)], use), undefined);
  assert.equal(decreaseProblem([ofPod(64 * mebi, 20 * mebi)], use), undefined);
});
