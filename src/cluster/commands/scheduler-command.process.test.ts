/**
 * `coracle kube-scheduler` in a process of its own beside a cluster's scheduler: it takes the pods
 * that name it, says so in events, tells its health, and what it cannot use it refuses.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { events, pods } from '#resources/kinds.ts';
import { askHttps } from '#test/ask-https.ts';
import { covers, superseded } from '#test/covers.ts';
import { freePort } from '#test/free-port.ts';
import { startCluster } from '#testing';
import { ConfigError } from '../settings/config.ts';
import { readSchedulerSettings } from './scheduler-command.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const configuration = `
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles: [{ schedulerName: my-scheduler }]
`;

async function get(port: number, path: string): Promise<string> {
  const { status, text } = await askHttps(port, path);
  return `${status} ${text.trim()}`;
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once('exit', (code) => resolve(code)));
}

test('a second scheduler takes the pods that name it', { timeout: 300_000 }, async (t) => {
  covers('SCH-071', 'SCH-072');
  superseded('SCH-012', {
    by: 'v1.23',
    now: 'a program that pods name; it answers on 10259 over TLS and no Service stands for it',
  });
  superseded('SCH-001', {
    by: 'v1.23',
    now: 'a program of its own, told by --kubeconfig; health on 10259 over TLS',
  });
  superseded('SCH-070', {
    by: 'v1.23',
    now: 'its name is in the configuration; --bind-address instead of --address',
  });
  superseded('SCH-073', { by: 'v1.23', now: '/healthz on 10259 over TLS' });
  await using cluster = await startCluster({ nodes: 1 });
  const { client, signal } = cluster;
  const folder = mkdtempSync(join(tmpdir(), 'coracle-scheduler-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [kubeconfig, config] = [join(folder, 'config'), join(folder, 'scheduler.yaml')];
  writeFileSync(kubeconfig, await cluster.kubeconfig());
  writeFileSync(config, configuration);
  const create = async (name: string, schedulerName?: string): Promise<void> => {
    const chosen = schedulerName === undefined ? {} : { schedulerName };
    const spec = { ...chosen, containers: [{ name: 'c', image: 'web' }] };
    const metadata = { namespace: 'default', name };
    await client.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec }, { signal });
  };
  const nodeOf = async (name: string): Promise<string | undefined> =>
    (await client.get(pods, { namespace: 'default', name }, { signal })).spec?.nodeName;
  await create('mine', 'my-scheduler');
  await create('usual');
  await cluster.until(
    'the usual one has a node',
    async () => (await nodeOf('usual')) !== undefined,
  );
  assert.equal(await nodeOf('mine'), undefined);

  const port = await freePort();
  const flags = ['--kubeconfig', kubeconfig, '--config', config, '--leader-elect=false'];
  const logged = ['-v', '6', '--logging-format', 'json'];
  const child = spawn(
    process.execPath,
    ['bin/coracle.js', 'kube-scheduler', ...flags, ...logged, '--secure-port', String(port)],
    { cwd: root, stdio: ['ignore', 'pipe', 'ignore'] },
  );
  let output = '';
  child.stdout.on('data', (part: Buffer) => {
    output += part;
  });
  const end = ended(child);
  t.after(() => child.kill('SIGKILL'));
  await cluster.until('my own has a node', async () => (await nodeOf('mine')) !== undefined);
  await cluster.until('it is said who did it', async () => {
    const { items } = await client.list(events, { namespace: 'default', signal });
    const said = items.filter(({ reason }) => reason === 'Scheduled');
    const by = said.map((one) => [one.regarding?.name, one.reportingController]);
    return (
      by.some(([pod, who]) => pod === 'mine' && who === 'my-scheduler') &&
      by.some(([pod, who]) => pod === 'usual' && who === 'default-scheduler')
    );
  });
  assert.equal(readSchedulerSettings({ kubeconfig }, {}).securePort, 10_259, 'if nothing is said');
  assert.equal(await get(port, '/healthz'), '200 ok');
  assert.equal(await get(port, '/metrics'), '401 Unauthorized');
  child.kill('SIGTERM');
  assert.equal(await end, 0);
  const records: { msg: string; path?: string; status?: number }[] = output
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const bound = records.filter(
    ({ path }) => path === '/api/v1/namespaces/default/pods/mine/binding',
  );
  assert.deepEqual(
    bound.map(({ msg, status }) => [msg, status]),
    [['request sent', 201]],
  );
});

test('flags that cannot be used are refused by name', () => {
  const refuse = (flags: object, message: RegExp): void =>
    assert.throws(
      () => readSchedulerSettings(flags, {}),
      (error: unknown) => {
        assert.ok(error instanceof ConfigError);
        assert.match(error.message, message);
        return true;
      },
    );
  refuse({}, /--kubeconfig is needed outside of a pod/);
  refuse({ kubeconfig: '/none' }, /--kubeconfig \/none: cannot be read/);
  refuse({ kubeconfig: '/none', securePort: 'x' }, /--secure-port x: not a port/);
});
