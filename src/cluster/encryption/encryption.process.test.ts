/**
 * Encryption at rest of a whole control plane, by its flags and commands: it begins, what it keeps
 * is looked at, a lost key is survived, and a bad file is refused in one line.
 */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { covers } from '#test/covers.ts';
import { configMap, ServerProcess } from '#test/server-process.ts';

const secrets = '/api/v1/namespaces/default/secrets';
const kept = (name: string): string => `/registry/secrets/default/${name}`;
const word = 'opensesame';
const encoded = Buffer.from(word).toString('base64');
const limit = { timeout: 300_000 };

const configuration = (...providers: readonly string[]): string =>
  `kind: EncryptionConfig
apiVersion: v1
resources:
- resources: [secrets, jobs.batch]
  providers: [${providers.join(', ')}]
`;
const cbc = (name: string): string =>
  `{ aescbc: { keys: [{ name: ${name}, secret: ${Buffer.alloc(32, name).toString('base64')} }] } }`;
const plain = '{ identity: {} }';

test('secrets are kept encrypted, looked at, lost and removed', limit, async () => {
  // What etcdctl does elsewhere, `store get` does here.
  covers('DAT-026', 'DAT-036');
  const flags: string[] = ['--backup-interval', '0'];
  await using server = await ServerProcess.open(flags);
  await server.start();
  const create = async (name: string): Promise<void> => {
    const data = { password: encoded };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name }, data };
    assert.equal((await server.request('POST', secrets, secret)).status, 201);
  };
  const show = async (name: string): Promise<string> => {
    const { stdout, stderr, code } = await server.coracle('store', 'get', kept(name));
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const restart = async (config: string): Promise<void> => {
    server.signal('SIGTERM');
    assert.equal(await server.ended(), 0);
    writeFileSync(join(server.folder, 'encryption.yaml'), config);
    await server.start();
  };
  await create('before');
  assert.match(
    await show('before'),
    new RegExp(`^${kept('before')}\n\\{"kind":"Secret".*${encoded}`),
  );

  flags.push('--experimental-encryption-provider-config', join(server.folder, 'encryption.yaml'));
  await restart(configuration(cbc('key1'), plain));
  await create('after');
  assert.match(await show('after'), new RegExp(`^${kept('after')}\nk8s:enc:aescbc:v1:key1:`));
  assert.doesNotMatch(await show('after'), new RegExp(encoded));
  for (const name of ['before', 'after']) {
    assert.match((await server.request('GET', `${secrets}/${name}`)).text, new RegExp(encoded));
  }
  const missing = await server.coracle('store', 'get', kept('none'));
  assert.deepEqual(
    [missing.code, missing.stderr],
    [1, `coracle: there is no key ${kept('none')}\n`],
  );

  // The key is lost: those of the cluster's own work go on, and so does everything else.
  await restart(configuration(plain));
  const refused = await server.request('GET', secrets);
  assert.equal(refused.status, 500);
  const why = 'no matching prefix found';
  assert.match(refused.text, new RegExp(`unable to transform key .*${kept('after')}.*: ${why}`));
  assert.match(readFileSync(join(server.dataDir, 'logs/coracle.log'), 'utf8'), new RegExp(why));
  const maps = '/api/v1/namespaces/default/configmaps';
  assert.equal((await server.request('POST', maps, configMap('c1', 10))).status, 201);
  const readable = await server.coracle('store', 'delete', kept('before'));
  assert.match(
    readable.stderr,
    /is not a value that cannot be read; others go with kubectl delete/,
  );
  assert.equal(readable.code, 1);
  const removed = await server.coracle('store', 'delete', kept('after'));
  assert.deepEqual([removed.code, removed.stdout], [0, `removed  ${kept('after')}\n`]);
  const list = await server.request('GET', secrets);
  assert.equal(list.status, 200);
  assert.match(list.text, /"name":"before"/);
  server.signal('SIGTERM');
  await server.ended();
  // Of a stopped cluster too.
  assert.match(await show('before'), new RegExp(encoded));
});

test(
  'resources are named with their groups; a bad file is refused in one line',
  limit,
  async () => {
    covers('DAT-027');
    const flags: string[] = ['--backup-interval', '0'];
    await using server = await ServerProcess.open(flags);
    const file = join(server.folder, 'encryption.yaml');
    flags.push('--encryption-provider-config', file);
    writeFileSync(file, configuration(cbc('key1'), plain));
    await server.start();
    const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'i' }] } };
    const spec = { template, suspend: true };
    for (const [plural, prefix] of [
      ['jobs', 'k8s:enc:aescbc:v1:key1:'],
      ['cronjobs', '{"kind":"CronJob"'],
    ] as const) {
      const path = `/apis/batch/v1/namespaces/default/${plural}`;
      const of = plural === 'jobs' ? spec : { schedule: '0 0 * * *', jobTemplate: { spec } };
      const made = await server.request('POST', path, { metadata: { name: 'x' }, spec: of });
      assert.equal(made.status, 201, made.text);
      const shown = await server.coracle('store', 'get', `/registry/${plural}/default/x`);
      assert.equal(shown.stdout.split('\n')[1]?.slice(0, prefix.length), prefix);
    }
    server.signal('SIGTERM');
    assert.equal(await server.ended(), 0);
    writeFileSync(file, configuration());
    const none = await server.coracle('server', '--no-kubeconfig', ...flags);
    assert.equal(none.code, 1);
    assert.match(
      none.stderr,
      /^coracle: error while parsing file: resources\[0\]\.providers: Required/,
    );
    rmSync(file);
    const start = (...flags: readonly string[]) =>
      server.coracle('server', '--no-kubeconfig', ...flags);
    const named = ['--encryption-provider-config', file];
    const reading = 'error while parsing file: error while loading file: error reading';
    const absent = await start(...named);
    assert.deepEqual(
      [absent.code, absent.stderr],
      [
        1,
        `coracle: ${reading} encryption provider configuration file "${file}": open ${file}: no such file or directory\n`,
      ],
    );
    writeFileSync(file, configuration('{}'));
    const { code, stderr } = await start(...named);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^coracle: error while parsing file: resources\[0\]\.providers\[0\]: Invalid/,
    );
    const alone = await start('--encryption-provider-config-automatic-reload');
    assert.deepEqual(
      [alone.code, alone.stderr],
      [
        1,
        'coracle: --encryption-provider-config-automatic-reload must be set with --encryption-provider-config\n',
      ],
    );
  },
);
