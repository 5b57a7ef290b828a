/** What is left of a data dir after a reset: nothing, and what somebody made for it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { containerdLayout } from '#cri';
import { DescriptorBinds } from '#kit/descriptor-binds.ts';
import { silentLog } from '#kit/log.ts';
import { readMounts, unmountBelow } from '#kit/mounts.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { findTraces, removeTraces, type Traces, tracesOfPods } from './machine-traces.ts';
import { resetCluster } from './teardown.ts';

const deps = { clock: new VirtualClock(), log: silentLog };

/** A data dir with something in it, and what is around it. */
function madeIn(context: TestContext): { readonly folder: string; readonly dataDir: string } {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-teardown-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const dataDir = join(folder, 'data');
  mkdirSync(join(dataDir, 'server/db'), { recursive: true });
  writeFileSync(join(dataDir, 'server/db/state.db'), 'objects');
  return { folder, dataDir };
}

test('a data dir is removed with all that is in it', async (context) => {
  const { folder, dataDir } = madeIn(context);
  await resetCluster(deps, dataDir);
  assert.deepEqual(readdirSync(folder), []);
});

test('a data dir in which something is mounted stays, with what is mounted', async (context) => {
  if (process.getuid?.() !== 0) return;
  const { folder, dataDir } = madeIn(context);
  const [theirs, part] = [join(folder, 'theirs'), join(dataDir, 'agent/kubelet/pods/uid/part')];
  for (const each of [theirs, part]) mkdirSync(each, { recursive: true });
  writeFileSync(join(theirs, 'precious'), '');
  const descriptor = openSync(theirs, 'r');
  await new DescriptorBinds().bind(descriptor, part);
  closeSync(descriptor);
  try {
    await assert.rejects(resetCluster(deps, dataDir), /not removed: .*\/part is still mounted/);
    assert.deepEqual(readdirSync(theirs), ['precious']);
  } finally {
    await unmountBelow(part, { signal: new AbortController().signal });
  }
  await resetCluster(deps, dataDir);
  assert.deepEqual(readdirSync(folder), ['theirs']);
});

test('a data dir behind a link is emptied, and the link stays for the next cluster', async (context) => {
  const { folder, dataDir } = madeIn(context);
  const link = join(folder, 'link');
  symlinkSync(dataDir, link);
  await resetCluster(deps, link);
  assert.deepEqual(readdirSync(dataDir), []);
  assert.ok(lstatSync(link).isSymbolicLink());
});

test('processes are found by every name of the data dir', async (context) => {
  const { folder, dataDir } = madeIn(context);
  const link = join(folder, 'link');
  symlinkSync(dataDir, link);
  const { signal } = new AbortController();
  for (const [named, asked] of [
    [link, dataDir],
    [dataDir, link],
    [link, link],
  ] as const) {
    // The file that it names may be gone.
    const args = ['-e', 'setTimeout(() => {}, 60_000)', '--', `--socket=${named}/run/gone.sock`];
    const child = spawn(process.execPath, args, { stdio: 'ignore' });
    context.after(() => child.kill('SIGKILL'));
    await once(child, 'spawn');
    const { processes } = await findTraces('none', asked, { signal });
    assert.deepEqual(
      processes.map(({ pid }) => pid),
      [child.pid],
      `${named} ${asked}`,
    );
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});

test('a stop of the pods takes shims along, and nobody else who names the data dir', async (context) => {
  const { folder } = madeIn(context);
  const { signal } = new AbortController();
  // A path this long is too long for a socket, which is elsewhere then.
  for (const dataDir of [join(folder, 'd'), join(folder, 'd'.repeat(100))]) {
    const { socketPath } = containerdLayout(dataDir, 'none');
    assert.equal(socketPath.startsWith(dataDir), dataDir.endsWith('/d'));
    const named = (argv0: string) => {
      const words = ['-e', 'setTimeout(() => {}, 60_000)', '--', '-address', socketPath];
      return spawn(process.execPath, words, { argv0, stdio: 'ignore' });
    };
    const [shim, other] = [named('/usr/bin/containerd-shim-runc-v2'), named('follower')];
    context.after(() => [shim, other].map((each) => each.kill('SIGKILL')));
    await Promise.all([once(shim, 'spawn'), once(other, 'spawn')]);
    const traces = await findTraces('none', dataDir, { signal });
    const pidsOf = ({ processes }: Traces) => processes.map(({ pid }) => pid).toSorted();
    assert.deepEqual(pidsOf(traces), [shim.pid, other.pid].toSorted());
    assert.deepEqual(pidsOf(tracesOfPods(traces)), [shim.pid]);
  }
});

test('a process that names nothing of the cluster ends with its cgroup', async (context) => {
  const hierarchy = readMounts().find(({ type, options }) =>
    type === 'cgroup' ? options.includes('pids') : type === 'cgroup2',
  );
  // Only root may move a process into a cgroup, and not in every container.
  const isOurs = process.getuid?.() === 0 && !hierarchy?.options.includes('ro');
  if (hierarchy === undefined || !isOurs) return;
  const { dataDir } = madeIn(context);
  const { signal } = new AbortController();
  const cgroup = join(hierarchy.mountPoint, `coracle-t${process.pid}`);
  mkdirSync(cgroup);
  const child = spawn('sleep', ['600'], { stdio: 'ignore' });
  context.after(() => {
    child.kill('SIGKILL');
    if (existsSync(cgroup)) rmdirSync(cgroup);
  });
  await once(child, 'spawn');
  writeFileSync(join(cgroup, 'cgroup.procs'), String(child.pid));
  const traces = await findTraces(`t${process.pid}`, dataDir, { signal });
  assert.deepEqual([traces.cgroups, traces.processes], [[cgroup], []]);
  const ended = once(child, 'exit');
  await removeTraces(traces, dataDir, { endProcesses: true, signal });
  assert.deepEqual(await ended, [null, 'SIGKILL']);
});

test('of a link that leads nowhere nothing is left', async (context) => {
  const { folder } = madeIn(context);
  const link = join(folder, 'link');
  symlinkSync(join(folder, 'gone'), link);
  await resetCluster(deps, link);
  assert.equal(existsSync(link) || readdirSync(folder).includes('link'), false);
});
