/**
 * A key management service: a plugin of the test's own on a Unix socket, that turns bits around and
 * calls that encryption. What upstream's server wrote with such a plugin is read.
 */
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { present } from '#kit/assert.ts';
import { systemClock } from '#kit/clock.ts';
import { GrpcError, serveGrpc } from '#kit/grpc.ts';
import { openLog, silentLog } from '#kit/log.ts';
import { seededRandom, systemRandom } from '#kit/random.ts';
import { settle, VirtualClock } from '#kit/virtual-clock.ts';
import { openCatalog } from '#resources/resources.ts';
import { openSqliteStore, type Store } from '#store';
import { openTestServer, type TestServer } from '#test/fixtures.ts';
import { limits, openEncryption } from './encryption-file.ts';
import { calls } from './kms-messages.ts';
import { KmsProvider, limits as kmsLimits } from './kms-provider.ts';

const secret1 = '/registry/secrets/default/secret1';
/** Written for that key by upstream's own code (v1.36): with a seed, and with one key. */
const written = {
  seed: [
    'Cl8X5j7uSw5Dwlh2js+jSIoNQSym3g9oIiy1nbbJO+HJm6foHF8YlMRWdTLDKKtuCmyvj3biWBx/cMH8YUjF',
    'zIgZQjigTruidfeKAm07YYAfonYIgg+8TW5FVqqhKs+36hIFa2V5LTEaIDZrDuaPpFvm0aWnQuJn2Uk0DCbx',
    'xA+q3+Qzsbe1KopkIhgKE3ZlcnNpb24ua21zLmV4YW1wbGUSATEoAQ==',
  ].join(''),
  key: [
    'Cj901tHQAcqaOwAAAAB+ipEWZ+b+wRfTvHFFtpy/a1yDTE+yo30cgKmCjwWRM4GMVbWIlxOYCtq5gLOcsqqW',
    'nzASBWtleS0xGiBbBsmXyrTJIIcBsursBoPmK1br5qFW0puN9M5sNHjb1SIYChN2ZXJzaW9uLmttcy5leGFt',
    'cGxlEgEx',
  ].join(''),
};
const text = '{"kind":"Secret","apiVersion":"v1"}';
const annotations = { 'version.kms.example': Buffer.from('1') };
const never = new AbortController().signal;

const turn = (bytes: Uint8Array): Uint8Array => bytes.map((byte) => byte ^ 0x55);

class Plugin implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'coracle-kms-'));
  readonly endpoint = `unix://${join(this.folder, 'kms.sock')}`;
  keyID = 'key-1';
  healthz = 'ok';
  /** Keys that it knows no more. */
  readonly lost = new Set<string>();
  readonly asked: string[] = [];
  /** Gives no more answers about keys until it is resolved. */
  hold: Promise<void> | undefined;
  #server: Disposable | undefined;

  async start(): Promise<void> {
    this.#server = await serveGrpc(this.endpoint, [
      calls.status.serve(async () => {
        return { version: 'v2', healthz: this.healthz, keyID: this.keyID };
      }),
      calls.encrypt.serve(async ({ plaintext }) => {
        this.asked.push('encrypt');
        return { ciphertext: turn(plaintext), keyID: this.keyID, annotations };
      }),
      calls.decrypt.serve(async ({ ciphertext, keyID, annotations: given }) => {
        this.asked.push(`decrypt ${keyID}`);
        await this.hold;
        assert.deepEqual(Object.keys(given), Object.keys(annotations));
        if (!this.lost.has(keyID)) return { plaintext: turn(ciphertext) };
        throw new GrpcError('', 'NOT_FOUND', `there is no ${keyID}`);
      }),
    ]);
  }

  stop(): void {
    this.#server?.[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function open(plugin: Plugin, clock = new VirtualClock()) {
  const said: string[] = [];
  const log = openLog({ clock, level: 'info', format: 'json', write: (line) => said.push(line) });
  // However much time is made to pass meanwhile.
  const settings = { name: 'p', endpoint: plugin.endpoint, timeoutMs: 1e9 };
  const provider = new KmsProvider({ clock, random: seededRandom(9), log }, settings);
  return { provider, said, clock };
}

