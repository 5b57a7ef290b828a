/** One command gathers what tells of a fault, whether the cluster runs or not. */
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCommand } from '#kit/run-command.ts';
import { covers } from '#test/covers.ts';
import { ServerProcess } from '#test/server-process.ts';

test('a bundle has status, logs, unit, machine and tables, and no secrets', async ({ signal }) => {
  covers('MON-005');
  await using server = await ServerProcess.open(['--node', 'hollow', '--nodes', '1']);
  await server.start();
  const word = Buffer.from('open sesame').toString('base64');
  const secret = { metadata: { name: 'words' }, data: { word } };
  await server.request('POST', '/api/v1/namespaces/default/secrets', secret);
  const pod = {
    metadata: { name: 'web' },
    spec: { containers: [{ name: 'c', image: 'i', env: [{ name: 'A', value: 'open sesame' }] }] },
  };
  await server.until(
    async () =>
      (await server.request('POST', '/api/v1/namespaces/default/pods', pod)).status === 201,
    'there is a pod',
  );
  const options = { signal, timeoutMs: 60_000 };
  const filesOf = async (file: string): Promise<(name: string) => string> => {
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const { stdout, code, stderr } = await runCommand('tar', ['-xzvf', file], {
      ...{ ...options, cwd: server.folder },
    });
    assert.equal(code, 0, stderr);
    const all = stdout.trim().split('\n');
    const whole = all.filter((name) => !name.endsWith('/'));
    for (const name of whole) {
      const text = readFileSync(join(server.folder, name), 'utf8');
      for (const each of [word, 'open sesame']) assert.ok(!text.includes(each), name);
    }
    return (name) => readFileSync(join(server.folder, 'bundle', name), 'utf8');
  };
  const running = join(server.folder, 'running.tar.gz');
  const made = await server.coracle('bundle', running);
  assert.equal(made.code, 0, made.stderr);
  assert.match(made.stdout, new RegExp(`^path  ${running}\nsize  ${statSync(running).size}\n$`));
  const again = await server.coracle('bundle', running);
  assert.deepEqual([again.code, /exists already/.test(again.stderr)], [1, true]);
  const read = await filesOf(running);
  assert.match(read('status.txt'), /^process +\d+, since /m);
  assert.match(read('logs/coracle.log'), /^I \d{4}-/m);
  assert.match(read('machine/uname.txt'), /^\$ uname -a\nLinux /);
  // With systemd what it says of the unit, else that there is none.
  assert.match(read('service/status.txt'), /^\$ systemctl status coracle .*\n./);
  assert.match(read('service/journal.txt'), /^\$ journalctl -u coracle .*\n./);
  assert.match(read('objects/nodes.txt'), /^namespace\tName\tStatus\t.*\n\thollow-0\t/);
  assert.match(read('objects/pods.txt'), /^default\tweb\t/m);
  server.signal('SIGTERM');
  await server.ended();

  const stopped = join(server.folder, 'stopped.tar.gz');
  assert.equal((await server.coracle('bundle', stopped)).code, 0);
  const left = await filesOf(stopped);
  assert.match(left('status.txt'), /^coracle: not running from /);
  assert.match(left('logs/coracle.log'), /^I \d{4}-/m);
  assert.match(left('objects/pods.txt'), /ECONNREFUSED|connect/);
});
