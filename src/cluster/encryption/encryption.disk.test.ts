/**
 * Encryption at rest as users and operators meet it: the API shows objects as ever, the store keeps
 * them encrypted; providers and keys are exchanged, lost and found again. A server on a real file,
 * opened anew with each configuration.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { present } from '#kit/assert.ts';
import { systemClock } from '#kit/clock.ts';
import { openLog, silentLog } from '#kit/log.ts';
import { seededRandom, systemRandom } from '#kit/random.ts';
import { settle, VirtualClock } from '#kit/virtual-clock.ts';
import { openCatalog } from '#resources/resources.ts';
import { openSqliteStore, restoreSqliteFile, type Store } from '#store';
import { covers } from '#test/covers.ts';
import { openTestServer, type TestAnswer, type TestServer } from '#test/fixtures.ts';
import { type Encryption, limits, openEncryption } from './encryption-file.ts';

const secrets = '/api/v1/namespaces/default/secrets';
const maps = '/api/v1/namespaces/default/configmaps';
const word = 'opensesame';
const keyOf = (name: string, what = 'secrets'): string => `/registry/${what}/default/${name}`;
const key = (name: string, bytes = 32): string =>
  `{ name: ${name}, secret: ${Buffer.alloc(bytes, name).toString('base64')} }`;

/** The providers of Secrets, and entries for others below. */
const configuration = (providers: string, more = ''): string => `
kind: EncryptionConfiguration
apiVersion: apiserver.config.k8s.io/v1
resources:
- resources: [secrets]
  providers: [${providers}]
${more}`;
const cbc = (...names: readonly string[]): string =>
  `{ aescbc: { keys: [${names.map((name) => key(name)).join(', ')}] } }`;
const plain = '{ identity: {} }';

interface Opened extends AsyncDisposable {
  readonly server: TestServer;
  readonly store: Store;
  readonly encryption: Encryption;
}

