/** Memory is given back after work, once the thread is quiet, and not again without work. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atFirst, limits, planRest, type Rest, runGiveBack } from './give-back.ts';
import { VirtualClock } from './virtual-clock.ts';

/** How many looks after the first one memory is given back, when a thread is so busy. */
function givenBackAt(
  shares: readonly number[],
  forgotten: readonly number[] = [],
): readonly number[] {
  let rest: Rest = atFirst;
  return shares.flatMap((share, look) => {
    const planned = planRest(rest, { busyShare: share, forgottenBytes: forgotten[look] ?? 0 });
    rest = planned.rest;
    return planned.giveBack ? [look] : [];
  });
}

const quiet = (looks: number): readonly number[] => new Array<number>(looks).fill(0);

test('after a load memory is given back soon, and when the store has forgotten', () => {
  assert.deepEqual(givenBackAt([0.9, ...quiet(100)]), [3, 37]);
});

test('whoever is busy again is left alone, and has its turn anew', () => {
  assert.deepEqual(givenBackAt([0.9, 0, 0, 0.5, ...quiet(10), 0.5, ...quiet(100)]), [6, 17, 51]);
});

test('what a thread does when idle is too little, until it has become much', () => {
  assert.deepEqual(givenBackAt(quiet(1000)), []);
  // 0.1 s in each look: after 30 looks it is 3 s of work, and it is quiet since then.
  assert.deepEqual(givenBackAt(new Array<number>(80).fill(0.01)), [31, 65]);
});

test('a thread that is always busy is never stopped', () => {
  assert.deepEqual(givenBackAt(new Array<number>(1000).fill(0.3)), []);
});

const { forgottenBytesMin: much } = limits;
const light = (looks: number): readonly number[] => new Array<number>(looks).fill(0.001);

test('after a light load memory is given back once the store has forgotten much', () => {
  const forgotten = [...quiet(20), much, ...quiet(20)];
  assert.deepEqual(givenBackAt(light(60), forgotten), [20]);
  assert.deepEqual(givenBackAt(light(60), [...quiet(20), much - 1, ...quiet(20)]), []);
});

test('what is forgotten bit by bit is added up, and nothing is given back twice in a row', () => {
  const all = new Array<number>(20).fill(much / 4);
  assert.deepEqual(givenBackAt(light(20), all), [3, 7, 11, 15, 19]);
  const more = new Array<number>(12).fill(much);
  assert.deepEqual(givenBackAt(light(12), more), [2, 5, 8, 11]);
});

test('what is forgotten while a thread is busy waits until it is quiet', () => {
  const busy = [0.9, 0.9, 0.9, ...quiet(100)];
  assert.deepEqual(givenBackAt(busy, [much, much]), [5, 39]);
  assert.deepEqual(givenBackAt(busy, [...quiet(35), much]), [5, 35, 39]);
});

/** What is done in ten minutes after a load, with a heap of this size. */
async function doneWith(heapBytes: number): Promise<readonly string[]> {
  const clock = new VirtualClock();
  const stop = new AbortController();
  const done: string[] = [];
  let share = 1;
  const deps = {
    clock,
    utilization: () => share,
    forgottenBytes: () => 0,
    heapBytes: () => heapBytes,
    collect: () => done.push('collect'),
    trim: () => done.push('trim'),
  };
  const running = runGiveBack(deps, { signal: stop.signal });
  await clock.advance(60_000);
  assert.deepEqual(done, []);
  share = 0;
  await clock.advance(600_000);
  stop.abort(new Error('the test ends'));
  await assert.rejects(running, /the test ends/);
  return done;
}

test('garbage is collected before memory is given back, twice, to empty pages as well', async () => {
  const round = ['collect', 'collect', 'trim'];
  assert.deepEqual(await doneWith(1000), [...round, ...round]);
});

test('a large heap is left to V8', async () => {
  assert.deepEqual(await doneWith(limits.heapBytesMax + 1), ['trim', 'trim']);
});