test('what upstream wrote with a plugin is read, and what we write is read', async () => {
  using plugin = new Plugin();
  await plugin.start();
  const { provider } = open(plugin);
  using _provider = provider;
  const seed = Buffer.from(written.seed, 'base64');
  const key = Buffer.from(written.key, 'base64');
  const why = (bytes: Uint8Array, at = secret1): string => {
    const read = provider.decrypt(at, bytes);
    if (!read.ok) return read.why;
    return `${Buffer.from(read.value).toString()}${read.stale ? ' (stale)' : ''}`;
  };
  assert.equal(why(seed), 'got unexpected nil transformer');
  assert.equal(provider.refusal(), 'got unexpected nil transformer');
  await provider.prepare([seed, key], never);
  assert.deepEqual(plugin.asked, [], 'a start does not wait for who was not reached');
  await provider.check(never);
  assert.deepEqual(
    [provider.isHealthy, provider.keyID, provider.refusal()],
    [true, 'key-1', undefined],
  );
  assert.match(why(seed), /^failed to decrypt DEK, error: /);
  await provider.prepare([seed, key, seed], never);
  assert.equal(why(seed), text);
  assert.equal(why(key), `${text} (stale)`);
  const ours = provider.encrypt(secret1, Buffer.from(text));
  assert.equal(why(ours), text);
  // One seed for all that is written; the plugin is asked once for each that it made before.
  const again = provider.encrypt(secret1, Buffer.from(text));
  assert.notDeepEqual(again, ours);
  assert.deepEqual(plugin.asked, ['encrypt', 'decrypt key-1', 'decrypt key-1']);
  // Bound to its place.
  assert.equal(
    why(ours, '/registry/secrets/default/other'),
    'cipher: message authentication failed',
  );
  for (let length = 0; length < ours.length; length += 7) {
    assert.equal(provider.decrypt(secret1, ours.subarray(0, length)).ok, false, String(length));
  }
});

