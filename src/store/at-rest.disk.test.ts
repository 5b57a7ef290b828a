/**
 * Encryption at rest as the store sees it: what lies on the disk is what the transformer made of
 * it, memory has it plain, and what nobody can read stays where it is and is said to be so.
 */
import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { present } from '#kit/assert.ts';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { bytes, durableContract, storeContract, text } from './store.contract.ts';
import {
  type AtRest,
  openSqliteStore,
  restoreSqliteFile,
  type Store,
  type StoreEvent,
  storedInSqliteFile,
  type ValueTransformer,
  ValueUnreadable,
} from './store.ts';

/** Turns bits around and says by whom; keys below `/open/` are left alone. */
function mirror(name: string, reads: readonly string[] = [name]): ValueTransformer {
  const turn = (value: Uint8Array): Uint8Array => value.map((byte) => byte ^ 0xff);
  return {
    encrypts: true,
    formOf: (key) => (key.startsWith('/open/') ? '' : name),
    toStorage: (key, value) =>
      key.startsWith('/open/') ? value : Buffer.concat([Buffer.from(`${name}:`), turn(value)]),
    fromStorage: (key, stored) => {
      if (key.startsWith('/open/')) return { ok: true, value: stored, stale: false };
      const by = reads.find((each) => text(stored)?.startsWith(`${each}:`));
      if (by === undefined) return { ok: false, why: 'nobody knows it' };
      return { ok: true, value: turn(stored.subarray(by.length + 1)), stale: by !== name };
    },
  };
}

interface Disk {
  readonly file: string;
  open(transformer: ValueTransformer): Promise<Store>;
}

function diskTest(name: string, body: (disk: Disk) => Promise<void>): void {
  test(name, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'coracle-store-'));
    const file = join(folder, 'state.db');
    const deps = { clock: systemClock(), log: silentLog };
    try {
      await body({ file, open: (transformer) => openSqliteStore(deps, { file, transformer }) });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

const atRestOf = (store: Store): AtRest => present(store.atRest, 'it has a transformer');

async function put(store: Store, key: string, value: string): Promise<number> {
  const result = await store.put({ key, value: bytes(value), expect: 'any' });
  return result.ok ? result.revision : 0;
}

for (const [name, contract] of [
  ['encrypted sqlite', storeContract],
  ['encrypted sqlite, opened again', durableContract],
] as const) {
  contract(name, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'coracle-store-'));
    const file = join(folder, 'state.db');
    const { settle } = await import('#kit/virtual-clock.ts');
    return {
      open: async ({ clock, again: _, ...limits }) =>
        await openSqliteStore(
          { clock, log: silentLog },
          { file, transformer: mirror('a'), ...limits },
        ),
      done: async (promise) => await promise,
      tick: settle,
      close: async () => rmSync(folder, { recursive: true, force: true }),
    };
  });
}

diskTest('values lie on the disk and in copies as the transformer wrote them', async (disk) => {
  const store = await disk.open(mirror('a'));
  await put(store, '/s/one', 'a secret word');
  await put(store, '/open/two', 'an open word');
  equal(text(store.get('/s/one')?.value), 'a secret word');
  const atRest = atRestOf(store);
  const kept = present(await atRest.stored('/s/one'), 'it is kept');
  equal(text(kept.subarray(0, 2)), 'a:');
  equal(text(await atRest.stored('/open/two')), 'an open word');
  equal(await atRest.stored('/s/none'), undefined);
  const copy = `${disk.file}.copy`;
  await store.backup(copy);
  await store[Symbol.asyncDispose]();
  for (const file of [disk.file, copy]) {
    const raw = readFileSync(file);
    equal(raw.includes('a secret word'), false, file);
    ok(raw.includes('an open word'), file);
  }
  deepEqual(await storedInSqliteFile({ file: disk.file, key: '/s/one' }), new Uint8Array(kept));
  equal(await storedInSqliteFile({ file: disk.file, key: '/s/none' }), undefined);
  await restoreSqliteFile({ from: copy, file: disk.file, keepAs: `${disk.file}.kept` });
  await using again = await disk.open(mirror('a'));
  const { value } = present(again.get('/s/one'), 'it is there');
  equal(text(value), 'a secret word');
  equal(value.buffer.byteLength, value.byteLength, 'it has memory of its own');
});

diskTest('a large batch is changed in slices and stays one commit', async (disk) => {
  const store = await disk.open(mirror('a'));
  const value = 'x'.repeat(50_000);
  const keys = Array.from({ length: 20 }, (_, index) => `/s/${index}`);
  await Promise.all(keys.map((key) => put(store, key, value)));
  await store[Symbol.asyncDispose]();
  await using again = await disk.open(mirror('a'));
  ok(keys.every((key) => text(again.get(key)?.value) === value));
});

