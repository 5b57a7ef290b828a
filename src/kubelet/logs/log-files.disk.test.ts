/** Links by which log collectors find logs, and what goes when a container has been removed. */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { kubeletPaths } from '../pods/pod-paths.ts';
import { linkLog, logFileOf, logLinkName, removeDeadLinks, removeLog } from './log-files.ts';

const { signal } = new AbortController();

function openPaths(context: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-links-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const paths = kubeletPaths('/data', { podLogsDir: join(folder, 'pods') });
  mkdirSync(paths.podLogs);
  mkdirSync(paths.logLinks);
  return paths;
}

const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', namespace: 'n', uid: 'u' } };

/** As the runtime tells of it. */
function logged(id: string, attempt: number) {
  const labels = {
    'io.kubernetes.container.name': 'main',
    'io.kubernetes.pod.name': 'web',
    'io.kubernetes.pod.namespace': 'n',
    'io.kubernetes.pod.uid': 'u',
  };
  return { id, labels, annotations: { 'io.kubernetes.container.restartCount': String(attempt) } };
}

test('the folders are those of upstream, or in the data dir', () => {
  const alone = kubeletPaths('/data', { podLogsDir: '/var/log/pods' });
  assert.equal(alone.logLinks, '/var/log/containers');
  const own = kubeletPaths('/data');
  assert.deepEqual(
    [own.podLogs, own.logLinks],
    ['/data/agent/pod-logs', '/data/agent/container-logs'],
  );
});

test('a name tells pod, namespace, container and id, and is never too long', () => {
  const of = { namespace: 'n', pod: 'web', container: 'main', id: 'abc' };
  assert.equal(logLinkName(of), 'web_n_main-abc.log');
  const long = logLinkName({ ...of, pod: 'p'.repeat(250) });
  assert.equal(long.length, 255);
  assert.equal(long, `${'p'.repeat(250)}_.log`);
});

test('a container has a link, and takes it and its logs with it', (context) => {
  const paths = openPaths(context);
  const [old, now] = [logged('old', 1), logged('now', 10)];
  linkLog(paths, pod, { name: 'main', id: 'none', attempt: 1 });
  assert.deepEqual(readdirSync(paths.logLinks), [], 'there is no log');
  for (const [attempt, each] of [
    [1, old],
    [10, now],
  ] as const) {
    const file = logFileOf(paths, each);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, 'a line');
    linkLog(paths, pod, { name: 'main', id: each.id, attempt });
    assert.equal(readlinkSync(join(paths.logLinks, `web_n_main-${each.id}.log`)), file);
  }
  const first = logFileOf(paths, old);
  for (const part of ['20260101-000000', '20260101-000000.gz']) {
    writeFileSync(`${first}.${part}`, '');
  }
  removeLog(paths, old, [now]);
  assert.deepEqual(readdirSync(paths.logLinks), ['web_n_main-now.log']);
  assert.deepEqual(readdirSync(dirname(first)), ['10.log']);
  // Made anew before it had started: the same number, the same file.
  removeLog(paths, logged('twin', 10), [now]);
  assert.deepEqual(readdirSync(dirname(first)), ['10.log']);
});

test('links that lead nowhere go, but those of others and of what is being rotated', async (context) => {
  const paths = openPaths(context);
  const link = (name: string, target: string): void =>
    symlinkSync(target, join(paths.logLinks, name));
  link('web_n_main-gone.log', join(paths.podLogs, 'n_web_u/main/0.log'));
  link('web_n_main-rotated.log', join(paths.podLogs, 'n_web_u/main/1.log'));
  link('web_n_main-foreign.log', '/var/log/elsewhere/0.log');
  link('web_n_main-there.log', paths.podLogs);
  writeFileSync(join(paths.logLinks, 'a-file.log'), '');
  const runtime = { listContainers: async () => [{ id: 'rotated' }] };
  await removeDeadLinks(paths, runtime, { signal });
  const left = readdirSync(paths.logLinks).toSorted();
  const wanted = ['foreign', 'rotated', 'there'].map((id) => `web_n_main-${id}.log`);
  assert.deepEqual(left, ['a-file.log', ...wanted]);
  rmSync(paths.logLinks, { recursive: true });
  await removeDeadLinks(paths, runtime, { signal });
  assert.ok(!existsSync(paths.logLinks));
});
