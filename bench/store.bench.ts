/**
 * The store's own figures: writes per second with 1, 16 and 64 writers in a closed loop, beside the
 * barest thing that could do it (a thread with SQLite that is sent plain objects and keeps a map);
 * what a list of 10,000 entries costs, how long loading takes, and memory per object of 1 KiB.
 * `npm run bench -- store`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { openMemoryStore, openSqliteStore, type Store } from '#store';

const clock = systemClock();
const valueBytes = 1024;

interface Sizes {
  readonly writeMs: number;
  readonly rounds: number;
  readonly objects: number;
}

export default async function run({ small }: { readonly small: boolean }): Promise<void> {
  const sizes = small
    ? { writeMs: 120, rounds: 2, objects: 20_000 }
    : { writeMs: 1000, rounds: 4, objects: 100_000 };
  const folder = mkdtempSync(join(tmpdir(), 'coracle-bench-store-'));
  try {
    await measureLists(sizes);
    await measureWrites(folder, sizes);
    await measureLoad(folder, sizes);
    await measureBackup(folder, sizes);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What writers notice of a copy that is made meanwhile. */
async function measureBackup(folder: string, sizes: Sizes): Promise<void> {
  await using store = await openSqliteStore(
    { clock, log: silentLog },
    { file: join(folder, 'copied.db') },
  );
  const put: Put = async (key, value) => await store.put({ key, value, expect: 'any' });
  const value = new Uint8Array(valueBytes);
  await Promise.all(
    Array.from({ length: sizes.objects }, (_, index) => put(`/base/${index}`, value)),
  );
  const [alone, meanwhile] = [new Latencies(), new Latencies()];
  await closedLoop(put, { writers: 16, forMs: sizes.writeMs, round: 0, into: alone });
  const startMs = clock.monotonic();
  let tookMs = 0;
  const copying = store.backup(join(folder, 'copy.db')).then((copied) => {
    tookMs = clock.monotonic() - startMs;
    return copied;
  });
  await closedLoop(put, { writers: 16, forMs: sizes.writeMs, round: 1, into: meanwhile });
  const { bytes } = await copying;
  const ratio = (meanwhile.perSecond / alone.perSecond).toFixed(2);
  print(
    `copy of ${(bytes / 1e6).toFixed(0)} MB in ${tookMs.toFixed(0)} ms`,
    `puts meanwhile ${meanwhile} (without: ${alone}, ratio ${ratio})`,
  );
}

type Put = (key: string, value: Uint8Array) => Promise<unknown>;

/** Store and prototype take turns, so that what else the machine does hits both. */
async function measureWrites(folder: string, sizes: Sizes): Promise<void> {
  const file = join(folder, 'writes.db');
  await using store = await openSqliteStore({ clock, log: silentLog }, { file });
  await using bare = new BareLog(join(folder, 'bare.db'));
  const put: Put = async (key, value) => await store.put({ key, value, expect: 'any' });
  const barePut: Put = async (key, value) => await bare.put(key, value);
  for (const writers of [1, 16, 64]) {
    const own = new Latencies();
    const other = new Latencies();
    for (let round = 0; round < sizes.rounds; round++) {
      await closedLoop(put, { writers, forMs: sizes.writeMs, round, into: own });
      await closedLoop(barePut, { writers, forMs: sizes.writeMs, round, into: other });
    }
    const ratio = (own.perSecond / other.perSecond).toFixed(2);
    print(
      `put, ${writers} writers`,
      `${own} (bare: ${Math.round(other.perSecond)}/s, ratio ${ratio})`,
    );
  }
}

class Latencies {
  readonly #each: number[] = [];
  #totalMs = 0;

  add(ms: number): void {
    this.#each.push(ms);
  }

  addTime(ms: number): void {
    this.#totalMs += ms;
  }

