/**
 * The durable store keeps the contract, on a real disk, and its file is only opened when it may be:
 * one process at a time, only Coracle's own, only formats that this version knows.
 */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { silentLog } from '#kit/log.ts';
import { settle, VirtualClock } from '#kit/virtual-clock.ts';
import { applicationId, formatVersion, openFile } from './sqlite-file.ts';
import {
  Bench,
  bytes,
  durableContract,
  type Harness,
  pairs,
  Record,
  storeContract,
  text,
} from './store.contract.ts';
import { type Expectation, openSqliteStore, StoreRefused, StoreUnavailable } from './store.ts';

function temporaryFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'coracle-store-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

async function openHarness(): Promise<Harness & { readonly file: string }> {
  const folder = temporaryFolder();
  const file = join(folder.path, 'deep', 'state.db');
  return {
    file,
    open: async ({ clock, again: _, ...limits }) =>
      await openSqliteStore({ clock, log: silentLog }, { file, ...limits }),
    done: async (promise) => await promise,
    tick: settle,
    close: async () => folder.remove(),
  };
}

storeContract('sqlite', openHarness);
durableContract('sqlite', openHarness);

/** A test with a store in a file that is removed afterwards. */
function fileTest(name: string, body: (bench: Bench, file: string) => Promise<void>): void {
  test(name, async () => {
    const clock = new VirtualClock();
    const harness = await openHarness();
    try {
      const bench = new Bench(clock, harness, await harness.open({ clock }));
      try {
        await body(bench, harness.file);
      } finally {
        await bench.store[Symbol.asyncDispose]();
      }
    } finally {
      await harness.close();
    }
  });
}

/** What a program sees that opens the file by itself. */
function query(file: string, sql: string): readonly unknown[] {
  const database = new DatabaseSync(file);
  try {
    return database.prepare(sql).all();
  } finally {
    database.close();
  }
}

function make(file: string, sql: string): void {
  const database = new DatabaseSync(file);
  database.exec(sql);
  database.close();
}

const openAt = async (file: string) =>
  await openSqliteStore({ clock: new VirtualClock(), log: silentLog }, { file });

fileTest('keys and values lie in one file that only its owner reads', async (bench, file) => {
  await bench.put('/registry/configmaps/default/a', '{"kind":"ConfigMap"}');
  for (const name of readdirSync(join(file, '..'))) {
    equal(statSync(join(file, '..', name)).mode & 0o777, 0o600, name);
  }
  await bench.store[Symbol.asyncDispose]();
  deepEqual(readdirSync(join(file, '..')), ['state.db']);
  const rows = query(file, 'select key, cast(value as text) as value, revision from log');
  deepEqual(
    rows.map((row) => ({ ...(row as object) })),
    [{ key: '/registry/configmaps/default/a', value: '{"kind":"ConfigMap"}', revision: 1 }],
  );
});

fileTest('a second one on the same file is refused', async (bench, file) => {
  await rejects(openAt(file), (error: unknown) => {
    ok(error instanceof StoreRefused);
    match(error.message, /state\.db is in use by another process/);
    return true;
  });
  ok((await bench.put('/a', '1')) > 0);
});

