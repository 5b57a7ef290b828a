/**
 * The control plane as a process: copies while it serves, a restore while it is stopped, and how it
 * leaves when it is told to.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { askHttps } from '#test/ask-https.ts';
import { covers, superseded } from '#test/covers.ts';
import { configMap, ServerProcess } from '#test/server-process.ts';
import { storePath } from './control-plane/backups.ts';

const maps = '/api/v1/namespaces/default/configmaps';
const limit = { timeout: 300_000 };

async function create(server: ServerProcess, name: string): Promise<void> {
  const answer = await server.request('POST', maps, configMap(name, 2000));
  assert.equal(answer.status, 201, answer.text);
}

async function names(server: ServerProcess): Promise<readonly string[]> {
  const { text } = await server.request('GET', maps);
  const list: { items: { metadata: { name: string } }[] } = JSON.parse(text);
  return list.items.map(({ metadata }) => metadata.name).filter((name) => name.startsWith('c'));
}

async function revisionNow(server: ServerProcess): Promise<string> {
  const { text } = await server.request('GET', `${maps}?limit=1`);
  return JSON.parse(text).metadata.resourceVersion;
}

test('backup while it runs, restore while it does not, and everything is back', limit, async () => {
  covers('DAT-008', 'DAT-011', 'DAT-017', 'DAT-051', 'DAT-053', 'DAT-055');
  await using server = await ServerProcess.open();
  await server.start();
  for (const name of ['c1', 'c2', 'c3']) await create(server, name);
  const file = join(server.folder, 'copy.db');
  // It is written to all the while.
  const copying = server.coracle('backup', file);
  let isCopying = true;
  const copied = copying.finally(() => {
    isCopying = false;
  });
  let written = 0;
  for (; isCopying; written++) await create(server, `meanwhile-${written}`);
  assert.ok(written > 0);
  const made = await copied;
  assert.equal(made.code, 0, made.stderr);
  const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex');
  assert.match(made.stdout, new RegExp(`path +${file}\n`));
  assert.match(made.stdout, new RegExp(`sha256 +${sha256}\n`));
  assert.match(made.stdout, new RegExp(`size +${statSync(file).size}\n`));
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const again = await server.coracle('backup', file);
  assert.deepEqual([again.code, again.stderr.includes('exists already')], [1, true]);

  await create(server, 'c4');
  const old = await revisionNow(server);
  const refused = await server.coracle('restore', file);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /the cluster is running; stop it first/);
  server.signal('SIGTERM');
  assert.equal(await server.ended(), 0);

  const stopped = await server.coracle('backup', join(server.folder, 'stopped.db'));
  assert.equal(stopped.code, 0, stopped.stderr);
  // Of a store that nobody has open the file alone is a copy, too.
  const plain = join(server.folder, 'plain.db');
  copyFileSync(storePath(server.dataDir), plain);
  const restored = await server.coracle('restore', file);
  assert.equal(restored.code, 0, restored.stderr);
  const [, kept = ''] = /replaced +(\S+)/.exec(restored.stdout) ?? [];
  assert.ok(existsSync(kept), restored.stdout);
  await server.start();
  assert.deepEqual(await names(server), ['c1', 'c2', 'c3']);
  const watched = await server.request('GET', `${maps}?watch=true&resourceVersion=${old}`);
  assert.match(watched.text, /"code":410/);
  assert.ok(Number(await revisionNow(server)) > Number(old) + 1e9);
  server.signal('SIGTERM');
  await server.ended();

  // The disk is lost; the other copy brings all four back.
  rmSync(storePath(server.dataDir));
  const second = await server.coracle('restore', join(server.folder, 'stopped.db'));
  assert.equal(second.code, 0, second.stderr);
  await server.start();
  assert.deepEqual(await names(server), ['c1', 'c2', 'c3', 'c4']);
  server.signal('SIGTERM');
  await server.ended();
  rmSync(storePath(server.dataDir));
  assert.equal((await server.coracle('restore', plain)).code, 0);
  await server.start();
  assert.deepEqual(await names(server), ['c1', 'c2', 'c3', 'c4']);
});

test('a stop makes it unready first, serves on, ends watches and leaves', limit, async () => {
  await using server = await ServerProcess.open([
    ...['--store', 'memory'],
    ...['--shutdown-delay-duration', '3s'],
  ]);
  await server.start();
  const watch = await server.send('GET', `${maps}?watch=true`);
  let ending: 'whole' | 'cut' | undefined;
  let seen = '';
  watch.setEncoding('utf8').on('data', (part: string) => {
    seen += part;
  });
  watch.once('end', () => {
    ending = watch.complete ? 'whole' : 'cut';
  });
  watch.once('error', () => {
    ending = 'cut';
  });
  server.signal('SIGTERM');
  await server.until(
    async () => (await server.request('GET', '/readyz')).status === 500,
    'it is not ready any more',
  );
  const ready = await server.request('GET', '/readyz?verbose');
  assert.match(ready.text, /\[-\]shutdown failed/);
  assert.equal((await server.request('GET', '/livez')).status, 200);
  await create(server, 'c-late');
  await server.until(() => seen.includes('c-late'), 'the watch goes on meanwhile');
  assert.equal(ending, undefined);
  assert.equal(await server.ended(), 0);
  await server.until(() => ending !== undefined, 'the watch has ended');
  assert.equal(ending, 'whole');
  assert.equal(await server.tryRequest('GET', '/livez'), undefined);
  // Nothing had to be ended by force after its time.
  const log = readFileSync(join(server.dataDir, 'logs/coracle.log'), 'utf8');
  assert.doesNotMatch(log, /does not end/);
});

test('which versions are served changes with a start, not before', limit, async () => {
  covers('API-053');
  await using server = await ServerProcess.open();
  await server.start();
  const jobs = '/apis/batch/v1/namespaces/default/jobs';
  const template = {
    spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'a' }] },
  };
  const job = { metadata: { name: 'a' }, spec: { template } };
  assert.equal((await server.request('POST', jobs, job)).status, 201);
  const wanted = ['--runtime-config', 'batch/v1=false'];
  const second = await server.coracle('server', ...wanted);
  assert.match(second.stdout, /already running/);
  assert.equal((await server.request('GET', `${jobs}/a`)).status, 200);
  server.signal('SIGTERM');
  await server.ended();

  await server.start(wanted);
  assert.equal((await server.request('GET', jobs)).status, 404);
  const groups = (await server.request('GET', '/apis')).text;
  assert.doesNotMatch(groups, /"batch\/v1"/);
  // Controllers came with the server: the others go on, and what was stored is kept.
  const space = { metadata: { name: 'later' } };
  assert.equal((await server.request('POST', '/api/v1/namespaces', space)).status, 201);
  const account = '/api/v1/namespaces/later/serviceaccounts/default';
  await server.until(
    async () => (await server.request('GET', account)).status === 200,
    'a new namespace has its account',
  );
  server.signal('SIGTERM');
  await server.ended();
  await server.start();
  assert.equal((await server.request('GET', `${jobs}/a`)).status, 200);
});

test('its log is a file of its own, or goes where its output goes', limit, async () => {
  covers('LOG-004', 'LOG-005', 'LOG-009');
  await using server = await ServerProcess.open();
  const file = join(server.dataDir, 'logs/coracle.log');
  const linesOf = (text: string): readonly string[] => text.trimEnd().split('\n');
  const end = async (): Promise<void> => {
    server.signal('SIGTERM');
    await server.ended();
  };
  // A flag that changes nothing here is warned of.
  await server.start(['--contention-profiling=true']);
  await tryHealth(server);
  await end();
  const plain = linesOf(readFileSync(file, 'utf8'));
  const form = /^[IWE] \d{4}-\d\d-\d\dT[\d:.]+Z \S/;
  for (const line of plain) assert.match(line, form);
  for (const letter of 'IW') assert.ok(plain.some((line) => line.startsWith(`${letter} `)));
  assert.doesNotMatch(server.output, /^[DIWE] /m);

  const says = (path: string, what: RegExp): Promise<void> =>
    server.until(() => what.test(readFileSync(path, 'utf8')), `${what} is in ${path}`);
  await server.start(['--v=2']);
  await says(file, /^D \d{4}-/m);
  await end();
  assert.ok(!plain.some((line) => line.startsWith('D ')));

  const size = statSync(file).size;
  const redirected = join(server.folder, 'var-log/kube-apiserver.log');
  mkdirSync(dirname(redirected));
  await server.start(['--logtostderr=true', '-v', '2'], { output: redirected });
  await says(redirected, /^I \d{4}-/m);
  await says(redirected, /^D \d{4}-/m);
  await end();
  assert.equal(statSync(file).size, size);
  assert.doesNotMatch(readFileSync(redirected, 'utf8'), /request sent/);

  await server.start(['-v', '6', '--node', 'hollow']);
  for (const one of ['kube-controller-manager', 'hollow-node']) {
    await says(
      file,
      new RegExp(`^T .* request sent component="${one}" verb="GET" path="/api`, 'm'),
    );
  }
  await end();
});

/** Without a login, and on the one port that there is. */
async function tryHealth(server: ServerProcess): Promise<void> {
  const now = 'on the port with TLS; there is no insecure one';
  for (const row of ['API-001', 'API-002']) superseded(row, { by: 'v1.20', now });
  const { status, text } = await askHttps(server.port, '/healthz');
  assert.deepEqual([status, text], [200, 'ok']);
  const { versions } = JSON.parse((await server.request('GET', '/api')).text);
  assert.deepEqual(versions, ['v1']);
  const plain = await fetch(`http://127.0.0.1:${server.port}/healthz`).catch(() => undefined);
  assert.notEqual(plain?.status, 200);
}
