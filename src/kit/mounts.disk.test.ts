/** Mounts are found where they are, whatever the way to them. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isMountPoint, mountPointsBelow } from './mounts.ts';

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
