/**
 * What every store must do, whatever is below it. `storeContract` is for all of them,
 * `durableContract` for those that can be opened again. Each test file brings a `Harness` that says
 * how its store is opened; time is virtual throughout, and nothing here waits for the real one.
 */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import { present } from '#kit/assert.ts';
import { settle, VirtualClock } from '#kit/virtual-clock.ts';
import {
  type Expectation,
  type Limits,
  type ListResult,
  type Store,
  type StoreEvent,
  StoreUnavailable,
  ValueTooLarge,
  type Watch,
} from './store.ts';

export interface Harness {
  /** A store; `again` opens the one that was opened before and has been closed. */
  open(options: Partial<Limits> & { clock: VirtualClock; again?: boolean }): Promise<Store>;
  /** Waits for what a store promised, moving virtual time where its log needs that. */
  done<T>(promise: PromiseLike<T>): Promise<T>;
  /** Lets what is under way go on a little. */
  tick(): Promise<void>;
  close(): Promise<void>;
}

export type OpenHarness = (clock: VirtualClock) => Promise<Harness>;

export const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
export const text = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : Buffer.from(value).toString();

/** A store in a test, with short words for what tests do most. */
export class Bench {
  readonly clock: VirtualClock;
  readonly harness: Harness;
  store: Store;

  constructor(clock: VirtualClock, harness: Harness, store: Store) {
    this.clock = clock;
    this.harness = harness;
    this.store = store;
  }

  done<T>(promise: PromiseLike<T>): Promise<T> {
    return this.harness.done(promise);
  }

  /** Puts and says the revision; 0 when it was refused. */
  async put(key: string, value: string, expect: Expectation = 'any', ttlMs?: number) {
    const result = await this.done(this.store.put({ key, value: bytes(value), expect, ttlMs }));
    return result.ok ? result.revision : 0;
  }

  async delete(key: string, expect: Expectation = 'any'): Promise<number> {
    const result = await this.done(this.store.delete({ key, expect }));
    return result.ok ? result.revision : 0;
  }

  /** Lets what is under way go on until something has happened. */
  async until(condition: () => boolean): Promise<void> {
    for (let turn = 0; turn < 200_000 && !condition(); turn++) await this.harness.tick();
    ok(condition(), 'what was waited for has happened');
  }

  async reopen(options: Partial<Limits> = {}): Promise<void> {
    await this.done(this.store[Symbol.asyncDispose]());
    this.store = await this.harness.open({ ...options, clock: this.clock, again: true });
  }
}

/** Everything a watch was told, in words. */
export class Record {
  readonly events: StoreEvent[] = [];
  readonly lines: string[] = [];
  progress = 0;
  ended: string | undefined;
  watch: Watch | undefined;

  static open(store: Store, afterRevision: number, prefix = ''): Record {
    const record = new Record();
    record.watch = store.watch({ prefix, afterRevision }, record);
    return record;
  }

  onEvents(events: readonly StoreEvent[]): void {
    for (const event of events) {
      this.events.push(event);
      this.lines.push(describe(event));
    }
  }

  onProgress(revision: number): void {
    this.progress = revision;
  }

  onEnd(reason: string): void {
    this.ended = reason;
  }
}

/** `put a=2 (1@4)`: a is 2 now and was 1, written at revision 4. */
function describe(event: StoreEvent): string {
  const { type, key, value, previous } = event;
  const now = value === undefined ? '' : `=${text(value)}`;
  const was = previous === undefined ? '' : ` (${text(previous.value)}@${previous.revision})`;
  return `${type} ${key}${now}${was}`;
}

export function pairs(result: ListResult): readonly string[] {
  ok(result.ok, 'the list succeeds');
  return result.entries.map(({ key, value }) => `${key}=${text(value)}`);
}

type Body = (bench: Bench) => Promise<void>;

function contractTest(name: string, openHarness: OpenHarness) {
  return (title: string, options: Partial<Limits>, body: Body): void => {
    test(`${name}: ${title}`, async () => {
      const clock = new VirtualClock();
      const harness = await openHarness(clock);
      try {
        const bench = new Bench(clock, harness, await harness.open({ ...options, clock }));
        await body(bench);
        await harness.done(bench.store[Symbol.asyncDispose]());
      } finally {
        await harness.close();
      }
    });
  };
}

