/**
 * Controllers and scheduler that die at a write, each run of the tests at some others of all
 * moments (all of them: `npm run sim -- --kills`), and two of each that lead at once.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#kit/random.ts';
import { allKills, killText, tell, tellOfTwoLeaders } from './killed-at-any-write.ts';

const sampleSize = 16;

test('killed at any write, they lose nothing and make nothing twice', async () => {
  const kills = await allKills();
  assert.ok(kills.length > 200, `${kills.length}`);
  const random = seededRandom(Number(process.env['CORACLE_SEED'] ?? 1));
  for (let count = 0; count < sampleSize; count++) {
    const kill = kills[random.integer(kills.length)];
    assert.ok(kill !== undefined);
    await assert.doesNotReject(tell(kill), killText(kill));
  }
});

test('two that lead by mistake, from beginning to end, come to the same', async () => {
  await tellOfTwoLeaders();
});
