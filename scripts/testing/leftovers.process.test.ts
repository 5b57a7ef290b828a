/** Whose processes count as those of a test run on this machine. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { readMachineState } from './leftovers.ts';

test('processes of a machine within this one are its own business', {
  skip: process.getuid?.() === 0 ? false : 'another namespace of processes needs root',
}, async (context) => {
  const env = { ...process.env, CORACLE_TEST_RUN: 'of the test of leftovers' };
  const start = async (...command: readonly [string, ...string[]]): Promise<void> => {
    const [program, ...args] = command;
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    context.after(() => child.kill('SIGKILL'));
    await new Promise((resolve) => child.stdout.once('data', resolve));
  };
  await start('sh', '-c', 'echo begun; exec sleep 600.11');
  const within = 'echo begun; exec sleep 600.22';
  await start('unshare', '--pid', '--fork', '--kill-child', 'sh', '-c', within);
  const found = [...(readMachineState().get('process') ?? [])];
  assert.ok(found.some((line) => /^\d+ sleep 600\.11$/.test(line)));
  assert.ok(!found.some((line) => /^\d+ sleep 600\.22$/.test(line)));
});