export function storeContract(name: string, openHarness: OpenHarness): void {
  const it = contractTest(name, openHarness);
  writes(it);
  concurrentWrites(it);
  lists(it);
  watches(it);
  history(it);
  deadlines(it);
  bounds(it);
}

type It = ReturnType<typeof contractTest>;

function writes(it: It): void {
  it('a write has a revision of its own, a key one of its making', {}, async (bench) => {
    const first = await bench.put('/a', '1');
    const second = await bench.put('/a', '2');
    const third = await bench.put('/b', '3');
    ok(first > 0 && second > first && third > second);
    equal(bench.store.revision, third);
    const entry = present(bench.store.get('/a'), 'a was put');
    deepEqual(
      [entry.key, text(entry.value), entry.revision, entry.createRevision],
      ['/a', '2', second, first],
    );
    const gone = await bench.delete('/a');
    ok(gone > third);
    equal(bench.store.get('/a'), undefined);
    const again = await bench.put('/a', '4');
    equal(bench.store.get('/a')?.createRevision, again);
  });

  it('a write that expects something else is refused and told what is there', {}, async (bench) => {
    const { store } = bench;
    const first = await bench.put('/a', '1', 'absent');
    equal(await bench.put('/a', '2', 'absent'), 0);
    equal(await bench.put('/a', '2', { revision: first + 1000 }), 0);
    equal(await bench.put('/none', '2', { revision: first }), 0);
    equal(await bench.delete('/a', { revision: first + 1000 }), 0);
    const refused = await bench.done(
      store.put({ key: '/a', value: bytes('2'), expect: { revision: first + 1 } }),
    );
    ok(!refused.ok);
    equal(text(refused.current?.value), '1');
    deepEqual(await bench.done(store.delete({ key: '/none', expect: 'any' })), {
      ok: false,
      current: undefined,
    });
    const second = await bench.put('/a', '2', { revision: first });
    ok(second > first);
    ok((await bench.delete('/a', { revision: second })) > second);
  });

  it('keys may be any text and values any bytes, also none', {}, async (bench) => {
    const every = Uint8Array.from({ length: 256 }, (_, index) => index);
    await bench.done(bench.store.put({ key: '/ü/Ω/日', value: every, expect: 'absent' }));
    await bench.done(bench.store.put({ key: '/empty', value: bytes(''), expect: 'absent' }));
    deepEqual([...present(bench.store.get('/ü/Ω/日'), 'it was put').value], [...every]);
    equal(bench.store.get('/empty')?.value.byteLength, 0);
  });

  it('a value that is part of a larger buffer is copied out of it', {}, async (bench) => {
    const large = bytes('0123456789');
    await bench.done(bench.store.put({ key: '/a', value: large.subarray(2, 5), expect: 'any' }));
    large.fill(0);
    const entry = present(bench.store.get('/a'), 'a was put');
    equal(text(entry.value), '234');
    equal(entry.value.buffer.byteLength, 3);
  });
}

