/** Delays between restarts, as people who read CrashLoopBackOff expect them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers } from '#test/covers.ts';
import { type Backoff, backoffUntilMs, formatDelay, nextBackoff } from './backoff.ts';

test('delays double from 10 s to 5 min and begin anew after ten quiet minutes', () => {
  covers('POD-100');
  const delays: number[] = [];
  let backoff: Backoff | undefined;
  let nowMs = 1_000_000;
  for (let restart = 0; restart < 7; restart++) {
    backoff = nextBackoff(backoff, nowMs);
    delays.push(backoff.delayMs / 1000);
    nowMs += backoff.delayMs + 1000;
  }
  assert.deepEqual(delays, [10, 20, 40, 80, 160, 300, 300]);
  assert.equal(nextBackoff(backoff, nowMs + 10 * 60_000 + 1).delayMs, 10_000);
});

test('the first restart waits for nothing, the next until the delay after the end', () => {
  assert.equal(backoffUntilMs(undefined, 5000, 5000), undefined);
  const backoff = { delayMs: 10_000, raisedAtMs: 1000, maxMs: 300_000 };
  assert.equal(backoffUntilMs(backoff, 5000, 6000), 15_000);
  assert.equal(backoffUntilMs(backoff, 5000, 15_000), undefined);
  assert.equal(backoffUntilMs(backoff, 5000 + 601_000, 5000 + 601_000), undefined);
});

test('a node may wait less, even less than the first time', () => {
  const delays = (maxMs: number): readonly number[] => {
    const first = nextBackoff(undefined, 0, { maxMs });
    const second = nextBackoff(first, 1000, { maxMs });
    return [first, second, nextBackoff(second, 2000, { maxMs })].map(({ delayMs }) => delayMs);
  };
  assert.deepEqual(delays(15_000), [10_000, 15_000, 15_000]);
  assert.deepEqual(delays(1000), [1000, 1000, 1000]);
  const short = { delayMs: 1000, raisedAtMs: 0, maxMs: 1000 };
  assert.equal(backoffUntilMs(short, 2001, 2001), undefined, 'forgotten after twice the longest');
});

test('delays read as Go prints them', () => {
  assert.deepEqual([10_000, 80_000, 300_000].map(formatDelay), ['10s', '1m20s', '5m0s']);
});
