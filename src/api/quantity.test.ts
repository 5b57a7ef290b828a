/** Quantities: what is read, how it is stored, and arithmetic that never loses a nano. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#kit/random.ts';
import { covers } from '#test/covers.ts';
import {
  addQuantities,
  canonicalQuantity,
  compareQuantities,
  formatQuantity,
  parseQuantity,
  quantityMilliValue,
  quantityValue,
  subtractQuantities,
} from './quantity.ts';

test('text is stored in its shortest exact form', () => {
  const cases: readonly [string, string][] = [
    ['0.1', '100m'],
    ['0.5', '500m'],
    ['0.75', '750m'],
    ['1', '1'],
    ['1000m', '1'],
    ['1500m', '1500m'],
    ['1.5Gi', '1536Mi'],
    ['0.5Gi', '512Mi'],
    ['1024Ki', '1Mi'],
    ['1000', '1k'],
    ['1024', '1024'],
    ['512Ki', '512Ki'],
    ['0.5Ki', '512'],
    ['1.5Ki', '1536'],
    ['0.0001', '100u'],
    ['0.0000000001', '1n'],
    ['1e3', '1e3'],
    ['12e2', '1200'],
    ['100e2', '10e3'],
    ['129E6', '129e6'],
    ['129e6', '129e6'],
    ['1E', '1E'],
    ['0', '0'],
    ['0Gi', '0'],
    ['-1', '-1'],
    ['-1.5Ki', '-1536'],
    ['+3', '3'],
    ['.5', '500m'],
    ['5.', '5'],
    ['99999999999999999999999', '9223372036854775807'],
  ];
  for (const [text, canonical] of cases) assert.equal(canonicalQuantity(text), canonical, text);
});

test('text that is no quantity is refused', () => {
  for (const text of [
    '',
    ' 1',
    '1 ',
    '1KiB',
    'Ki',
    '.',
    '1.2.3',
    '--1',
    '1e',
    'e3',
    '0x10',
    '1ki',
  ]) {
    assert.equal(parseQuantity(text), undefined, text);
  }
});

test('every suffix stands for its power', () => {
  covers('API-084', 'API-097');
  assert.equal(quantityValue('128974848'), 128_974_848);
  assert.equal(quantityValue('129e6'), 129_000_000);
  assert.equal(quantityValue('129M'), 129_000_000);
  assert.equal(quantityValue('123Mi'), 128_974_848);
  const decimal = ['k', 'M', 'G', 'T', 'P', 'E'];
  for (const [index, suffix] of decimal.entries()) {
    assert.equal(quantityValue(`1${suffix}`), 1000 ** (index + 1), suffix);
  }
  const binary = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
  for (const [index, suffix] of binary.entries()) {
    assert.equal(quantityValue(`1${suffix}`), 1024 ** (index + 1), suffix);
  }
});

test('whole units and thousandths round up', () => {
  assert.equal(quantityValue('100m'), 1);
  assert.equal(quantityValue('1500m'), 2);
  assert.equal(quantityValue('3000m'), 3);
  assert.equal(quantityValue('3Ki'), 3072);
  assert.equal(quantityMilliValue('0.5'), 500);
  assert.equal(quantityMilliValue('1u'), 1);
  assert.equal(quantityMilliValue('250m'), 250);
  assert.equal(quantityMilliValue('2'), 2000);
});

test('sums keep the family of the first', () => {
  assert.equal(addQuantities('1Gi', '512Mi'), '1536Mi');
  assert.equal(addQuantities('0', '512Mi'), '512Mi');
  assert.equal(addQuantities('100m', '0.9'), '1');
  assert.equal(subtractQuantities('1', '1m'), '999m');
  assert.ok(compareQuantities('1Gi', '1G') > 0);
  assert.equal(compareQuantities('1', '1000m'), 0);
  assert.ok(compareQuantities('100m', '0.2') < 0);
});

test('any amount survives being written and read', () => {
  const random = seededRandom(7);
  for (let round = 0; round < 2000; round++) {
    const format = (['binary', 'decimal', 'exponent'] as const)[random.integer(3)] ?? 'decimal';
    const whole = BigInt(random.integer(2 ** 31)) * BigInt(random.integer(1000) + 1);
    const nano = format === 'binary' ? whole * 1_000_000_000n : whole;
    const text = formatQuantity({ nano, format });
    assert.equal(parseQuantity(text)?.nano, nano, text);
    // Bytes that no binary suffix divides are written plainly, which then reads as decimal.
    if (format !== 'binary') assert.equal(canonicalQuantity(text), text);
  }
});
