/**
 * Parts of volumes on a real file system, while somebody exchanges what is on the way to them: what
 * a container gets is in its volume, or nothing. As root also with the kernel's mounts.
 */
import assert from 'node:assert/strict';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DescriptorBinds } from '#kit/descriptor-binds.ts';
import { isMountPoint, mountPointsBelow, removeFolder, unmountBelow } from '#kit/mounts.ts';
import { exchangeLinks } from '#test/exchanged-links.ts';
import { type Binder, bindSubPath, makeSubPath, openInside } from './sub-paths.ts';

const { signal } = new AbortController();
const binds = new DescriptorBinds();
const bindDescriptor: Binder['bindDescriptor'] = (...args) => binds.bind(...args);
const kernel: Binder = { isMounted: isMountPoint, bindDescriptor, unmountBelow };
const isRoot = process.getuid?.() === 0;

/** A folder with a volume, a folder outside, and a place to bind to. */
function placeIn(context: TestContext) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'coracle-sub-paths-')));
  context.after(async () => {
    await unmountBelow(folder, { signal });
    removeFolder(folder);
  });
  const [volume, outside, pod] = ['volume', 'outside', 'pod'].map((name) => join(folder, name));
  assert.ok(volume !== undefined && outside !== undefined && pod !== undefined);
  for (const each of [volume, outside, pod]) mkdirSync(each);
  writeFileSync(join(outside, 'secret'), 'secret');
  return { volume, outside, pod, target: join(pod, 'volume-subpaths/v/c/0') };
}

/** Instead of a mount: where that which is open is. */
function watchingBinder(onBind: () => void = () => {}) {
  const bound: string[] = [];
  const binder: Binder = {
    isMounted: () => false,
    bindDescriptor: async (descriptor) => {
      onBind();
      bound.push(readlinkSync(`/proc/self/fd/${descriptor}`));
    },
    unmountBelow: async () => {},
  };
  return { binder, bound };
}

function openFiles(): number {
  return readdirSync('/proc/self/fd').length;
}

test('folders of a sub-path are made alike to the volume, and only in it', (context) => {
  const { volume, outside } = placeIn(context);
  chmodSync(volume, 0o3777);
  const before = openFiles();
  makeSubPath(volume, 'a/./b//c');
  for (const name of ['a', 'a/b', 'a/b/c']) {
    assert.equal(statSync(join(volume, name)).mode & 0o7777, 0o3777, name);
  }
  symlinkSync('a/b', join(volume, 'inside'));
  makeSubPath(volume, 'inside/d');
  assert.deepEqual(readdirSync(join(volume, 'a/b')).toSorted(), ['c', 'd']);
  symlinkSync(outside, join(volume, 'out'));
  assert.throws(() => makeSubPath(volume, 'out/new'), /not within volume path/);
  symlinkSync(join(outside, 'new'), join(volume, 'dangling'));
  assert.throws(() => makeSubPath(volume, 'dangling'), { code: 'EEXIST' });
  assert.throws(() => makeSubPath(volume, 'dangling/below'), { code: 'EEXIST' });
  assert.deepEqual(readdirSync(outside), ['secret']);
  assert.equal(openFiles(), before);
});

test('what a sub-path is bound to is in its volume, links in it followed', async (context) => {
  const { volume, outside, target } = placeIn(context);
  mkdirSync(join(volume, 'a/b'), { recursive: true });
  writeFileSync(join(volume, 'a/file'), 'text');
  symlinkSync('a/b', join(volume, 'inside'));
  symlinkSync(join(volume, 'a/file'), join(volume, 'to-file'));
  symlinkSync(outside, join(volume, 'out'));
  const { binder, bound } = watchingBinder();
  const before = openFiles();
  const paths = ['a/b', 'a', 'a/file', 'inside', 'to-file', '.'];
  for (const subPath of paths) await bindSubPath(binder, { volume, subPath, target }, { signal });
  const expected = ['a/b', 'a', 'a/file', 'a/b', 'a/file', ''].map((path) => join(volume, path));
  assert.deepEqual(
    bound,
    expected.map((path) => path.replace(/\/$/, '')),
  );
  for (const subPath of ['out', 'out/secret', 'nowhere', 'a/file/below']) {
    await assert.rejects(bindSubPath(binder, { volume, subPath, target }, { signal }), subPath);
  }
  assert.equal(bound.length, paths.length);
  assert.equal(openFiles(), before);
});

