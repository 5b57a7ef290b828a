/** A scope waits for its tasks, and the first failure ends the others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Scope } from './scope.ts';

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

test('the first failure aborts the siblings and is thrown by join', async () => {
  const scope = new Scope(new AbortController().signal);
  let siblingEnded = false;
  scope.spawn(async (signal) => {
    await untilAborted(signal).finally(() => {
      siblingEnded = true;
    });
  });
  const failure = new Error('broken');
  scope.spawn(() => Promise.reject(failure));
  await assert.rejects(scope.join(), failure);
  assert.equal(siblingEnded, true);
});

test('leaving the block aborts and waits for all tasks', async () => {
  const order: string[] = [];
  {
    await using scope = new Scope(new AbortController().signal);
    scope.spawn(async (signal) => {
      await untilAborted(signal).finally(() => order.push('task ended'));
    });
  }
  order.push('after the block');
  assert.deepEqual(order, ['task ended', 'after the block']);
});

test('the abort of the parent is no failure', async () => {
  const parent = new AbortController();
  const scope = new Scope(parent.signal);
  scope.spawn(untilAborted);
  parent.abort(new Error('the parent stops'));
  await scope.join();
  assert.equal(scope.signal.aborted, true);
});

test('what fails outside the scope ends its tasks, and join throws it', async () => {
  const scope = new Scope(new AbortController().signal);
  scope.spawn(untilAborted);
  const failure = new Error('broken elsewhere');
  scope.fail(failure);
  await assert.rejects(scope.join(), failure);
});
