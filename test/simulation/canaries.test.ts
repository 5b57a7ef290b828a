/**
 * The planted bugs: every patch still applies, names what notices it, and a few of them, others
 * with each seed of the run, are noticed. All of them: `npm run sim -- --canaries`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#kit/random.ts';
import { findCanary, readCanaries } from './canaries.ts';

const sampleSize = 2;
const canaries = readCanaries();

test('there are twenty planted bugs at least, and each still applies', () => {
  assert.ok(canaries.length >= 20, `${canaries.length}`);
  const broken = canaries.flatMap(({ name, problem }) =>
    problem === undefined ? [] : [`${name}: ${problem}`],
  );
  assert.deepEqual(broken, [], 'make these patches anew');
});

const random = seededRandom(Number(process.env['CORACLE_SEED'] ?? 1));
const sample = new Set<(typeof canaries)[number]>();
while (sample.size < Math.min(sampleSize, canaries.length)) {
  const one = canaries[random.integer(canaries.length)];
  if (one !== undefined) sample.add(one);
}

for (const canary of sample) {
  test(`canary ${canary.name} is noticed`, async ({ signal }) => {
    const found = await findCanary(canary, { signal });
    assert.ok(found.ok, found.ok ? '' : found.problem);
  });
}
