/**
 * What a node needs to join: a bootstrap token `ID.SECRET`, and a hash of the cluster's authority
 * by which it knows the cluster, in one text: `K10HASH::ID.SECRET`. The token alone is a join token
 * too; the cluster is then known by its signature alone.
 *
 * The server makes one at its first start and keeps it in `<data-dir>/server/token`; in the cluster
 * it is a Secret of type `bootstrap.kubernetes.io/token`. Behaviour: kubernetes.io, "Authenticating
 * with Bootstrap Tokens".
 */
import { createHash, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { formatTime } from '#kit/clock.ts';
import type { BootstrapToken } from '#kit/detached-signature.ts';
import { nameSuffix, type Random } from '#kit/random.ts';
import type { Secret } from '#resources/types/core-v1.ts';
import { ConfigError } from '../settings/config.ts';

export interface JoinToken extends BootstrapToken {
  /** SHA-256 of the authority's public key, in hexadecimal. */
  readonly caHash?: string | undefined;
}

const shape = /^(?:K10([0-9a-f]{64})::)?([a-z0-9]{6})\.([a-z0-9]{16})$/;

export function parseJoinToken(text: string): JoinToken {
  const [, caHash, id, secret] = shape.exec(text) ?? [];
  if (id === undefined || secret === undefined) {
    throw new ConfigError('--token: must look like K10HASH::abcdef.0123456789abcdef');
  }
  return { id, secret, caHash };
}

export function formatJoinToken({ id, secret, caHash }: JoinToken): string {
  return `${caHash === undefined ? '' : `K10${caHash}::`}${id}.${secret}`;
}

export function makeJoinToken(random: Random, caCert: string): JoinToken {
  return { id: nameSuffix(random, 6), secret: nameSuffix(random, 16), caHash: hashOfCA(caCert) };
}

/** Of the public key, so that it stays the same when the certificate is renewed. */
export function hashOfCA(pem: string): string {
  const key = new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('hex');
}

export function tokenPath(dataDir: string): string {
  return join(dataDir, 'server/token');
}

/** The server's own token, made at its first start. */
export function openServerToken(
  deps: { readonly random: Random },
  options: { readonly dataDir: string; readonly caCert: string },
): JoinToken {
  const path = tokenPath(options.dataDir);
  if (existsSync(path)) return parseJoinToken(readFileSync(path, 'utf8').trim());
  const token = makeJoinToken(deps.random, options.caCert);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, `${formatJoinToken(token)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
  return token;
}

/** The token as the cluster keeps it. */
export function tokenSecret(
  token: BootstrapToken,
  options: { readonly description: string; readonly expiresAtMs?: number | undefined },
): Secret {
  const { description, expiresAtMs } = options;
  const text = {
    'token-id': token.id,
    'token-secret': token.secret,
    description,
    'usage-bootstrap-authentication': 'true',
    'usage-bootstrap-signing': 'true',
    ...(expiresAtMs === undefined ? {} : { expiration: formatTime(expiresAtMs) }),
  };
  const encoded = Object.entries(text).map(([key, value]) => [
    key,
    Buffer.from(value).toString('base64'),
  ]);
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace: 'kube-system', name: `bootstrap-token-${token.id}` },
    type: 'bootstrap.kubernetes.io/token',
    data: Object.fromEntries(encoded),
  };
}
