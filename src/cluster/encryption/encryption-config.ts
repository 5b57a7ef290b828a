/**
 * `EncryptionConfiguration` (`apiserver.config.k8s.io/v1`, or the older `EncryptionConfig` of
 * `v1`): which resources are encrypted, by which providers, with which keys.
 *
 * Read as strictly as upstream reads it and refused with its words, except that no secret is ever
 * told in them. Key management services are those of KMS v2, as without upstream's feature gate for
 * the first version. Pure: text in, value out.
 */
import { decodeObject } from '#api/decode.ts';
import { badRequest, isReason } from '#api/errors.ts';
import { type FieldError, formatFieldErrors, invalid, required } from '#api/field-error.ts';
import type { Schema } from '#api/schema.ts';
import { parseYaml, YamlError } from '#kit/yaml.ts';
import { validateResources } from './encryption-resources.ts';
import { type GivenKms, kmsOf, olderKms, validateKms } from './kms-config.ts';
import type { KmsSettings } from './kms-provider.ts';

export interface EncryptionConfiguration {
  readonly resources: readonly {
    /** `secrets`, `deployments.apps`, `*.`, `*.apps`, `*.*`. */
    readonly resources: readonly string[];
    readonly providers: readonly Provider[];
  }[];
}

export type Provider =
  | { readonly kind: 'identity' }
  | {
      readonly kind: 'aescbc' | 'aesgcm' | 'secretbox';
      readonly keys: readonly { readonly name: string; readonly secret: Uint8Array }[];
    }
  | ({ readonly kind: 'kms' } & KmsSettings);

interface GivenKey {
  readonly name?: string;
  readonly secret?: string;
}

type GivenProvider = {
  readonly [Kind in 'aescbc' | 'aesgcm' | 'secretbox']?: { readonly keys?: readonly GivenKey[] };
} & { readonly identity?: object; readonly kms?: GivenKms };

/** What the schema lets through. */
interface Given {
  readonly resources?: readonly {
    readonly resources?: readonly string[];
    readonly providers?: readonly GivenProvider[];
  }[];
}

/** Providers with keys, and how long these may be. In this order upstream names them. */
const keyBytes = { aesgcm: [16, 24, 32], aescbc: [16, 24, 32], secretbox: [32] } as const;
const ciphers = ['aesgcm', 'aescbc', 'secretbox'] as const;
/** How upstream's errors show the fields of a provider. */
const shownNames = {
  aesgcm: 'AESGCM',
  aescbc: 'AESCBC',
  secretbox: 'Secretbox',
  identity: 'Identity',
  kms: 'KMS',
} as const;

const text: Schema = { type: 'string' };
const object = (fields: Readonly<Record<string, Schema>>): Schema => ({ type: 'object', fields });
const list = (items: Schema): Schema => ({ type: 'array', items });
const nameOf = (type: string): string => `io.k8s.apiserver.v1.${type}`;
const ref = (type: string): Schema => ({ ref: nameOf(type) });
const keyed = object({ keys: list(ref('Key')) });

/** By the names of upstream's types, which its errors tell. */
const types: Readonly<Record<string, Schema>> = {
  EncryptionConfiguration: object({
    ...{ kind: text, apiVersion: text },
    resources: list(ref('ResourceConfiguration')),
  }),
  ResourceConfiguration: object({
    resources: list(text),
    providers: list(ref('ProviderConfiguration')),
  }),
  ProviderConfiguration: object({
    aesgcm: ref('AESConfiguration'),
    aescbc: ref('AESConfiguration'),
    secretbox: ref('SecretboxConfiguration'),
    identity: ref('IdentityConfiguration'),
    kms: ref('KMSConfiguration'),
  }),
  AESConfiguration: keyed,
  SecretboxConfiguration: keyed,
  IdentityConfiguration: object({}),
  KMSConfiguration: object({
    ...{ apiVersion: text, name: text, endpoint: text, timeout: text },
    cachesize: { type: 'integer', format: 'int32' },
  }),
  Key: object({ name: text, secret: text }),
};

