/** A containerd that dies, or is slow to begin, with a program that stands for it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { openContainerd } from './containerd.ts';

const clock = systemClock();
const deps = { clock, log: silentLog };

/**
 * Listens where its configuration says; as long as there is a file `broken` it ends at once, with
 * `slow` it does not listen yet.
 */
const program = (dir: string): string => `#!${process.execPath}
if (process.argv.includes('--version')) console.log('containerd v1.6.20');
else {
  const { appendFileSync, existsSync, readFileSync } = process.getBuiltinModule('node:fs');
  const config = readFileSync(process.argv.at(-1), 'utf8');
  if (existsSync('${dir}/broken')) {
    appendFileSync('${dir}/failed', '.');
    process.exit(1);
  }
  const [, path] = /address = "([^"]+)"/.exec(config);
  appendFileSync('${dir}/begun', '.');
  const begin = () => {
    if (existsSync('${dir}/slow')) setTimeout(begin, 10);
    else process.getBuiltinModule('node:net').createServer().listen(path);
  };
  begin();
}
`;

function madeIn(context: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), 'ctd-'));
  context.after(() => rmSync(dir, { recursive: true, force: true }));
  for (const name of ['containerd', 'runc']) {
    writeFileSync(join(dir, name), program(dir), { mode: 0o755 });
  }
  const options = { dataDir: join(dir, 'data'), clusterId: 'test', searchPath: dir };
  return { dir, options };
}

test('one that dies and does not start is tried until it does', async (context) => {
  const { dir, options } = madeIn(context);
  const { signal } = context;
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const containerd = await openContainerd(deps, { ...options, signal });
  const supervising = containerd.supervise({ signal: either }).catch((error: unknown) => error);
  try {
    writeFileSync(join(dir, 'broken'), '');
    rmSync(join(dir, 'begun'));
    process.kill(containerd.pid, 'SIGKILL');
    while (!existsSync(join(dir, 'failed'))) await clock.sleep(20, { signal });
    rmSync(join(dir, 'broken'));
    while (!existsSync(join(dir, 'begun'))) await clock.sleep(20, { signal });
    stop.abort(new Error('enough was seen'));
    assert.equal(await supervising, stop.signal.reason, 'nothing else has ended it');
  } finally {
    stop.abort(new Error('enough was seen'));
    await containerd.stop({ signal });
  }
});

test('everybody gets through to the file systems of pods, and sees nothing on the way', async (context) => {
  const { options } = madeIn(context);
  const { dataDir } = options;
  mkdirSync(dataDir, { mode: 0o700 });
  const containerd = await openContainerd(deps, { ...options, signal: context.signal });
  const mode = (path: string): number => statSync(join(dataDir, path)).mode & 0o777;
  try {
    assert.equal(mode('.'), 0o711);
    for (const path of ['agent', 'agent/containerd', 'agent/containerd/state']) {
      assert.equal(mode(path) & 0o011, 0o011, path);
    }
    for (const name of ['config.toml', 'containerd.log']) {
      assert.equal(mode(`agent/containerd/${name}`), 0o600, name);
    }
  } finally {
    await containerd.stop({ signal: context.signal });
  }
});

test('one that has not begun to answer is taken over, and no second one beside it', async (context) => {
  const { dir, options } = madeIn(context);
  const { signal } = context;
  writeFileSync(join(dir, 'slow'), '');
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const first = openContainerd(deps, { ...options, signal: either });
  while (!existsSync(join(dir, 'begun'))) await clock.sleep(20, { signal });
  stop.abort(new Error('who has started it dies'));
  await assert.rejects(first, /dies/);
  const second = openContainerd(deps, { ...options, signal });
  await clock.sleep(100, { signal });
  rmSync(join(dir, 'slow'));
  const containerd = await second;
  try {
    assert.equal(containerd.adopted, true);
    assert.equal(readFileSync(join(dir, 'begun'), 'utf8'), '.');
  } finally {
    await containerd.stop({ signal });
  }
});

test('lost shims are looked for after a start, and then now and then', async (context) => {
  const { options } = madeIn(context);
  const { signal } = context;
  let offsetMs = 0;
  const hasty = { ...clock, monotonic: () => clock.monotonic() + offsetMs };
  const containerd = await openContainerd({ clock: hasty, log: silentLog }, { ...options, signal });
  const stop = new AbortController();
  const supervising = containerd.supervise({ signal: stop.signal }).catch(() => {});
  const lose = () => {
    const words = ['-e', 'setTimeout(() => {}, 60_000)', '--', '-id', 'lost'];
    const named = { argv0: '/usr/bin/containerd-shim-runc-v2', stdio: 'ignore' } as const;
    const shim = spawn(process.execPath, [...words, '-address', containerd.socketPath], named);
    context.after(() => shim.kill('SIGKILL'));
    return once(shim, 'exit', { signal });
  };
  try {
    const early = lose();
    offsetMs = 40_000;
    assert.deepEqual(await early, [null, 'SIGKILL']);
    const later = lose();
    offsetMs += 700_000;
    assert.deepEqual(await later, [null, 'SIGKILL']);
  } finally {
    stop.abort(new Error('enough was seen'));
    await supervising;
    await containerd.stop({ signal });
  }
});
