/** What is said of flags about a store that is not the cluster's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { superseded } from '#test/covers.ts';
import { readServerSettings } from './server-settings.ts';

const check = (texts: Readonly<Record<string, string>>): void => void readServerSettings(texts);

test('what the store is anyway may be said', () => {
  check({});
  for (const etcdPrefix of ['/registry', 'registry', '/registry/']) check({ etcdPrefix });
  check({ storageMediaType: 'application/json' });
});

test('what it is not is refused, in upstream words where upstream refuses it', () => {
  superseded('DAT-065', { by: 'v1.13', now: 'etcd3 is the only backend; etcd2 is refused' });
  const backend =
    "--storage-backend invalid, allowed values: etcd3. If not specified, it will default to 'etcd3'";
  const cases: readonly (readonly [Readonly<Record<string, string>>, string])[] = [
    [{ storageBackend: 'etcd2' }, backend],
    [
      { storageBackend: 'etcd3' },
      '--storage-backend etcd3: objects are kept in the store of the cluster itself',
    ],
    [{ etcdPrefix: '/foo' }, '--etcd-prefix /foo: the keys of the store begin with /registry'],
    [
      { storageMediaType: 'foo' },
      '--storage-media-type "foo" invalid, allowed values: application/json, application/vnd.kubernetes.protobuf, application/yaml',
    ],
    [
      { storageMediaType: 'application/yaml' },
      '--storage-media-type application/yaml: objects are kept as application/json',
    ],
  ];
  for (const [texts, message] of cases) {
    assert.throws(() => check(texts), { name: 'ConfigError', message });
  }
});