class Disk implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'coracle-encryption-'));
  readonly config = join(this.folder, 'encryption.yaml');
  readonly file = join(this.folder, 'state.db');
  readonly catalog = openCatalog();
  readonly said: string[] = [];
  /** When the configuration is looked at; the rest has the machine's. */
  readonly clock = new VirtualClock();

  async open(config: string, reload = false): Promise<Opened> {
    writeFileSync(this.config, config);
    const log = openLog({
      clock: this.clock,
      level: 'info',
      format: 'json',
      write: (line) => this.said.push(line),
    });
    const encryption = await openEncryption(
      { clock: this.clock, random: seededRandom(5), catalog: this.catalog, log },
      { file: this.config, reload },
    );
    const { transformer, healthChecks, figures } = encryption;
    const deps = { clock: systemClock(), log: silentLog };
    const store = await openSqliteStore(deps, { file: this.file, transformer });
    const { catalog } = this;
    const options = { healthChecks, figures };
    const random = systemRandom();
    const opening = openTestServer({ ...deps, store, catalog, random, options });
    const server = await opening.catch(async (error: unknown) => {
      await store[Symbol.asyncDispose]();
      throw error;
    });
    return {
      ...{ server, store, encryption },
      [Symbol.asyncDispose]: async () => {
        await server[Symbol.asyncDispose]();
        await store[Symbol.asyncDispose]();
      },
    };
  }

  /** Opens, does something and closes. */
  async with(config: string, action: (opened: Opened) => Promise<void>): Promise<void> {
    await using opened = await this.open(config);
    await action(opened);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function create({ server }: Opened, name: string, path = secrets): Promise<TestAnswer> {
  const isSecret = path.endsWith('secrets');
  const answer = await server.request('POST', path, {
    apiVersion: 'v1',
    kind: isSecret ? 'Secret' : 'ConfigMap',
    metadata: { name },
    [isSecret ? 'stringData' : 'data']: { password: word },
  });
  assert.equal(answer.status, 201, answer.text);
  return answer;
}

/** As `kubectl get secrets -o json | kubectl replace -f -`. */
async function rewrite({ server }: Opened): Promise<void> {
  const { body } = await server.request('GET', secrets);
  for (const item of body.items) {
    const object = { apiVersion: 'v1', kind: 'Secret', ...item };
    const answer = await server.request('PUT', `${secrets}/${item.metadata.name}`, object);
    assert.equal(answer.status, 200, answer.text);
  }
}

async function stored({ store }: Opened, at: string): Promise<string> {
  const value = present(await store.atRest?.stored(at), 'it is there');
  return Buffer.from(value).toString('latin1');
}

async function readWord({ server }: Opened, name: string): Promise<string> {
  const { body, status, text } = await server.request('GET', `${secrets}/${name}`);
  assert.equal(status, 200, text);
  return Buffer.from(body.data.password, 'base64').toString();
}

test('the API shows what the store keeps encrypted, and copies keep it so', async () => {
  covers('DAT-032', 'DAT-066');
  using disk = new Disk();
  const config = configuration(cbc('key1'));
  const copy = join(disk.folder, 'copy.db');
  await disk.with(config, async (opened) => {
    await create(opened, 'secret1');
    await create(opened, 'open', maps);
    const value = await stored(opened, keyOf('secret1'));
    assert.match(value, /^k8s:enc:aescbc:v1:key1:/);
    // A vector, then whole blocks with at least one byte of padding.
    assert.equal((value.length - 'k8s:enc:aescbc:v1:key1:'.length) % 16, 0);
    assert.match(await stored(opened, keyOf('open', 'configmaps')), /^\{.*opensesame/);
    assert.equal(await readWord(opened, 'secret1'), word);
    await opened.store.backup(copy);
  });
  const encoded = Buffer.from(word).toString('base64');
  for (const file of [disk.file, copy]) {
    assert.equal(readFileSync(file).includes(encoded), false, file);
    assert.equal(readFileSync(file).includes(word), true, 'the ConfigMap is not encrypted');
  }
  rmSync(disk.file);
  await restoreSqliteFile({ from: copy, file: disk.file, keepAs: `${disk.file}.kept` });
  await disk.with(config, async (opened) => {
    assert.equal(await readWord(opened, 'secret1'), word);
  });
});

test('secretbox, and AES-GCM with keys of every length', async () => {
  covers('DAT-033', 'DAT-034');
  using disk = new Disk();
  const gcm = (resource: string, bytes: number): string =>
    `- resources: [${resource}]\n  providers: [{ aesgcm: { keys: [${key('g', bytes)}] } }]\n`;
  const others = `${gcm('configmaps', 16)}${gcm('serviceaccounts', 24)}${gcm('endpoints', 32)}`;
  const config = configuration(`{ secretbox: { keys: [${key('box')}] } }`, others);
  const objects = [
    { what: 'secrets', kind: 'Secret', stringData: { a: word } },
    { what: 'configmaps', kind: 'ConfigMap', data: { a: word } },
    { what: 'serviceaccounts', kind: 'ServiceAccount', secrets: [{ name: word }] },
    { what: 'endpoints', kind: 'Endpoints', subsets: [{ addresses: [{ ip: '192.0.2.7' }] }] },
  ];
  const shown = new Map<string, string>();
  await disk.with(config, async (opened) => {
    for (const { what, kind, ...rest } of objects) {
      const path = `/api/v1/namespaces/default/${what}`;
      const object = { apiVersion: 'v1', kind, metadata: { name: 'x' }, ...rest };
      assert.equal((await opened.server.request('POST', path, object)).status, 201);
      shown.set(what, (await opened.server.request('GET', `${path}/x`)).text);
      const place = what === 'endpoints' ? 'services/endpoints' : what;
      const value = await stored(opened, keyOf('x', place));
      const prefix = what === 'secrets' ? 'k8s:enc:secretbox:v1:box:' : 'k8s:enc:aesgcm:v1:g:';
      assert.ok(value.startsWith(prefix), value.slice(0, 40));
      assert.doesNotMatch(value, /opensesame|192\.0\.2\.7|"kind"/);
    }
  });
  await disk.with(config, async ({ server }) => {
    for (const { what } of objects) {
      const path = `/api/v1/namespaces/default/${what}/x`;
      assert.equal((await server.request('GET', path)).text, shown.get(what));
    }
  });
  // A key of another length of the same name reads nothing.
  await disk.with(config.replace(key('g', 16), key('g', 32)), async ({ server }) => {
    const answer = await server.request('GET', `${maps}/x`);
    assert.deepEqual(
      [answer.status, answer.body.message],
      [500, 'Internal error occurred: cipher: message authentication failed'],
    );
  });
});

test('keys are rotated and encryption is ended by rewriting, with no read that fails', async () => {
  covers('DAT-031', 'DAT-035', 'DAT-038');
  using disk = new Disk();
  const formOf = async (opened: Opened): Promise<string> => {
    assert.equal(await readWord(opened, 'secret1'), word);
    const value = await stored(opened, keyOf('secret1'));
    return /^(k8s:enc:aescbc:v1:\w+:|\{)/.exec(value)?.[0] ?? value;
  };
  const steps = [
    // Before there was encryption: what is there can be read, and is encrypted when it is written.
    [`${plain}`, '{', '{'],
    [`${cbc('key1')}, ${plain}`, '{', 'k8s:enc:aescbc:v1:key1:'],
    // The new key is known first, then used, then the only one.
    [`${cbc('key1', 'key2')}, ${plain}`, 'k8s:enc:aescbc:v1:key1:', 'k8s:enc:aescbc:v1:key1:'],
    [`${cbc('key2', 'key1')}, ${plain}`, 'k8s:enc:aescbc:v1:key1:', 'k8s:enc:aescbc:v1:key2:'],
    [`${cbc('key2')}`, 'k8s:enc:aescbc:v1:key2:', 'k8s:enc:aescbc:v1:key2:'],
    // And back to plain text.
    [`${plain}, ${cbc('key2')}`, 'k8s:enc:aescbc:v1:key2:', '{'],
    [`${plain}`, '{', '{'],
  ] as const;
  let revision = '';
  for (const [index, [providers, before, after]] of steps.entries()) {
    await disk.with(configuration(providers), async (opened) => {
      if (index === 0) await create(opened, 'secret1');
      assert.equal(await formOf(opened), before, providers);
      await rewrite(opened);
      assert.equal(await formOf(opened), after, providers);
      const { body } = await opened.server.request('GET', `${secrets}/secret1`);
      const isWritten = body.metadata.resourceVersion !== revision;
      // What is kept as it would be today is not written for nothing.
      assert.equal(isWritten, index === 0 || before !== after, providers);
      revision = body.metadata.resourceVersion;
    });
  }
});

test('without its key a resource cannot be read, and everything else can', async () => {
  covers('DAT-030');
  using disk = new Disk();
  const first = configuration(cbc('key1'));
  await disk.with(first, async (opened) => {
    await create(opened, 'secret1');
    await create(opened, 'secret2');
    await create(opened, 'open', maps);
  });
  const why = 'no matching key was found for the provided AES transformer';
  const listed = `unable to transform key "${keyOf('secret1')}": ${why}`;
  await using opened = await disk.open(configuration(`${cbc('key9')}, ${plain}`));
  const { server, store } = opened;
  const refused = async (method: string, path: string, body?: unknown): Promise<string> => {
    const answer = await server.request(method, path, body);
    assert.equal(answer.status, 500, answer.text);
    assert.equal(answer.body.reason, 'InternalError');
    return answer.body.message;
  };
  const internal = 'Internal error occurred: ';
  assert.equal(await refused('GET', `${secrets}/secret1`), internal + why);
  assert.equal(await refused('GET', secrets), internal + listed);
  assert.equal(await refused('GET', '/api/v1/secrets'), internal + listed);
  assert.equal(await refused('GET', `${secrets}?watch=true`), internal + listed);
  const since = `?watch=true&resourceVersion=${store.revision}`;
  assert.equal(await refused('GET', secrets + since), internal + listed);
  assert.equal(await refused('DELETE', `${secrets}/secret1`), internal + why);
  assert.equal(await refused('PATCH', `${secrets}/secret1`, { data: {} }), internal + why);
  // Its name is taken.
  const again = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'secret1' } };
  assert.equal((await server.request('POST', secrets, again)).status, 409);
  // Everything else goes on: other kinds, other namespaces, other objects of the kind.
  assert.equal((await server.request('GET', `${maps}/open`)).status, 200);
  const system = '/api/v1/namespaces/kube-system/secrets';
  assert.equal((await server.request('GET', system)).status, 200);
  await create(opened, 'secret3');
  assert.equal(await readWord(opened, 'secret3'), word);
  // It ends when they are removed from the store, or their key is there again.
  await store.delete({ key: keyOf('secret1'), expect: 'any' });
  assert.match(await refused('GET', secrets), /secret2/);
  await store.delete({ key: keyOf('secret2'), expect: 'any' });
  const { body } = await server.request('GET', secrets);
  assert.deepEqual(
    body.items.map((item: { metadata: { name: string } }) => item.metadata.name),
    ['secret3'],
  );
  await opened[Symbol.asyncDispose]();
  await disk.with(configuration(`${cbc('key1')}`), async (third) => {
    assert.match((await third.server.request('GET', secrets)).body.message, /secret3/);
  });
  await disk.with(configuration(`${cbc('key1', 'key9')}`), async (fourth) => {
    assert.equal(await readWord(fourth, 'secret3'), word);
  });
});

test('roles that cannot be read keep the server from making its own, and from nothing else', async () => {
  using disk = new Disk();
  const rbac = (name: string): string =>
    configuration(
      plain,
      `- resources: ['*.rbac.authorization.k8s.io']\n  providers: [${cbc(name)}]`,
    );
  const roles = '/apis/rbac.authorization.k8s.io/v1/clusterroles';
  await disk.with(rbac('key1'), async ({ server }) => {
    const role = { metadata: { name: 'admin' }, rules: [] };
    assert.equal((await server.request('POST', roles, role)).status, 201);
  });
  await using opened = await disk.open(rbac('key2'));
  const { store } = opened;
  const said: string[] = [];
  const log = openLog({
    ...{ clock: disk.clock, level: 'info', format: 'json' },
    write: (line) => said.push(line),
  });
  const options = { defaultObjects: true };
  await using server = await openTestServer({ clock: disk.clock, store, log, options });
  for (let turn = 0; turn < 200 && said.length === 0; turn++) {
    await disk.clock.advance(100);
    await settle();
  }
  assert.match(said.join(''), /default objects wait for the store.*no matching key was found/);
  assert.equal((await server.request('GET', '/api/v1/namespaces')).status, 200);
  assert.equal((await server.request('GET', roles)).status, 500);
});

test('the file is looked at again while the server runs', async () => {
  using disk = new Disk();
  await using opened = await disk.open(configuration(`${cbc('key1')}, ${plain}`), true);
  const { server, store, encryption } = opened;
  const stop = new AbortController();
  const running = encryption.run(store, stop.signal);
  const look = async (): Promise<string> => {
    const before = disk.said.length;
    await disk.clock.advance(limits.encryptionLookMs);
    // The file is read on another thread.
    for (let turn = 0; turn < 50 && disk.said.length === before; turn++) {
      await systemClock().sleep(10, { signal: stop.signal });
    }
    await settle();
    return disk.said.slice(before).join('');
  };
  await create(opened, 'secret1');
  assert.match(await stored(opened, keyOf('secret1')), /^k8s:enc:aescbc:v1:key1:/);
  writeFileSync(disk.config, configuration('{ aescbc: { keys: [{ name: a, secret: oops }] } }'));
  const said = await look();
  assert.match(said, /error processing encryption config file/);
  assert.doesNotMatch(said, /oops/);
  await rewrite(opened);
  assert.match(await stored(opened, keyOf('secret1')), /^k8s:enc:aescbc:v1:key1:/);
  writeFileSync(disk.config, configuration(cbc('key2', 'key1')));
  assert.match(await look(), /encryption configuration was read again/);
  assert.match(await stored(opened, keyOf('secret1')), /^k8s:enc:aescbc:v1:key1:/);
  await rewrite(opened);
  assert.match(await stored(opened, keyOf('secret1')), /^k8s:enc:aescbc:v1:key2:/);
  assert.equal(await readWord(opened, 'secret1'), word);
  const metrics = (await server.request('GET', '/metrics')).text;
  const operations = 'apiserver_storage_transformation_operations_total';
  const reloads = 'apiserver_encryption_config_controller_automatic_reloads_total';
  const labels = 'transformation_type="to_storage",transformer_prefix="k8s:enc:aescbc:v1:"';
  for (const line of [
    `${operations}{resource="secrets",status="OK",${labels}} 2`,
    `${reloads}{apiserver_id_hash="",status="failure"} 1`,
    `${reloads}{apiserver_id_hash="",status="success"} 1`,
  ]) {
    assert.ok(metrics.split('\n').includes(line), line);
  }
  assert.match(metrics, /last_config_info\{apiserver_id_hash="",hash="sha256:[0-9a-f]{64}"\} 1\n/);
  // As upstream: a check that is there with automatic reload, of readiness and not of life.
  const checks = async (path: string) => (await server.request('GET', `${path}?verbose`)).text;
  assert.match(await checks('/readyz'), /\[\+\]kms-providers ok/);
  assert.match(await checks('/healthz'), /\[\+\]kms-providers ok/);
  assert.doesNotMatch(await checks('/livez'), /kms-providers/);
  stop.abort(new Error('the test is over'));
  await running;
});
