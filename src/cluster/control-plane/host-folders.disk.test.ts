/** Folders that stand for volumes: made readable for all, removed with all that is in them. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { hostFolders } from './host-folders.ts';

test('a folder is made for everybody, and goes with what is in it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-folders-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'hostpath_pv', 'uid');
  const before = process.umask(0o077);
  t.after(() => process.umask(before));
  await hostFolders.make(path);
  await hostFolders.make(path);
  assert.equal(statSync(path).mode & 0o777, 0o755);
  mkdirSync(join(path, 'deep'));
  writeFileSync(join(path, 'deep', 'file'), 'x');
  await hostFolders.remove(path);
  await hostFolders.remove(path);
  assert.equal(existsSync(path), false);
  assert.equal(existsSync(folder), true);
});