function concurrentWrites(it: It): void {
  it('nothing shows before its commit', {}, async (bench) => {
    const { store } = bench;
    const before = store.revision;
    const record = Record.open(store, before);
    const promise = store.put({ key: '/a', value: bytes('1'), expect: 'any' });
    deepEqual([store.get('/a'), store.revision, store.count('')], [undefined, before, 0]);
    await bench.done(promise);
    equal(text(store.get('/a')?.value), '1');
    await settle();
    deepEqual(record.lines, ['put /a=1']);
  });

  it('of many that want to make one key, one does', {}, async (bench) => {
    const { store } = bench;
    const results = await bench.done(
      Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          store.put({ key: '/a', value: bytes(`${index}`), expect: 'absent' }),
        ),
      ),
    );
    deepEqual(
      results.map((result) => result.ok),
      results.map((_, index) => index === 0),
    );
    for (const result of results) {
      if (!result.ok) equal(text(result.current?.value), '0');
    }
  });

  it('writes of one key take effect in the order in which they came', {}, async (bench) => {
    const { store } = bench;
    const record = Record.open(store, store.revision);
    const put = (value: string, expect: Expectation) =>
      store.put({ key: '/a', value: bytes(value), expect });
    const results = await bench.done(
      Promise.all([
        put('1', 'any'),
        store.delete({ key: '/a', expect: 'any' }),
        put('2', 'absent'),
        put('3', 'absent'),
        put('4', 'any'),
        store.delete({ key: '/a', expect: { revision: 1_000_000_000 } }),
      ]),
    );
    deepEqual(
      results.map((result) => result.ok),
      [true, true, true, false, true, false],
    );
    const revisions = results.flatMap((result) => (result.ok ? [result.revision] : []));
    deepEqual(
      revisions,
      revisions.toSorted((a, b) => a - b),
    );
    await settle();
    deepEqual(
      record.lines.map((line) => line.replace(/@\d+/, '')),
      ['put /a=1', 'delete /a (1)', 'put /a=2', 'put /a=4 (2)'],
    );
  });

  it('many writes at once all arrive', { batchWritesMax: 7 }, async (bench) => {
    const { store } = bench;
    const count = 100;
    const results = await bench.done(
      Promise.all(
        Array.from({ length: count }, (_, index) =>
          store.put({ key: `/k/${index}`, value: bytes(`${index}`), expect: 'absent' }),
        ),
      ),
    );
    const revisions = new Set(results.map((result) => (result.ok ? result.revision : 0)));
    equal(revisions.size, count);
    equal(store.count('/k/'), count);
  });

  it('the writer hears of its write before the watches do', {}, async (bench) => {
    const order: string[] = [];
    const watch = bench.store.watch(
      { prefix: '', afterRevision: bench.store.revision },
      { onEvents: () => order.push('watch'), onEnd: () => {} },
    );
    ok(watch !== undefined);
    const writing = bench.store
      .put({ key: '/a', value: bytes('1'), expect: 'any' })
      .then(() => order.push('writer'));
    await bench.done(writing);
    await settle();
    deepEqual(order, ['writer', 'watch']);
  });
}

function lists(it: It): void {
  it('a list is in order of key, under its prefix, page by page', {}, async (bench) => {
    const { store } = bench;
    for (const key of ['/b/2', '/a/1', '/b/10', '/c', '/b/1', '/b', '/b0']) {
      await bench.put(key, 'x');
    }
    const keys = (options: Parameters<Store['list']>[0]) =>
      store.list(options).entries.map(({ key }) => key);
    deepEqual(keys({ prefix: '/b/' }), ['/b/1', '/b/10', '/b/2']);
    deepEqual(keys({ prefix: '' }), ['/a/1', '/b', '/b/1', '/b/10', '/b/2', '/b0', '/c']);
    deepEqual(keys({ prefix: '/b/', after: '/b/1' }), ['/b/10', '/b/2']);
    deepEqual(keys({ prefix: '/b/', after: '/a' }), ['/b/1', '/b/10', '/b/2']);
    deepEqual(keys({ prefix: '/b/', after: '/c' }), []);
    deepEqual(keys({ prefix: '/b/', after: '/b/11' }), ['/b/2']);
    const first = store.list({ prefix: '/b/', limit: 2 });
    deepEqual([first.entries.length, first.more, first.revision], [2, true, store.revision]);
    const rest = store.list({ prefix: '/b/', limit: 2, after: first.entries[1]?.key });
    deepEqual([rest.entries.length, rest.more], [1, false]);
    equal(store.list({ prefix: '/b/', limit: 3 }).more, false);
    deepEqual([store.count('/b/'), store.count(''), store.count('/d')], [3, 7, 0]);
  });

  it('a list of an older revision shows what was then', {}, async (bench) => {
    const { store } = bench;
    await bench.put('/k/a', '1');
    await bench.put('/k/b', '1');
    const then = await bench.put('/k/c', '1');
    await bench.put('/k/b', '2');
    await bench.delete('/k/a');
    const between = await bench.put('/k/0', '2');
    await bench.put('/k/a', '3');
    await bench.delete('/k/c');
    await bench.put('/other', '9');
    const at = async (options: Omit<Parameters<Store['listAt']>[0], 'prefix'>) =>
      pairs(await bench.done(store.listAt({ prefix: '/k/', ...options })));
    deepEqual(await at({ revision: then }), ['/k/a=1', '/k/b=1', '/k/c=1']);
    deepEqual(await at({ revision: between }), ['/k/0=2', '/k/b=2', '/k/c=1']);
    deepEqual(await at({ revision: store.revision }), ['/k/0=2', '/k/a=3', '/k/b=2']);
    deepEqual(await at({ revision: then, limit: 2 }), ['/k/a=1', '/k/b=1']);
    deepEqual(await at({ revision: then, limit: 2, after: '/k/b' }), ['/k/c=1']);
    const page = await bench.done(store.listAt({ prefix: '/k/', revision: then, limit: 2 }));
    ok(page.ok && page.more && page.revision === then);
    const future = await bench.done(store.listAt({ prefix: '', revision: store.revision + 1 }));
    ok(!future.ok && future.reason === 'future');
  });
}

