/** When containers can have AppArmor profiles. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { enforcesAppArmor, loadsAppArmor } from './apparmor.ts';

const filesOf = (enabled: string, paths: readonly string[]) => ({
  exists: (path: string) => paths.includes(path),
  read: () => enabled,
});

test('profiles are enforced by the kernel, and loaded where their program is', () => {
  const all = ['/sys/kernel/security/apparmor', '/sbin/apparmor_parser'];
  assert.deepEqual(
    [enforcesAppArmor(filesOf('', all)), loadsAppArmor(filesOf('N\n', all))],
    [false, false],
  );
  assert.equal(enforcesAppArmor(filesOf('Y\n', [])), true);
  assert.equal(loadsAppArmor(filesOf('Y\n', all)), true);
  for (const missing of all) {
    const rest = all.filter((path) => path !== missing);
    assert.equal(loadsAppArmor(filesOf('Y\n', rest)), false);
  }
});
