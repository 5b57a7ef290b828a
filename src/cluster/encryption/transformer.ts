/**
 * From an `EncryptionConfiguration` to how each value is kept.
 *
 * Of a resource, the first provider writes, with its first key; what is read is tried with every
 * provider and key whose name stands before it, in order: `k8s:enc:aescbc:v1:KEY:`, then the bytes
 * of the cipher. `identity` leaves values alone and reads whatever is not encrypted; resources that
 * are not configured are kept so. Names, order and refusals are upstream's. Made by
 * `encryption-file.ts`, used by the store.
 */
import { createHash } from 'node:crypto';
import { present } from '#kit/assert.ts';
import type { Random } from '#kit/random.ts';
import type { FromStorage, StoredValue, ValueTransformer } from '#store';
import { openCipher, type ValueCipher } from './ciphers.ts';
import type { EncryptionConfiguration, Provider } from './encryption-config.ts';
import type { EncryptionFigures } from './encryption-figures.ts';
import type { KmsProvider } from './kms-provider.ts';
import { isEncrypted, plainForm, plainTransformer, startsWith } from './plain.ts';

export interface GroupResource {
  readonly group: string;
  readonly resource: string;
}

/** Whose value a key of the store has; undefined: of no resource that has an API. */
export type ResourceOfKey = (key: string) => GroupResource | undefined;

interface KeyCipher {
  /** `KEY:`. */
  readonly prefix: Buffer;
  readonly cipher: ValueCipher;
}

interface Sealer {
  /** `k8s:enc:aescbc:v1:`, `k8s:enc:kms:v2:NAME:`, or nothing for `identity`. */
  readonly prefix: Buffer;
  readonly keys: readonly KeyCipher[];
  readonly noKey: string;
  /** What tells it from others, without telling its key; and to people. */
  readonly form: string;
  readonly label: string;
  readonly kms?: KmsProvider;
}

export interface TransformerDeps {
  readonly random: Random;
  readonly resourceOf: ResourceOfKey;
  /** Those that the configuration names, by their names. */
  readonly kms: ReadonlyMap<string, KmsProvider>;
  /** Ends what they are asked. */
  readonly signal: AbortSignal;
  readonly figures: EncryptionFigures;
}

interface Read {
  readonly value: Uint8Array;
  readonly stale: boolean;
}

const noMatch = 'no matching prefix found';

const identity: Sealer = {
  prefix: Buffer.alloc(0),
  keys: [],
  noKey: '',
  form: plainForm,
  label: '',
};

export function openTransformer(
  deps: TransformerDeps,
  { resources }: EncryptionConfiguration,
): ValueTransformer {
  const { resourceOf, kms, signal, figures } = deps;
  const byResource = new Map<string, readonly Sealer[]>();
  for (const entry of resources) {
    const sealers = entry.providers.map((provider) => openSealer(deps, provider));
    for (const name of entry.resources) {
      byResource.set(name, [...(byResource.get(name) ?? []), ...sealers]);
    }
  }
  const sealersOf = (key: string): readonly Sealer[] | undefined => {
    const of = resourceOf(key);
    return of === undefined ? undefined : found(byResource, of);
  };
  const writerOf = (key: string): Sealer => sealersOf(key)?.[0] ?? identity;
  const transformer: ValueTransformer = {
    encrypts: [...byResource.values()].some(([first]) => first !== identity),
    formOf: (key) => writerOf(key).form,
    toStorage: (key, value) => {
      const [writer] = sealersOf(key) ?? [];
      if (writer === undefined) return value;
      const resource = nameOf(resourceOf(key));
      figures.countTransformation('to_storage', { resource, prefix: writer.label, isDone: true });
      return seal(writer, key, value);
    },
    fromStorage: (key, stored) => {
      const sealers = sealersOf(key);
      if (sealers === undefined) return plainTransformer.fromStorage(key, stored);
      const resource = nameOf(resourceOf(key));
      return readAny(sealers, key, stored, (prefix, isDone) =>
        figures.countTransformation('from_storage', { resource, prefix, isDone }),
      );
    },
  };
  if (kms.size === 0) return transformer;
  return {
    ...transformer,
    refusal: (key) => writerOf(key).kms?.refusal(),
    prepare: async (stored) => {
      try {
        for (const provider of kms.values()) {
          await provider.prepare(writtenBy(provider, stored, sealersOf), signal);
        }
      } catch (error) {
        // Once it is over with this configuration, nobody reads by it any more.
        if (!signal.aborted) throw error;
      }
    },
  };
}