function watches(it: It): void {
  it('a watch gives history, then what comes, once each', {}, async (bench) => {
    const { store } = bench;
    const first = await bench.put('/k/a', '1');
    const second = await bench.put('/k/a', '2');
    await bench.put('/other', 'x');
    const all = Record.open(store, first);
    const some = Record.open(store, first, '/k/');
    const none = Record.open(store, store.revision);
    deepEqual(all.lines, [], 'nothing is delivered inside the call');
    const deleted = await bench.delete('/k/a');
    await settle();
    const lines = [`put /k/a=2 (1@${first})`, 'put /other=x', `delete /k/a (2@${second})`];
    deepEqual(all.lines, lines);
    deepEqual(some.lines, [lines[0], lines[2]]);
    deepEqual(none.lines, [lines[2]]);
    deepEqual([all.progress, some.progress, none.progress], [deleted, deleted, deleted]);
    await bench.put('/other', 'y');
    await settle();
    deepEqual([some.lines.length, some.progress], [2, store.revision]);
  });

  it('a watch that was cancelled hears nothing more', {}, async (bench) => {
    const record = Record.open(bench.store, bench.store.revision);
    await bench.put('/a', '1');
    await settle();
    present(record.watch, 'the watch is open').cancel();
    await bench.put('/a', '2');
    await settle();
    deepEqual([record.lines, record.ended], [['put /a=1'], undefined]);
  });

  it('a watch may be cancelled and opened from inside a call', {}, async (bench) => {
    const { store } = bench;
    let inner: Record | undefined;
    const seen: number[] = [];
    const outer = store.watch(
      { prefix: '', afterRevision: store.revision },
      {
        onEvents: (events) => {
          seen.push(events.length);
          outer?.cancel();
          inner = Record.open(store, (events[0]?.revision ?? 0) - 1);
        },
        onProgress: () => seen.push(-1),
        onEnd: () => {},
      },
    );
    await bench.put('/a', '1');
    await bench.put('/b', '2');
    await settle();
    equal(seen.at(-1), 1, 'cancelled within onEvents, so no progress');
    deepEqual(inner?.lines, ['put /a=1', 'put /b=2']);
  });

  it('closing ends the watches, after what was still written', {}, async (bench) => {
    const record = Record.open(bench.store, bench.store.revision);
    const writing = bench.store.put({ key: '/a', value: bytes('1'), expect: 'any' });
    await bench.done(bench.store[Symbol.asyncDispose]());
    ok((await writing).ok);
    equal(record.ended, 'closed');
    const late = Record.open(bench.store, bench.store.revision);
    await settle();
    equal(late.ended, 'closed', 'a watch of a closed store ends at once');
    await rejects(
      bench.store.put({ key: '/a', value: bytes('1'), expect: 'any' }),
      StoreUnavailable,
    );
  });
}

