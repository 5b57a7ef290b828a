/** What was freed between pieces that live on is given back to the machine, without a word. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

/** 64 MiB in pieces of 2 KiB, of which every two-hundredth stays. */
const script = `
  import { FreeMemory } from '${new URL('free-memory.ts', import.meta.url)}';
  let pieces = Array.from({ length: 32768 }, () => new Uint8Array(2048).fill(1));
  const kept = pieces.filter((_, index) => index % 200 === 0);
  pieces = undefined;
  globalThis.gc();
  const before = process.memoryUsage.rss();
  const memory = new FreeMemory();
  let isGivenBack = memory.trim();
  // Other threads free what was collected.
  for (let turn = 0; turn < 2500 && freed() < 32 * 1024 * 1024; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (memory.trim()) isGivenBack = true;
  }
  console.log(JSON.stringify({ isGivenBack, freed: freed(), kept: kept.length }));
  function freed() {
    return before - process.memoryUsage.rss();
  }
`;

test('memory between what lives on is given back', () => {
  const args = ['--expose-gc', '--input-type=module', '--eval', script];
  const child = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 });
  assert.equal(child.stderr, '');
  const { isGivenBack, freed, kept } = JSON.parse(child.stdout);
  assert.equal(isGivenBack, true);
  assert.equal(kept, 164);
  assert.ok(freed > 32 * 1024 * 1024, `${freed} bytes were given back`);
});

test('a Node without foreign functions goes on without', () => {
  const without = `process.getBuiltinModule = () => undefined;${script.replace('< 2500', '< 1')}`;
  const args = ['--expose-gc', '--input-type=module', '--eval', without];
  const child = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 });
  assert.equal(child.stderr, '');
  assert.equal(JSON.parse(child.stdout).isGivenBack, false);
});
