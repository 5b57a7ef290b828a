/**
 * From a kubeconfig to what a connection needs: server, authority, certificate or token of one
 * context. Files that it names are read relative to it, as kubectl does. Logins by programs of
 * others (`exec`, `auth-provider`) are refused in words.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { HttpTransportOptions } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import { parseYaml } from '#kit/yaml.ts';
import { ConfigError } from '../settings/config.ts';
import { endMs } from './certificate-renewal.ts';

type Fields = Readonly<Record<string, unknown>>;

export function readAccess(path: string, context: string | undefined): HttpTransportOptions {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`--kubeconfig ${path}: cannot be read`, { cause: error });
  }
  return accessOf(parseYaml(text), { context, path });
}

/** It is there, can be read, and its certificate is not over; else a node asks for another. */
export function isLoginValid(
  { clock, log }: { readonly clock: Pick<Clock, 'now'>; readonly log: Logger },
  path: string,
): boolean {
  if (!existsSync(path)) return false;
  try {
    const { cert } = readAccess(path, undefined);
    return cert === undefined || endMs({ cert }) > clock.now();
  } catch (error) {
    // A certificate that somebody has removed, say, or half a file after a crash.
    log.error('unable to read existing bootstrap client config', { path, error });
    return false;
  }
}

export function accessOf(
  parsed: unknown,
  { context, path }: { readonly context: string | undefined; readonly path: string },
): HttpTransportOptions {
  const config = fieldsOf(parsed);
  const name = context ?? textOf(config['current-context']) ?? '';
  if (name === '') throw new ConfigError(`${path}: no current context; name one with --context`);
  const chosen = entry(config, 'contexts', name, path)['context'];
  const { cluster, user } = fieldsOf(chosen);
  const at = fieldsOf(entry(config, 'clusters', textOf(cluster) ?? '', path)['cluster']);
  const who =
    textOf(user) === undefined
      ? {}
      : fieldsOf(entry(config, 'users', textOf(user) ?? '', path)['user']);
  for (const field of ['exec', 'auth-provider', 'username']) {
    if (who[field] !== undefined) throw new ConfigError(`${path}: login by ${field} is not known`);
  }
  const server = textOf(at['server']);
  if (server === undefined) throw new ConfigError(`${path}: context ${name} names no server`);
  const pem = (fields: Fields, field: string): string | undefined => {
    const data = textOf(fields[`${field}-data`]);
    if (data !== undefined) return Buffer.from(data, 'base64').toString('utf8');
    const file = textOf(fields[field]);
    return file === undefined ? undefined : readFileSync(resolve(dirname(path), file), 'utf8');
  };
  const tokenFile = textOf(who['tokenFile']);
  return {
    server,
    ca: pem(at, 'certificate-authority'),
    cert: pem(who, 'client-certificate'),
    key: pem(who, 'client-key'),
    token: textOf(who['token']),
    tokenFile: tokenFile === undefined ? undefined : resolve(dirname(path), tokenFile),
    serverName: textOf(at['tls-server-name']),
    insecure: at['insecure-skip-tls-verify'] === true,
  };
}

function entry(config: Fields, list: string, name: string, path: string): Fields {
  const all = config[list];
  const found = (Array.isArray(all) ? all : []).map(fieldsOf).find((one) => one['name'] === name);
  if (found === undefined) throw new ConfigError(`${path}: there is no ${name} among its ${list}`);
  return found;
}

/** Parse boundary: a kubeconfig is its user's own file, and anything may be in it. */
function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