/** What of the values a key management service has to do with. */
function writtenBy(
  provider: KmsProvider,
  stored: readonly StoredValue[],
  sealersOf: (key: string) => readonly Sealer[] | undefined,
): readonly Uint8Array[] {
  return stored.flatMap(({ key, value }) => {
    const sealer = sealersOf(key)?.find(({ kms }) => kms === provider);
    if (sealer === undefined || !startsWith(value, sealer.prefix)) return [];
    return [value.subarray(sealer.prefix.length)];
  });
}

/** The narrowest that is configured: the resource, its group, everything. */
function found(
  byResource: ReadonlyMap<string, readonly Sealer[]>,
  of: GroupResource,
): readonly Sealer[] | undefined {
  return byResource.get(nameOf(of)) ?? byResource.get(`*.${of.group}`) ?? byResource.get('*.*');
}

function nameOf({ group = '', resource = '' }: Partial<GroupResource> = {}): string {
  return group === '' ? resource : `${resource}.${group}`;
}

function openSealer(deps: TransformerDeps, provider: Provider): Sealer {
  if (provider.kind === 'identity') return identity;
  if (provider.kind === 'kms') return kmsSealer(deps, provider.name);
  const { kind, keys } = provider;
  const what = kind === 'secretbox' ? 'Secretbox' : 'AES';
  const [first] = keys;
  const digest = createHash('sha256')
    .update(first?.secret ?? '')
    .digest('hex');
  const label = `k8s:enc:${kind}:v1:`;
  return {
    prefix: Buffer.from(label),
    label,
    keys: keys.map(({ name, secret }) => ({
      prefix: Buffer.from(`${name}:`),
      cipher: openCipher(deps, { kind, secret }),
    })),
    noKey: `no matching key was found for the provided ${what} transformer`,
    form: `${kind}:${first?.name ?? ''}:${digest}`,
  };
}

function kmsSealer({ kms }: TransformerDeps, name: string): Sealer {
  const provider = present(kms.get(name), 'every provider that is named was opened');
  const label = `k8s:enc:kms:v2:${name}:`;
  return {
    prefix: Buffer.from(label),
    label,
    keys: [{ prefix: Buffer.alloc(0), cipher: provider }],
    noKey: noMatch,
    form: `kms:${name}:${provider.keyID ?? ''}`,
    kms: provider,
  };
}

function seal({ prefix, keys }: Sealer, key: string, value: Uint8Array): Uint8Array {
  const [first] = keys;
  if (first === undefined) return value;
  return Buffer.concat([prefix, first.prefix, first.cipher.encrypt(key, value)]);
}

/** One that fails does not keep a later one from being tried: keys of one name may be several. */
function readAny(
  sealers: readonly Sealer[],
  key: string,
  stored: Uint8Array,
  count: (prefix: string, isDone: boolean) => void,
): FromStorage {
  const whys = new Set<string>();
  for (const [index, sealer] of sealers.entries()) {
    if (!startsWith(stored, sealer.prefix)) continue;
    if (sealer === identity) {
      if (isEncrypted(stored)) continue;
      count('identity', true);
      return { ok: true, value: stored, stale: index > 0 };
    }
    const read = readByKeys(sealer, key, stored.subarray(sealer.prefix.length));
    count(sealer.label, 'value' in read);
    if ('value' in read) return { ok: true, value: read.value, stale: read.stale || index > 0 };
    for (const why of read) whys.add(why);
  }
  if (whys.size === 0) count('unknown', false);
  return { ok: false, why: joined([...whys], noMatch) };
}

/** The value, or everything that was wrong with it. */
function readByKeys(
  { keys, noKey }: Sealer,
  key: string,
  sealed: Uint8Array,
): Read | readonly string[] {
  const whys: string[] = [];
  for (const [index, { prefix, cipher }] of keys.entries()) {
    if (!startsWith(sealed, prefix)) continue;
    const decrypted = cipher.decrypt(key, sealed.subarray(prefix.length));
    if (decrypted.ok) return { value: decrypted.value, stale: index > 0 || decrypted.stale };
    whys.push(decrypted.why);
  }
  return whys.length === 0 ? [noKey] : whys;
}

function joined(whys: readonly string[], none: string): string {
  return whys.length > 1 ? `[${whys.join(', ')}]` : (whys[0] ?? none);
}
