/** Volumes that belong to the group of a pod. Owners can be changed by root only. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { exchangeLinks } from '#test/exchanged-links.ts';
import { giveToGroup } from './ownership.ts';

const { signal } = new AbortController();

/** The group that new files of the test have: it can be given without being root. */
function folderOf(context: TestContext): { readonly folder: string; readonly gid: number } {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-ownership-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'sub'), { mode: 0o700 });
  writeFileSync(join(folder, 'sub/file'), '', { mode: 0o600 });
  return { folder, gid: lstatSync(folder).gid };
}

const modeOf = (...path: readonly string[]): string =>
  (lstatSync(join(...path)).mode & 0o7777).toString(8);

test('the group may read and write, and new files will be its own', async (context) => {
  const { folder, gid } = folderOf(context);
  symlinkSync('/etc/passwd', join(folder, 'link'));
  const outside = modeOf('/etc/passwd');
  await giveToGroup(folder, { gid, isReadOnly: false, signal });
  assert.equal(modeOf(folder, 'sub'), '2770');
  assert.equal(modeOf(folder, 'sub/file'), '660');
  assert.equal(modeOf('/etc/passwd'), outside, 'links are not followed');
});

test('a volume may be named by a link', async (context) => {
  const { folder, gid } = folderOf(context);
  const link = `${folder}-link`;
  symlinkSync(folder, link);
  context.after(() => rmSync(link));
  await giveToGroup(link, { gid, isReadOnly: false, signal });
  assert.deepEqual([modeOf(folder), modeOf(folder, 'sub')], ['2770', '2770']);
});

test('of what is for reading the group may only read', async (context) => {
  const { folder, gid } = folderOf(context);
  await giveToGroup(folder, { gid, isReadOnly: true, signal });
  assert.equal(modeOf(folder, 'sub/file'), '640');
});

test('where the top is right, nothing below is looked at if that is wished', async (context) => {
  const { folder, gid } = folderOf(context);
  const policy = 'OnRootMismatch';
  chmodSync(folder, 0o2770);
  await giveToGroup(folder, { gid, isReadOnly: false, policy, signal });
  assert.equal(modeOf(folder, 'sub/file'), '600');
  chmodSync(folder, 0o700);
  await giveToGroup(folder, { gid, isReadOnly: false, policy, signal });
  assert.equal(modeOf(folder, 'sub/file'), '660');
});

test('whatever a container exchanges meanwhile, nothing outside is given away', async (context) => {
  const { folder, gid } = folderOf(context);
  const outside = `${folder}-outside`;
  mkdirSync(outside);
  context.after(() => rmSync(outside, { recursive: true }));
  writeFileSync(join(outside, 'file'), '', { mode: 0o600 });
  {
    await using _exchange = await exchangeLinks({ volume: folder, own: 'sub', outside });
    for (let round = 0; round < 1000; round++) {
      // What is exchanged at the wrong time is an error, and the volume is given another time.
      await giveToGroup(folder, { gid, isReadOnly: false, signal }).catch(() => {});
    }
  }
  assert.deepEqual([modeOf(outside), modeOf(outside, 'file')], ['755', '600']);
});

test('folders without end in each other are refused', async (context) => {
  const { folder, gid } = folderOf(context);
  const before = process.cwd();
  process.chdir(folder);
  try {
    for (let depth = 0; depth < 1002; depth++) {
      mkdirSync('d');
      process.chdir('d');
    }
  } finally {
    process.chdir(before);
  }
  await assert.rejects(giveToGroup(folder, { gid, isReadOnly: false, signal }), /1000 deep/);
});