const definitions: ReadonlyMap<string, Schema> = new Map(
  Object.entries(types).map(([type, schema]) => [nameOf(type), schema]),
);

/** A text instead where it cannot be used. */
export function parseEncryptionConfiguration(
  source: string,
  path: string,
): EncryptionConfiguration | string {
  const parsing = 'error while parsing file';
  if (source === '') {
    const empty = `encryption provider configuration file "${path}" is empty`;
    return `${parsing}: error while loading file: ${empty}`;
  }
  const given = decode(source);
  if (typeof given === 'string') {
    const decoding = `error decoding encryption provider configuration file "${path}"`;
    return `${parsing}: ${decoding}: ${given}`;
  }
  const problems = validate(given);
  if (problems.length > 0) return `${parsing}: ${formatFieldErrors(problems)}`;
  const masked = maskedResource(given);
  const building = 'error while building transformers';
  if (masked !== undefined) return `${building}: ${masked}`;
  const older = olderKms(kmsProviders(given));
  if (older !== undefined) return `${building}: ${older}`;
  return configurationOf(given);
}

function decode(source: string): Given | string {
  try {
    const value = parseYaml(source);
    // Parse boundary: anything may stand in a file.
    const { kind, apiVersion = '' } = (value ?? {}) as { kind?: string; apiVersion?: string };
    if (kind === undefined || kind === '') {
      // Upstream shows the whole file, whatever is in it.
      const seen = /secret/i.test(source) ? 'REDACTED' : source;
      return `Object 'Kind' is missing in '${seen}'`;
    }
    const isOld = apiVersion === 'v1' && kind === 'EncryptionConfig';
    const isKnown =
      `${apiVersion}/${kind}` === 'apiserver.config.k8s.io/v1/EncryptionConfiguration';
    if (!isOld && !isKnown) return `no kind "${kind}" is registered for version "${apiVersion}"`;
    const schema = ref('EncryptionConfiguration');
    const { object: decoded, problems } = decodeObject(value, schema, definitions, badRequest);
    if (problems.length > 0) return `strict decoding error: ${problems.join(', ')}`;
    // The schema has checked the types.
    return decoded as Given;
  } catch (error) {
    if (error instanceof YamlError) return `yaml: ${error.goMessage}`;
    if (isReason(error, 'BadRequest')) return error.message;
    throw error;
  }
}

function validate({ resources: entries = [] }: Given): readonly FieldError[] {
  if (entries.length === 0) return [required('resources', 'at least one resources is required')];
  const names = new Set<string>();
  return entries.flatMap(({ resources = [], providers = [] }, index) => {
    const field = `resources[${index}].resources`;
    const inProviders = `resources[${index}].providers`;
    const problems: FieldError[] = [];
    if (resources.length === 0) problems.push(required(field, `at least one ${field} is required`));
    problems.push(...validateResources(field, resources));
    if (providers.length === 0) {
      problems.push(required(inProviders, `at least one ${inProviders} is required`));
    }
    for (const [at, provider] of providers.entries()) {
      problems.push(...validateProvider(`${inProviders}[${at}]`, provider, names));
    }
    return problems;
  });
}

function kmsProviders({ resources = [] }: Given): readonly GivenKms[] {
  return resources.flatMap(({ providers = [] }) => providers.flatMap(({ kms }) => kms ?? []));
}

