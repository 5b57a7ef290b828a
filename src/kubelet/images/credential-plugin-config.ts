/**
 * `CredentialProviderConfig`: which programs may be asked for logins, for which images. Read as
 * strictly as upstream reads it, and refused with its words; several files are one. Pure: texts in,
 * value out. The settings read the files, `credential-plugins.ts` asks the programs.
 */
import { decodeObject } from '#api/decode.ts';
import { isReason } from '#api/errors.ts';
import {
  duplicate,
  type FieldError,
  forbidden,
  formatFieldErrors,
  invalid,
  notSupported,
  required,
} from '#api/field-error.ts';
import { qualifiedNameProblems } from '#api/names.ts';
import type { Schema } from '#api/schema.ts';
import { parseDuration } from '#kit/duration.ts';
import { parseYaml } from '#kit/yaml.ts';

export interface TokenAttributes {
  readonly serviceAccountTokenAudience: string;
  readonly cacheType: 'ServiceAccount' | 'Token';
  readonly requireServiceAccount: boolean;
  readonly requiredServiceAccountAnnotationKeys: readonly string[];
  readonly optionalServiceAccountAnnotationKeys: readonly string[];
}

export interface CredentialPlugin {
  /** Of the program too. */
  readonly name: string;
  readonly matchImages: readonly string[];
  readonly defaultCacheMs: number;
  readonly apiVersion: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly tokenAttributes: TokenAttributes | undefined;
}

const newest = 'credentialprovider.kubelet.k8s.io/v1';
const versions = [newest, `${newest}alpha1`, `${newest}beta1`];
const cacheTypes = ['ServiceAccount', 'Token'];

/** As it stands in a file; checked below. */
interface Given {
  readonly name?: string;
  readonly matchImages?: readonly string[];
  readonly defaultCacheDuration?: string;
  readonly apiVersion?: string;
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name?: string; readonly value?: string }[];
  readonly tokenAttributes?: {
    readonly serviceAccountTokenAudience?: string;
    readonly cacheType?: string;
    readonly requireServiceAccount?: boolean;
    readonly requiredServiceAccountAnnotationKeys?: readonly string[];
    readonly optionalServiceAccountAnnotationKeys?: readonly string[];
  };
}

const text: Schema = { type: 'string' };
const texts: Schema = { type: 'array', items: text };
const object = (fields: Readonly<Record<string, Schema>>): Schema => ({ type: 'object', fields });

const schema = object({
  kind: text,
  apiVersion: text,
  providers: {
    type: 'array',
    items: object({
      ...{ name: text, matchImages: texts, defaultCacheDuration: text, apiVersion: text },
      ...{ args: texts, env: { type: 'array', items: object({ name: text, value: text }) } },
      tokenAttributes: object({
        serviceAccountTokenAudience: text,
        cacheType: text,
        requireServiceAccount: { type: 'boolean' },
        requiredServiceAccountAnnotationKeys: texts,
        optionalServiceAccountAnnotationKeys: texts,
      }),
    }),
  },
});

/** A text instead where it cannot be used. */
export function parseCredentialPlugins(
  files: readonly { readonly path: string; readonly text: string }[],
): readonly CredentialPlugin[] | string {
  const all: Given[] = [];
  for (const file of files) {
    const decoded = decode(file.text);
    if (typeof decoded === 'string') return `error decoding config "${file.path}": ${decoded}`;
    for (const provider of decoded) {
      const isKnown = files.length > 1 && all.some(({ name }) => name === provider.name);
      if (isKnown) {
        return `duplicate provider name "${provider.name}" found in configuration file(s)`;
      }
      all.push(provider);
    }
  }
  const problems = validate(all);
  if (problems.length > 0) {
    return `failed to validate credential provider config: ${formatFieldErrors(problems)}`;
  }
  return all.map(pluginOf);
}

function decode(source: string): readonly Given[] | string {
  try {
    const value = parseYaml(source);
    // Parse boundary: anything may stand in a file.
    const { kind, apiVersion = '' } = (value ?? {}) as { kind?: string; apiVersion?: string };
    if (!/^kubelet\.config\.k8s\.io\/v1(alpha1|beta1)?$/.test(apiVersion)) {
      return `no kind "${kind ?? ''}" is registered for version "${apiVersion}"`;
    }
    if (kind !== 'CredentialProviderConfig') return `failed to decode "${kind}" (wrong Kind)`;
    const { object: decoded, problems } = decodeObject(value, schema, new Map());
    if (problems.length > 0) return `strict decoding error: ${problems.join(', ')}`;
    // The schema has checked the types.
    return (decoded as { readonly providers?: readonly Given[] }).providers ?? [];
  } catch (error) {
    if (isReason(error, 'BadRequest') || error instanceof Error) return error.message;
    throw error;
  }
}

