/**
 * What upstream's v1.36 environment says to an expression, and what ours says: error, type,
 * greatest cost, value or failure, cost of the run. One expression in a line of `recorded.jsonl`.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { compile, openEnvironment, parseType, typeText } from './cel.ts';
import { type CelValue, fromJson, MapValue, Optional, typeName, Uint } from './values.ts';

interface Recorded {
  readonly expression: string;
  readonly error?: string;
  readonly type?: string;
  readonly costMax?: string;
  readonly value?: unknown;
  readonly failure?: string;
  readonly cost?: string;
}

const environment = openEnvironment({
  variables: {
    d: parseType('dyn'),
    i: parseType('int'),
    u: parseType('uint'),
    f: parseType('double'),
    s: parseType('string'),
    b: parseType('bool'),
    li: parseType('list(int)'),
    ls: parseType('list(string)'),
    ld: parseType('list(dyn)'),
    m: parseType('map(string, dyn)'),
    ms: parseType('map(string, string)'),
  },
  bindings: true,
});

const variables = {
  d: fromJson({ a: 1, b: 'x', c: [1, 2] }),
  i: 7n,
  u: new Uint(8n),
  f: 1.5,
  s: 'hello wörld',
  b: true,
  li: [3n, 1n, 2n],
  ls: ['b', 'a', 'c'],
  ld: [1n, 'two', 3],
  m: fromJson({ a: 1, b: 'x', n: null }),
  ms: fromJson({ k: 'v', k2: 'v2' }),
};

/** Expressions to which we say something else, and why. */
const different: Readonly<Record<string, string>> = {
  '1 ? : 2': 'upstream goes on after the first syntax error',
  in: 'upstream goes on after the first syntax error',
  '{:1}': 'upstream goes on after the first syntax error',
  'ms.exists(k, v, v == "v")':
    'maps have no order upstream, so the search is as long as it happens',
  'ms.map(k, k)': 'maps have no order upstream',
  'f / 0.0': 'the recording writes infinity otherwise',
  'ld.join("-")': 'elements are looked at one by one',
  'has(d.zz.y)': 'upstream does not charge for what is missing on the way',
  'google.protobuf.Timestamp{seconds: 1}': 'no messages of protobuf',
};

const recorded = readFileSync(new URL('recorded.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  // The recording is ours; its lines have this form.
  .map((line) => JSON.parse(line) as Recorded);

/** Values whose inside the recording writes in Go's way. */
const opaque = /^(google\.protobuf|kubernetes|net|type|bytes)\b/;

function answer(expression: string): Recorded {
  const compiled = compile(expression, environment);
  if (!compiled.ok) {
    const error = compiled.at === 'program' ? `program: ${compiled.error}` : compiled.error;
    return { expression, error };
  }
  const { type, costMax } = compiled.program;
  const evaluated = compiled.program.evaluate(variables);
  const result = evaluated.ok ? { value: plain(evaluated.value) } : { failure: evaluated.error };
  const cost = String(evaluated.cost);
  return { expression, type: typeText(type), costMax: String(costMax), ...result, cost };
}

function plain(value: CelValue): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (value instanceof Uint) return `uint:${value.value}`;
  if (typeof value === 'bigint' || typeof value === 'number') return `${typeName(value)}:${value}`;
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Optional) {
    return value.value === undefined ? 'optional.none()' : { 'optional.of': plain(value.value) };
  }
  if (!(value instanceof MapValue)) return typeName(value);
  const entries = [...value.keys()].map((key) => [
    String(plain(key)),
    plain(value.get(key) ?? null),
  ]);
  return Object.fromEntries(entries.sort());
}

function comparable(of: Recorded): Recorded {
  return typeof of.value === 'string' && opaque.test(of.value) ? { ...of, value: '' } : of;
}

test(`upstream's answers to ${recorded.length} expressions`, () => {
  assert.ok(recorded.length > 500);
  for (const wanted of recorded) {
    const { expression } = wanted;
    const [is, should] = [comparable(answer(expression)), comparable(wanted)];
    if (Object.hasOwn(different, expression)) {
      assert.notDeepEqual(is, should, `${expression}: no longer different`);
    } else {
      assert.deepEqual(is, should, expression);
    }
  }
});

test('no expression runs longer than its cost allows', () => {
  const loops = 'li.map(a, li.map(b, li.map(c, li.map(d, li.map(e, a + b + c + d + e)))))';
  const compiled = compile(loops, environment);
  assert.ok(compiled.ok);
  const long = { ...variables, li: Array.from({ length: 1_000 }, (_, index) => BigInt(index)) };
  const evaluated = compiled.program.evaluate(long, { costMax: 50_000 });
  assert.ok(!evaluated.ok);
  assert.equal(evaluated.error, 'operation cancelled: actual cost limit exceeded');
  assert.ok(evaluated.cost > 50_000 && evaluated.cost < 51_000);
});

test('the limit is not outweighed by the other side of a choice', () => {
  const compiled = compile('li.exists(x, x == 5000) || true', environment);
  assert.ok(compiled.ok);
  const long = { ...variables, li: Array.from({ length: 1_000 }, (_, index) => BigInt(index)) };
  const evaluated = compiled.program.evaluate(long, { costMax: 100 });
  assert.deepEqual(evaluated.ok, false);
});

test('patterns take time in proportion to the text', () => {
  const compiled = compile('s.matches("(a*)*b")', environment);
  assert.ok(compiled.ok);
  const evaluated = compiled.program.evaluate({ ...variables, s: 'a'.repeat(20_000) });
  assert.deepEqual(evaluated.ok && evaluated.value, false);
});

test('depth and length are limited', () => {
  const deep = compile(`${'('.repeat(300)}1${')'.repeat(300)}`, environment);
  assert.ok(!deep.ok);
  assert.match(deep.error, /expression recursion limit exceeded: 250/);
  const long = compile(`"${'x'.repeat(100_001)}"`, environment);
  assert.ok(!long.ok);
  assert.match(long.error, /expression code point size exceeds limit: size: 100003, limit 100000/);
});

test('names are bound only where the environment has bindings', () => {
  const plainer = openEnvironment({ variables: {} });
  const compiled = compile('cel.bind(x, 1, x + 1)', plainer);
  assert.ok(!compiled.ok);
  assert.match(compiled.error, /undeclared reference to 'cel' \(in container ''\)/);
});

test('long chains are not deep', () => {
  const chain = Array.from({ length: 2_000 }, () => 'b').join(' && ');
  const compiled = compile(chain, environment);
  assert.ok(compiled.ok);
  const evaluated = compiled.program.evaluate(variables);
  assert.deepEqual(evaluated.ok && evaluated.value, true);
});
