/** Programs that stand for those of service managers say whether the machine ends. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { isMachineEnding } from './machine-end.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'coracle-machine-end-'));
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function machine(says: { readonly systemctl?: string; readonly openrc?: string }) {
  const paths = {
    runFolder: join(root, 'run'),
    systemctl: join(root, 'systemctl'),
    openrc: join(root, 'rc-status'),
  };
  const write = (path: string, flag: string, text: string): void => {
    const script = `#!/bin/sh\n[ "$1" = ${flag} ] && echo ${text}\nexit 1\n`;
    writeFileSync(path, script, { mode: 0o755 });
  };
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root);
  if (says.systemctl !== undefined) mkdirSync(paths.runFolder);
  write(paths.systemctl, 'is-system-running', says.systemctl ?? 'stopping');
  if (says.openrc !== undefined) write(paths.openrc, '--runlevel', says.openrc);
  return isMachineEnding(paths);
}

test('a machine that systemd shuts down ends, one that it runs does not', async () => {
  assert.equal(await machine({ systemctl: 'stopping' }), true);
  assert.equal(await machine({ systemctl: 'running' }), false);
  assert.equal(await machine({ systemctl: 'degraded' }), false);
});

test('the same with OpenRC, by its runlevel', async () => {
  assert.equal(await machine({ openrc: 'shutdown' }), true);
  assert.equal(await machine({ openrc: 'reboot' }), true);
  assert.equal(await machine({ openrc: 'default' }), false);
});

test('a program that cannot be run ends nothing', async () => {
  const program = join(root, 'no-program');
  writeFileSync(program, '');
  const paths = { runFolder: root, systemctl: program, openrc: program };
  assert.equal(await isMachineEnding(paths), false);
  assert.equal(await isMachineEnding({ ...paths, runFolder: join(root, 'run') }), false);
});

test('without either nobody is asked', async () => {
  assert.equal(await machine({}), false);
});
