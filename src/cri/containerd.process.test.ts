/** A containerd that dies and does not start again at once, with a program that stands for it. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { openContainerd } from './containerd.ts';

/** Listens where its configuration says, and ends at once as long as there is a file `broken`. */
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
  process.getBuiltinModule('node:net').createServer().listen(path);
}
`;

test('one that dies and does not start is tried until it does', async (context) => {
  const dir = mkdtempSync(join(tmpdir(), 'ctd-'));
  context.after(() => rmSync(dir, { recursive: true, force: true }));
  for (const name of ['containerd', 'runc']) {
    writeFileSync(join(dir, name), program(dir), { mode: 0o755 });
  }
  const clock = systemClock();
  const { signal } = context;
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const options = { dataDir: join(dir, 'data'), clusterId: 'test', searchPath: dir, signal };
  const containerd = await openContainerd({ clock, log: silentLog }, options);
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
