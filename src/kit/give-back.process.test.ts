/** Pages of the heap in which hardly anything lives are given back with what died in them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getHeapStatistics } from 'node:v8';
import { ownMemory, runGiveBack } from './give-back.ts';
import { VirtualClock } from './virtual-clock.ts';

const objects = 400_000;
const keptOf = 50;

/** One of fifty lives on, so that no page is quite empty. */
function makeFragments(): readonly object[] {
  const all = Array.from({ length: objects }, (_, i) => ({ i, text: `x${i}`, list: [i] }));
  // By now they have a place among what is old.
  ownMemory().collect();
  return all.filter((_, i) => i % keptOf === 0);
}

test('what little lives on after a load does not keep the pages of all that died', async () => {
  const clock = new VirtualClock();
  const stop = new AbortController();
  const kept = makeFragments();
  const before = getHeapStatistics().total_physical_size;
  // Asked once at the beginning; then it was busy for one look.
  const shares = [0, 1];
  const deps = {
    ...{ clock, ...ownMemory() },
    forgottenBytes: () => 0,
    utilization: () => shares.shift() ?? 0,
  };
  const running = runGiveBack(deps, { signal: stop.signal });
  await clock.advance(120_000);
  stop.abort(new Error('the test ends'));
  await assert.rejects(running, /the test ends/);
  const after = getHeapStatistics().total_physical_size;
  assert.equal(kept.length, objects / keptOf);
  assert.ok(after < before / 2, `${before} bytes were ${after} bytes then`);
});
