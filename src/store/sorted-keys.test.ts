/**
 * Sorted keys against a plain sorted array, at sizes where chunks are cut and vanish.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#kit/random.ts';
import { SortedKeys } from './sorted-keys.ts';
import type { Entry } from './store.ts';

const value = new Uint8Array(0);
const entry = (key: string, revision = 1): Entry => ({ key, value, revision, createRevision: 1 });
const keysOf = (keys: SortedKeys, prefix = '') =>
  keys.list({ prefix }).entries.map(({ key }) => key);

test('many keys in any order come out sorted', () => {
  const orders = {
    rising: (index: number) => index,
    falling: (index: number) => 5000 - index,
    mixed: (index: number) => (index * 7919) % 5003,
  };
  for (const order of Object.values(orders)) {
    const keys = new SortedKeys();
    const all = Array.from({ length: 5000 }, (_, index) => `/k/${order(index)}`);
    for (const key of all) equal(keys.set(entry(key)), undefined);
    deepEqual(keysOf(keys), all.toSorted());
    equal(keys.size, all.length);
    for (const key of all) equal(keys.get(key)?.key, key);
    for (const key of all) equal(keys.delete(key)?.key, key);
    deepEqual([keysOf(keys), keys.size, keys.count('')], [[], 0, 0]);
    equal(keys.set(entry('/again')), undefined);
    deepEqual(keysOf(keys), ['/again']);
  }
});

test('random changes agree with a plain map', () => {
  const random = seededRandom(11);
  const keys = new SortedKeys();
  const plain = new Map<string, number>();
  for (let step = 1; step <= 30_000; step++) {
    const key = `/${random.integer(3)}/${random.integer(1500)}`;
    if (random.integer(3) === 0) {
      equal(keys.delete(key)?.revision, plain.get(key));
      plain.delete(key);
    } else {
      equal(keys.set(entry(key, step))?.revision, plain.get(key));
      plain.set(key, step);
    }
    equal(keys.get(key)?.revision, plain.get(key));
  }
  const sorted = [...plain.keys()].sort();
  deepEqual(keysOf(keys), sorted);
  for (const prefix of ['/0/', '/1', '/1/1', '/3', '', '/2/149']) {
    const expected = sorted.filter((key) => key.startsWith(prefix));
    deepEqual(keysOf(keys, prefix), expected);
    equal(keys.count(prefix), expected.length);
    deepEqual(pages(keys, prefix, 97), expected);
  }
});

function pages(keys: SortedKeys, prefix: string, limit: number): readonly string[] {
  const found: string[] = [];
  for (;;) {
    const { entries, more } = keys.list({ prefix, after: found.at(-1), limit });
    found.push(...entries.map(({ key }) => key));
    ok(entries.length === limit || !more, 'only the last page is short');
    if (!more) return found;
  }
}
