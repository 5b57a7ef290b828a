/** Bodies that fit their schema, bodies that do not, and what strict clients hear about them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { covers } from '#test/covers.ts';
import { decodeObject } from './decode.ts';
import { ApiError } from './errors.ts';
import { parseJson } from './json-text.ts';
import type { Definitions, Schema } from './schema.ts';

const known: Readonly<Record<string, Schema>> = {
  'x.v1.Thing': {
    type: 'object',
    fields: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      spec: { ref: 'x.v1.ThingSpec' },
    },
  },
  'x.v1.ThingSpec': {
    type: 'object',
    fields: {
      count: { type: 'integer', format: 'int32' },
      on: { type: 'boolean' },
      name: { type: 'string' },
      labels: { type: 'object', values: { type: 'string' } },
      parts: { type: 'array', items: { ref: 'x.v1.Part' } },
      box: { ref: 'x.v1.Box' },
      cpu: { type: 'string', format: 'quantity' },
      at: { type: 'string', format: 'date-time' },
      data: { type: 'string', format: 'byte' },
      port: { type: 'string', format: 'int-or-string' },
      raw: { type: 'object', opaque: true },
      empty: { type: 'object', fields: {} },
    },
  },
  'x.v1.Box': {
    type: 'object',
    fields: {
      needed: { type: 'array', items: { type: 'string' } },
      size: { type: 'integer' },
      part: { ref: 'x.v1.Part' },
      selector: { ref: 'meta.v1.LabelSelector' },
    },
    required: ['needed', 'size', 'part', 'selector'],
  },
  'meta.v1.LabelSelector': { type: 'object', fields: {} },
  'x.v1.Part': { type: 'object', fields: { size: { type: 'integer' }, name: { type: 'string' } } },
};
const definitions: Definitions = { get: (name) => known[name] };

function decode(spec: unknown) {
  const thing = { apiVersion: 'x/v1', kind: 'Thing', spec };
  return decodeObject(thing, { ref: 'x.v1.Thing' }, definitions);
}

function refusal(spec: unknown): string {
  try {
    decode(spec);
  } catch (error) {
    assert.ok(error instanceof ApiError);
    assert.equal(error.status.code, 400);
    return error.message;
  }
  return 'accepted';
}

test('an object that needs no change is passed through', () => {
  const thing = { apiVersion: 'x/v1', kind: 'Thing', spec: { count: 3, labels: { a: 'b' } } };
  assert.equal(decodeObject(thing, { ref: 'x.v1.Thing' }, definitions).object, thing);
});

test('unknown fields are dropped and reported with their place', () => {
  covers('API-126');
  const { object, problems } = decode({ foo: 1, parts: [{ size: 1 }, { bar: {} }] });
  assert.deepEqual(object['spec'], { parts: [{ size: 1 }, {}] });
  assert.deepEqual(problems, ['unknown field "spec.foo"', 'unknown field "spec.parts[1].bar"']);
});

test('nulls and empty lists and maps vanish, empty objects stay', () => {
  const { object, problems } = decode({
    count: null,
    labels: {},
    parts: [],
    empty: {},
  });
  assert.deepEqual(object['spec'], { empty: {} });
  assert.deepEqual(problems, []);
  assert.deepEqual(decode({ labels: { a: null }, parts: [null] }).object['spec'], {
    labels: { a: '' },
    parts: [{}],
  });
});

test('what a type cannot be without is there, if only empty; selectors stay absent', () => {
  assert.deepEqual(decode({ box: {} }).object['spec'], {
    box: { needed: [], size: 0, part: {} },
  });
});

test('a value of the wrong type is refused in the words of the Go decoder', () => {
  const lead = 'Thing in version "v1" cannot be handled as a Thing: ';
  const cases: readonly [unknown, string][] = [
    [
      { count: 'three' },
      'json: cannot unmarshal string into Go struct field ThingSpec.spec.count of type int32',
    ],
    [
      { count: 1.5 },
      'json: cannot unmarshal number 1.5 into Go struct field ThingSpec.spec.count of type int32',
    ],
    [
      { parts: [{ size: true }] },
      'json: cannot unmarshal bool into Go struct field Part.spec.parts.size of type int64',
    ],
    [
      { parts: {} },
      'json: cannot unmarshal object into Go struct field ThingSpec.spec.parts of type []v1.Part',
    ],
    [
      { labels: { a: 1 } },
      'json: cannot unmarshal number into Go struct field ThingSpec.spec.labels of type string',
    ],
    [
      { name: ['a'] },
      'json: cannot unmarshal array into Go struct field ThingSpec.spec.name of type string',
    ],
    [
      { cpu: 'much' },
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ],
    [
      { at: 'soon' },
      'parsing time "soon" as "2006-01-02T15:04:05Z07:00": cannot parse "soon" as "2006"',
    ],
    [{ data: 'a$b=' }, 'illegal base64 data at input byte 1'],
  ];
  for (const [spec, message] of cases) assert.equal(refusal(spec), lead + message);
});

test('a body that is no object is refused', () => {
  for (const body of [[], 'x', 1, null]) {
    assert.throws(
      () => decodeObject(body, { ref: 'x.v1.Thing' }, definitions),
      (error) => error instanceof ApiError && error.status.code === 400,
    );
  }
});

test('values with several spellings are stored in one', () => {
  covers('API-130');
  const { object } = decode({
    cpu: 0.5,
    at: '2026-01-01T02:00:00+01:00',
    data: 'YWJj\nZGVm',
    port: '25%',
  });
  assert.deepEqual(object['spec'], {
    cpu: '500m',
    at: '2026-01-01T01:00:00Z',
    data: 'YWJjZGVm',
    port: '25%',
  });
  for (const [amount, kept] of [
    [0.75, '750m'],
    ['0.75', '750m'],
    ['1.5Gi', '1536Mi'],
    [2, '2'],
  ] as const) {
    assert.deepEqual(decode({ cpu: amount }).object['spec'], { cpu: kept });
  }
});

test('what has no schema is kept as it comes', () => {
  const raw = { any: [null, { thing: {} }] };
  assert.deepEqual(decode({ raw }).object['spec'], { raw });
});

test('names that are special in JavaScript are names like any other', () => {
  const spec = JSON.parse('{"labels":{"__proto__":"x","constructor":"y"},"__proto__":{"a":1}}');
  const { object, problems } = decode(spec);
  const labels = Object(object['spec']).labels;
  assert.deepEqual(Object.entries(labels), [
    ['__proto__', 'x'],
    ['constructor', 'y'],
  ]);
  assert.deepEqual(problems, ['unknown field "spec.__proto__"']);
});

test('a body nested without end does not take the server down', () => {
  const deep: Schema = { type: 'object', fields: { next: { ref: 'Deep' } } };
  let body: unknown = {};
  for (let level = 0; level < 5000; level++) body = { next: body };
  assert.throws(
    () => decodeObject(body, { ref: 'Deep' }, { get: () => deep }),
    (error) => error instanceof ApiError && error.message === 'exceeded max depth',
  );
});

test('keys that occur twice are found where that is asked', () => {
  const text = '{"a":1,"b":[{"c":1,"c":"x\\"y","d":{}},{"c":2}],"a":2,"e":"{\\"a\\":1}"}';
  const bytes = Buffer.from(text);
  assert.deepEqual(parseJson(bytes, { duplicates: true }).problems, [
    'duplicate field "b[0].c"',
    'duplicate field "a"',
  ]);
  assert.deepEqual(parseJson(bytes).problems, []);
  assert.deepEqual(parseJson(bytes).json, JSON.parse(text));
  assert.throws(() => parseJson(Buffer.from('{"a":')), ApiError);
});

test('a key that occurs twice is found however it is written, and what looks like one is not', () => {
  const problemsIn = (text: string): readonly string[] =>
    parseJson(Buffer.from(text), { duplicates: true }).problems;
  for (const text of [
    '{"a":{"b":1},"c":{"b":1}}',
    String.raw`{"a":"\\","b":"\":","c":"\\\""}`,
    '{"a":["b",{"b":2}],"__proto__":{"a":1}}',
    '["a","a"]',
  ]) {
    assert.deepEqual(problemsIn(text), [], text);
  }
  assert.deepEqual(problemsIn('{"a" :1,"b":"x:", "a"\n:2}'), ['duplicate field "a"']);
  assert.deepEqual(problemsIn(String.raw`{"a":1,"\u0061":2}`), ['duplicate field "a"']);
  const deep = `${'{"a":'.repeat(600)}{"b":1,"b":2}${'}'.repeat(600)}`;
  assert.deepEqual(problemsIn(deep), [`duplicate field "${'a.'.repeat(600)}b"`]);
});