  get perSecond(): number {
    return (1000 * this.#each.length) / this.#totalMs;
  }

  toString(): string {
    const sorted = this.#each.toSorted((a, b) => a - b);
    const at = (share: number): string =>
      (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(2);
    return `${Math.round(this.perSecond)}/s, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`;
  }
}

async function closedLoop(
  put: Put,
  options: { writers: number; forMs: number; round: number; into: Latencies },
): Promise<void> {
  const { writers, forMs, round, into } = options;
  const startMs = clock.monotonic();
  const runWriter = async (writer: number): Promise<void> => {
    for (let count = 0; clock.monotonic() - startMs < forMs; count++) {
      const atMs = clock.monotonic();
      await put(`/registry/configmaps/w${writers}-${writer}/r${round}-${count}`, someValue(count));
      into.add(clock.monotonic() - atMs);
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, writer) => runWriter(writer)));
  into.addTime(clock.monotonic() - startMs);
}

async function measureLists({ objects }: Sizes): Promise<void> {
  const before = memory();
  await using store = openMemoryStore({ clock });
  await fill(store, objects);
  const each = (memory() - before) / objects;
  print('memory per object of 1 KiB', `${Math.round(each)} bytes`);
  const listed = 10_000;
  const list = (): number =>
    store.list({ prefix: '/registry/configmaps/', limit: listed }).revision;
  list();
  const startMs = clock.monotonic();
  const times = 20;
  for (let index = 0; index < times; index++) list();
  print(`list of ${listed}`, `${((clock.monotonic() - startMs) / times).toFixed(2)} ms`);
  const getMs = clock.monotonic();
  for (let index = 0; index < objects; index++) store.get(keyOf(index));
  print('get', `${Math.round((1000 * objects) / (clock.monotonic() - getMs))}/s`);
}

async function measureLoad(folder: string, { objects }: Sizes): Promise<void> {
  const file = join(folder, 'load.db');
  const open = async () => await openSqliteStore({ clock, log: silentLog }, { file });
  const first = await open();
  await fill(first, objects);
  await first[Symbol.asyncDispose]();
  const startMs = clock.monotonic();
  await using again = await open();
  const ms = clock.monotonic() - startMs;
  print(`opening with ${again.count('')} objects`, `${Math.round(ms)} ms`);
}

async function fill(store: Store, objects: number): Promise<void> {
  const together = 1000;
  for (let from = 0; from < objects; from += together) {
    const puts = Array.from({ length: together }, (_, index) =>
      store.put({ key: keyOf(from + index), value: someValue(index), expect: 'absent' }),
    );
    await Promise.all(puts);
  }
}

/** Keys come in no order, as names of pods do. */
function keyOf(index: number): string {
  return `/registry/configmaps/default/cm-${(index * 7919) % 1_000_003}`;
}

function someValue(index: number): Uint8Array {
  return new Uint8Array(valueBytes).fill(index);
}

function memory(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function print(what: string, figure: string): void {
  console.log(`  ${what.padEnd(34)} ${figure}`);
}

/** One thread, one table, one message of plain objects per commit; nothing is checked. */
class BareLog implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #map = new Map<string, Uint8Array>();
  #batch: { k: string; v: Uint8Array; r: number }[] = [];
  #waiting: (() => void)[] = [];
  #underWay: (() => void)[] | undefined;
  #revision = 0;

  constructor(file: string) {
    this.#worker = new Worker(bareProgram, { eval: true, workerData: { file } });
    this.#worker.on('message', () => {
      const done = this.#underWay ?? [];
      this.#underWay = undefined;
      for (const resolve of done) resolve();
      this.#flush();
    });
  }

  put(key: string, value: Uint8Array): Promise<void> {
    this.#revision += 1;
    this.#batch.push({ k: key, v: value, r: this.#revision });
    return new Promise((resolve) => {
      this.#waiting.push(() => {
        this.#map.set(key, value);
        resolve();
      });
      queueMicrotask(() => this.#flush());
    });
  }

  #flush(): void {
    if (this.#underWay !== undefined || this.#batch.length === 0) return;
    this.#underWay = this.#waiting;
    const batch = this.#batch;
    this.#batch = [];
    this.#waiting = [];
    this.#worker.postMessage(batch);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }
}

const bareProgram = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { DatabaseSync } = require('node:sqlite');
  const db = new DatabaseSync(workerData.file);
  db.exec('pragma journal_mode=wal; pragma synchronous=full');
  db.exec('create table kv(k text primary key, v blob, r integer) without rowid');
  const insert = db.prepare('insert or replace into kv values (?, ?, ?)');
  parentPort.on('message', (batch) => {
    db.exec('begin');
    for (const { k, v, r } of batch) insert.run(k, v, r);
    db.exec('commit');
    parentPort.postMessage(batch.length);
  });
`;
