/**
 * Bootstrap tokens: `id.secret`, held by a Secret `bootstrap-token-ID` in kube-system. Whoever
 * brings one is `system:bootstrap:ID`, and may ask for the certificate of a node.
 *
 * Behaviour: kubernetes.io, "Authenticating with Bootstrap Tokens".
 */
import { timingSafeEqual } from 'node:crypto';
import type { Clock } from '#kit/clock.ts';
import type { Identity } from '#kit/transport.ts';
import type { Secret } from '#resources/types/core-v1.ts';
import type { Store } from '#store';
import { storedObject } from '../registry.ts';

const shape = /^([a-z0-9]{6})\.([a-z0-9]{16})$/;
const groupShape = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/;
const ownGroup = 'system:bootstrappers';

/** Who the token stands for; undefined where it is none, or does not hold. */
export function authenticateBootstrap(
  { store, clock }: { readonly store: Store; readonly clock: Clock },
  token: string,
): Identity | undefined {
  const [, id = '', secret = ''] = shape.exec(token) ?? [];
  if (id === '') return undefined;
  const held = storedObject<Secret>(store, `secrets/kube-system/bootstrap-token-${id}`);
  if (held === undefined) return undefined;
  const { metadata, type, data = {} } = held;
  if (metadata.deletionTimestamp !== undefined) return undefined;
  if (type !== 'bootstrap.kubernetes.io/token') return undefined;
  const text = (key: string): string => Buffer.from(data[key] ?? '', 'base64').toString('utf8');
  if (!isSame(text('token-secret'), secret) || text('token-id') !== id) return undefined;
  const end = text('expiration');
  if (end !== '' && !(Date.parse(end) > clock.now())) return undefined;
  if (text('usage-bootstrap-authentication') !== 'true') return undefined;
  const extra = text('auth-extra-groups')
    .split(',')
    .filter((group) => group !== '');
  if (!extra.every((group) => groupShape.test(group))) return undefined;
  const groups = [...new Set([ownGroup, ...extra])].sort();
  return { name: `system:bootstrap:${id}`, groups };
}

function isSame(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
