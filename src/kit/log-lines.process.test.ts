/** Logs go on where they cannot be written for a while: on a disk that is full, to who has left. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { linesInto } from './log-lines.ts';

const timeout = 60_000;

/** Takes nothing, as a disk that is full. */
const full = '/dev/full';
const skip = existsSync(full) ? false : `there is no ${full}`;

test('lines go to the end of a file', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-lines-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'a.log');
  for (const words of ['one\n', 'two\n']) linesInto(path)(words);
  assert.equal(readFileSync(path, 'utf8'), 'one\ntwo\n');
});

test('a file without room is no error', { skip }, () => {
  const write = linesInto(full);
  for (const words of ['one\n', 'two\n']) write(words);
});

/** Logs until it is told to end, by the end of its input; tells how by its code. */
const script = `
  import { linesTo } from '${new URL('log-lines.ts', import.meta.url)}';
  const write = linesTo(process.stdout);
  let lines = 0;
  const again = setInterval(() => write(\`line \${++lines}\\n\`), 1);
  process.stdin.on('end', () => {
    clearInterval(again);
    process.exitCode = lines > 0 ? 7 : 8;
  });
  setInterval(() => lines > 50 && process.stderr.write('enough'), 20).unref();
  process.stdin.resume();
`;

function start(output: number | 'pipe') {
  const args = ['--input-type=module', '--eval', script];
  const child = spawn(process.execPath, args, { stdio: ['pipe', output, 'pipe'] });
  const { stdin, stdout, stderr } = child;
  assert.ok(stdin !== null && stderr !== null);
  return { child, stdin, stdout, stderr };
}

test('output without room ends no process', { skip, timeout }, async () => {
  const output = openSync(full, 'w');
  const { stdin, stderr, child } = start(output);
  closeSync(output);
  const [said] = await once(stderr, 'data');
  assert.equal(String(said), 'enough');
  stdin.end();
  assert.deepEqual(await once(child, 'exit'), [7, null]);
});

test('output that nobody reads any more ends no process', { timeout }, async () => {
  const { stdin, stdout, stderr, child } = start('pipe');
  assert.ok(stdout);
  await once(stdout, 'data');
  stdout.destroy();
  const [said] = await once(stderr, 'data');
  assert.equal(String(said), 'enough');
  stdin.end();
  assert.deepEqual(await once(child, 'exit'), [7, null]);
});