diskTest('what cannot be read fails by itself, stays, and can be removed', async (disk) => {
  const first = await disk.open(mirror('a'));
  const before = await put(first, '/s/one', '1');
  await put(first, '/s/two', '2');
  await put(first, '/t/three', '3');
  await put(first, '/open/four', '4');
  await first[Symbol.asyncDispose]();

  const store = await disk.open(mirror('b'));
  const atRest = atRestOf(store);
  deepEqual(atRest.unreadable, ['/s/one', '/s/two', '/t/three']);
  const refusal = { name: 'ValueUnreadable', message: 'nobody knows it' };
  const listed = { ...refusal, message: 'unable to transform key "/s/one": nobody knows it' };
  throws(() => store.get('/s/one'), refusal);
  throws(() => store.list({ prefix: '/s/' }), listed);
  throws(() => atRest.checkReadable('/s/'), listed);
  await rejects(store.listAt({ prefix: '/s/', revision: store.revision }), listed);
  equal(text(store.get('/open/four')?.value), '4');
  equal(store.list({ prefix: '/open/' }).entries.length, 1);
  atRest.checkReadable('/open/');
  // History that cannot be shown is gone.
  equal(
    store.watch({ prefix: '/', afterRevision: before }, { onEvents() {}, onEnd() {} }),
    undefined,
  );
  // It is there: nobody can take its name.
  const taken = await store.put({ key: '/s/one', value: bytes('x'), expect: 'absent' });
  equal(taken.ok, false);

  const events: StoreEvent[] = [];
  store.watch(
    { prefix: '/', afterRevision: store.revision },
    { onEvents: (more) => events.push(...more), onEnd() {} },
  );
  const then = store.revision;
  const gone = await store.delete({ key: '/s/one', expect: 'any' });
  ok(gone.ok);
  equal(store.get('/s/one'), undefined);
  await put(store, '/s/two', 'new');
  equal(text(store.list({ prefix: '/s/' }).entries[0]?.value), 'new');
  await new Promise((resolve) => setImmediate(resolve));
  // Nobody was shown the one that went, and the other is new to everybody.
  deepEqual(
    events.map(({ type, key, previous }) => [type, key, previous]),
    [['put', '/s/two', undefined]],
  );
  // Who has seen it in a former life has to list again; others need not.
  const silent = { onEvents() {}, onEnd() {} };
  equal(store.watch({ prefix: '/s/', afterRevision: then }, silent), undefined);
  ok(store.watch({ prefix: '/open/', afterRevision: then }, silent));
  deepEqual(await store.listAt({ prefix: '/s/', revision: then }), {
    ok: false,
    reason: 'compacted',
    oldest: store.oldestRevision,
  });
  deepEqual(atRest.unreadable, ['/t/three']);
  await store[Symbol.asyncDispose]();
  await using again = await disk.open(mirror('b'));
  deepEqual(atRestOf(again).unreadable, ['/t/three']);
  throws(() => again.get('/t/three'), ValueUnreadable);
});

diskTest('with its key told, what could not be read is as it was', async (disk) => {
  const first = await disk.open(mirror('a'));
  const revision = await put(first, '/s/one', '1');
  await first[Symbol.asyncDispose]();
  await using store = await disk.open(mirror('b'));
  const atRest = atRestOf(store);
  await atRest.use(mirror('c'));
  throws(() => store.get('/s/one'), ValueUnreadable);
  await atRest.use(mirror('b', ['b', 'a']));
  const entry = present(store.get('/s/one'), 'it is there');
  deepEqual([text(entry.value), entry.revision], ['1', revision]);
  deepEqual(atRest.unreadable, []);
  ok(atRest.isStale('/s/one'));
});

diskTest('values are stale until they are written as today', async (disk) => {
  const first = await disk.open(mirror('a'));
  await put(first, '/s/one', '1');
  await put(first, '/s/two', '2');
  await put(first, '/open/three', '3');
  equal(atRestOf(first).isStale('/s/one'), false);
  await first[Symbol.asyncDispose]();

  await using store = await disk.open(mirror('b', ['b', 'a']));
  const atRest = atRestOf(store);
  const stale = (): readonly string[] =>
    ['/s/one', '/s/two', '/open/three', '/s/none'].filter((key) => atRest.isStale(key));
  deepEqual(stale(), ['/s/one', '/s/two']);
  await put(store, '/s/one', '1');
  deepEqual(stale(), ['/s/two']);
  await put(store, '/s/two', '2');
  await atRest.use(mirror('c', ['c', 'b']));
  deepEqual(stale(), ['/s/one', '/s/two']);
  await put(store, '/s/one', '1');
  deepEqual(stale(), ['/s/two']);
  await atRest.use(mirror('b', ['b', 'c']));
  deepEqual(stale(), ['/s/one']);
  for (let round = 0; round < 20; round++) await atRest.use(mirror('b', ['b', 'c']));
  deepEqual(stale(), ['/s/one'], 'with nothing written in between they are one');
  for (let round = 0; round < 20; round++) {
    await put(store, '/other', String(round));
    await atRest.use(mirror('b', ['b', 'c']));
  }
  // So many exchanges are not told apart any more, and to write once too often does no harm.
  deepEqual(stale(), ['/s/one', '/s/two', '/open/three']);
});
