/** Time stands still for files, however many steps on the disk follow one another. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { lstat, open, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { settleFiles } from './settle-files.ts';

test('a timer that comes later finds the files of the timer before it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-settle-'));
  try {
    const clock = new VirtualClock({ settle: settleFiles });
    const path = join(folder, 'read');
    writeFileSync(path, 'text');
    let isDone = false;
    const work = async (): Promise<void> => {
      for (let turn = 0; turn < 5; turn++) {
        await using file = await open(path);
        assert.equal((await file.read(Buffer.alloc(10))).bytesRead, 4);
        for (const name of await readdir(folder)) await lstat(join(folder, name));
      }
      isDone = true;
    };
    clock.after(10, () => void work());
    let wasDone = false;
    clock.after(11, () => {
      wasDone = isDone;
    });
    await clock.advance(20);
    assert.ok(wasDone, 'one virtual millisecond is enough');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
