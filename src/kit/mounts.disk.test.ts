/** Mounts are found where they are, whatever the way to them. */
import assert from 'node:assert/strict';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { DescriptorBinds } from './descriptor-binds.ts';
import { isMountPoint, mountPointsBelow, removeFolder, unmountBelow } from './mounts.ts';

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
  await new DescriptorBinds().bind(descriptor, inner);
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

test('what is bound in one turn is bound by one process, and each is told its own end', async (context) => {
  if (process.getuid?.() !== 0) return;
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'coracle-mounts-')));
  context.after(() => rmSync(root, { recursive: true }));
  const names = ['a b', 'c#', '#d', 'e\tf\\g'];
  const program = ['#!/bin/sh', `echo >> ${root}/started`, 'exec /bin/mount "$@"', ''].join('\n');
  mkdirSync(join(root, 'bin'));
  writeFileSync(join(root, 'bin/mount'), program, { mode: 0o755 });
  const { PATH } = process.env;
  process.env['PATH'] = `${root}/bin:${PATH}`;
  const descriptors = names.map((name) => {
    mkdirSync(join(root, name, 'inner'), { recursive: true });
    mkdirSync(join(root, 'at', name), { recursive: true });
    return openSync(join(root, name), 'r');
  });
  const binds = new DescriptorBinds();
  const asked = names.map((name, index) =>
    binds.bind(descriptors[index] ?? -1, join(root, 'at', name)),
  );
  const missing = join(root, 'at/missing');
  const refused = assert.rejects(binds.bind(descriptors[0] ?? -1, missing), {
    message: /^cannot bind to .*missing: .*mount point does not exist/,
  });
  try {
    await Promise.all(asked);
    await refused;
    for (const name of names) {
      assert.deepEqual(readdirSync(join(root, 'at', name)), ['inner'], name);
    }
    assert.deepEqual(readdirSync(join(root, 'at')).toSorted(), names.toSorted(), 'no table left');
    assert.equal(readFileSync(join(root, 'started'), 'utf8'), '\n');
  } finally {
    process.env['PATH'] = PATH;
    for (const descriptor of descriptors) closeSync(descriptor);
    await unmountBelow(root, { signal: new AbortController().signal });
  }
});