test('what is not a store of ours is refused and left as it is', async () => {
  const folder = temporaryFolder();
  try {
    const foreign = join(folder.path, 'foreign.db');
    make(foreign, 'create table theirs (a); insert into theirs values (1)');
    await rejects(openAt(foreign), { name: 'StoreRefused', message: /not one of Coracle's/ });
    equal(query(foreign, 'select * from theirs').length, 1);
    const noDatabase = join(folder.path, 'text.db');
    writeFileSync(noDatabase, 'this is only text, and long enough for a header\n'.repeat(40));
    await rejects(openAt(noDatabase), { name: 'StoreRefused', message: /not a database/ });
    deepEqual(readdirSync(folder.path).sort(), ['foreign.db', 'text.db']);
  } finally {
    folder.remove();
  }
});

test('a newer format is refused, and both versions are named', async () => {
  const folder = temporaryFolder();
  try {
    const file = join(folder.path, 'state.db');
    await (await openAt(file))[Symbol.asyncDispose]();
    make(file, `pragma user_version = ${formatVersion + 1}`);
    await rejects(openAt(file), {
      name: 'StoreRefused',
      message: new RegExp(`has format ${formatVersion + 1}; .* up to ${formatVersion}`),
    });
    equal(existsSync(`${file}.format-${formatVersion + 1}`), false);
  } finally {
    folder.remove();
  }
});

const format1 = `
  create table entries (
    key text primary key, value blob not null, revision integer not null,
    create_revision integer not null, expires_ms integer not null
  ) without rowid;
  create table meta (name text primary key, number integer not null) without rowid;
  insert into meta values ('revision', 41);
  insert into entries values ('/b', x'62', 12, 7, 0), ('/a', x'61', 40, 40, 0),
    ('/ending', x'65', 30, 30, ${Date.UTC(2026, 0, 1) + 5000});
  pragma application_id = ${applicationId};
  pragma user_version = 1;
`;

test('an older format is migrated, and a copy of the file is kept', async () => {
  const folder = temporaryFolder();
  const harness = await openHarness();
  try {
    const file = join(folder.path, 'state.db');
    make(file, format1);
    const clock = new VirtualClock();
    const store = await openSqliteStore({ clock, log: silentLog }, { file });
    deepEqual(pairs(store.list({ prefix: '' })), ['/a=a', '/b=b', '/ending=e']);
    deepEqual([store.get('/b')?.revision, store.get('/b')?.createRevision], [12, 7]);
    deepEqual([store.revision, store.oldestRevision], [41, 41]);
    equal(store.watch({ prefix: '', afterRevision: 40 }, new Record()), undefined);
    const written = await store.put({ key: '/a', value: bytes('A'), expect: { revision: 40 } });
    deepEqual(written, { ok: true, revision: 42 });
    const bench = new Bench(clock, harness, store);
    await clock.advance(6000);
    await bench.until(() => store.get('/ending') === undefined);
    await store[Symbol.asyncDispose]();
    const copy = `${file}.format-1`;
    equal(statSync(copy).mode & 0o777, 0o600);
    deepEqual(readdirSync(folder.path).sort(), ['state.db', 'state.db.format-1']);
    equal(query(copy, 'select * from entries').length, 3);
    const again = await openAt(file);
    equal(text(again.get('/a')?.value), 'A');
    await again[Symbol.asyncDispose]();
  } finally {
    await harness.close();
    folder.remove();
  }
});

test('a migration that cannot be finished changes nothing', async () => {
  const folder = temporaryFolder();
  try {
    const file = join(folder.path, 'state.db');
    make(file, `${format1}; create table log (in_the_way);`);
    await rejects(openAt(file), /log already exists/);
    equal(query(file, 'select * from entries').length, 3);
    equal(query(file, "select * from meta where name = 'revision'").length, 1);
  } finally {
    folder.remove();
  }
});

test('a full file refuses writes, keeps what it has, and recovers', async () => {
  const folder = temporaryFolder();
  const clock = new VirtualClock();
  const file = join(folder.path, 'state.db');
  const open = async () =>
    await openSqliteStore({ clock, log: silentLog }, { file, fileBytesMax: 512 * 1024 });
  try {
    let store = await open();
    const put = async (index: number) =>
      await store.put({ key: '/a', value: new Uint8Array(8192).fill(index), expect: 'any' });
    let stored = 0;
    await rejects(async () => {
      for (;;) {
        await put(stored + 1);
        stored += 1;
      }
    }, StoreUnavailable);
    ok(stored > 20 && stored < 255);
    const { revision } = store;
    equal(store.get('/a')?.value[0], stored);
    await rejects(put(0), StoreUnavailable);
    await store[Symbol.asyncDispose]();
    store = await open();
    deepEqual([store.get('/a')?.value[0], store.get('/a')?.revision], [stored, revision]);
    await store.compact(store.revision);
    const after = await put(255);
    ok(after.ok && after.revision > revision + 2, 'the numbers of refused writes are spent');
    equal(store.get('/a')?.value[0], 255);
    await store[Symbol.asyncDispose]();
  } finally {
    folder.remove();
  }
});

fileTest('a larger log is loaded whole', async (bench) => {
  const value = (index: number) => bytes(`${index}`.padEnd((index * 37) % 3000, 'x'));
  const keys = Array.from({ length: 3000 }, (_, index) => `/k/${(index * 7919) % 3001}`);
  await Promise.all(
    keys.map((key, index) => bench.store.put({ key, value: value(index), expect: 'absent' })),
  );
  await bench.reopen();
  equal(bench.store.count('/k/'), keys.length);
  for (const [index, key] of keys.entries()) deepEqual(bench.store.get(key)?.value, value(index));
});

test('compaction of many rows goes on in steps, with writes in between', async () => {
  const folder = temporaryFolder();
  try {
    const file = join(folder.path, 'state.db');
    const clock = new VirtualClock();
    const store = await openSqliteStore({ clock, log: silentLog }, { file });
    const put = (index: number) =>
      store.put({ key: `/k/${index % 10}`, value: bytes(`${index}`), expect: 'any' });
    await Promise.all(Array.from({ length: 9000 }, (_, index) => put(index)));
    const done: string[] = [];
    const compacting = store.compact(store.revision).then(() => done.push('compacted'));
    await put(9000).then(() => done.push('written'));
    await compacting;
    deepEqual(done, ['written', 'compacted']);
    await store[Symbol.asyncDispose]();
    const [row] = query(file, 'select count(*) as number from log');
    deepEqual({ ...(row as object) }, { number: 11 });
  } finally {
    folder.remove();
  }
});

test('the file stays locked for as long as it is open', () => {
  const folder = temporaryFolder();
  try {
    const options = { file: join(folder.path, 'state.db'), fileBytesMax: 1024 * 1024 };
    const database = openFile(options);
    let refusal: unknown;
    try {
      openFile(options);
    } catch (error) {
      refusal = error;
    }
    ok(refusal instanceof StoreRefused);
    database.close();
    openFile(options).close();
  } finally {
    folder.remove();
  }
});

test('when the thread of the database ends, another one takes its place', async () => {
  const folder = temporaryFolder();
  const workers: Worker[] = [];
  const onWorker = (worker: Worker): void => {
    workers.push(worker);
  };
  process.on('worker', onWorker);
  try {
    const file = join(folder.path, 'state.db');
    await using store = await openAt(file);
    const put = (key: string, value: string, expect: Expectation = 'any') =>
      store.put({ key, value: bytes(value), expect });
    ok((await put('/a', '0')).ok);
    const kept = new Map([['/a', '0']]);
    const lost: string[] = [];
    for (let round = 1; lost.length < 6; round++) {
      ok(round <= 100, 'a thread that ends takes writes with it');
      const [over, fresh] = ['/a', `/b/${round}`] as const;
      const value = String(round);
      const writing = Promise.allSettled([put(over, value), put(fresh, value)]);
      await Promise.resolve();
      await workers.at(-1)?.terminate();
      for (const [index, result] of (await writing).entries()) {
        const key = index === 0 ? over : fresh;
        // The thread may have been quicker than its end: what was acknowledged stays.
        if (result.status === 'fulfilled') {
          kept.set(key, value);
          continue;
        }
        ok(result.reason instanceof StoreUnavailable);
        lost.push(key);
      }
      ok((await put(`/c/${round}`, 'kept', 'absent')).ok);
      kept.set(`/c/${round}`, 'kept');
      equal(workers.length, 1 + round);
    }
    const keys = [...kept.keys()].toSorted();
    const expected = keys.map((key) => `${key}=${kept.get(key)}`);
    deepEqual(pairs(store.list({ prefix: '' })), expected);
    await store[Symbol.asyncDispose]();
    await using again = await openAt(file);
    deepEqual(pairs(again.list({ prefix: '' })), expected);
    equal(again.revision, store.revision);
  } finally {
    process.off('worker', onWorker);
    folder.remove();
  }
});
