/**
 * The contract of stores over a slow log, and what a store does when its log fails or the process
 * is lost: nothing acknowledged goes away, no number is used twice.
 */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { openLog, silentLog } from '#kit/log.ts';
import { seededRandom } from '#kit/random.ts';
import { settle, VirtualClock } from '#kit/virtual-clock.ts';
import { FaultyDisk } from './faulty-log.ts';
import { Bench, bytes, durableContract, Record, storeContract, text } from './store.contract.ts';
import { openStoreOver, StoreUnavailable } from './store.ts';

const steady = { delayMsMax: 5, failRate: 0, lingerRate: 0 };

/** Moves time, in small steps, until the promise is settled. */
async function drive<T>(clock: VirtualClock, promise: PromiseLike<T>): Promise<T> {
  let settled = false;
  const done = (): void => {
    settled = true;
  };
  promise.then(done, done);
  for (let step = 0; step < 100_000 && !settled; step++) await clock.advance(1);
  return await promise;
}

function openDisk(clock: VirtualClock, rates = steady) {
  const disk = new FaultyDisk({ clock, random: seededRandom(7) }, rates);
  return {
    disk,
    open: async ({ clock: _, again: __, ...limits }: Parameters<HarnessOpen>[0]) =>
      await openStoreOver({ clock, log: silentLog }, { backing: disk.connect(), ...limits }),
    done: async <T>(promise: PromiseLike<T>) => await drive(clock, promise),
    tick: async () => await clock.advance(1),
    close: async () => {},
  };
}

type HarnessOpen = Bench['harness']['open'];

async function openBench(rates = steady) {
  const clock = new VirtualClock();
  const harness = openDisk(clock, rates);
  const bench = new Bench(clock, harness, await harness.open({ clock }));
  /** The process is lost; another one opens the disk. */
  const crash = async (): Promise<void> => {
    harness.disk.crash();
    await bench.done(bench.store[Symbol.asyncDispose]());
    bench.store = await harness.open({ clock, again: true });
  };
  return { bench, clock, disk: harness.disk, crash };
}

storeContract('slow log', async (clock) => openDisk(clock));
durableContract('slow log', async (clock) => openDisk(clock));

test('a commit that fails rejects its writes, and its revisions are spent', async () => {
  const { bench, disk } = await openBench();
  const first = await bench.put('/a', '1');
  const record = Record.open(bench.store, first);
  disk.rates = { ...steady, failRate: 1 };
  const failing = Promise.allSettled([
    bench.store.put({ key: '/a', value: bytes('2'), expect: 'any' }),
    bench.store.put({ key: '/b', value: bytes('2'), expect: 'any' }),
  ]);
  const results = await bench.done(failing);
  for (const result of results) {
    ok(result.status === 'rejected' && result.reason instanceof StoreUnavailable);
  }
  deepEqual([text(bench.store.get('/a')?.value), bench.store.revision], ['1', first]);
  disk.rates = steady;
  equal(await bench.put('/a', '3', { revision: first }), first + 3);
  await settle();
  deepEqual(record.lines, [`put /a=3 (1@${first})`]);
});

test('a store whose commits fail says so, and finds out by itself when they work again', async () => {
  const { bench, disk, clock } = await openBench();
  await bench.put('/a', '1');
  deepEqual(bench.store.health, { ok: true });
  disk.rates = { ...steady, failRate: 1 };
  await rejects(bench.put('/a', '2'), /could not be made durable: ./);
  equal(bench.store.health.ok, false);
  await clock.advance(60_000);
  equal(bench.store.health.ok, false, 'tried in vain');
  equal(text(bench.store.get('/a')?.value), '1', 'reads go on');
  disk.rates = steady;
  await clock.advance(10_000);
  deepEqual(bench.store.health, { ok: true });
  ok((await bench.put('/a', '3')) > 2);
  disk.isHanging = true;
  bench.store.put({ key: '/a', value: bytes('4'), expect: 'any' }).catch(() => {});
  await clock.advance(9000);
  deepEqual(bench.store.health, { ok: true });
  await clock.advance(2000);
  match(bench.store.health.ok ? '' : bench.store.health.reason, /not ended after 10 s/);
});

test('a compare that waited for a write that failed is held against what is there', async () => {
  const { bench, disk } = await openBench();
  await bench.put('/other', '0');
  disk.rates = { ...steady, failRate: 1 };
  const first = bench.store.put({ key: '/a', value: bytes('1'), expect: 'absent' });
  const second = bench.store.put({ key: '/a', value: bytes('2'), expect: 'absent' });
  const third = bench.store.put({ key: '/a', value: bytes('3'), expect: 'absent' });
  const outcome = Promise.allSettled([first, second, third]);
  await rejects(
    bench.done(
      first.finally(() => {
        disk.rates = steady;
      }),
    ),
    StoreUnavailable,
  );
  const [, successor, last] = await bench.done(outcome);
  ok(successor.status === 'fulfilled' && successor.value.ok);
  ok(last.status === 'fulfilled' && !last.value.ok);
  equal(text(last.value.current?.value), '2');
  equal(text(bench.store.get('/a')?.value), '2');
});

