/** What is kept is read again; what is damaged or of another policy stops the kubelet. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openStateFile } from './state-file.ts';

test('a state is read again, with upstream’s shape', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-state-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'below', 'cpu_manager_state');
  const file = openStateFile<{ readonly defaultCpuSet: string }>(path, {
    ...{ policy: 'static', manager: 'CPU' },
  });
  assert.equal(file.read(), undefined);
  file.write({ defaultCpuSet: '0-3' });
  assert.equal(file.read()?.defaultCpuSet, '0-3');
  const { policyName, defaultCpuSet, checksum } = JSON.parse(readFileSync(path, 'utf8'));
  assert.deepEqual([policyName, defaultCpuSet, typeof checksum], ['static', '0-3', 'number']);

  const advice =
    ', please drain this node and delete the CPU manager checkpoint file ' +
    `"${path}" before restarting Kubelet`;
  const other = openStateFile(path, { policy: 'none', manager: 'CPU' });
  const start = 'could not restore state from checkpoint: ';
  assert.throws(() => other.read(), {
    message: `${start}configured policy "none" differs from state checkpoint policy "static"${advice}`,
  });
  writeFileSync(path, readFileSync(path, 'utf8').replace('0-3', '0-2'));
  assert.throws(() => file.read(), { message: `${start}checkpoint is corrupted${advice}` });
  writeFileSync(path, '{');
  assert.throws(() => file.read(), { message: `${start}checkpoint is corrupted${advice}` });
});
