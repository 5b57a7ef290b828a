/** Which programs are asked for logins, with what, and how long their answers count. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '#kit/log.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import type { Pod, ServiceAccount } from '#resources/types/core-v1.ts';
import { parseCredentialPlugins } from './credential-plugin-config.ts';
import { CredentialPlugins, parseAnswer } from './credential-plugins.ts';

const { signal } = new AbortController();
const version = 'credentialprovider.kubelet.k8s.io/v1';

function parse(providers: string) {
  const head = 'apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\n';
  return parseCredentialPlugins([{ path: '/etc/p.yaml', text: `${head}providers:\n${providers}` }]);
}

const plain = `- name: known
  apiVersion: ${version}
  matchImages: ["*.example.com", "10.0.0.1:5000/team"]
  defaultCacheDuration: 10m
  args: [get]
  env: [{ name: REGION, value: here }]
`;
const withToken = `${plain}  tokenAttributes:
    serviceAccountTokenAudience: registry
    cacheType: ServiceAccount
    requireServiceAccount: true
    requiredServiceAccountAnnotationKeys: [example.com/role]
`;

interface Asked {
  readonly image: string;
  readonly serviceAccountToken?: string;
  readonly serviceAccountAnnotations?: object;
}

function open(providers = plain) {
  const plugins = parse(providers);
  assert.ok(typeof plugins !== 'string', String(plugins));
  const clock = new VirtualClock();
  const asked: Asked[] = [];
  const answer = { cacheKeyType: 'Image', password: 'p', cacheDuration: undefined as unknown };
  const account: ServiceAccount = {
    ...{ apiVersion: 'v1', kind: 'ServiceAccount' },
    metadata: { uid: 'u', annotations: { 'example.com/role': 'puller' } },
  };
  const runner = new CredentialPlugins(
    {
      clock,
      log: silentLog,
      run: async ({ apiVersion }, input) => {
        asked.push(JSON.parse(input));
        const { password, ...rest } = answer;
        const auth = { 'r.example.com': { username: 'plugin', password } };
        const told = { kind: 'CredentialProviderResponse', apiVersion, auth, ...rest };
        return { code: 0, stdout: JSON.stringify(told), stderr: '' };
      },
      account: async () => account,
      token: async (pod) => `token of ${pod.metadata.name}`,
    },
    plugins,
    { signal },
  );
  const logins = async (repository: string, pod = podOf('a')): Promise<readonly string[]> => {
    const files = await runner.filesFor(repository, pod, { signal });
    return files.flatMap(({ file, source }) =>
      [...file.values()].map(
        ({ username, password }) =>
          `${username}:${password}${source.serviceAccount === undefined ? '' : ' of account'}`,
      ),
    );
  };
  return { clock, asked, answer, account, logins };
}

function podOf(name: string, serviceAccountName = 'default'): Pod {
  const metadata = { namespace: 'ns', name, uid: `uid-${name}` };
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [], serviceAccountName } };
}

test('a program is asked for the images that it knows', async () => {
  const { asked, logins } = open();
  assert.deepEqual(await logins('docker.io/library/nginx'), []);
  assert.deepEqual(await logins('10.0.0.1:5000/other'), []);
  assert.deepEqual(await logins('r.example.com/app'), ['plugin:p']);
  assert.deepEqual(asked, [
    { kind: 'CredentialProviderRequest', apiVersion: version, image: 'r.example.com/app' },
  ]);
});

test('answers count for the image, the registry or all, as long as they say', async () => {
  const { clock, asked, answer, logins } = open();
  const count = async (...images: readonly string[]): Promise<number> => {
    asked.length = 0;
    for (const image of images) await logins(image);
    return asked.length;
  };
  assert.equal(await count('r.example.com/a', 'r.example.com/a', 'r.example.com/b'), 2);
  await clock.advance(600_001);
  answer.cacheKeyType = 'Registry';
  assert.equal(await count('r.example.com/a', 'r.example.com/b', 's.example.com/b'), 2);
  await clock.advance(600_001);
  answer.cacheKeyType = 'Global';
  assert.equal(await count('r.example.com/a', 's.example.com/b'), 1);
  await clock.advance(600_001);
  answer.cacheDuration = '1m0s';
  assert.equal(await count('r.example.com/a', 'r.example.com/a'), 1);
  await clock.advance(60_001);
  answer.cacheDuration = '0s';
  assert.equal(await count('r.example.com/a', 'r.example.com/a'), 2);
});

test('one question at a time', async () => {
  const { asked, logins } = open();
  await Promise.all([logins('r.example.com/a'), logins('r.example.com/a')]);
  assert.equal(asked.length, 1);
});

test('a program that wants the account gets its token, and answers for it alone', async () => {
  const { asked, answer, account, logins } = open(withToken);
  assert.deepEqual(await logins('r.example.com/a'), ['plugin:p of account']);
  assert.deepEqual(asked, [
    {
      ...{ kind: 'CredentialProviderRequest', apiVersion: version, image: 'r.example.com/a' },
      serviceAccountToken: 'token of a',
      serviceAccountAnnotations: { 'example.com/role': 'puller' },
    },
  ]);
  await logins('r.example.com/a', podOf('b'));
  assert.equal(asked.length, 1, 'another pod of the account');
  assert.deepEqual(await logins('r.example.com/a', podOf('c', '')), []);
  answer.password = 'token of d';
  assert.deepEqual(await logins('r.example.com/b', podOf('d')), [], 'never the token itself');
  const { annotations = {} } = account.metadata;
  delete (annotations as Record<string, string>)['example.com/role'];
  assert.deepEqual(await logins('r.example.com/c'), []);
});

test('answers that are none are refused, without showing them', () => {
  const refuse = (text: string, pattern: RegExp): void => {
    assert.throws(
      () => parseAnswer(text, version),
      (error) =>
        error instanceof Error && pattern.test(error.message) && !/secret/.test(error.message),
    );
  };
  refuse('secret', /error decoding credential provider plugin response from stdout/);
  refuse('{"apiVersion":"v0"}', /did not match expected apiVersion:.*\/v1, actual apiVersion:v0/);
  const answer = (more: object): string =>
    JSON.stringify({ kind: 'CredentialProviderResponse', apiVersion: version, ...more });
  refuse(answer({}), /did not return a valid cacheKeyType: /);
  refuse(answer({ cacheKeyType: 'Image', cacheDuration: 'secret' }), /error decoding/);
});

test('a configuration is checked as strictly as upstream does', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /^failed to validate .*: providers: Required value: at least 1 item in plugins is/],
    [plain.replace('name: known', 'name: a/b'), /providers\.name: Invalid value: "a\/b": provider/],
    [plain.replace(version, 'v9'), /providers\.apiVersion: Unsupported value: "v9"/],
    [plain.replace('defaultCacheDuration: 10m', ''), /providers\.defaultCacheDuration: Required/],
    [plain.replace('10m', '-1m'), /"-1m": must be greater than or equal to 0/],
    [plain.replace('args:', 'arguments:'), /strict decoding error: unknown field .*arguments/],
    [plain + plain, /providers\.name: Duplicate value: "known"/],
    [withToken.replace('ServiceAccount\n', 'Other\n'), /cacheType: Unsupported value: "Other"/],
    [withToken.replace(version, `${version}beta1`), /tokenAttributes is only supported for/],
    [withToken.replace('Account: true', 'Account: false'), /cannot be false when required/],
  ];
  for (const [text, pattern] of cases) assert.match(String(parse(text)), pattern);
  const wrong = [{ path: '/p', text: 'kind: Pod\napiVersion: v1' }];
  assert.match(
    String(parseCredentialPlugins(wrong)),
    /^error decoding config "\/p": no kind "Pod"/,
  );
});
