/** What the program says when it cannot start: one line that names the flag, and code 1. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runCommand } from '#kit/run-command.ts';

const program = fileURLToPath(new URL('../../bin/coracle.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'coracle-faults-'));
const { signal } = new AbortController();
after(() => rmSync(folder, { recursive: true }));

/** The only line. */
async function refusal(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const { code, stdout, stderr } = await runCommand(process.execPath, [program, ...args], {
    ...{ signal, timeoutMs: 60_000, cwd: folder },
    env: { ...process.env, HOME: folder, ...env },
  });
  assert.equal(code, 1, `${stdout}${stderr}`);
  assert.equal(stderr.trim().split('\n').length, 1, stderr);
  return stderr.trim();
}

test('a port that somebody else has', { timeout: 300_000 }, async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '0.0.0.0', resolve));
  const address = other.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const dataDir = join(folder, 'port');
  const flags = ['--api-port', String(port), '--data-dir', dataDir, '--no-kubeconfig'];
  const line = await refusal(['server', ...flags]);
  assert.equal(
    line,
    `coracle: port ${port} is in use by another program; choose another with --api-port`,
  );
  await new Promise((resolve) => other.close(resolve));
});

test('a data dir that is none', { timeout: 300_000 }, async () => {
  const file = join(folder, 'file');
  writeFileSync(file, '');
  const start = (dataDir: string) => refusal(['server', '--data-dir', dataDir, '--no-kubeconfig']);
  assert.equal(await start(file), `coracle: --data-dir ${file}: it is not a folder`);
  const below = join(file, 'data');
  assert.equal(
    await start(below),
    `coracle: --data-dir ${below}: a part of the path is not a folder`,
  );
});

test('programs and files that are missing', { timeout: 300_000 }, async () => {
  const none = join(folder, 'none');
  mkdirSync(none);
  const up = ['up', '--node', 'containerd', '--data-dir', join(folder, 'up')];
  const line = await refusal(up, { PATH: none });
  const why = process.getuid?.() === 0 ? 'not installed: containerd, ctr' : 'need root';
  assert.ok(line.startsWith('coracle: --node containerd: ') && line.includes(why), line);
  assert.ok(line.endsWith('; --node hollow works'), line);
  const kubelet = await refusal(['kubelet', '--kubeconfig', join(folder, 'no.conf')]);
  assert.match(kubelet, /invalid kubeconfig: stat .*no\.conf: no such file or directory$/);
});
