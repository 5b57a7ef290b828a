/**
 * History keeps what its bound allows, counted by what only history keeps alive.
 */
import { deepEqual, equal, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { History } from './history.ts';
import type { StoreEvent } from './store.ts';

function event(revision: number, replacedBytes?: number): StoreEvent {
  const value = new Uint8Array(0);
  const previous =
    replacedBytes === undefined
      ? undefined
      : {
          key: 'key',
          value: new Uint8Array(replacedBytes),
          revision: revision - 1,
          createRevision: 1,
        };
  return { type: 'put', key: 'key', value, previous, revision };
}

const revisions = (events: readonly StoreEvent[]) => events.map(({ revision }) => revision);

test('events behind a revision, in order, also where numbers were skipped', () => {
  const history = new History({ bytesMax: 10_000, oldest: 5 });
  for (const revision of [6, 9, 10]) history.append(event(revision));
  deepEqual(revisions(history.after(5)), [6, 9, 10]);
  deepEqual(revisions(history.after(6)), [9, 10]);
  deepEqual(revisions(history.after(8)), [9, 10]);
  deepEqual(revisions(history.after(10)), []);
  deepEqual(revisions(history.after(5, 2)), [6, 9]);
  throws(() => history.after(4), /not here/);
  throws(() => history.append(event(10)), /only rise/);
});

test('the oldest go when replaced values take more than the bound', () => {
  const history = new History({ bytesMax: 10_000, oldest: 0 });
  for (let revision = 1; revision <= 100; revision++) history.append(event(revision, 1000));
  equal(history.oldest, 93);
  deepEqual(revisions(history.after(93)), [94, 95, 96, 97, 98, 99, 100]);
  equal(history.bytes, 7 * (1000 + 3 + 256));
  equal(history.forgottenBytes, 93 * (1000 + 3 + 256));
  history.append(event(101, 50_000));
  deepEqual([history.oldest, history.length], [100, 1], 'the newest event always stays');
});

test('forgetting through a revision, and long afterwards', () => {
  const history = new History({ bytesMax: 5_000_000, oldest: 0 });
  for (let revision = 1; revision <= 5000; revision++) history.append(event(revision));
  history.dropThrough(3000);
  deepEqual([history.oldest, history.length], [3000, 2000]);
  equal(history.forgottenBytes, 3000 * (3 + 256));
  deepEqual(revisions(history.after(4998)), [4999, 5000]);
  history.dropThrough(6000);
  deepEqual([history.oldest, history.length, history.bytes], [6000, 0, 0]);
  history.append(event(6001));
  deepEqual(revisions(history.after(6000)), [6001]);
});