function history(it: It): void {
  it('compaction forgets the past and nothing else', {}, async (bench) => {
    const { store } = bench;
    const first = await bench.put('/a', '1');
    await bench.put('/a', '2');
    await bench.put('/b', '1');
    const third = await bench.delete('/b');
    await bench.put('/a', '3');
    await bench.done(store.compact(third));
    equal(store.oldestRevision, third);
    equal(Record.open(store, first).watch, undefined);
    const old = await bench.done(store.listAt({ prefix: '', revision: first }));
    deepEqual(old, { ok: false, reason: 'compacted', oldest: third });
    deepEqual(pairs(await bench.done(store.listAt({ prefix: '', revision: third }))), ['/a=2']);
    deepEqual(pairs(store.list({ prefix: '' })), ['/a=3']);
    const record = Record.open(store, third);
    await settle();
    equal(record.lines.length, 1);
    await bench.done(store.compact(first));
    equal(store.oldestRevision, third, 'compaction never goes back');
    await bench.done(store.compact(store.revision + 1000));
    equal(store.oldestRevision, store.revision);
  });

  it('what history gives up by itself is counted', {}, async (bench) => {
    const { store, clock } = bench;
    await bench.put('/a', 'x'.repeat(10_000));
    await bench.delete('/a');
    await clock.advance(4 * 60_000);
    const before = store.forgottenBytes;
    ok(before < 10_000, 'what was replaced is still there');
    await clock.advance(3 * 60_000);
    ok(store.forgottenBytes - before >= 10_000, 'with the value that was replaced');
  });

  it('history ends by itself after five minutes', {}, async (bench) => {
    const { store, clock } = bench;
    const first = await bench.put('/a', '1');
    await clock.advance(60_000);
    const second = await bench.put('/a', '2');
    await clock.advance(4 * 60_000);
    ok(store.oldestRevision <= first, 'younger than five minutes');
    await clock.advance(60_000);
    ok(store.oldestRevision >= first && store.oldestRevision < second);
    await clock.advance(6 * 60_000);
    await bench.until(() => store.oldestRevision >= second);
    deepEqual(pairs(store.list({ prefix: '' })), ['/a=2']);
  });

  it('more history than memory may hold', { historyBytesMax: 4096 }, async (bench) => {
    const { store } = bench;
    const first = await bench.put('/a', 'x'.repeat(1000));
    for (let index = 0; index < 40; index++) await bench.put(`/k/${index % 4}`, `${index}`);
    await bench.put('/a', 'y');
    const record = Record.open(store, first);
    const list = await bench.done(store.listAt({ prefix: '', revision: first }));
    if (store.oldestRevision > first) {
      equal(record.watch, undefined);
      equal(list.ok, false);
      return;
    }
    deepEqual(pairs(list), [`/a=${'x'.repeat(1000)}`]);
    await bench.until(() => record.progress === store.revision);
    equal(record.lines.length, 41);
    deepEqual(
      record.events.map(({ revision }) => revision),
      Array.from({ length: 41 }, (_, index) => first + 1 + index),
    );
    equal(record.lines[20], `put /k/0=20 (16@${first + 17})`);
    ok(record.lines[40]?.startsWith('put /a=y (xxx'));
  });
}

function deadlines(it: It): void {
  it('a key with a time to live is removed when it is over', {}, async (bench) => {
    const { store, clock } = bench;
    const created = await bench.put('/event', 'e', 'any', 60_000);
    await bench.put('/kept', 'k', 'any', 60_000);
    await bench.put('/kept', 'k');
    await bench.put('/renewed', 'r', 'any', 60_000);
    await clock.advance(30_000);
    await bench.put('/renewed', 'r', 'any', 60_000);
    const record = Record.open(store, store.revision);
    await clock.advance(31_000);
    await bench.until(() => store.get('/event') === undefined);
    await settle();
    deepEqual(record.lines, [`delete /event (e@${created})`]);
    equal(store.count(''), 2);
    await clock.advance(31_000);
    await bench.until(() => store.get('/renewed') === undefined);
    equal(text(store.get('/kept')?.value), 'k');
  });
}

