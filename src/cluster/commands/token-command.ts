/**
 * `coracle token`: prints the token of the server's first start; `create`, `list` and `delete` are
 * about further ones, as kubeadm's commands of these names. Works on the server's machine, with the
 * administrator's kubeconfig of its data dir.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Client, openClient, openHttpTransport } from '#client';
import type { Clock } from '#kit/clock.ts';
import { parseDuration } from '#kit/duration.ts';
import type { Random } from '#kit/random.ts';
import { secrets } from '#resources/kinds.ts';
import type { Secret } from '#resources/types/core-v1.ts';
import {
  formatJoinToken,
  makeJoinToken,
  tokenPath,
  tokenSecret,
} from '../credentials/join-token.ts';
import { readAccess } from '../credentials/kubeconfig-access.ts';
import { ConfigError } from '../settings/config.ts';

export interface TokenFlags {
  readonly dataDir?: string;
  /** How long a new token holds; 0: for ever. */
  readonly ttl?: string;
  readonly description?: string;
}

interface Deps {
  readonly clock: Clock;
  readonly random: Random;
}

const defaultTTL = '24h';
const secretType = 'bootstrap.kubernetes.io/token';
const namespace = 'kube-system';

export function printToken(dataDir: string): string {
  const path = tokenPath(dataDir);
  if (!existsSync(path)) throw new ConfigError(`there is no server in ${dataDir}`);
  return readFileSync(path, 'utf8').trim();
}

/** The new token. */
export async function createToken(deps: Deps, dataDir: string, flags: TokenFlags): Promise<string> {
  const ttl = flags.ttl ?? defaultTTL;
  const ttlMs = parseDuration(ttl);
  if (ttlMs === undefined || ttlMs < 0) throw new ConfigError(`--ttl ${ttl}: not a duration`);
  return withAdmin(deps, dataDir, async (client, ca, signal) => {
    const token = makeJoinToken(deps.random, ca);
    const expiresAtMs = ttlMs === 0 ? undefined : deps.clock.now() + ttlMs;
    const secret = tokenSecret(token, { description: flags.description ?? '', expiresAtMs });
    await client.create(secrets, secret, { signal });
    return formatJoinToken(token);
  });
}

/** One line for each. */
export async function listTokens(deps: Deps, dataDir: string): Promise<string> {
  return withAdmin(deps, dataDir, async (client, _ca, signal) => {
    const fieldSelector = `type=${secretType}`;
    const { items } = await client.list(secrets, { namespace, fieldSelector, signal });
    return formatTokens(items, deps.clock.now());
  });
}

export async function deleteToken(deps: Deps, dataDir: string, token: string): Promise<string> {
  const id = /^(?:K10[0-9a-f]+::)?([a-z0-9]{6})(?:\.[a-z0-9]{16})?$/.exec(token)?.[1];
  if (id === undefined) throw new ConfigError(`${token}: neither a token nor the id of one`);
  return withAdmin(deps, dataDir, async (client, _ca, signal) => {
    await client.delete(secrets, { namespace, name: `bootstrap-token-${id}` }, { signal });
    return `bootstrap token "${id}" deleted`;
  });
}

/** Pure. */
export function formatTokens(items: readonly Secret[], nowMs: number): string {
  const rows = items.map(({ data = {} }) => {
    const text = (key: string): string => Buffer.from(data[key] ?? '', 'base64').toString('utf8');
    const uses = ['authentication', 'signing'].filter(
      (use) => text(`usage-bootstrap-${use}`) === 'true',
    );
    const end = text('expiration');
    const left = end === '' ? '<forever>' : timeLeft(Date.parse(end) - nowMs);
    const token = `${text('token-id')}.${text('token-secret')}`;
    return [token, left, end || '<never>', uses.join(','), text('description') || '<none>'];
  });
  const table = [['TOKEN', 'TTL', 'EXPIRES', 'USAGES', 'DESCRIPTION'], ...rows];
  const widths = [0, 1, 2, 3].map((at) => Math.max(...table.map((row) => row[at]?.length ?? 0)));
  return table
    .map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('   '))
    .join('\n');
}

function timeLeft(ms: number): string {
  if (ms <= 0) return '<expired>';
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes}m`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)}h` : `${Math.floor(minutes / 1440)}d`;
}

async function withAdmin<T>(
  { clock }: Deps,
  dataDir: string,
  act: (client: Client, ca: string, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const path = join(dataDir, 'admin.kubeconfig');
  if (!existsSync(path)) throw new ConfigError(`there is no server in ${dataDir}`);
  const access = readAccess(path, undefined);
  using transport = openHttpTransport(access);
  const client = openClient({ transport, clock, userAgent: 'coracle' });
  return act(client, access.ca ?? '', new AbortController().signal);
}
