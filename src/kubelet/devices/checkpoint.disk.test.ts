/** What was given survives a crash, and a damaged file is not believed. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLog } from '#kit/log.ts';
import { Checkpoint } from './checkpoint.ts';

test('a checkpoint reads as it was written; a damaged one is as if it were not there', () => {
  const dir = mkdtempSync(join(tmpdir(), 'coracle-checkpoint-'));
  try {
    const path = join(dir, 'below', 'state');
    const checkpoint = new Checkpoint<readonly string[]>(path, silentLog);
    assert.equal(checkpoint.read(), undefined);
    checkpoint.write(['a', 'b']);
    assert.deepEqual(new Checkpoint(path, silentLog).read(), ['a', 'b']);
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace('b', 'x'));
    assert.equal(checkpoint.read(), undefined);
    writeFileSync(path, text.slice(0, 12));
    assert.equal(checkpoint.read(), undefined);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
