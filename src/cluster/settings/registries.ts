/**
 * `registries.yaml`: other places to pull the images of a registry from, and what registries want
 * to be shown, in the form that users of k3s know:
 *
 *     mirrors:
 *       docker.io: { endpoint: ["https://mirror.example.com:5000"] }
 *     configs:
 *       "mirror.example.com:5000":
 *         auth: { username: u, password: p }
 *         tls: { ca_file: /etc/ssl/mirror.pem }
 *
 * `*` stands for every registry that is not named. Pure: text in, value out; the runtime's files
 * are made of it by `cri/registry-hosts.ts`. Read by the settings of `up` and `agent`.
 */
import { isAbsolute, join } from 'node:path';
import { decodeObject } from '#api/decode.ts';
import { isReason } from '#api/errors.ts';
import type { Schema } from '#api/schema.ts';
import type { Registries, RegistryAccess } from '#cri';
import { parseYaml } from '#kit/yaml.ts';

const text: Schema = { type: 'string' };
const object = (fields: Readonly<Record<string, Schema>>): Schema => ({ type: 'object', fields });

const schema = object({
  mirrors: {
    type: 'object',
    values: object({
      endpoint: { type: 'array', items: text },
      rewrite: { type: 'object', values: text },
    }),
  },
  configs: {
    type: 'object',
    values: object({
      auth: object({ username: text, password: text, auth: text, identity_token: text }),
      tls: object({
        ...{ ca_file: text, cert_file: text, key_file: text },
        insecure_skip_verify: { type: 'boolean' },
      }),
    }),
  },
});

/** What the schema lets through. */
interface Given {
  readonly mirrors?: Readonly<Record<string, GivenMirror | null>> | null;
  readonly configs?: Readonly<Record<string, GivenConfig | null>> | null;
}

interface GivenMirror {
  readonly endpoint?: readonly string[];
  readonly rewrite?: Readonly<Record<string, string>>;
}

interface GivenConfig {
  readonly auth?: Readonly<
    Record<'username' | 'password' | 'auth' | 'identity_token', string | undefined>
  >;
  readonly tls?: {
    readonly ca_file?: string;
    readonly cert_file?: string;
    readonly key_file?: string;
    readonly insecure_skip_verify?: boolean;
  };
}

/** A text instead where it cannot be used. Paths are relative to `folder`. */
export function parseRegistries(source: string, folder: string): Registries | string {
  const given = decode(source);
  if (typeof given === 'string') return given;
  const mirrors = new Map<string, readonly string[]>();
  for (const [registry, mirror] of Object.entries(given.mirrors ?? {})) {
    const field = `mirrors[${registry}]`;
    if (Object.keys(mirror?.rewrite ?? {}).length > 0) {
      return `${field}.rewrite: the runtime cannot rewrite names; an endpoint may have a path`;
    }
    const endpoints = (mirror?.endpoint ?? []).map(withScheme);
    const wrong = endpoints.find((endpoint) => !/^https?:\/\/[^/]+/.test(endpoint));
    if (wrong !== undefined || !endpoints.every((each) => URL.canParse(each))) {
      return `${field}.endpoint: must be addresses, as https://mirror.example.com:5000`;
    }
    mirrors.set(registry, endpoints);
  }
  const access = new Map<string, RegistryAccess>();
  for (const [host, config] of Object.entries(given.configs ?? {})) {
    access.set(host, accessOf(config ?? {}, folder));
  }
  return { mirrors, access };
}

function decode(source: string): Given | string {
  try {
    const value = parseYaml(source) ?? {};
    const { object: decoded, problems } = decodeObject(value, schema, new Map());
    if (problems.length > 0) return problems.join(', ');
    // The schema has checked the types.
    return decoded as Given;
  } catch (error) {
    if (isReason(error, 'BadRequest') || error instanceof Error) return error.message;
    throw error;
  }
}

function withScheme(endpoint: string): string {
  return endpoint.includes('://') ? endpoint : `https://${endpoint}`;
}

function accessOf({ auth, tls }: GivenConfig, folder: string): RegistryAccess {
  const path = (given: string | undefined): string | undefined =>
    given === undefined || given === '' || isAbsolute(given) ? given : join(folder, given);
  return {
    login:
      auth === undefined
        ? undefined
        : {
            username: auth.username ?? '',
            password: auth.password ?? '',
            auth: auth.auth ?? '',
            identityToken: auth.identity_token ?? '',
          },
    caFile: path(tls?.ca_file),
    certFile: path(tls?.cert_file),
    keyFile: path(tls?.key_file),
    skipsVerification: tls?.insecure_skip_verify ?? false,
  };
}
