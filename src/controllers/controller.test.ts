/** The loop that all controllers share, and the helpers that keep stale caches from doing harm. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assert as insist } from '#kit/assert.ts';
import { type Logger, silentLog } from '#kit/log.ts';
import { settle, VirtualClock } from '#kit/virtual-clock.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { type Controller, type LoopDeps, runController } from './controller.ts';
import { Expectations } from './expectations.ts';
import { isSameValue } from './same-value.ts';

function start(reconcile: Controller['reconcile'], more: Partial<Controller & LoopDeps> = {}) {
  const clock = new VirtualClock();
  const queue = new WorkQueue({ clock });
  const aborter = new AbortController();
  const running = runController(
    { name: 'test', queue, reconcile, workers: 2, sources: [], clock, log: silentLog, ...more },
    { signal: aborter.signal },
  );
  const stop = async (): Promise<void> => {
    aborter.abort(new Error('the test is over'));
    await running;
  };
  return { clock, queue, running, stop };
}

test('what fails is tried again after delays that grow, and forgotten when it works', async () => {
  const times: number[] = [];
  const { clock, queue, stop } = start(async () => {
    times.push(clock.monotonic());
    if (times.length < 4) throw new Error('not yet');
  });
  queue.add('a');
  await clock.advance(1_000);
  assert.deepEqual(times, [0, 5, 15, 35]);
  queue.retry('a');
  await clock.advance(1_000);
  assert.deepEqual(times.slice(4), [1_005], 'the first delay again');
  await stop();
});

test('a broken assertion parks the key; others go on', async () => {
  const seen: string[] = [];
  const bugs: string[] = [];
  const log: Logger = { ...silentLog, error: (message) => bugs.push(message), child: () => log };
  const { clock, queue, stop } = start(
    async (key) => {
      seen.push(key);
      insist(key !== 'bad', 'this cannot be');
    },
    { log },
  );
  queue.add('bad');
  queue.add('good');
  await clock.advance(3_600_000);
  assert.deepEqual(seen, ['bad', 'good']);
  assert.deepEqual(bugs, ['bug: key is parked']);
  queue.add('bad');
  await clock.advance(0);
  assert.equal(seen.length, 3, 'a change wakes a parked key');
  await stop();
});

test('a bug ends the run where the caller wants that', async () => {
  const { queue, running } = start(
    async () => {
      insist(false, 'this cannot be');
    },
    {
      onBug: (error) => {
        throw error;
      },
    },
  );
  queue.add('a');
  await assert.rejects(running, { message: 'this cannot be' });
});

test('one key is never worked on twice at a time, and nothing before the first lists', async () => {
  const synced = Promise.withResolvers<void>();
  const log: string[] = [];
  const gate: (() => void)[] = [];
  const { clock, queue, stop } = start(
    async (key) => {
      log.push(`begin ${key}`);
      await new Promise<void>((resolve) => gate.push(resolve));
      log.push(`end ${key}`);
    },
    { sources: [{ synced: () => synced.promise }] },
  );
  queue.add('a');
  await clock.advance(1_000);
  assert.deepEqual(log, []);
  synced.resolve();
  await settle();
  queue.add('a');
  await settle();
  assert.deepEqual(log, ['begin a']);
  gate.shift()?.();
  await settle();
  assert.deepEqual(log, ['begin a', 'end a', 'begin a']);
  gate.shift()?.();
  await settle();
  await stop();
});

test('expectations hold until everything was seen, or for five minutes', async () => {
  const clock = new VirtualClock();
  const expectations = new Expectations({ clock });
  assert.ok(expectations.areMet('a'));
  expectations.expect('a', { creations: 2, deletions: ['x'] });
  expectations.sawCreation('a', 2);
  assert.ok(!expectations.areMet('a'));
  expectations.sawDeletion('a', 'y');
  assert.ok(!expectations.areMet('a'));
  expectations.sawDeletion('a', 'x');
  assert.ok(expectations.areMet('a'));
  expectations.expect('a', { creations: 1 });
  await clock.advance(300_000);
  assert.ok(!expectations.areMet('a'));
  await clock.advance(1_000);
  assert.ok(expectations.areMet('a'));
});

test('what means the same', () => {
  const same: readonly (readonly [unknown, unknown])[] = [
    [{ a: 1, b: undefined }, { a: 1 }],
    [
      { b: 2, a: 1 },
      { a: 1, b: 2 },
    ],
    [{ items: [] }, {}],
    [{ labels: {} }, { labels: undefined }],
    [{ a: null }, {}],
  ];
  for (const [a, b] of same) assert.ok(isSameValue(a, b) && isSameValue(b, a), JSON.stringify(a));
  const different: readonly (readonly [unknown, unknown])[] = [
    [{ a: 1 }, { a: '1' }],
    [{ emptyDir: {} }, {}],
    [
      [1, 2],
      [2, 1],
    ],
    [{ a: 0 }, {}],
    [[], {}],
  ];
  for (const [a, b] of different) assert.ok(!isSameValue({ a }, { a: b }), JSON.stringify(a));
});