function validate(providers: readonly Given[]): readonly FieldError[] {
  const field = 'providers';
  if (providers.length === 0) return [required(field, 'at least 1 item in plugins is required')];
  const seen = new Set<string>();
  return providers.flatMap((provider) => {
    const problems: FieldError[] = [];
    const { name = '', apiVersion = '', matchImages = [], defaultCacheDuration } = provider;
    const wrongName = nameProblem(name);
    if (wrongName !== undefined) problems.push(invalid(`${field}.name`, name, wrongName));
    if (seen.has(name)) problems.push(duplicate(`${field}.name`, name));
    seen.add(name);
    if (apiVersion === '') problems.push(required(`${field}.apiVersion`));
    else if (!versions.includes(apiVersion)) {
      problems.push(notSupported(`${field}.apiVersion`, apiVersion, versions));
    }
    if (matchImages.length === 0) {
      const detail = 'at least 1 item in matchImages is required';
      problems.push(required(`${field}.matchImages`, detail));
    }
    const cache = `${field}.defaultCacheDuration`;
    const cacheMs = parseDuration(defaultCacheDuration ?? '0');
    if (defaultCacheDuration === undefined) problems.push(required(cache));
    else if (cacheMs === undefined || cacheMs < 0) {
      problems.push(invalid(cache, defaultCacheDuration, 'must be greater than or equal to 0'));
    }
    return [...problems, ...tokenProblems(`${field}.tokenAttributes`, provider)];
  });
}

function nameProblem(name: string): string | undefined {
  if (name.includes('/')) return "provider name cannot contain '/'";
  if (name.includes(' ')) return 'provider name cannot contain spaces';
  return name === '.' || name === '..' ? `provider name cannot be '${name}'` : undefined;
}

function tokenProblems(field: string, provider: Given): readonly FieldError[] {
  const { tokenAttributes: attributes, apiVersion } = provider;
  if (attributes === undefined) return [];
  const problems: FieldError[] = [];
  const { requireServiceAccount, cacheType = '' } = attributes;
  if ((attributes.serviceAccountTokenAudience ?? '') === '') {
    problems.push(required(`${field}.serviceAccountTokenAudience`));
  }
  if (requireServiceAccount === undefined) {
    problems.push(required(`${field}.requireServiceAccount`));
  }
  if (apiVersion !== newest) {
    const detail = `tokenAttributes is only supported for ${newest} API version`;
    problems.push(forbidden(field, detail));
  }
  const { requiredServiceAccountAnnotationKeys: must = [] } = attributes;
  const { optionalServiceAccountAnnotationKeys: may = [] } = attributes;
  if (requireServiceAccount === false && must.length > 0) {
    const detail =
      'requireServiceAccount cannot be false when requiredServiceAccountAnnotationKeys is set';
    problems.push(forbidden(`${field}.requiredServiceAccountAnnotationKeys`, detail));
  }
  problems.push(...keyProblems(`${field}.requiredServiceAccountAnnotationKeys`, must));
  problems.push(...keyProblems(`${field}.optionalServiceAccountAnnotationKeys`, may));
  const both = must.filter((key) => may.includes(key)).sort();
  if (both.length > 0) {
    problems.push(invalid(field, both, 'annotation keys cannot be both required and optional'));
  }
  if (cacheType === '') {
    const detail =
      'cacheType is required to be set when tokenAttributes is specified. ' +
      `Supported values are: ${cacheTypes.join(', ')}`;
    problems.push(required(`${field}.cacheType`, detail));
  } else if (!cacheTypes.includes(cacheType)) {
    problems.push(notSupported(`${field}.cacheType`, cacheType, cacheTypes));
  }
  return problems;
}

function keyProblems(field: string, keys: readonly string[]): readonly FieldError[] {
  return keys.flatMap((key, index) => [
    ...qualifiedNameProblems(key.toLowerCase()).map((why) => invalid(field, key, why)),
    ...(keys.indexOf(key) < index ? [duplicate(field, key)] : []),
  ]);
}

/** Of what has been found right. */
function pluginOf(given: Given): CredentialPlugin {
  const { tokenAttributes: attributes } = given;
  return {
    name: given.name ?? '',
    matchImages: given.matchImages ?? [],
    defaultCacheMs: parseDuration(given.defaultCacheDuration ?? '0') ?? 0,
    apiVersion: given.apiVersion ?? newest,
    args: given.args ?? [],
    env: Object.fromEntries((given.env ?? []).map(({ name = '', value = '' }) => [name, value])),
    tokenAttributes:
      attributes === undefined
        ? undefined
        : {
            serviceAccountTokenAudience: attributes.serviceAccountTokenAudience ?? '',
            cacheType: attributes.cacheType === 'Token' ? 'Token' : 'ServiceAccount',
            requireServiceAccount: attributes.requireServiceAccount ?? false,
            requiredServiceAccountAnnotationKeys:
              attributes.requiredServiceAccountAnnotationKeys ?? [],
            optionalServiceAccountAnnotationKeys:
              attributes.optionalServiceAccountAnnotationKeys ?? [],
          },
  };
}
