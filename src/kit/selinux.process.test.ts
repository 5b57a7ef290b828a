/** When SELinux counts as on, and how files get labels. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { hasSELinux, labelFile } from './selinux.ts';

const root = '23 1 0:21 / / rw - ext4 /dev/sda1 rw';
const { signal } = new AbortController();

function on(mounts: readonly string[], own: string): boolean {
  const files: Readonly<Record<string, string>> = {
    '/proc/self/mountinfo': `${mounts.join('\n')}\n`,
    '/proc/self/attr/current': own,
  };
  return hasSELinux((path) => files[path] ?? '');
}

test('labels count where their file system can be written to and there is a policy', () => {
  const mounted = '30 23 0:25 / /sys/fs/selinux rw,relatime shared:5 - selinuxfs selinuxfs rw';
  const shown = '30 23 0:25 / /sys/fs/selinux ro,relatime - selinuxfs selinuxfs rw';
  const fixed = '30 23 0:25 / /sys/fs/selinux rw - selinuxfs selinuxfs ro';
  const label = 'system_u:system_r:unconfined_service_t:s0\0';
  assert.equal(on([root, mounted], label), true);
  assert.equal(on([root, mounted], 'kernel\0'), false, 'no policy');
  for (const mounts of [[], [shown], [fixed]]) assert.equal(on([root, ...mounts], label), false);
});

test('a file has the label that it is given', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-label-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, '-x');
  mkdirSync(path);
  const label = 'system_u:object_r:container_file_t:s0';
  await labelFile(path, label, { signal });
  const shown = execFileSync('ls', ['-Zd', '--', path], { encoding: 'utf8' });
  assert.equal(shown.split(' ')[0], label);
  const missing = labelFile(join(folder, 'none'), label, { signal });
  await assert.rejects(missing, { message: /^cannot label .*none: chcon: / });
});