test('a folder that is exchanged for a link after it was looked at is not gone through', (context) => {
  const { volume, outside } = placeIn(context);
  for (const name of ['a', 'b', 'c']) {
    const path = join(volume, 'a/b/c');
    mkdirSync(path, { recursive: true });
    const resolved = realpathSync(path);
    const exchanged = join(volume, 'a/b/c'.slice(0, 'a/b/c'.indexOf(name) + 1));
    renameSync(exchanged, join(volume, `old-${name}`));
    symlinkSync(outside, exchanged);
    const before = openFiles();
    assert.throws(() => openInside(volume, resolved), /unexpected symlink found|ENOTDIR/, name);
    assert.equal(openFiles(), before);
    rmSync(exchanged);
  }
  const file = join(volume, 'file');
  symlinkSync(join(outside, 'secret'), file);
  assert.throws(() => openInside(volume, file), /unexpected symlink found/);
});

test('a folder that is exchanged before it is bound is bound all the same', async (context) => {
  const { volume, outside, target } = placeIn(context);
  mkdirSync(join(volume, 'a/b'), { recursive: true });
  const { binder, bound } = watchingBinder(() => {
    renameSync(join(volume, 'a'), join(volume, 'was-a'));
    symlinkSync(outside, join(volume, 'a'));
  });
  await bindSubPath(binder, { volume, subPath: 'a/b', target }, { signal });
  assert.deepEqual(bound, [join(volume, 'was-a/b')]);
});

test('whatever is exchanged while sub-paths are bound, none leads out of its volume', async (context) => {
  const { volume, outside, target } = placeIn(context);
  mkdirSync(join(volume, 'folder/b'), { recursive: true });
  mkdirSync(join(outside, 'b'));
  {
    await using _exchange = await exchangeLinks({ volume, own: 'folder', outside });
    const { binder, bound } = watchingBinder();
    for (let round = 0; round < 3000; round++) {
      const place = { volume, subPath: 'a/b', target };
      await bindSubPath(binder, place, { signal }).catch(() => {});
    }
    for (const path of bound) assert.ok(path.startsWith(`${volume}/`), path);
  }
  assert.deepEqual(readdirSync(outside).toSorted(), ['b', 'secret']);
});

test('bound once, bound anew when it has become another, and gone without what it showed', async (context) => {
  if (!isRoot) return;
  const { volume, pod, target } = placeIn(context);
  mkdirSync(join(volume, 'a'));
  writeFileSync(join(volume, 'a/data'), 'precious');
  let binds = 0;
  const counting: Binder = {
    ...kernel,
    bindDescriptor: (...args) => {
      binds += 1;
      return bindDescriptor(...args);
    },
  };
  const bind = () => bindSubPath(counting, { volume, subPath: 'a', target }, { signal });
  await bind();
  await bind();
  assert.equal(binds, 1);
  assert.deepEqual(mountPointsBelow(pod), [target], 'another container finds it bound');
  assert.equal(readFileSync(join(target, 'data'), 'utf8'), 'precious');
  renameSync(join(volume, 'a'), join(volume, 'b'));
  writeFileSync(join(volume, 'a'), 'a file by now');
  await bind();
  assert.deepEqual(mountPointsBelow(pod), [target]);
  assert.equal(readFileSync(target, 'utf8'), 'a file by now');
  rmSync(join(volume, 'a'));
  renameSync(join(volume, 'b'), join(volume, 'a'));
  await bind();
  assert.throws(() => removeFolder(pod), /volume-subpaths\/v\/c\/0 is mounted/);
  assert.throws(() => removeFolder(dirname(target)), /is mounted/);
  assert.throws(() => removeFolder(target), /is mounted/);
  assert.equal(readFileSync(join(volume, 'a/data'), 'utf8'), 'precious');
  await unmountBelow(pod, { signal });
  removeFolder(pod);
  assert.equal(existsSync(pod), false);
  assert.equal(readFileSync(join(volume, 'a/data'), 'utf8'), 'precious');
});

test('what is open is bound, wherever its path leads by now', async (context) => {
  if (!isRoot) return;
  const { volume, outside, target } = placeIn(context);
  mkdirSync(join(volume, 'a'));
  writeFileSync(join(volume, 'a/own'), '');
  const descriptor = openInside(volume, join(volume, 'a'));
  renameSync(join(volume, 'a'), join(volume, 'was-a'));
  symlinkSync(outside, join(volume, 'a'));
  mkdirSync(target, { recursive: true });
  await bindDescriptor(descriptor, target);
  closeSync(descriptor);
  assert.deepEqual(readdirSync(target), ['own']);
  await unmountBelow(target, { signal });
  // Who asks the kernel for the path of a folder that is gone is told one that anybody may make.
  const gone = join(volume, 'gone');
  mkdirSync(gone);
  const removed = openInside(volume, gone);
  rmdirSync(gone);
  symlinkSync(outside, `${gone} (deleted)`);
  await bindDescriptor(removed, target).catch(() => {});
  closeSync(removed);
  assert.deepEqual(readdirSync(target), []);
  await assert.rejects(bindDescriptor(descriptor, target), /cannot bind to/);
});
