/**
 * Random work on a store over a disk with faults, held against a naive model.
 *
 * Each iteration has a seed: bursts of writes at the same time, lists and watches at random
 * revisions, compaction, keys that end, crashes and restarts. A watch of everything says what
 * happened; the answers to the writes, every list, every count and every other watch have to agree
 * with it. Two canaries break a store on purpose, and have to be noticed.
 */
import { equal, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { assert, present } from '#kit/assert.ts';
import { silentLog } from '#kit/log.ts';
import { type Random, seededRandom } from '#kit/random.ts';
import { settle, VirtualClock } from '#kit/virtual-clock.ts';
import { type FaultRates, FaultyDisk } from './faulty-log.ts';
import type { Batch } from './log.ts';
import { Record } from './store.contract.ts';
import {
  type Entry,
  type Expectation,
  openMemoryStore,
  openStoreOver,
  type Store,
  type StoreEvent,
  StoreUnavailable,
  type WriteResult,
} from './store.ts';

const limits = { historyBytesMax: 3000, batchWritesMax: 3, revisionsReserved: 8 };
const prefixes = ['', '/a/', '/b/', '/b', '/none/'];

/** A store as one would write it without a thought for speed: every event, and nothing else. */
class Model {
  readonly events: StoreEvent[] = [];

  get revision(): number {
    return this.events.at(-1)?.revision ?? 0;
  }

  stateAt(revision: number): ReadonlyMap<string, Entry> {
    const state = new Map<string, Entry>();
    for (const event of this.events) {
      if (event.revision > revision) break;
      const { key, value } = event;
      const createRevision = state.get(key)?.createRevision ?? event.revision;
      if (value === undefined) state.delete(key);
      else state.set(key, { key, value, revision: event.revision, createRevision });
    }
    return state;
  }

  listAt(revision: number, prefix: string): readonly Entry[] {
    const entries = [...this.stateAt(revision).values()];
    return entries
      .filter(({ key }) => key.startsWith(prefix))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  eventsAfter(revision: number, prefix: string): readonly StoreEvent[] {
    return this.events.filter((event) => event.revision > revision && event.key.startsWith(prefix));
  }

  /** Takes an event that a store told of, which has to fit what was before. */
  add(event: StoreEvent): void {
    assert(event.revision > this.revision, 'events come in order of revision, once each');
    const before = this.stateAt(this.revision).get(event.key);
    assert(isSame(before, event.previous), `event ${event.revision} says what was there before`);
    assert(event.value !== undefined || before !== undefined, 'only what is there is deleted');
    this.events.push(event);
  }
}

function isSame(a: Entry | undefined, b: Entry | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.key === b.key &&
    a.revision === b.revision &&
    a.createRevision === b.createRevision &&
    Buffer.compare(a.value, b.value) === 0
  );
}

function isMet(expect: Expectation, current: Entry | undefined): boolean {
  if (expect === 'any') return true;
  return expect === 'absent' ? current === undefined : current?.revision === expect.revision;
}

interface Write {
  readonly key: string;
  readonly value: Uint8Array | undefined;
  readonly expect: Expectation;
}

interface Written extends Write {
  readonly result: WriteResult | undefined;
}

/** How a world's store is opened: over a disk, or in memory where nothing outlives it. */
interface Ground {
  readonly disk: FaultyDisk | undefined;
  open(clock: VirtualClock): Promise<Store>;
}

class World {
  readonly #random: Random;
  readonly #clock: VirtualClock;
  readonly #ground: Ground;
  readonly #model = new Model();
  readonly #deadlines = new Map<number, number>();
  /** Writes without a good answer: a crash may bring back what a bad disk has kept of them. */
  #unanswered: Write[] = [];
  #store: Store;
  #all: Record;

  constructor(ground: Ground, random: Random, clock: VirtualClock, store: Store) {
    this.#ground = ground;
    this.#random = random;
    this.#clock = clock;
    this.#store = store;
    this.#all = Record.open(store, 0);
  }

  async run(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      const dice = this.#random.integer(20);
      if (dice < 11) await this.#burst();
      else if (dice < 16) await this.#look();
      else if (dice < 17) await this.#compact();
      else if (dice < 18) await this.#passTime();
      else if (dice < 19) await this.#reopen();
      else await this.#crash();
    }
    await this.#look();
    await this.#drive(this.#store[Symbol.asyncDispose]());
    equal(this.#all.ended, 'closed');
  }

  async #burst(): Promise<void> {
    const from = this.#model.revision;
    const writes = Array.from({ length: 1 + this.#random.integer(6) }, () => this.#someWrite());
    const results = await this.#drive(Promise.all(writes.map((write) => this.#start(write))));
    await settle();
    this.#takeEvents();
    for (const written of results) this.#checkWritten(written, from);
    const revisions = results.flatMap(({ result }) => (result?.ok ? [result.revision] : []));
    equal(new Set(revisions).size, revisions.length, 'a revision belongs to one write');
  }

  #someWrite(): Write {
    const key = `${this.#pick(['/a/', '/b/', '/b0/'])}${this.#random.integer(4)}`;
    const current = this.#model.stateAt(this.#model.revision).get(key);
    const known = { revision: current?.revision ?? this.#random.integer(50) + 1 };
    const expect = this.#pick<Expectation>(['any', 'any', 'absent', known, known]);
    const isDelete = this.#random.integer(4) === 0;
    const value = isDelete ? undefined : this.#random.bytes(this.#random.integer(300));
    return { key, value, expect };
  }

  async #start(write: Write): Promise<Written> {
    const { key, value, expect } = write;
    const ttlMs = this.#random.integer(5) === 0 ? 1000 + this.#random.integer(60_000) : undefined;
    const endsMs = this.#clock.now() + (ttlMs ?? 0);
    try {
      const result = await (value === undefined
        ? this.#store.delete({ key, expect })
        : this.#store.put({ key, value, expect, ttlMs }));
      if (result.ok && value !== undefined && ttlMs !== undefined) {
        this.#deadlines.set(result.revision, endsMs);
      }
      return { ...write, result };
    } catch (error) {
      ok(error instanceof StoreUnavailable, `${error}`);
      this.#unanswered.push(write);
      return { ...write, result: undefined };
    }
  }

  /** An answer agrees with what happened. */
  #checkWritten({ key, value, expect, result }: Written, from: number): void {
    if (result === undefined) return;
    if (result.ok) {
      const event = this.#model.events.find(({ revision }) => revision === result.revision);
      assert(event !== undefined && event.key === key, 'an acknowledged write is an event');
      assert(isSameBytes(event.value, value), 'the event has the value that was written');
      assert(isMet(expect, event.previous), 'a write happened only where it was expected to');
      return;
    }
    const { current } = result;
    assert(
      !isMet(expect, current) || (value === undefined && current === undefined),
      'a refused write was right to be refused',
    );
    const possible = this.#statesSince(from, key);
    assert(
      possible.some((entry) => isSame(entry, current)),
      'it was told of a committed state',
    );
  }

  #statesSince(from: number, key: string): readonly (Entry | undefined)[] {
    const revisions = this.#model.eventsAfter(from, '').map(({ revision }) => revision);
    return [from, ...revisions].map((revision) => this.#model.stateAt(revision).get(key));
  }

  /** Takes what the watch of everything has told since the last time. */
  #takeEvents(): void {
    for (const event of this.#all.events.splice(0)) {
      if (event.value === undefined && event.previous !== undefined) {
        this.#deadlines.delete(event.previous.revision);
      }
      this.#model.add(event);
    }
    this.#all.lines.length = 0;
  }

  /** Lists, counts and watches at random places agree with the model. */
  async #look(): Promise<void> {
    await settle();
    this.#takeEvents();
    const store = this.#store;
    const prefix = this.#pick(prefixes);
    const newest = this.#model.listAt(this.#model.revision, prefix);
    checkEntries(store.list({ prefix }).entries, newest);
    equal(store.count(prefix), newest.length);
    for (const entry of newest) assert(isSame(store.get(entry.key), entry), 'get shows the newest');
    await this.#lookBack(prefix);
    this.#checkDeadlines();
  }

  async #lookBack(prefix: string): Promise<void> {
    const store = this.#store;
    const revision = this.#random.integer(store.revision + 1);
    const record = Record.open(store, revision, prefix);
    const isGone = revision < store.oldestRevision;
    equal(record.watch === undefined, isGone, 'a watch is refused when its history is gone');
    const limit = 1 + this.#random.integer(4);
    const found: Entry[] = [];
    for (let after: string | undefined; ; after = found.at(-1)?.key) {
      const page = await this.#drive(store.listAt({ prefix, revision, limit, after }));
      if (!page.ok) {
        ok(isGone && page.reason === 'compacted');
        break;
      }
      found.push(...page.entries);
      ok(page.entries.length <= limit);
      if (!page.more) break;
    }
    if (isGone) return;
    checkEntries(found, this.#model.listAt(revision, prefix));
    for (let turn = 0; record.progress < store.revision; turn++) {
      ok(turn < 1000, 'a watch arrives at the present');
      await this.#clock.advance(1);
    }
    record.watch?.cancel();
    const expected = this.#model.eventsAfter(revision, prefix);
    equal(record.events.length, expected.length, 'a watch has no gap and no repeat');
    for (const [index, event] of record.events.entries()) {
      const wanted = present(expected[index], 'as many events');
      equal(event.revision, wanted.revision);
      assert(isSame(event.previous, wanted.previous), 'with what was there before');
      assert(isSameBytes(event.value, wanted.value), 'with what was written');
    }
  }

  /** No key is still there long after its time, unless the disk refuses everything. */
  #checkDeadlines(): void {
    const { rates } = this.#ground.disk ?? { rates: { failRate: 0 } };
    if (rates.failRate > 0) return;
    for (const [revision, endsMs] of this.#deadlines) {
      if (endsMs === 0 || endsMs + 5000 > this.#clock.now()) continue;
      const isThere = this.#model
        .listAt(this.#model.revision, '')
        .some((entry) => entry.revision === revision);
      assert(!isThere, `the key of revision ${revision} should have ended`);
    }
  }

  async #compact(): Promise<void> {
    const { oldestRevision, revision } = this.#store;
    const target = oldestRevision + this.#random.integer(revision - oldestRevision + 1);
    await this.#drive(this.#store.compact(target));
    ok(this.#store.oldestRevision >= target);
  }

  async #passTime(): Promise<void> {
    await this.#clock.advance(this.#random.integer(40_000));
    await this.#clock.advance(6000);
  }

  async #reopen(): Promise<void> {
    if (this.#ground.disk === undefined) return;
    await this.#drive(this.#store[Symbol.asyncDispose]());
    this.#takeEvents();
    await this.#openAgain();
  }

  /** The process is lost in the middle of a burst. */
  async #crash(): Promise<void> {
    const { disk } = this.#ground;
    if (disk === undefined) return;
    const writes = Array.from({ length: 1 + this.#random.integer(5) }, () => this.#someWrite());
    const started = Promise.all(writes.map((write) => this.#start(write)));
    await this.#clock.advance(this.#random.integer(8));
    disk.crash();
    await this.#drive(this.#store[Symbol.asyncDispose]());
    await settle();
    this.#takeEvents();
    for (const written of await started) this.#checkAfterCrash(written);
    await this.#openAgain();
  }

  /** Goes on with a new process; of what had no answer, some may have happened. */
  async #openAgain(): Promise<void> {
    const before = this.#store.revision;
    this.#store = await this.#ground.open(this.#clock);
    ok(this.#store.revision >= before, 'revisions do not go back');
    ok(this.#store.oldestRevision <= before, 'what was the present can still be watched');
    this.#all = Record.open(this.#store, before);
    await settle();
    for (const event of this.#all.events) {
      const isKnown =
        this.#unanswered.some(
          ({ key, value }) => key === event.key && isSameBytes(value, event.value),
        ) || this.#isEnding(event.previous);
      assert(isKnown, 'what a crash left behind was being written');
      // It may have had a time to live.
      this.#deadlines.set(event.revision, 0);
    }
    this.#unanswered = [];
    this.#takeEvents();
  }

  /** What was acknowledged before the crash has happened. */
  #checkAfterCrash({ key, result }: Written): void {
    if (!result?.ok) return;
    const event = this.#model.events.find(({ revision }) => revision === result.revision);
    assert(event?.key === key, 'an acknowledged write is an event');
  }

  #isEnding(entry: Entry | undefined): boolean {
    const endsMs = entry && this.#deadlines.get(entry.revision);
    return endsMs !== undefined && endsMs <= this.#clock.now();
  }

  #pick<T>(from: readonly T[]): T {
    return present(from[this.#random.integer(from.length)], 'an index inside the choices');
  }

  async #drive<T>(promise: PromiseLike<T>): Promise<T> {
    let isSettled = false;
    const done = (): void => {
      isSettled = true;
    };
    promise.then(done, done);
    for (let turn = 0; turn < 10_000 && !isSettled; turn++) await this.#clock.advance(1);
    assert(isSettled, 'what was promised happens');
    return await promise;
  }
}

function isSameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return Buffer.compare(a, b) === 0;
}

function checkEntries(found: readonly Entry[], expected: readonly Entry[]): void {
  equal(found.length, expected.length, 'as many entries');
  for (const [index, entry] of found.entries()) {
    assert(isSame(entry, expected[index]), `${entry.key} is as in the model`);
  }
}

async function runWorld(
  seed: number,
  makeGround: (random: Random, clock: VirtualClock) => Ground,
): Promise<void> {
  const random = seededRandom(seed);
  const clock = new VirtualClock();
  const ground = makeGround(random, clock);
  await new World(ground, random, clock, await ground.open(clock)).run(60);
}

function diskGround(disk: FaultyDisk): Ground {
  return {
    disk,
    open: async (clock) =>
      await openStoreOver({ clock, log: silentLog }, { ...limits, backing: disk.connect() }),
  };
}

function someRates(random: Random): FaultRates {
  const failRate = random.integer(2) === 0 ? 0 : 0.2;
  return { delayMsMax: random.integer(6), failRate, lingerRate: 0.5 };
}

const seed = Number(process.env['CORACLE_SEED'] ?? 1);
const iterations = Number(process.env['CORACLE_FUZZ_ITERATIONS'] ?? 40);

async function repeat(run: (seed: number) => Promise<void>, times: number): Promise<void> {
  for (let iteration = 0; iteration < times; iteration++) {
    try {
      await run(seed + iteration);
    } catch (error) {
      throw new Error(`CORACLE_SEED=${seed + iteration} CORACLE_FUZZ_ITERATIONS=1 repeats it`, {
        cause: error,
      });
    }
  }
}