function validateProvider(
  field: string,
  provider: GivenProvider,
  /** Of key management services that came before it. */
  names: Set<string>,
): readonly FieldError[] {
  const kinds = Object.keys(provider);
  const problems: FieldError[] = [];
  if (kinds.length === 0) {
    const names = 'KMS, AESGCM, AESCBC, Secretbox, Identity';
    const detail = `provider does not contain any of the expected providers: ${names}`;
    problems.push(invalid(field, shown(provider), detail));
  }
  if (kinds.length > 1) {
    const detail =
      'more than one provider specified in a single element, ' +
      'should split into different list elements';
    problems.push(invalid(field, shown(provider), detail));
  }
  if (provider.kms !== undefined) {
    problems.push(...validateKms(`${field}.kms`, provider.kms, names));
    names.add(provider.kms.name ?? '');
    return problems;
  }
  const kind = ciphers.find((each) => provider[each] !== undefined);
  if (kind === undefined) return problems;
  const keys = provider[kind]?.keys ?? [];
  return [...problems, ...validateKeys(`${field}.${kind}.keys`, keys, keyBytes[kind])];
}

/** As upstream shows it, except that it tells the secrets. */
function shown(provider: GivenProvider): object {
  const keys = (kind: keyof typeof keyBytes) =>
    provider[kind] === undefined
      ? null
      : {
          Keys: (provider[kind].keys ?? []).map(({ name = '' }) => ({
            Name: name,
            Secret: 'REDACTED',
          })),
        };
  return {
    [shownNames.aesgcm]: keys('aesgcm'),
    [shownNames.aescbc]: keys('aescbc'),
    [shownNames.secretbox]: keys('secretbox'),
    [shownNames.identity]: provider.identity ?? null,
    [shownNames.kms]: provider.kms ?? null,
  };
}

function validateKeys(
  field: string,
  keys: readonly GivenKey[],
  lengths: readonly number[],
): readonly FieldError[] {
  if (keys.length === 0) return [required(field, 'at least one keys is required')];
  return keys.flatMap(({ name = '', secret = '' }, index) => {
    const [inName, inSecret] = [`${field}[${index}].name`, `${field}[${index}].secret`];
    const problems: FieldError[] = [];
    if (name === '') problems.push(required(inName, 'name is a mandatory field for a key'));
    if (secret === '') {
      return [...problems, required(inSecret, 'secret is a mandatory field for a key')];
    }
    const bytes = decodeBase64(secret);
    if (bytes === undefined) {
      return [...problems, invalid(inSecret, 'REDACTED', 'secrets must be base64 encoded')];
    }
    if (!lengths.includes(bytes.byteLength)) {
      const wanted = `expected one of [${lengths.join(' ')}]`;
      const detail = `secret is not of the expected length, got ${bytes.byteLength}, ${wanted}`;
      problems.push(invalid(inSecret, 'REDACTED', detail));
    }
    return problems;
  });
}

/** Line breaks are passed over, as Go does. */
function decodeBase64(encoded: string): Uint8Array | undefined {
  const one = encoded.replace(/[\r\n]/g, '');
  const isSound = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(one);
  return isSound ? Buffer.from(one, 'base64') : undefined;
}

/** A rule that an earlier one leaves nothing to do. */
function maskedResource({ resources: entries = [] }: Given): string | undefined {
  const seen = new Set<string>();
  for (const { resources = [] } of entries) {
    for (const name of resources) {
      const [, group = ''] = /^[^.]*\.(.*)$/.exec(name) ?? [];
      for (const rule of [`*.${group}`, '*.*']) {
        if (seen.has(rule)) return `resource "${name}" is masked by earlier rule "${rule}"`;
      }
      seen.add(name);
    }
  }
  return undefined;
}

function configurationOf({ resources: entries = [] }: Given): EncryptionConfiguration {
  return {
    resources: entries.map(({ resources = [], providers = [] }) => ({
      resources,
      providers: providers.map((provider): Provider => {
        if (provider.kms !== undefined) return { kind: 'kms', ...kmsOf(provider.kms) };
        const kind = ciphers.find((each) => provider[each] !== undefined);
        if (kind === undefined) return { kind: 'identity' };
        const keys = (provider[kind]?.keys ?? []).map(({ name = '', secret = '' }) => ({
          name,
          secret: decodeBase64(secret) ?? new Uint8Array(),
        }));
        return { kind, keys };
      }),
    })),
  };
}
