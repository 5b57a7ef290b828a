/** What an installed service is started with. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { installedProgram } from './installed-program.ts';

test('it has the flags of every starter, once, and those that Node was given', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-flags-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'flags.json'), '["--a=1", "--b"]');
  const entry = join(folder, 'coracle.js');
  const program = (...execArgv: string[]) =>
    installedProgram({ execPath: '/node', execArgv }, pathToFileURL(`${folder}/`));
  assert.deepEqual(program(), ['/node', '--a=1', '--b', entry]);
  assert.deepEqual(program('--a=1', '--b'), ['/node', '--a=1', '--b', entry]);
  assert.deepEqual(program('--c'), ['/node', '--a=1', '--b', '--c', entry]);
});
