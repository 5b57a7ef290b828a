/** Sets of fields: the operations, what people read, and laws that hold for random objects. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#kit/random.ts';
import { mergeFields, pruneFields } from './field-merge.ts';
import {
  differenceOf,
  type FieldSet,
  intersectionOf,
  isFieldSet,
  pathsOf,
  sameSet,
  unionOf,
} from './field-set.ts';
import { compareFields, fieldsOf } from './field-structure.ts';
import type { Schema } from './schema.ts';

const a: FieldSet = { 'f:x': {}, 'f:y': { '.': {}, 'f:z': {} } };
const b: FieldSet = { 'f:y': { 'f:z': {} }, 'f:w': {} };

test('union, difference and intersection', () => {
  assert.deepEqual(unionOf(a, b), { 'f:x': {}, 'f:y': { '.': {}, 'f:z': {} }, 'f:w': {} });
  assert.deepEqual(differenceOf(a, b), { 'f:x': {}, 'f:y': {} });
  assert.deepEqual(differenceOf(b, a), { 'f:w': {} });
  assert.deepEqual(intersectionOf(a, b), { 'f:y': { 'f:z': {} } });
  assert.deepEqual(unionOf({ 'f:y': {} }, { 'f:y': { 'f:z': {} } }), {
    'f:y': { '.': {}, 'f:z': {} },
  });
  assert.deepEqual(differenceOf({ 'f:y': { '.': {}, 'f:z': {} } }, { 'f:y': {} }), {
    'f:y': { 'f:z': {} },
  });
});

test('paths are what people read', () => {
  const set: FieldSet = {
    'f:spec': {
      'f:ports': { 'k:{"port":80,"protocol":"TCP"}': { '.': {}, 'f:name': {} } },
      'f:finalizers': { 'v:"x"': {} },
    },
  };
  assert.deepEqual(pathsOf(set), [
    '.spec.finalizers[="x"]',
    '.spec.ports[port=80,protocol="TCP"]',
    '.spec.ports[port=80,protocol="TCP"].name',
  ]);
});

test('only well-formed trees are sets', () => {
  assert.ok(isFieldSet({ 'f:a': { '.': {}, 'k:{"a":1}': {}, 'v:1': {}, 'i:0': {} } }));
  for (const bad of [null, [], 'f:a', { a: {} }, { 'k:{': {} }, { 'k:1': {} }, { 'f:a': 1 }]) {
    assert.equal(isFieldSet(bad), false, JSON.stringify(bad));
  }
});

const text: Schema = { type: 'string' };
const schema: Schema = {
  type: 'object',
  fields: {
    atomic: { type: 'array', items: text, listType: 'atomic' },
    labels: { type: 'object', values: text },
    names: { type: 'array', items: text, listType: 'set' },
    items: {
      type: 'array',
      items: { type: 'object', fields: { name: text, value: text, more: { values: text } } },
      listType: 'map',
      listMapKeys: ['name'],
    },
  },
};
const definitions = { get: () => undefined };

test('merging goes by key, value and name; what is atomic is replaced', () => {
  const live = {
    atomic: ['a'],
    names: ['x', 'y'],
    items: [{ name: 'p', value: '1', more: { k: 'v' } }, { name: 'q' }],
    labels: { l: '1' },
  };
  const applied = {
    atomic: ['b'],
    names: ['z', 'x'],
    items: [{ name: 'q', value: '2' }, { name: 'r' }, { name: 'p', value: '3' }],
    labels: { m: '2' },
  };
  assert.deepEqual(mergeFields(live, applied, schema, definitions), {
    atomic: ['b'],
    names: ['z', 'x', 'y'],
    items: [{ name: 'q', value: '2' }, { name: 'r' }, { name: 'p', value: '3', more: { k: 'v' } }],
    labels: { l: '1', m: '2' },
  });
});

test('only what differs is set or removed, also in lists that are sets', () => {
  const plain: Schema = { type: 'string' };
  const schema: Schema = {
    type: 'object',
    fields: {
      finalizers: { type: 'array', items: plain, listType: 'set' },
      name: plain,
      data: { type: 'object', values: plain },
    },
  };
  const none = { get: () => undefined };
  const old = { finalizers: ['a', 'b'], name: 'one', data: { x: '1', y: '2' } };
  const next = { finalizers: ['b', 'c'], name: 'one', data: { x: '1', y: '3' } };
  assert.deepEqual(compareFields(old, next, schema, none), {
    set: { 'f:finalizers': { 'v:"c"': {} }, 'f:data': { 'f:y': {} } },
    removed: { 'f:finalizers': { 'v:"a"': {} } },
  });
  const copy = JSON.parse(JSON.stringify(old));
  assert.deepEqual(compareFields(old, copy, schema, none), { set: {}, removed: {} });
});

test('for random objects: apply twice is apply once, and dropping everything empties', () => {
  const random = seededRandom(7);
  const some = <T>(make: () => T): T[] => Array.from({ length: random.integer(4) }, make);
  const word = (): string => 'abcde'.charAt(random.integer(5));
  const object = () => ({
    atomic: some(word),
    labels: Object.fromEntries(some(() => [word(), word()])),
    names: [...new Set(some(word))],
    items: [...new Set(some(word))].map((name) => ({ name, value: word() })),
  });
  for (let round = 0; round < 300; round++) {
    const live = object();
    const applied = object();
    const once = mergeFields(live, applied, schema, definitions);
    assert.deepEqual(mergeFields(once, applied, schema, definitions), once);
    const changes = compareFields(once, once, schema, definitions);
    assert.deepEqual(changes, { set: {}, removed: {} });
    const fields = fieldsOf(applied, schema, definitions);
    assert.ok(isFieldSet(JSON.parse(JSON.stringify(fields))));
    assert.ok(
      sameSet(
        unionOf(fields, fieldsOf(live, schema, definitions)),
        unionOf(fieldsOf(live, schema, definitions), fields),
      ),
    );
    const added = compareFields({}, applied, schema, definitions).set;
    assert.deepEqual(differenceOf(fields, added), {}, JSON.stringify(applied));
    const pruning = { last: fields, keep: {} };
    assert.deepEqual(pruneFields(applied, pruning, schema, definitions), {});
  }
});
