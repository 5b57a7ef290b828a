/** Where secrets are kept, on machines with and without swap, old and new kernels. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLog } from '#kit/log.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { kubeletPaths } from '../pods/pod-paths.ts';
import { openMachine } from './machine.ts';
import { openMemoryFolder } from './memory-folder.ts';

const { signal } = new AbortController();

function rootOf(context: TestContext): string {
  const root = mkdtempSync(join(tmpdir(), 'coracle-memory-'));
  context.after(() => rmSync(root, { recursive: true }));
  return root;
}

test('who has swap that what is in memory may go to is told so', async (context) => {
  const root = rootOf(context);
  const paths = kubeletPaths(root);
  const reasons: string[] = [];
  const open = async (swaps: string, options: string): Promise<readonly string[]> => {
    const texts: Readonly<Record<string, string>> = {
      '/proc/swaps': `Filename Type Size Used Priority\n${swaps}`,
      '/proc/self/mountinfo': `40 35 0:30 / ${paths.memory} rw - tmpfs tmpfs ${options}\n`,
    };
    const machine = { isMounted: () => true, readFile: (path: string) => texts[path] ?? '' };
    const recorder = {
      record: (_: unknown, { reason }: { readonly reason: string }) => reasons.push(reason),
    };
    const parts = { machine, paths, recorder, node: { object: () => ({}) } };
    // Nothing else of them is asked.
    await openMemoryFolder(parts as unknown as Parameters<typeof openMemoryFolder>[0], signal);
    return reasons.splice(0);
  };
  assert.deepEqual(await open('', 'rw'), []);
  assert.ok(existsSync(paths.memory));
  assert.deepEqual(await open('/dev/vdc partition 4096 0 -2\n', 'rw,noswap'), []);
  const told = ['PossibleMemoryBackedVolumesOnDisk'];
  assert.deepEqual(await open('/dev/vdc partition 4096 0 -2\n', 'rw'), told);
});

test('what is in memory is kept from swap, where the kernel knows how', async (context) => {
  const root = rootOf(context);
  // It stands for the one of a machine whose kernel is that old.
  const program = [
    '#!/bin/sh',
    `echo "$@" >> ${root}/asked`,
    'case "$*" in *noswap*) echo "wrong fs type, bad option" >&2; exit 32;; esac',
    '',
  ].join('\n');
  mkdirSync(join(root, 'bin'));
  writeFileSync(join(root, 'bin/mount'), program, { mode: 0o755 });
  const { PATH } = process.env;
  context.after(() => {
    process.env['PATH'] = PATH;
  });
  process.env['PATH'] = `${root}/bin:${PATH}`;
  const version = { version: '0.1.0', runtimeName: 'containerd', runtimeVersion: '2.1.0' };
  const runtime = {
    version: async () => ({ ...version, runtimeApiVersion: 'v1' }),
    cgroupDriver: async () => 'cgroupfs' as const,
  };
  const deps = { runtime, clock: new VirtualClock(), log: silentLog };
  const machine = await openMachine(deps, { signal });
  await machine.mountTmpfs('/a', { sizeBytes: 4096, signal });
  await machine.mountTmpfs('/b', { signal });
  assert.deepEqual(readFileSync(join(root, 'asked'), 'utf8').trim().split('\n'), [
    '-t tmpfs -o size=4096,noswap tmpfs /a',
    '-t tmpfs -o size=4096 tmpfs /a',
    '-t tmpfs tmpfs /b',
  ]);
});
