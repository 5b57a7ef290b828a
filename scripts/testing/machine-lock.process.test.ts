/** The machine lock: one holder at a time, and none left waiting for ever. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { takeMachineLock } from './machine-lock.ts';

test('the second waits for the first, and gives up after its limit', async (t) => {
  const path = join(tmpdir(), `coracle-lock-${process.pid}`);
  t.after(() => rmSync(path, { force: true }));
  const { signal } = new AbortController();
  const first = await takeMachineLock({ path, limitMs: 60_000, signal });
  await assert.rejects(takeMachineLock({ path, limitMs: 1_000, signal }), /another run holds/);
  const second = takeMachineLock({ path, limitMs: 60_000, signal });
  await first[Symbol.asyncDispose]();
  await (await second)[Symbol.asyncDispose]();
});
