/**
 * Whether what a token is bound to still exists with the same uid: its service account and, where
 * there is one, its pod, Secret or node. So a token ends when its pod does; one that is being
 * deleted keeps its tokens for the minute that clocks may differ by.
 */
import type { KubeObject } from '#api/object.ts';
import type { Clock } from '#kit/clock.ts';
import type { Secret } from '#resources/types/core-v1.ts';
import type { Store } from '#store';
import { decodeEntry, registryRoot } from '../registry.ts';
import type { BoundObject, TokenSubject, TokensDeps } from './tokens.ts';

const leewayMs = 60_000;
const invalidated = 'service account token has been invalidated';
const invalidSinceLabel = 'kubernetes.io/legacy-token-invalid-since';

export interface SubjectDeps {
  readonly store: Store;
  readonly clock: Clock;
  /** Told of each use of a token that a Secret holds. */
  readonly onHeldUse: (use: HeldUse) => void;
}

export interface HeldUse {
  readonly namespace: string;
  readonly secretName: string;
}

/** What `Tokens` asks of the objects in the store. */
export function currentSubjects(deps: SubjectDeps): TokensDeps['problemOf'] {
  return (subject) => problemOf(deps, subject);
}

function read({ store }: SubjectDeps, key: string): KubeObject | undefined {
  const entry = store.get(registryRoot + key);
  return entry === undefined ? undefined : decodeEntry(entry);
}

function isThere(deps: SubjectDeps, key: string, { uid }: BoundObject): boolean {
  const found = read(deps, key);
  if (found === undefined || found.metadata.uid !== uid) return false;
  const { deletionTimestamp } = found.metadata;
  if (deletionTimestamp === undefined) return true;
  return Date.parse(deletionTimestamp) >= deps.clock.now() - leewayMs;
}

function accountProblem(deps: SubjectDeps, subject: TokenSubject): string | undefined {
  const { namespace, serviceAccount } = subject;
  const { name, uid } = serviceAccount;
  const key = `serviceaccounts/${namespace}/${name}`;
  const found = read(deps, key);
  if (found === undefined) return `serviceaccounts "${name}" not found`;
  if (found.metadata.uid !== uid) {
    return `service account UID (${found.metadata.uid}) does not match claim (${uid})`;
  }
  if (isThere(deps, key, serviceAccount)) return undefined;
  return `service account ${namespace}/${name} has been deleted`;
}

function problemOf(deps: SubjectDeps, subject: TokenSubject): string | undefined {
  const { namespace, pod, secret, node } = subject;
  const account = accountProblem(deps, subject);
  if (account !== undefined) return account;
  const held = secret === undefined ? undefined : secretProblem(deps, subject, secret);
  if (held !== undefined) return held;
  if (pod !== undefined) {
    return isThere(deps, `pods/${namespace}/${pod.name}`, pod) ? undefined : invalidated;
  }
  if (node === undefined) return undefined;
  return isThere(deps, `minions/${node.name}`, node) ? undefined : invalidated;
}

/** A Secret that holds its token for use by hand can be marked, and its use is noted. */
function secretProblem(
  deps: SubjectDeps,
  { namespace, serviceAccount }: TokenSubject,
  secret: BoundObject,
): string | undefined {
  const key = `secrets/${namespace}/${secret.name}`;
  if (!isThere(deps, key, secret)) return invalidated;
  // What is stored under this key has this shape.
  const { type, metadata } = read(deps, key) as Secret;
  if (type !== 'kubernetes.io/service-account-token') return undefined;
  deps.onHeldUse({ namespace, secretName: secret.name });
  if ((metadata.labels?.[invalidSinceLabel] ?? '') === '') return undefined;
  return `the token in secret ${namespace}/${secret.name} for service account ${namespace}/${serviceAccount.name} has been marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the '${invalidSinceLabel}' label from the secret to temporarily allow use of this token`;
}
