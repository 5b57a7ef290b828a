/** Cgroup files, with folders that stand for the kernel's trees. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLog } from '#kit/log.ts';
import { type Mount, parseMountInfo } from '#kit/mounts.ts';
import { openCgroups } from './cgroups.ts';

function rootOf(context: TestContext): string {
  const root = mkdtempSync(join(tmpdir(), 'coracle-cgroups-'));
  context.after(() => rmSync(root, { recursive: true, force: true }));
  return root;
}

const resources = {
  cpuShares: 1024,
  cpuPeriod: 100_000,
  cpuQuota: 50_000,
  memoryLimitBytes: 1_048_576,
  pidsMax: 100,
  hugepages: { '2MB': 4_194_304, '1GB': 0 },
};

test('version 1: a file in the tree of each controller', async (context) => {
  const root = rootOf(context);
  const mounts = ['cpu', 'memory', 'pids', 'hugetlb'].map((controller): Mount => {
    const mountPoint = join(root, controller);
    mkdirSync(join(mountPoint, 'c/kubepods/podu1'), { recursive: true });
    return { mountPoint, type: 'cgroup', options: ['rw', controller] };
  });
  const reserved = 'hugetlb/c/kubepods/podu1/hugetlb.2MB.rsvd.limit_in_bytes';
  writeFileSync(join(root, reserved), '');
  const cgroups = openCgroups({ log: silentLog }, mounts);
  await cgroups.create('/c/kubepods/podu1', resources);
  const read = (path: string) => readFileSync(join(root, path), 'utf8');
  assert.equal(read('cpu/c/kubepods/podu1/cpu.shares'), '1024');
  assert.equal(read('cpu/c/kubepods/podu1/cpu.cfs_quota_us'), '50000');
  assert.equal(read('memory/c/kubepods/podu1/memory.limit_in_bytes'), '1048576');
  assert.equal(read('pids/c/kubepods/podu1/pids.max'), '100');
  assert.equal(read('hugetlb/c/kubepods/podu1/hugetlb.2MB.limit_in_bytes'), '4194304');
  assert.equal(read('hugetlb/c/kubepods/podu1/hugetlb.1GB.limit_in_bytes'), '0');
  assert.equal(read(reserved), '4194304');
  assert.deepEqual(cgroups.children('/c/kubepods'), ['podu1']);
});

test('version 2: one tree, controllers switched on along the way', async (context) => {
  const mountPoint = rootOf(context);
  const mounts: readonly Mount[] = [{ mountPoint, type: 'cgroup2', options: ['rw'] }];
  writeFileSync(join(mountPoint, 'cgroup.controllers'), 'cpuset cpu io memory hugetlb pids\n');
  const cgroups = openCgroups({ log: silentLog }, mounts);
  mkdirSync(join(mountPoint, 'c/podu1'), { recursive: true });
  // The kernel counts reserved pages of this size.
  writeFileSync(join(mountPoint, 'c/podu1/hugetlb.2MB.rsvd.max'), 'max');
  await cgroups.create('/c/podu1', resources);
  const read = (path: string) => readFileSync(join(mountPoint, path), 'utf8');
  assert.equal(read('c/cgroup.subtree_control'), '+cpuset +cpu +io +memory +hugetlb +pids');
  assert.equal(read('c/podu1/hugetlb.2MB.rsvd.max'), '4194304');
  assert.equal(existsSync(join(mountPoint, 'c/podu1/hugetlb.1GB.rsvd.max')), false);
  assert.equal(read('c/podu1/cpu.weight'), '39');
  assert.equal(read('c/podu1/cpu.max'), '50000 100000');
  assert.equal(read('c/podu1/memory.max'), '1048576');
  assert.equal(read('c/podu1/hugetlb.2MB.max'), '4194304');
});

test('version 2: a controller that cannot be switched on does not hold up the others', async (context) => {
  const mountPoint = rootOf(context);
  const mounts: readonly Mount[] = [{ mountPoint, type: 'cgroup2', options: ['rw'] }];
  writeFileSync(join(mountPoint, 'cgroup.controllers'), 'cpuset cpu memory\n');
  // Nothing can be written here, as where processes are in the way.
  mkdirSync(join(mountPoint, 'cgroup.subtree_control'));
  const cgroups = openCgroups({ log: silentLog }, mounts);
  await cgroups.limit('/pods', { memoryLimitBytes: 4096, pidsMax: 0 });
  assert.equal(readFileSync(join(mountPoint, 'pods/memory.max'), 'utf8'), '4096');
  assert.equal(readFileSync(join(mountPoint, 'pods/pids.max'), 'utf8'), '1');
});

test('huge pages of all pods together are limited, in either version', async (context) => {
  const root = rootOf(context);
  const folder = (name: string): string => {
    mkdirSync(join(root, name, 'kubepods'), { recursive: true });
    return join(root, name);
  };
  const hugepages = { '2MB': 134_217_728 };
  const first: Mount = { mountPoint: folder('one'), type: 'cgroup', options: ['hugetlb'] };
  await openCgroups({ log: silentLog }, [first]).limit('/kubepods', { hugepages });
  const one = join(root, 'one/kubepods/hugetlb.2MB.limit_in_bytes');
  assert.equal(readFileSync(one, 'utf8'), '134217728');
  const second: Mount = { mountPoint: folder('two'), type: 'cgroup2', options: [] };
  const limit = openCgroups({ log: silentLog }, [second]).limit;
  writeFileSync(join(root, 'two/cgroup.controllers'), 'cpu\n');
  const two = join(root, 'two/kubepods/hugetlb.2MB.max');
  await limit('/kubepods', { hugepages });
  assert.equal(existsSync(two), false, 'the kernel has no such controller');
  writeFileSync(join(root, 'two/cgroup.controllers'), 'cpu hugetlb\n');
  await limit('/kubepods', { hugepages });
  assert.equal(readFileSync(two, 'utf8'), '134217728');
});

test('version 2: a cgroup lacks the controllers that were not switched on for it', (context) => {
  const mountPoint = rootOf(context);
  const mounts: readonly Mount[] = [{ mountPoint, type: 'cgroup2', options: ['rw'] }];
  writeFileSync(join(mountPoint, 'cgroup.controllers'), 'cpuset cpu io memory hugetlb pids\n');
  mkdirSync(join(mountPoint, 'system.slice'));
  writeFileSync(join(mountPoint, 'system.slice/cgroup.controllers'), 'cpu memory pids\n');
  const cgroups = openCgroups({ log: silentLog }, mounts);
  assert.deepEqual(cgroups.missing('/system.slice'), ['cpuset', 'hugetlb']);
  assert.deepEqual(cgroups.missing('/none'), ['cpu', 'cpuset', 'hugetlb', 'memory', 'pids']);
});

test('removal takes empty cgroups below along, and says when one is busy', async (context) => {
  const mountPoint = rootOf(context);
  const mounts: readonly Mount[] = [{ mountPoint, type: 'cgroup2', options: ['rw'] }];
  const cgroups = openCgroups({ log: silentLog }, mounts);
  writeFileSync(join(mountPoint, 'cgroup.controllers'), 'cpu\n');
  mkdirSync(join(mountPoint, 'c/podu1/container'), { recursive: true });
  assert.equal(await cgroups.remove('/c/podu1'), true);
  assert.equal(existsSync(join(mountPoint, 'c/podu1')), false);
  assert.equal(await cgroups.remove('/c/podu1'), true);
  // An ordinary folder with a file in it cannot be removed, as a cgroup with a process cannot.
  await cgroups.create('/c/podu2', resources);
  assert.equal(await cgroups.remove('/c/podu2'), false);
});

test('what a runtime has lost ends with the cgroup of its pod', async (context) => {
  const mountPoint = rootOf(context);
  const mounts: readonly Mount[] = [{ mountPoint, type: 'cgroup', options: ['rw', 'pids'] }];
  const cgroups = openCgroups({ log: silentLog }, mounts);
  const folder = join(mountPoint, 'c/podu1/container');
  mkdirSync(folder, { recursive: true });
  const child = spawn('sleep', ['1000']);
  context.after(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  // Also of those that nobody may end: us, and who is not seen from here.
  writeFileSync(join(folder, 'cgroup.procs'), `0\n${process.pid}\n${child.pid}\n`);
  assert.equal(await cgroups.remove('/c/podu1'), false, 'it is busy until the process has ended');
  assert.deepEqual(await ended, [null, 'SIGKILL']);
  rmSync(join(folder, 'cgroup.procs'));
  assert.equal(await cgroups.remove('/c/podu1'), true);
});

test('the kernel’s table of mounts is understood', () => {
  const text =
    '36 35 98:0 / /mnt/with\\040space rw,noatime shared:1 - tmpfs tmpfs rw,size=1024k\n' +
    '40 35 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n';
  assert.deepEqual(parseMountInfo(text), [
    { mountPoint: '/mnt/with space', type: 'tmpfs', options: ['rw', 'size=1024k'] },
    { mountPoint: '/sys/fs/cgroup/memory', type: 'cgroup', options: ['rw', 'memory'] },
  ]);
});
