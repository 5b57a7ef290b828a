/**
 * A signature of a text by whoever knows a bootstrap token: a JWS (HS256) without its content,
 * `header..signature`. The cluster signs what it says of itself in public with it; a node that
 * joins can so tell whether it speaks with the cluster that its token is of.
 *
 * Format: RFC 7515, appendix F; kubernetes.io, "Authenticating with Bootstrap Tokens".
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export interface BootstrapToken {
  readonly id: string;
  readonly secret: string;
}

export function detachedSignature(content: string, { id, secret }: BootstrapToken): string {
  const encode = (text: string): string => Buffer.from(text).toString('base64url');
  const header = encode(JSON.stringify({ alg: 'HS256', kid: id }));
  const hmac = createHmac('sha256', `${id}.${secret}`).update(`${header}.${encode(content)}`);
  return `${header}..${hmac.digest('base64url')}`;
}

export function isSignatureOf(signature: string, content: string, token: BootstrapToken): boolean {
  const [given, right] = [Buffer.from(signature), Buffer.from(detachedSignature(content, token))];
  return given.length === right.length && timingSafeEqual(given, right);
}