test('after a crash no revision is used again, also not one that was lost', async () => {
  const { bench, disk, crash } = await openBench();
  const first = await bench.put('/a', '1');
  disk.rates = { ...steady, failRate: 1 };
  await rejects(bench.put('/a', '2'), StoreUnavailable);
  const lost = bench.store.put({ key: '/a', value: bytes('3'), expect: 'any' });
  lost.catch(() => {});
  await settle();
  await crash();
  await rejects(lost, StoreUnavailable);
  disk.rates = steady;
  ok(bench.store.revision >= first + 2, 'the numbers of both lost writes are spent');
  deepEqual(text(bench.store.get('/a')?.value), '1');
  const record = Record.open(bench.store, first);
  const next = await bench.put('/a', '4', { revision: first });
  ok(next > first + 2);
  await settle();
  deepEqual([record.lines, record.progress], [[`put /a=4 (1@${first})`], next]);
});

test('a commit that failed and is on the disk anyway is removed by the next one', async () => {
  const { bench, disk, crash } = await openBench({ ...steady, lingerRate: 1 });
  const first = await bench.put('/a', '1');
  disk.rates = { ...disk.rates, failRate: 1 };
  await rejects(bench.put('/a', '2'), StoreUnavailable);
  disk.rates = { ...disk.rates, failRate: 0 };
  const third = await bench.put('/b', '1');
  await crash();
  equal(bench.store.get('/a')?.revision, first);
  ok(bench.store.revision >= third);
});

test('numbers that cannot be set aside are not given out', async () => {
  const clock = new VirtualClock();
  const disk = new FaultyDisk({ clock, random: seededRandom(1) }, { ...steady, failRate: 1 });
  const store = await openStoreOver(
    { clock, log: silentLog },
    { backing: disk.connect(), revisionsReserved: 4 },
  );
  const put = (key: string) => store.put({ key, value: bytes('1'), expect: 'any' });
  for (let round = 0; round < 20; round++) await rejects(drive(clock, put('/a')), StoreUnavailable);
  disk.rates = steady;
  const keys = Array.from({ length: 30 }, (_, index) => `/k/${index}`);
  await drive(clock, Promise.all(keys.map(put)));
  disk.rates = { ...steady, failRate: 1 };
  for (let round = 0; round < 20; round++) await rejects(drive(clock, put('/a')), StoreUnavailable);
  const newest = store.revision;
  equal(newest, 30);
  disk.crash();
  await store[Symbol.asyncDispose]();
  disk.rates = steady;
  const next = await openStoreOver({ clock, log: silentLog }, { backing: disk.connect() });
  ok(next.revision >= newest && next.revision <= newest + 4);
});

test('a key whose removal failed is removed later', async () => {
  const { bench, disk, clock } = await openBench();
  await bench.put('/a', '1', 'any', 10_000);
  disk.rates = { ...steady, failRate: 1 };
  await clock.advance(12_000);
  ok(bench.store.get('/a') !== undefined);
  disk.rates = steady;
  await clock.advance(5000);
  equal(bench.store.get('/a'), undefined);
});

test('a restore has only to raise what is reserved', async () => {
  const { bench, disk } = await openBench();
  const last = await bench.put('/a', '1');
  await bench.done(bench.store[Symbol.asyncDispose]());
  disk.reserved += 1_000_000_000;
  bench.store = await bench.harness.open({ clock: bench.clock, again: true });
  equal(bench.store.revision, last + 1_000_000_000);
  equal(await bench.put('/a', '2', { revision: last }), last + 1_000_000_001);
});

test('a disk that hangs is reported, and closing does not wait for it for ever', async () => {
  const clock = new VirtualClock();
  const lines: string[] = [];
  const log = openLog({ clock, level: 'info', format: 'text', write: (line) => lines.push(line) });
  const rates = { ...steady, delayMsMax: 0 };
  const disk = new FaultyDisk({ clock, random: seededRandom(1) }, rates);
  const store = await openStoreOver({ clock, log }, { backing: disk.connect() });
  const put = (key: string) => store.put({ key, value: bytes('1'), expect: 'any' });
  await drive(clock, put('/a'));
  disk.isHanging = true;
  const outcome = Promise.allSettled([put('/b'), settle().then(() => put('/c'))]);
  await clock.advance(40_000);
  ok(lines.some((line) => line.includes('store waits for a commit')));
  await drive(clock, store[Symbol.asyncDispose]());
  ok(lines.some((line) => line.includes('store closes without its last writes')));
  const [hanging, queued] = await drive(clock, outcome);
  deepEqual([hanging.status, queued.status], ['rejected', 'rejected']);
});
