/** The same seed gives the same numbers; names and UUIDs look as they must. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameSuffix, seededRandom, systemRandom } from './random.ts';

test('a seed repeats its numbers and another seed does not', () => {
  const draw = (seed: number) => {
    const random = seededRandom(seed);
    return [random.integer(1000), random.fraction(), random.uuid(), nameSuffix(random)];
  };
  assert.deepEqual(draw(7), draw(7));
  assert.notDeepEqual(draw(7), draw(8));
});

test('both sources keep their bounds', () => {
  for (const random of [seededRandom(1), systemRandom()]) {
    const seen = new Set<number>();
    for (let i = 0; i < 2000; i++) {
      const n = random.integer(10);
      assert.ok(n >= 0 && n < 10 && Number.isInteger(n));
      seen.add(n);
    }
    assert.equal(seen.size, 10);
    assert.match(random.uuid(), /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
    assert.match(nameSuffix(random), /^[bcdfghjklmnpqrstvwxz2456789]{5}$/);
    assert.equal(random.bytes(5000).length, 5000);
  }
});
