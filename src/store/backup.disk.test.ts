/**
 * Copies of a store in use and what comes back from them: a copy has every write up to one
 * revision and none behind it, whatever was written while it was made; after a restore nobody goes
 * on from a revision of before.
 */
import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLog } from '#kit/log.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { bytes, Record, text } from './store.contract.ts';
import {
  backupSqliteFile,
  openMemoryStore,
  openSqliteStore,
  restoreSqliteFile,
  type Store,
  StoreRefused,
} from './store.ts';

interface Place {
  readonly folder: string;
  readonly file: string;
  open(file?: string): Promise<Store>;
}

function placeTest(name: string, body: (place: Place) => Promise<void>): void {
  test(name, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'coracle-backup-'));
    const file = join(folder, 'db', 'state.db');
    const open = async (other = file): Promise<Store> =>
      await openSqliteStore({ clock: new VirtualClock(), log: silentLog }, { file: other });
    try {
      await body({ folder, file, open });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

function snapshot(store: Store): readonly string[] {
  return store
    .list({ prefix: '' })
    .entries.map(({ key, value, revision }) => `${key}=${text(value)?.slice(0, 12)}@${revision}`);
}

/** What the acknowledged writes up to a revision leave behind. */
function replay(
  told: readonly { key: string; value: string | undefined; revision: number }[],
  through: number,
): readonly string[] {
  const state = new Map<string, string>();
  for (const { key, value, revision } of told.toSorted((a, b) => a.revision - b.revision)) {
    if (revision > through) break;
    if (value === undefined) state.delete(key);
    else state.set(key, `${key}=${value.slice(0, 12)}@${revision}`);
  }
  return [...state].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, line]) => line);
}

placeTest('a copy made under writes is the state of one moment', async ({ folder, file, open }) => {
  await using store = await open();
  const told: { key: string; value: string | undefined; revision: number }[] = [];
  let stop = false;
  const runWriter = async (writer: number): Promise<void> => {
    for (let step = 1; !stop || step < 20; step++) {
      const key = `/w${writer}/k${step % 7}`;
      const value = step % 5 === 0 ? undefined : `${step} `.padEnd(3000, 'x');
      const result = await (value === undefined
        ? store.delete({ key, expect: 'any' })
        : store.put({ key, value: bytes(value), expect: 'any' }));
      if (result.ok) told.push({ key, value, revision: result.revision });
    }
  };
  // Enough to take many steps, so that commits and compactions fall in between.
  await Promise.all(
    Array.from({ length: 1500 }, async (_, index) => {
      const [key, value] = [`/base/${index}`, 'b'.repeat(2000)];
      const result = await store.put({ key, value: bytes(value), expect: 'absent' });
      ok(result.ok);
      told.push({ key, value, revision: result.revision });
    }),
  );
  const writing = Promise.all(Array.from({ length: 6 }, (_, writer) => runWriter(writer)));
  for (let round = 0; round < 3; round++) {
    const to = join(folder, `copy-${round}.db`);
    const before = store.revision;
    const copying = store.backup(to);
    const compacting = store.compact(store.revision);
    const { revision, bytes: size } = await copying;
    await compacting;
    ok(revision >= before, 'what was acknowledged before is in it');
    ok(store.revision > revision, 'writes went on while it was made');
    deepEqual([statSync(to).mode & 0o777, statSync(to).size], [0o600, size]);
    await using copy = await open(to);
    deepEqual(snapshot(copy), replay(told, revision));
  }
  stop = true;
  await writing;
  deepEqual(
    readdirSync(folder).filter((name) => name.endsWith('.partial')),
    [],
  );
  deepEqual(snapshot(store), replay(told, store.revision));
  ok(statSync(file).size > 0);
});

placeTest('a copy never overwrites a file and leaves nothing half', async ({ folder, open }) => {
  await using store = await open();
  await store.put({ key: '/a', value: bytes('1'), expect: 'any' });
  const taken = join(folder, 'taken.db');
  writeFileSync(taken, 'mine');
  await rejects(store.backup(taken), /taken\.db exists already/);
  equal(readFileSync(taken, 'utf8'), 'mine');
  await rejects(store.backup(join(folder, 'missing', 'copy.db')), /ENOENT/);
  deepEqual(readdirSync(folder).sort(), ['db', 'taken.db']);
  ok((await store.put({ key: '/a', value: bytes('2'), expect: 'any' })).ok);
  await store.compact(store.revision);
});