function bounds(it: It): void {
  it('a value over the limit is refused', { valueBytesMax: 10 }, async (bench) => {
    const put = (length: number) =>
      bench.store.put({ key: '/a', value: new Uint8Array(length), expect: 'any' });
    await rejects(put(11), ValueTooLarge);
    ok((await bench.done(put(10))).ok);
  });

  it('more waiting writes than allowed are refused', { pendingWritesMax: 3 }, async (bench) => {
    const put = (index: number) =>
      bench.store.put({ key: `/${index}`, value: bytes('x'), expect: 'any' });
    const results = await bench.done(Promise.allSettled([0, 1, 2, 3, 4].map(put)));
    deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'rejected'],
    );
    ok((await bench.put('/later', 'x')) > 0);
  });

  it('waiting writes are bounded in bytes too', { pendingBytesMax: 100 }, async (bench) => {
    const put = (index: number) =>
      bench.store.put({ key: `/${index}`, value: new Uint8Array(60), expect: 'any' });
    const results = await bench.done(Promise.allSettled([0, 1, 2].map(put)));
    deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'rejected'],
    );
  });
}

export function durableContract(name: string, openHarness: OpenHarness): void {
  const it = contractTest(name, openHarness);

  it('everything is there again, and numbers go on', {}, async (bench) => {
    const first = await bench.put('/a', '1');
    await bench.put('/a', '2');
    await bench.put('/b', '1');
    const last = await bench.delete('/b');
    await bench.reopen();
    const { store } = bench;
    deepEqual(pairs(store.list({ prefix: '' })), ['/a=2']);
    deepEqual([store.get('/a')?.createRevision, store.revision], [first, last]);
    equal(await bench.put('/c', '3'), last + 1);
    equal(await bench.put('/a', '3', { revision: first + 1 }), last + 2);
  });

  it('watches and lists go on over a restart', {}, async (bench) => {
    const first = await bench.put('/a', '1');
    await bench.put('/a', '2');
    await bench.put('/b', '1');
    await bench.delete('/a');
    await bench.reopen();
    const record = Record.open(bench.store, first);
    await bench.put('/c', 'x');
    await settle();
    deepEqual(record.lines, [
      `put /a=2 (1@${first})`,
      'put /b=1',
      `delete /a (2@${first + 1})`,
      'put /c=x',
    ]);
    const then = bench.store.listAt({ prefix: '', revision: first + 2 });
    deepEqual(pairs(await bench.done(then)), ['/a=2', '/b=1']);
  });

  it('what was compacted stays forgotten', {}, async (bench) => {
    const first = await bench.put('/a', '1');
    const second = await bench.put('/a', '2');
    const third = await bench.delete('/a');
    const last = await bench.put('/b', '1');
    await bench.done(bench.store.compact(third));
    await bench.reopen();
    const { store } = bench;
    deepEqual([store.oldestRevision, store.revision], [third, last]);
    equal(Record.open(store, first).watch, undefined);
    equal(Record.open(store, second).watch, undefined);
    const record = Record.open(store, third);
    await settle();
    deepEqual(record.lines, ['put /b=1']);
    deepEqual(pairs(store.list({ prefix: '' })), ['/b=1']);
  });

  it('the newest revision survives its compaction', {}, async (bench) => {
    await bench.put('/a', '1');
    const last = await bench.delete('/a');
    await bench.done(bench.store.compact(last));
    await bench.reopen();
    equal(bench.store.revision, last);
    equal(await bench.put('/a', '1', 'absent'), last + 1);
  });

  it('deadlines go on over a restart', {}, async (bench) => {
    await bench.put('/soon', 's', 'any', 10_000);
    await bench.put('/later', 'l', 'any', 60_000);
    await bench.done(bench.store[Symbol.asyncDispose]());
    await bench.clock.advance(20_000);
    await bench.reopen();
    const { store, clock } = bench;
    equal(store.count(''), 2);
    await clock.advance(1);
    await bench.until(() => store.get('/soon') === undefined);
    equal(text(store.get('/later')?.value), 'l');
    await clock.advance(40_000);
    await bench.until(() => store.get('/later') === undefined);
  });

  it('history ages over a restart', {}, async (bench) => {
    const first = await bench.put('/a', '1');
    const second = await bench.put('/a', '2');
    await bench.clock.advance(200_000);
    await bench.reopen();
    const { store, clock } = bench;
    ok(store.oldestRevision < first);
    await clock.advance(200_000);
    await bench.until(() => store.oldestRevision >= first);
    await bench.until(() => store.oldestRevision <= second);
  });
}
