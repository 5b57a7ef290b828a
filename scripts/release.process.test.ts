/** The release tarball on a machine that has no Node: it starts, and says which version it is. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

const root = dirname(import.meta.dirname);

test('it runs from wherever it is unpacked, with nothing on the path', {
  timeout: 300_000,
  skip: process.platform === 'linux' ? false : 'releases are for Linux',
}, (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-release-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const args = ['scripts/release.ts', '--out', folder, '--arch', process.arch];
  execFileSync(process.execPath, args, { cwd: root, stdio: 'pipe' });
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const name = `coracle-${version}-linux-${process.arch}`;
  const sums = readFileSync(join(folder, 'SHA256SUMS'), 'utf8');
  const archive = readFileSync(join(folder, `${name}.tar.gz`));
  const sum = createHash('sha256').update(archive).digest('hex');
  assert.equal(sums, `${sum}  ${name}.tar.gz\n`);
  execFileSync('tar', ['-xzf', `${name}.tar.gz`], { cwd: folder });
  const command = join(folder, name, 'bin/coracle');
  assert.equal(statSync(command).mode & 0o777, 0o755);
  const flags = JSON.parse(readFileSync(join(root, 'bin/flags.json'), 'utf8'));
  assert.ok(readFileSync(command, 'utf8').includes(`/node" ${flags.join(' ')} "`));
  // By a link, as from /usr/local/bin, and without any other Node.
  const link = join(folder, 'coracle');
  symlinkSync(command, link);
  const env = { PATH: '/usr/bin:/bin', HOME: folder };
  assert.equal(execFileSync(link, ['--version'], { env, encoding: 'utf8' }).trim(), version);
  const data = join(folder, 'data');
  const status = () => execFileSync(link, ['status', '--data-dir', data], { env, stdio: 'pipe' });
  assert.throws(status, { status: 3 });
});
