/** What a recipe adds is for everybody to read, whoever builds the image. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { addFiles } from './recipe-files.ts';

test('modes are those of the recipe, also of one who lets nobody read what he makes', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'coracle-recipe-'));
  const umask = process.umask(0o077);
  t.after(() => {
    process.umask(umask);
    rmSync(folder, { recursive: true });
  });
  mkdirSync(path.join(folder, 'kept'));
  chmodSync(path.join(folder, 'kept'), 0o711);
  const recipe = {
    folders: [
      { path: 'root', mode: 0o700 },
      { path: 'var/tmp', mode: 0o1777 },
    ],
    files: { 'etc/app/passwd': 'a', 'kept/file': 'b' },
    symlinks: { 'var/log/app/log': '/dev/stdout' },
    busyboxLinks: false,
  };
  await addFiles(folder, recipe, { signal: new AbortController().signal });
  const modes = Object.fromEntries(
    [
      ...['root', 'var', 'var/tmp', 'etc', 'etc/app', 'etc/app/passwd', 'kept', 'kept/file'],
      ...['var/log', 'var/log/app'],
    ].map((name) => [name, (statSync(path.join(folder, name)).mode & 0o7777).toString(8)]),
  );
  assert.deepEqual(modes, {
    ...{ root: '700', var: '755', 'var/tmp': '1777', etc: '755', 'etc/app': '755' },
    ...{ 'etc/app/passwd': '644', kept: '711', 'kept/file': '644' },
    ...{ 'var/log': '755', 'var/log/app': '755' },
  });
  assert.equal(readFileSync(path.join(folder, 'kept/file'), 'utf8'), 'b');
  assert.equal(readlinkSync(path.join(folder, 'var/log/app/log')), '/dev/stdout');
});