test('a store without a disk has nothing to copy', async () => {
  await using store = openMemoryStore({ clock: new VirtualClock() });
  await rejects(store.backup('/nowhere'), StoreRefused);
});

placeTest('a stopped store is copied directly, a running one is not', async (place) => {
  const { folder, file, open } = place;
  const to = join(folder, 'copy.db');
  await rejects(backupSqliteFile({ file, to }), /there is no store at/);
  const store = await open();
  await store.put({ key: '/a', value: bytes('1'), expect: 'any' });
  await rejects(backupSqliteFile({ file, to }), /in use by another process/);
  await store[Symbol.asyncDispose]();
  const { revision } = await backupSqliteFile({ file, to });
  equal(revision, 1);
  equal(statSync(to).mode & 0o777, 0o600);
  await using copy = await open(to);
  deepEqual(snapshot(copy), ['/a=1@1']);
});

placeTest('after a restore old revisions are expired and never given again', async (place) => {
  const { folder, file, open } = place;
  const from = join(folder, 'copy.db');
  let store = await open();
  await store.put({ key: '/a', value: bytes('old'), expect: 'any' });
  await store.put({ key: '/gone', value: bytes('x'), expect: 'any' });
  await store.delete({ key: '/gone', expect: 'any' });
  const copied = await store.backup(from);
  for (let index = 0; index < 50; index++) {
    await store.put({ key: `/late/${index}`, value: bytes('y'), expect: 'any' });
  }
  const last = store.revision;
  await store[Symbol.asyncDispose]();
  const keepAs = `${file}.replaced`;
  const restored = await restoreSqliteFile({ from, file, keepAs });
  equal(restored.revision, copied.revision);
  ok(restored.goesOnBehind >= last + 1e9, 'far behind the file that was replaced');
  equal(restored.kept, keepAs);
  deepEqual(readdirSync(join(file, '..')).sort(), ['state.db', 'state.db.replaced']);
  for (const name of readdirSync(join(file, '..'))) {
    equal(statSync(join(file, '..', name)).mode & 0o777, 0o600, name);
  }
  store = await open();
  deepEqual(snapshot(store), ['/a=old@1']);
  for (const afterRevision of [0, 1, copied.revision, last, restored.goesOnBehind - 1]) {
    equal(store.watch({ prefix: '', afterRevision }, new Record()), undefined);
    const page = await store.listAt({ prefix: '', revision: afterRevision });
    ok(!page.ok && page.reason === 'compacted', `a list at ${afterRevision} is expired`);
  }
  const conflict = await store.put({ key: '/a', value: bytes('z'), expect: { revision: last } });
  equal(conflict.ok, false);
  const written = await store.put({ key: '/a', value: bytes('new'), expect: { revision: 1 } });
  ok(written.ok && written.revision > restored.goesOnBehind);
  await store[Symbol.asyncDispose]();
  // Once more from the same copy: still no revision twice.
  const again = await restoreSqliteFile({ from, file, keepAs: `${file}.again` });
  ok(again.goesOnBehind > restored.goesOnBehind + 1e9);
  await using kept = await open(keepAs);
  equal(kept.count('/late/'), 50);
});

placeTest('a damaged file is replaced and kept; a damaged copy is refused', async (place) => {
  const { folder, file, open } = place;
  const from = join(folder, 'copy.db');
  let store = await open();
  await store.put({ key: '/a', value: bytes('1'), expect: 'any' });
  await store.backup(from);
  const restore = (given: string) =>
    restoreSqliteFile({ from: given, file, keepAs: `${file}.replaced` });
  await rejects(restore(from), /in use by another process/);
  await store[Symbol.asyncDispose]();
  const plain = join(folder, 'text.db');
  writeFileSync(plain, 'this is only text, and long enough for a header\n'.repeat(40));
  await rejects(restore(plain), { name: 'StoreRefused', message: /not a database/ });
  const broken = join(folder, 'broken.db');
  const content = readFileSync(from);
  writeFileSync(broken, content.fill(0x5a, 4096));
  await rejects(restore(broken), /damaged|malformed/);
  await rejects(restore(join(folder, 'none.db')), /there is no file/);
  store = await open();
  deepEqual(snapshot(store), ['/a=1@1'], 'what could not be restored changed nothing');
  await store[Symbol.asyncDispose]();
  writeFileSync(file, readFileSync(plain));
  const { kept } = await restore(from);
  match(readFileSync(kept ?? '', 'utf8'), /only text/);
  await using again = await open();
  deepEqual(snapshot(again), ['/a=1@1']);
});
