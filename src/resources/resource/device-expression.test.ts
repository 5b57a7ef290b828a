/**
 * Expressions that choose devices: what upstream's compiler says to each line of
 * `recorded-expressions.jsonl` and how it judges one device, against ours.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { compileDeviceExpression, deviceValue } from './device-expression.ts';

interface Recorded {
  readonly expression: string;
  readonly error?: string;
  readonly costMax?: string;
  readonly value?: boolean;
  readonly failure?: string;
}

const device = deviceValue('gpu.example.com', {
  name: 'x',
  attributes: {
    model: { string: 'a100' },
    count: { int: 4 },
    ver: { version: '1.2.3' },
    shared: { bool: true },
    'other.com/flag': { bool: false },
  },
  capacity: { memory: { value: '2Gi' } },
  allowMultipleAllocations: true,
});

const recorded = readFileSync(new URL('recorded-expressions.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  // The recording is ours; its lines have this form.
  .map((line) => JSON.parse(line) as Recorded);

function answer(expression: string): Recorded {
  const compiled = compileDeviceExpression(expression, { stored: true });
  if (!compiled.ok) return { expression, error: compiled.error };
  const costMax = String(compiled.costMax);
  const matched = compiled.matches(device);
  if (typeof matched === 'boolean') return { expression, costMax, value: matched };
  return { expression, costMax, failure: matched.error };
}

test(`upstream's answers to ${recorded.length} selectors`, () => {
  assert.ok(recorded.length > 40);
  for (const wanted of recorded) assert.deepEqual(answer(wanted.expression), wanted);
});

test('what is not on yet can be used where it is stored, not written anew', () => {
  const expression = 'device.attributes["gpu.example.com"].model.includes("a100")';
  const stored = compileDeviceExpression(expression, { stored: true });
  assert.ok(stored.ok);
  assert.equal(stored.matches(device), true);
  const fresh = compileDeviceExpression(expression, { stored: false });
  assert.ok(!fresh.ok);
  assert.match(fresh.error, /^compilation failed: ERROR: .* undeclared reference to 'includes'/);
});

test('an attribute without a value cannot be used', () => {
  const bad = { name: 'x', attributes: { odd: {} } };
  assert.throws(() => deviceValue('gpu.example.com', bad), {
    message: 'attribute odd: unsupported attribute value',
  });
});