test('another key makes a new seed; a plugin that is away stops writes after a while', async () => {
  using plugin = new Plugin();
  await plugin.start();
  const { provider, said, clock } = open(plugin);
  using _provider = provider;
  await provider.check(never);
  const first = provider.encrypt(secret1, Buffer.from(text));
  await clock.advance(kmsLimits.seedMs - 1000);
  await provider.check(never);
  await clock.advance(2000);
  assert.equal(provider.refusal(), undefined, 'it was seen well in between');
  plugin.keyID = 'key-2';
  await provider.check(never);
  assert.equal(provider.keyID, 'key-2');
  const read = provider.decrypt(secret1, first);
  assert.deepEqual([read.ok, read.ok && read.stale], [true, true]);

  plugin.healthz = 'the disk is full';
  await provider.check(never);
  assert.equal(provider.isHealthy, false);
  assert.match(
    said.at(-1) ?? '',
    /kmsv2 Provider p is not healthy, error: got unexpected healthz status: the disk is full/,
  );
  plugin.stop();
  await clock.advance(kmsLimits.seedMs + 1000);
  const hash = /sha256:[0-9a-f]{64}/.source;
  const when = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`;
  assert.match(
    provider.refusal() ?? '',
    new RegExp(
      `^encryptedDEKSource with keyID hash "${hash}" expired at ${when} \\(current time is ${when}\\)$`,
    ),
  );
});

/** A server on a file, by a configuration that names the plugin. */
async function openServer(plugin: Plugin, clock: VirtualClock, { reload = false } = {}) {
  const file = join(plugin.folder, 'encryption.yaml');
  writeFileSync(
    file,
    `kind: EncryptionConfiguration
apiVersion: apiserver.config.k8s.io/v1
resources:
- resources: [secrets]
  providers:
  - kms: { apiVersion: v2, name: p, endpoint: "${plugin.endpoint}", timeout: 1000h }
  - identity: {}
`,
  );
  const catalog = openCatalog();
  const random = systemRandom();
  const log = silentLog;
  const encryption = await openEncryption({ clock, random, catalog, log }, { file, reload });
  const { transformer, healthChecks } = encryption;
  const deps = { clock: systemClock(), log };
  const database = join(plugin.folder, 'state.db');
  const store = await openSqliteStore(deps, { file: database, transformer });
  const server = await openTestServer({
    ...deps,
    store,
    catalog,
    random,
    options: { healthChecks },
  });
  const stop = new AbortController();
  const running = encryption.run(store, stop.signal).catch(() => {});
  return {
    server,
    store,
    file,
    /** Until the next look at the plugin has been. */
    look: async (done: () => boolean): Promise<void> => {
      for (let round = 0; round < 1000 && !done(); round++) {
        await clock.advance(limits.kmsLookMs);
        await settle();
        await systemClock().sleep(5, { signal: never });
      }
      assert.ok(done());
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort(new Error('the test is over'));
      await running;
      await server[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

const secrets = '/api/v1/namespaces/default/secrets';

async function create(server: TestServer, name: string): Promise<number> {
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name } };
  return (await server.request('POST', secrets, secret)).status;
}

async function kept(store: Store): Promise<string> {
  const value = await store.atRest?.stored(secret1);
  return Buffer.from(present(value, 'it is there')).toString('latin1');
}

test('a server writes and reads by a plugin, over restarts, new keys and losses', async () => {
  using plugin = new Plugin();
  await plugin.start();
  const clock = new VirtualClock();
  {
    await using first = await openServer(plugin, clock);
    assert.equal(await create(first.server, 'secret1'), 201);
    assert.match(await kept(first.store), /^k8s:enc:kms:v2:p:/);
    const ready = await first.server.request('GET', '/readyz?verbose');
    assert.match(ready.text, /\[\+\]kms-providers ok/);
    plugin.keyID = 'key-2';
    await first.look(() => first.store.atRest?.isStale(secret1) === true);
    const { body } = await first.server.request('GET', `${secrets}/secret1`);
    const before = await kept(first.store);
    assert.equal((await first.server.request('PUT', `${secrets}/secret1`, body)).status, 200);
    assert.notEqual(await kept(first.store), before);
    assert.equal(first.store.atRest?.isStale(secret1), false);
  }
  {
    // History is readable too: what clients saw before the start, they go on from.
    await using second = await openServer(plugin, clock);
    const { body } = await second.server.request('GET', `${secrets}/secret1`);
    assert.equal(body.metadata.name, 'secret1');
    assert.deepEqual(second.store.atRest?.unreadable, []);
    assert.ok(plugin.asked.includes('decrypt key-2'));
  }
  plugin.stop();
  await using third = await openServer(plugin, clock);
  const refused = await third.server.request('GET', `${secrets}/secret1`);
  assert.deepEqual(
    [refused.status, refused.body.message],
    [500, 'Internal error occurred: got unexpected nil transformer'],
  );
  assert.equal(await create(third.server, 'secret2'), 500);
  const maps = '/api/v1/namespaces/default/configmaps';
  assert.equal((await third.server.request('POST', maps, { metadata: { name: 'a' } })).status, 201);
  assert.equal((await third.server.request('GET', '/readyz')).status, 500);
  assert.equal((await third.server.request('GET', '/livez')).status, 200);
  await plugin.start();
  await third.look(() => third.store.atRest?.unreadable.length === 0);
  assert.equal((await third.server.request('GET', `${secrets}/secret1`)).status, 200);
  assert.equal(await create(third.server, 'secret2'), 201);
  assert.equal((await third.server.request('GET', '/readyz')).status, 200);
  await third[Symbol.asyncDispose]();

  plugin.lost.add('key-2');
  plugin.keyID = 'key-3';
  await using fourth = await openServer(plugin, clock);
  const lost = await fourth.server.request('GET', `${secrets}/secret1`);
  assert.equal(
    lost.body.message,
    'Internal error occurred: failed to decrypt DEK, error: rpc error: code = NotFound desc = there is no key-2',
  );
});

test('a plugin that does not answer holds up neither another configuration nor the end', async () => {
  using plugin = new Plugin();
  await plugin.start();
  const clock = new VirtualClock();
  {
    await using first = await openServer(plugin, clock);
    assert.equal(await create(first.server, 'secret1'), 201);
  }
  plugin.lost.add('key-1');
  await using second = await openServer(plugin, clock, { reload: true });
  const { store, file, look } = second;
  assert.deepEqual(store.atRest?.unreadable, [secret1]);
  const asks = (what: string): number => plugin.asked.filter((each) => each === what).length;
  const before = asks('decrypt key-1');
  const held = Promise.withResolvers<void>();
  plugin.hold = held.promise;
  await look(() => asks('decrypt key-1') > before);
  // The one look still waits; whoever asks from now on is answered.
  plugin.hold = undefined;
  appendFileSync(file, '# another\n');
  const seeds = asks('encrypt');
  await look(() => asks('encrypt') > seeds);
  plugin.lost.clear();
  await look(() => store.atRest?.unreadable.length === 0);
  assert.equal((await second.server.request('GET', `${secrets}/secret1`)).status, 200);

  await second[Symbol.asyncDispose]();
  plugin.lost.add('key-1');
  await using third = await openServer(plugin, clock);
  plugin.hold = held.promise;
  const asked = asks('decrypt key-1');
  await third.look(() => asks('decrypt key-1') > asked);
  await third[Symbol.asyncDispose]();
  held.resolve();
});
