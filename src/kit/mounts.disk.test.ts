/** Mounts are found where they are, whatever the way to them. */
import assert from 'node:assert/strict';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  bindDescriptor,
  isMountPoint,
  mountPointsBelow,
  removeFolder,
  unmountBelow,
} from './mounts.ts';

test('what is mounted below a folder is found by way of a link as well', (context) => {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'coracle-mounts-')));
  context.after(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, 'disk/data/a'), { recursive: true });
  symlinkSync(join(root, 'disk/data'), join(root, 'link'));
  const mounts = ['disk', 'disk/data/a', 'disk/data/a/b', 'disk/database'].map((path) => ({
    ...{ mountPoint: join(root, path), type: 'ext4', options: [] },
  }));
  const expected = [join(root, 'disk/data/a'), join(root, 'disk/data/a/b')];
  for (const folder of ['disk/data', 'link', 'link/a']) {
    assert.deepEqual(mountPointsBelow(join(root, folder), mounts), expected, folder);
  }
  assert.equal(isMountPoint(join(root, 'link/a'), mounts), true);
  assert.equal(isMountPoint(join(root, 'link'), mounts), false);
  assert.equal(isMountPoint(join(root, 'nowhere'), mounts), false);
});

test('what is mounted below a folder with a strange name is found in the table of the kernel', async (context) => {
  if (process.getuid?.() !== 0) return;
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'coracle-mounts-')));
  const { signal } = new AbortController();
  const folder = join(root, 'a \\ b\tc\nd');
  const inner = join(folder, 'inner');
  mkdirSync(inner, { recursive: true });
  context.after(() => rmSync(root, { recursive: true }));
  const descriptor = openSync(root, 'r');
  await bindDescriptor(descriptor, inner);
  closeSync(descriptor);
  try {
    assert.deepEqual(mountPointsBelow(folder), [inner]);
    assert.equal(isMountPoint(inner), true);
    assert.throws(() => removeFolder(folder), /is mounted/);
  } finally {
    await unmountBelow(folder, { signal });
  }
  assert.deepEqual(mountPointsBelow(root), []);
});