test(`a store over a bad disk agrees with the model (seed ${seed})`, async () => {
  await repeat(
    async (each) =>
      await runWorld(each, (random, clock) =>
        diskGround(new FaultyDisk({ clock, random }, someRates(random))),
      ),
    iterations,
  );
});

test(`a store in memory agrees with the model (seed ${seed})`, async () => {
  const ground: Ground = {
    disk: undefined,
    open: async (clock) => openMemoryStore({ clock }, limits),
  };
  await repeat(async (each) => await runWorld(each, () => ground), Math.ceil(iterations / 4));
});

/** Forgets an acknowledged row now and then. */
class LosingDisk extends FaultyDisk {
  override store(batch: Batch): void {
    const isLost = this.random.integer(10) === 0;
    super.store(isLost ? { ...batch, rows: batch.rows.slice(1) } : batch);
  }
}

test('canary: a disk that loses what it acknowledged is noticed', async () => {
  const rates = { delayMsMax: 2, failRate: 0, lingerRate: 0.5 };
  await rejects(
    repeat(
      async (each) =>
        await runWorld(each, (random, clock) =>
          diskGround(new LosingDisk({ clock, random }, rates)),
        ),
      20,
    ),
  );
});

test('canary: a store that overlooks what is expected is noticed', async () => {
  const open = async (clock: VirtualClock): Promise<Store> => {
    const store = openMemoryStore({ clock }, limits);
    const put = store.put.bind(store);
    store.put = (write) => put({ ...write, expect: 'any' });
    return store;
  };
  await rejects(repeat(async (each) => await runWorld(each, () => ({ disk: undefined, open })), 5));
});
