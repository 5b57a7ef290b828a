/** What a pod may show a registry: its own first, then the node's, then what plugins say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, Secret } from '#resources/types/core-v1.ts';
import { PullLogins } from './pull-logins.ts';

const { signal } = new AbortController();
const pod: Pod = { apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'ns', name: 'p' } };
const auths = (username: string): string =>
  JSON.stringify({ auths: { 'r.example.com': { username, password: 'p' } } });
const old = (username: string): string =>
  JSON.stringify({ 'r.example.com': { username, password: 'p' } });

async function names(
  files: Readonly<Record<string, string>>,
  secrets: readonly Secret[] = [],
): Promise<readonly string[]> {
  const logins = new PullLogins(
    { readFile: (path) => files[path] ?? '', plugins: undefined },
    { folders: { modern: ['/k', '/home/.docker'], old: ['/k', '/home'] } },
  );
  const found = await logins.of('r.example.com/app:1', pod, secrets, { signal });
  return found.map(
    ({ login, source }) => `${login.username}${source.secret === undefined ? '' : ' of a Secret'}`,
  );
}

test('the first file of the node counts, the old form where there is no new one', async () => {
  assert.deepEqual(await names({}), []);
  assert.deepEqual(await names({ '/home/.docker/config.json': auths('home') }), ['home']);
  const both = { '/k/config.json': auths('root'), '/home/.docker/config.json': auths('home') };
  assert.deepEqual(await names(both), ['root']);
  assert.deepEqual(await names({ '/home/.dockercfg': old('old') }), ['old']);
  assert.deepEqual(await names({ ...both, '/k/.dockercfg': old('old') }), ['root']);
});

test('Secrets of the pod come before the node', async () => {
  const secret: Secret = {
    ...{ apiVersion: 'v1', kind: 'Secret', metadata: { namespace: 'ns', name: 's', uid: 'u' } },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': Buffer.from(auths('own')).toString('base64') },
  };
  const found = await names({ '/k/config.json': auths('node') }, [secret]);
  assert.deepEqual(found, ['own of a Secret', 'node']);
});
