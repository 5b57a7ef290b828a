/**
 * Rows survive being packed, whatever their keys and values.
 */
import { deepEqual, equal, notEqual } from 'node:assert/strict';
import { test } from 'node:test';
import type { LogRow } from './log.ts';
import { packRows, unpackRows } from './packed-rows.ts';

const rows: readonly LogRow[] = [
  {
    key: '/a',
    value: Uint8Array.of(1, 2, 3),
    revision: 2 ** 52,
    createRevision: 7,
    previousRevision: 2 ** 51,
    expiresMs: 1_800_000_000_123,
    writtenMs: 1_700_000_000_456,
  },
  {
    key: '/日本/é',
    value: undefined,
    revision: 2,
    createRevision: 1,
    previousRevision: 1,
    expiresMs: 0,
    writtenMs: 3,
  },
  {
    key: '/empty',
    value: new Uint8Array(0),
    revision: 3,
    createRevision: 3,
    previousRevision: 0,
    expiresMs: 0,
    writtenMs: 3,
  },
];

test('rows come back as they were', () => {
  deepEqual(unpackRows(packRows(rows), { values: 'views' }), rows);
  deepEqual(unpackRows(packRows(rows), { values: 'own' }), rows);
  deepEqual(unpackRows(packRows([]), { values: 'own' }), []);
});

test('values share the packed memory, or have their own', () => {
  const packed = packRows(rows);
  const [view] = unpackRows(packed, { values: 'views' });
  const [own] = unpackRows(packed, { values: 'own' });
  equal(view?.value?.buffer, packed.buffer);
  notEqual(own?.value?.buffer, packed.buffer);
  equal(own?.value?.buffer.byteLength, 3);
});
