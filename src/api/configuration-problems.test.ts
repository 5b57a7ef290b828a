/** Applied configurations of another form than their schema, in upstream's words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { duplicateSteps, mismatchedField } from './configuration-problems.ts';
import type { Definitions, Schema } from './schema.ts';

const port: Schema = { fields: { port: { type: 'integer' }, name: { type: 'string' } } };
const schema: Schema = {
  fields: {
    ports: { items: port, listType: 'map', listMapKeys: ['port'] },
    groups: { items: { type: 'string' }, listType: 'set' },
    on: { type: 'boolean' },
    size: { type: 'string', format: 'quantity' },
    raw: { type: 'object', opaque: true },
  },
};
const definitions: Definitions = { get: () => undefined };

test('the first value of another form is told of, as Go prints it', () => {
  const cases: readonly [unknown, string | undefined][] = [
    [{ ports: [{ port: 80, name: 'web' }], on: true, size: 3, raw: [1] }, undefined],
    [{ ports: null, on: null }, undefined],
    [[], ': expected map, got &{[]}'],
    [{ ports: { b: null, a: [1, 'x'] } }, '.ports: expected list, got &{map[a:[1 x] b:<nil>]}'],
    [{ ports: ['x'] }, '.ports[]: expected map, got &{x}'],
    [
      { ports: [{ port: 80, name: 7 }] },
      '.ports[port=80].name: expected string, got &value.valueUnstructured{Value:7}',
    ],
    [{ on: 'yes' }, '.on: expected boolean, got &{yes}'],
    [
      { ports: [{ port: 'x' }] },
      '.ports[port="x"].port: expected numeric (int or float), got string',
    ],
  ];
  for (const [value, problem] of cases) {
    assert.equal(mismatchedField(value, schema, definitions), problem);
  }
});

test('an item that is named twice is told of by its key', () => {
  const twice = { ports: [{ port: 80 }, { port: 81 }, { port: 80 }] };
  assert.equal(
    duplicateSteps(twice, schema, definitions),
    '.ports: duplicate entries for key [port=80]',
  );
  assert.equal(
    duplicateSteps({ groups: ['a', 'a'] }, schema, definitions),
    '.groups: duplicate entries for key [="a"]',
  );
  assert.equal(duplicateSteps({ ports: [{ port: 1 }] }, schema, definitions), undefined);
});
