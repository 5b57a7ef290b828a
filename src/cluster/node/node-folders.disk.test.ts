/** Who may look into the folders of a node. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openNodeFolders } from './node-folders.ts';

test('folders of a node are its own, those that were made before as well', (context) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'coracle-folders-'));
  context.after(() => rmSync(dataDir, { recursive: true }));
  mkdirSync(join(dataDir, 'agent/pod-logs'), { recursive: true, mode: 0o755 });
  openNodeFolders(dataDir);
  const agent = join(dataDir, 'agent');
  const modes = readdirSync(agent).map((name) => statSync(join(agent, name)).mode & 0o777);
  assert.deepEqual(
    modes,
    Array.from({ length: 7 }, () => 0o700),
  );
});
