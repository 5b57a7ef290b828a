/**
 * Which provider and key writes a value and which reads it, by resource; and what is said where
 * none does.
 */
import { deepEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#kit/random.ts';
import { openCatalog } from '#resources/resources.ts';
import type { ValueTransformer } from '#store';
import { covers } from '#test/covers.ts';
import type { EncryptionConfiguration, Provider } from './encryption-config.ts';
import { EncryptionFigures } from './encryption-figures.ts';
import { resourcesOfKeys } from './encryption-file.ts';
import { plainTransformer } from './plain.ts';
import { openTransformer } from './transformer.ts';

const resourceOf = resourcesOfKeys(openCatalog());
const secret = '/registry/secrets/default/secret1';
const text = '{"kind":"Secret"}';

const figures = new EncryptionFigures();

type Kind = 'aescbc' | 'aesgcm' | 'secretbox';

function provider(kind: Kind, ...names: readonly string[]): Provider {
  return { kind, keys: names.map((name) => ({ name, secret: Buffer.alloc(32, name) })) };
}

const identity: Provider = { kind: 'identity' };

function open(entries: EncryptionConfiguration['resources']): ValueTransformer {
  const { signal } = new AbortController();
  const deps = { random: seededRandom(3), resourceOf, kms: new Map(), signal, figures };
  return openTransformer(deps, { resources: entries });
}

const secretsBy = (...providers: readonly Provider[]): ValueTransformer =>
  open([{ resources: ['secrets'], providers }]);

const kept = (by: ValueTransformer, key = secret): Uint8Array =>
  by.toStorage(key, Buffer.from(text));

/** What a transformer makes of bytes: the text, stale or not, or why it cannot. */
function read(by: ValueTransformer, stored: Uint8Array, key = secret): string {
  const found = by.fromStorage(key, stored);
  if (!found.ok) return found.why;
  return `${Buffer.from(found.value).toString()}${found.stale ? ' (stale)' : ''}`;
}

const prefixOf = (stored: Uint8Array): string =>
  /^(k8s:enc:[a-z]+:v1:[^:]*:|)/.exec(Buffer.from(stored).toString('latin1'))?.[0] ?? '';

test('the first provider and its first key write', () => {
  equal(prefixOf(kept(secretsBy(provider('aescbc', 'key1', 'key2')))), 'k8s:enc:aescbc:v1:key1:');
  equal(prefixOf(kept(secretsBy(provider('aesgcm', 'a'), identity))), 'k8s:enc:aesgcm:v1:a:');
  equal(prefixOf(kept(secretsBy(provider('secretbox', 'b')))), 'k8s:enc:secretbox:v1:b:');
  equal(Buffer.from(kept(secretsBy(identity, provider('aescbc', 'a')))).toString(), text);
  deepEqual(
    [secretsBy(identity).encrypts, secretsBy(provider('aescbc', 'a')).encrypts],
    [false, true],
  );
});

test('every provider and key reads what it wrote, and it is stale unless it would write it', () => {
  covers('DAT-029', 'DAT-035');
  const old = kept(secretsBy(provider('aescbc', 'k1')));
  const plain = Buffer.from(text);
  const all = secretsBy(provider('secretbox', 's'), provider('aescbc', 'k2', 'k1'), identity);
  equal(read(all, old), `${text} (stale)`);
  equal(read(all, plain), `${text} (stale)`);
  equal(read(all, kept(all)), text);
  equal(prefixOf(kept(all)), 'k8s:enc:secretbox:v1:s:');
  const second = secretsBy(provider('aescbc', 'k2', 'k1'));
  equal(read(second, old), `${text} (stale)`);
  equal(prefixOf(kept(second)), 'k8s:enc:aescbc:v1:k2:');
  // Two providers of one sort, and one name for two keys: none that fails hides another.
  equal(
    read(secretsBy(provider('aescbc', 'k2'), provider('aescbc', 'k1')), old),
    `${text} (stale)`,
  );
  const sameName: Provider = {
    kind: 'aescbc',
    keys: [
      { name: 'k1', secret: Buffer.alloc(32, 'other') },
      { name: 'k1', secret: Buffer.alloc(32, 'k1') },
    ],
  };
  equal(read(secretsBy(sameName), old), `${text} (stale)`);
});

test("what none can read is refused with upstream's words", () => {
  const old = kept(secretsBy(provider('aescbc', 'k1')));
  equal(read(plainTransformer, old), 'identity transformer tried to read encrypted data');
  equal(read(secretsBy(identity), old), 'no matching prefix found');
  equal(read(secretsBy(provider('aesgcm', 'k1')), old), 'no matching prefix found');
  equal(read(secretsBy(provider('aesgcm', 'k1')), Buffer.from(text)), 'no matching prefix found');
  equal(
    read(secretsBy(provider('aescbc', 'k2'), identity), old),
    'no matching key was found for the provided AES transformer',
  );
  const boxed = kept(secretsBy(provider('secretbox', 's')));
  equal(
    read(secretsBy(provider('secretbox', 't')), boxed),
    'no matching key was found for the provided Secretbox transformer',
  );
  const sealed = kept(secretsBy(provider('aesgcm', 'k')));
  const wrong: Provider = { kind: 'aesgcm', keys: [{ name: 'k', secret: Buffer.alloc(32, 'x') }] };
  const both = secretsBy(wrong, provider('aesgcm', 'j'));
  const words = 'no matching key was found for the provided AES transformer';
  equal(read(both, sealed), `[cipher: message authentication failed, ${words}]`);
  equal(
    read(both, sealed.subarray(0, 24)),
    `[the stored data was shorter than the required size, ${words}]`,
  );
});

test('the narrowest rule holds: resource, group, everything; the rest is left alone', () => {
  const by = open([
    { resources: ['events', 'deployments.apps'], providers: [identity] },
    { resources: ['*.apps'], providers: [provider('aescbc', 'apps')] },
    { resources: ['*.'], providers: [provider('aescbc', 'core')] },
    { resources: ['*.*'], providers: [provider('aescbc', 'all')] },
  ]);
  const forms = {
    '/registry/events/default/a.1': '',
    '/registry/deployments/default/a': '',
    '/registry/daemonsets/default/a': 'apps',
    '/registry/controllers/default/a': 'core',
    '/registry/services/specs/default/a': 'core',
    '/registry/minions/a': 'core',
    '/registry/jobs/default/a': 'all',
    '/registry/example.com/widgets/default/a': 'all',
    // Not of any resource that has an API.
    '/registry/ranges/servicenodeports': '',
  };
  for (const [key, name] of Object.entries(forms)) {
    equal(prefixOf(kept(by, key)), name === '' ? '' : `k8s:enc:aescbc:v1:${name}:`, key);
    equal(read(by, kept(by, key), key), text, key);
  }
  equal(by.formOf('/registry/minions/a'), by.formOf('/registry/services/specs/default/a'));
  ok(by.formOf('/registry/minions/a') !== by.formOf('/registry/jobs/default/a'));
});
