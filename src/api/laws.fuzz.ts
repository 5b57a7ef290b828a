/**
 * Laws of texts that have a meaning: quantities, selectors and patches. Each is held against a
 * model that is too slow or too simple for use, on inputs made at random from a seed; a canary
 * shows that a law which is broken is noticed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isMembers, type Members } from '#kit/members.ts';
import { type Random, seededRandom, systemRandom } from '#kit/random.ts';
import { applyJsonPatch, applyMergePatch } from './patch.ts';
import {
  addQuantities,
  canonicalQuantity,
  compareQuantities,
  quantityMilliValue,
  quantityValue,
  subtractQuantities,
} from './quantity.ts';
import { parseFieldSelector, parseLabelSelector } from './selectors.ts';

const seed = Number(process.env['CORACLE_SEED'] ?? systemRandom().integer(2 ** 31));
const rounds = Number(process.env['CORACLE_FUZZ_ITERATIONS'] ?? 3_000);

function pick<T>(random: Random, from: readonly T[]): T {
  const picked = from[random.integer(from.length)];
  assert.ok(picked !== undefined);
  return picked;
}

const powers: Readonly<Record<string, readonly [bigint, bigint]>> = {
  n: [1n, 10n ** 9n],
  u: [1n, 10n ** 6n],
  m: [1n, 1000n],
  '': [1n, 1n],
  k: [1000n, 1n],
  M: [10n ** 6n, 1n],
  G: [10n ** 9n, 1n],
  Ki: [1024n, 1n],
  Mi: [1024n ** 2n, 1n],
  Gi: [1024n ** 3n, 1n],
  e3: [1000n, 1n],
  'E-2': [1n, 100n],
};

/** Text and what it is, as a fraction of whole numbers. */
function quantityAt(random: Random): {
  readonly text: string;
  readonly n: bigint;
  readonly d: bigint;
} {
  const whole = String(random.integer(pick(random, [2, 1000, 2 ** 31])));
  const fraction = random.integer(3) === 0 ? String(random.integer(1000)) : '';
  const suffix = pick(random, Object.keys(powers));
  const sign = random.integer(8) === 0 ? '-' : '';
  const [up, down] = powers[suffix] ?? [1n, 1n];
  const digits = BigInt(whole + fraction);
  const text = `${sign}${whole}${fraction === '' ? '' : `.${fraction}`}${suffix}`;
  const n = (sign === '-' ? -digits : digits) * up;
  return { text, n, d: 10n ** BigInt(fraction.length) * down };
}

/** Away from zero, in parts of one nth. */
function roundUp(n: bigint, d: bigint): bigint {
  const quotient = n / d;
  if (n % d === 0n) return quotient;
  return n < 0n ? quotient - 1n : quotient + 1n;
}

type Canonical = (text: string) => string | undefined;

function checkQuantities(random: Random, canonical: Canonical): void {
  const [a, b] = [quantityAt(random), quantityAt(random)];
  const nano = ({ n, d }: { readonly n: bigint; readonly d: bigint }): bigint =>
    roundUp(n * 10n ** 9n, d);
  const text = canonical(a.text);
  assert.ok(text !== undefined, a.text);
  // A whole number does not tell which family it was written in.
  const same = a.text.endsWith('i') ? text : canonical(text);
  assert.equal(same, text, `${a.text}: what is canonical stays`);
  // From 1 Ki on, the binary family has no fractions: what is left over makes one more.
  const amount = nano(a) < 0n ? -nano(a) : nano(a);
  const isCut = a.text.endsWith('i') && amount >= 1024n * 10n ** 9n && amount % 10n ** 9n !== 0n;
  const rounded = isCut ? Math.sign(Number(a.n)) : 0;
  assert.equal(compareQuantities(text, a.text), rounded, `${a.text} and ${text}`);
  const sign = nano(a) === nano(b) ? 0 : nano(a) < nano(b) ? -1 : 1;
  assert.equal(compareQuantities(a.text, b.text), sign, `${a.text} against ${b.text}`);
  // Sums are written in one family, of which the binary one has no fractions.
  const isWhole = [a, b].every((one) => nano(one) % 10n ** 9n === 0n);
  const sum = isWhole ? addQuantities(a.text, b.text) : b.text;
  const rest = subtractQuantities(sum, b.text);
  assert.equal(compareQuantities(rest, isWhole ? a.text : '0'), 0, `${a.text} ${b.text}`);
  if (a.n < 0n || nano(a) > 2n ** 52n * 10n ** 6n) return;
  const exact = (by: bigint): number => Number(roundUp(nano(a), by));
  assert.equal(quantityValue(a.text), exact(10n ** 9n), a.text);
  assert.equal(quantityMilliValue(a.text), exact(10n ** 6n), a.text);
}

test(`quantities are what they say (seed ${seed})`, () => {
  const random = seededRandom(seed);
  for (let round = 0; round < rounds; round++) checkQuantities(random, canonicalQuantity);
});

test('canary: a form that loses its suffix is found', () => {
  const random = seededRandom(1);
  assert.throws(() => {
    for (let round = 0; round < 500; round++) {
      checkQuantities(random, (text) => canonicalQuantity(text)?.replace(/Mi$/, ''));
    }
  });
});

type Labels = Readonly<Record<string, string>>;

interface Term {
  readonly text: string;
  readonly holds: (labels: Labels) => boolean;
}

const keys = ['a', 'b', 'example.com/c'];
const values = ['', 'x', 'y', '5', '12'];

