/**
 * Bootstrap tokens: Secrets in `kube-system` with which new nodes join. Pure.
 *
 * A token that may sign vouches for the kubeconfig in the public ConfigMap `cluster-info`, so that
 * who knows the token can tell whether the cluster is the right one. Behaviour: kubernetes.io,
 * "Authenticating with Bootstrap Tokens".
 */
import { type BootstrapToken, detachedSignature } from '#kit/detached-signature.ts';
import type { ConfigMap, Secret } from '#resources/types/core-v1.ts';
import { isSameValue } from '../same-value.ts';

export const secretType = 'bootstrap.kubernetes.io/token';
const signaturePrefix = 'jws-kubeconfig-';

/** The token in a Secret whose name fits it, if it may sign and has not run out. */
export function signingToken(secret: Secret, nowMs: number): BootstrapToken | undefined {
  const { metadata, type } = secret;
  const id = textOf(secret, 'token-id');
  const text = textOf(secret, 'token-secret');
  if (type !== secretType || metadata.deletionTimestamp !== undefined) return undefined;
  if (metadata.name !== `bootstrap-token-${id}` || !/^[a-z0-9]{6}$/.test(id)) return undefined;
  // As upstream: any secret signs, though nobody can log in with one of another form.
  if (text === '') return undefined;
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
