/**
 * A watch that has much to catch up with does so in pieces, and misses nothing meanwhile.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { settle, VirtualClock } from '#kit/virtual-clock.ts';
import { bytes, Record } from './store.contract.ts';
import { openMemoryStore } from './store.ts';

test('long history is served in turns, while writes go on', async () => {
  const clock = new VirtualClock();
  await using store = openMemoryStore({ clock });
  const put = (index: number) =>
    store.put({ key: `/k/${index % 100}`, value: bytes(`${index}`), expect: 'any' });
  const count = 20_000;
  await Promise.all(Array.from({ length: count }, (_, index) => put(index)));
  const late = Record.open(store, 0);
  const current = Record.open(store, store.revision);
  await settle();
  ok(late.events.length > 0 && late.events.length < count, 'not everything in one go');
  equal(late.progress, late.events.at(-1)?.revision);
  await put(count);
  await settle();
  ok(late.events.length < count, 'a commit does not hurry it');
  deepEqual([current.events.length, current.progress], [1, count + 1]);
  await clock.advance(10);
  deepEqual(
    late.events.map(({ revision }) => revision),
    Array.from({ length: count + 1 }, (_, index) => index + 1),
  );
  equal(late.progress, store.revision);
  await put(count + 1);
  await settle();
  deepEqual([late.events.length, current.events.length], [count + 2, 2]);
});

test('a watch that is cancelled while it catches up gets nothing more', async () => {
  const clock = new VirtualClock();
  await using store = openMemoryStore({ clock });
  const writes = Array.from({ length: 10_000 }, (_, index) =>
    store.put({ key: `/k/${index}`, value: bytes('x'), expect: 'any' }),
  );
  await Promise.all(writes);
  const record = Record.open(store, 0);
  await settle();
  const { length } = record.events;
  record.watch?.cancel();
  await clock.advance(10);
  equal(record.events.length, length);
});

test('a watch whose history goes while it catches up is ended', async () => {
  const clock = new VirtualClock();
  await using store = openMemoryStore({ clock });
  const put = (index: number) =>
    store.put({ key: `/k/${index % 10}`, value: bytes('x'), expect: 'any' });
  await Promise.all(Array.from({ length: 10_000 }, (_, index) => put(index)));
  const record = Record.open(store, 0);
  await settle();
  await store.compact(store.revision);
  await clock.advance(10);
  equal(record.ended, 'compacted');
});
