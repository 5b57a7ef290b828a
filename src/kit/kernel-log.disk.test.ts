/** Records of the kernel, read from a file that grows; and from the kernel where one may. */
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { KernelLog } from './kernel-log.ts';

test('what was said before is passed over, what comes is told once', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-kmsg-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'kmsg');
  writeFileSync(path, '6,1,5140900,-;long ago\n');
  using log = new KernelLog(path);
  assert.deepEqual(log.news(), []);
  // A file gives all that is there at once, the kernel one record.
  appendFileSync(path, '6,2,5140901,-;a link; it is up\n SUBSYSTEM=net\n');
  assert.deepEqual(log.news(), ['a link; it is up']);
  assert.deepEqual(log.news(), []);
  appendFileSync(path, '3,3,5140902,-;worse\n');
  assert.deepEqual(log.news(), ['worse']);
});

test('where nobody may read it, nothing is said', () => {
  using log = new KernelLog('/no/such/file');
  assert.deepEqual([log.news(), log.news()], [[], []]);
});

test('the kernel’s own ends when there is no more', () => {
  using log = new KernelLog();
  assert.deepEqual(log.news(), []);
  const next = log.news();
  assert.ok(next.every((text) => !text.includes('\n')));
});
