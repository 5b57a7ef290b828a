/**
 * Bootstrap tokens: Secrets in `kube-system` with which new nodes join. Pure.
 *
 * A token that may sign vouches for the kubeconfig in the public ConfigMap `cluster-info`: with a
 * detached JWS (HS256, keyed by the token itself), so that who knows the token can tell whether the
 * cluster is the right one. Format: RFC 7515, appendix F; kubernetes.io, "Authenticating with
 * Bootstrap Tokens".
 */
import { createHmac } from 'node:crypto';
import type { ConfigMap, Secret } from '#resources/types/core-v1.ts';
import { isSameValue } from '../same-value.ts';

export const secretType = 'bootstrap.kubernetes.io/token';
const signaturePrefix = 'jws-kubeconfig-';

export interface BootstrapToken {
  readonly id: string;
  readonly secret: string;
}

/** The token in a Secret whose name fits it, if it may sign and has not run out. */
export function signingToken(secret: Secret, nowMs: number): BootstrapToken | undefined {
  const { metadata, type } = secret;
  const id = textOf(secret, 'token-id');
  const text = textOf(secret, 'token-secret');
  if (type !== secretType || metadata.deletionTimestamp !== undefined) return undefined;
  if (metadata.name !== `bootstrap-token-${id}` || !/^[a-z0-9]{6}$/.test(id)) return undefined;
  if (!/^[a-z0-9]{16}$/.test(text)) return undefined;
  if (textOf(secret, 'usage-bootstrap-signing') !== 'true') return undefined;
  const endsMs = endOf(secret);
  if (endsMs !== undefined && endsMs <= nowMs) return undefined;
  return { id, secret: text };
}

/** When the token runs out; a date that is none has passed. Undefined: never. */
export function endOf(secret: Secret): number | undefined {
  const text = textOf(secret, 'expiration');
  if (text === '') return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? 0 : ms;
}

function textOf({ data }: Secret, key: string): string {
  return Buffer.from(data?.[key] ?? '', 'base64').toString('utf8');
}

/** `header..signature`: the content is not repeated. */
export function detachedSignature(content: string, { id, secret }: BootstrapToken): string {
  const encode = (text: string): string => Buffer.from(text).toString('base64url');
  const header = encode(JSON.stringify({ alg: 'HS256', kid: id }));
  const hmac = createHmac('sha256', `${id}.${secret}`).update(`${header}.${encode(content)}`);
  return `${header}..${hmac.digest('base64url')}`;
}

/** The ConfigMap with a signature by each token and by no other; undefined where it is so. */
export function planSignatures(
  configMap: ConfigMap,
  tokens: readonly BootstrapToken[],
): ConfigMap | undefined {
  const content = configMap.data?.['kubeconfig'];
  if (content === undefined) return undefined;
  const data: Record<string, string> = {};
  for (const [key, value] of Object.entries(configMap.data ?? {})) {
    if (!key.startsWith(signaturePrefix)) data[key] = value;
  }
  for (const token of tokens) data[signaturePrefix + token.id] = detachedSignature(content, token);
  return isSameValue(data, configMap.data) ? undefined : { ...configMap, data };
}