function termAt(random: Random): Term {
  const key = pick(random, keys);
  const value = pick(random, values.slice(1));
  const set = values.filter(() => random.integer(2) === 0);
  const number = Number(pick(random, ['5', '12', '7']));
  const list = set.length === 0 ? ['x'] : set;
  const within = (labels: Labels): boolean => key in labels && list.includes(labels[key] ?? '');
  const numeric = (labels: Labels): number =>
    /^\d+$/.test(labels[key] ?? '') ? Number(labels[key]) : Number.NaN;
  return pick(random, [
    { text: `${key}=${value}`, holds: (labels: Labels) => labels[key] === value },
    { text: `${key} == ${value}`, holds: (labels: Labels) => labels[key] === value },
    { text: `${key}!=${value}`, holds: (labels: Labels) => labels[key] !== value },
    { text: `${key} in (${list.join(', ')})`, holds: within },
    { text: `${key} notin (${list.join(',')})`, holds: (labels: Labels) => !within(labels) },
    { text: key, holds: (labels: Labels) => key in labels },
    { text: `!${key}`, holds: (labels: Labels) => !(key in labels) },
    { text: `${key}>${number}`, holds: (labels: Labels) => numeric(labels) > number },
    { text: `${key} < ${number}`, holds: (labels: Labels) => numeric(labels) < number },
  ]);
}

type Matches = (selector: string, labels: Labels) => boolean;

const matches: Matches = (selector, labels) => parseLabelSelector(selector).matches(labels);

function checkSelectors(random: Random, count: number, select: Matches): void {
  for (let round = 0; round < count; round++) {
    const terms = Array.from({ length: 1 + random.integer(3) }, () => termAt(random));
    const labels = Object.fromEntries(
      keys.filter(() => random.integer(2) === 0).map((key) => [key, pick(random, values)]),
    );
    const text = terms.map((term) => term.text).join(pick(random, [',', ', ', ' , ']));
    const wanted = terms.every((term) => term.holds(labels));
    assert.equal(select(text, labels), wanted, `${text} of ${JSON.stringify(labels)}`);
    const fields = terms.filter((term) => /^[ab](!=|=)\w/.test(term.text));
    if (fields.length === 0) continue;
    const found = parseFieldSelector(fields.map((term) => term.text).join(','));
    const read = (path: string): string => labels[path] ?? '';
    assert.equal(
      found.matches(read),
      fields.every((term) => term.holds({ a: read('a'), b: read('b') })),
    );
  }
}

test(`selectors select what their parts say (seed ${seed})`, () => {
  checkSelectors(seededRandom(seed), rounds, matches);
});

test('canary: a selector that takes an absent label for an empty one is found', () => {
  const empty = { a: '', b: '', 'example.com/c': '' };
  assert.throws(
    () =>
      checkSelectors(seededRandom(1), 500, (text, labels) =>
        matches(text, { ...empty, ...labels }),
      ),
    assert.AssertionError,
  );
});

function jsonAt(random: Random, depth: number): unknown {
  const kinds = depth > 3 ? 4 : 6;
  switch (random.integer(kinds)) {
    case 0:
      return random.integer(3);
    case 1:
      return pick(random, ['', 'x', '~', '/']);
    case 2:
      return random.integer(2) === 0;
    case 3:
      return [];
    case 4:
      return Array.from({ length: random.integer(4) }, () => jsonAt(random, depth + 1));
    default:
      return objectAt(random, depth);
  }
}

function objectAt(random: Random, depth: number): Record<string, unknown> {
  const names = ['a', 'b', '~', 'a/b', '__proto__x'];
  const chosen = names.filter(() => random.integer(2) === 0);
  return Object.fromEntries(chosen.map((name) => [name, jsonAt(random, depth + 1)]));
}

/** The merge patch between two objects, as RFC 7386 means it. */
function mergeBetween(from: Members, to: Members): object {
  const patch: Record<string, unknown> = {};
  for (const name of Object.keys(from)) if (!(name in to)) patch[name] = null;
  for (const [name, value] of Object.entries(to)) {
    const before = from[name];
    patch[name] = isMembers(value) && isMembers(before) ? mergeBetween(before, value) : value;
  }
  return patch;
}

type Patch = (value: unknown, patch: unknown) => unknown;

function checkPatches(random: Random, count: number, applyMerge: Patch): void {
  for (let round = 0; round < count; round++) {
    const [from, to] = [objectAt(random, 0), objectAt(random, 0)];
    const [fromText, toText] = [JSON.stringify(from), JSON.stringify(to)];
    const merge = mergeBetween(from, to);
    assert.deepEqual(applyMerge(from, merge), to, `${fromText} to ${toText}`);
    const operations = [
      ...Object.keys(from).map((name) => ({ op: 'remove', path: pointer(name) })),
      ...Object.entries(to).map(([name, value]) => ({ op: 'add', path: pointer(name), value })),
      ...Object.entries(to).map(([name, value]) => ({ op: 'test', path: pointer(name), value })),
    ];
    assert.deepEqual(applyJsonPatch(from, operations), to);
    assert.equal(JSON.stringify(from), fromText, 'what was patched is as it was');
  }
}

test(`patches lead from one value to the other and change nothing else (seed ${seed})`, () => {
  checkPatches(seededRandom(seed), rounds, applyMergePatch);
});

test('canary: a patch that keeps what it should remove is found', () => {
  const keeping: Patch = (value, patch) => {
    const patched = applyMergePatch(value, patch);
    return isMembers(patched) && isMembers(value) ? { ...value, ...patched } : patched;
  };
  assert.throws(() => checkPatches(seededRandom(1), 500, keeping), assert.AssertionError);
});

function pointer(name: string): string {
  return `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}
