/** What nobody reads in a container leaves a root file system, whatever lies beside it. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { dropUnread } from './debian-rootfs.ts';

test('manuals and conversion tables go, files beside the folders of libraries stay', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'coracle-rootfs-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const at = (file: string): string => path.join(folder, file);
  const write = (file: string): void => {
    mkdirSync(path.dirname(at(file)), { recursive: true });
    writeFileSync(at(file), '');
  };
  // As base-files, libc6 and bash bring them.
  const unread = ['usr/share/man/man1/bash.1.gz', 'usr/lib/x86_64-linux-gnu/gconv/UTF-16.so'];
  const kept = ['usr/lib/os-release', 'usr/lib/x86_64-linux-gnu/libc.so.6', 'usr/bin/bash'];
  for (const file of [...unread, ...kept]) write(file);
  await dropUnread(folder);
  assert.deepEqual(
    unread.filter((file) => existsSync(at(file))),
    [],
  );
  assert.deepEqual(
    kept.filter((file) => existsSync(at(file))),
    kept,
  );
});

test('a file system without libraries is fine', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'coracle-rootfs-'));
  t.after(() => rmSync(folder, { recursive: true }));
  await dropUnread(folder);
});
