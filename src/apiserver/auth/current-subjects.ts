/**
 * Whether what a token is bound to still exists with the same uid: its service account and, where
 * there is one, its pod, Secret or node. So a token ends when its pod does; one that is being
 * deleted keeps its tokens for the minute that clocks may differ by.
 */
import type { KubeObject } from '#api/object.ts';
import type { Clock } from '#kit/clock.ts';
import type { Secret } from '#resources/types/core-v1.ts';
import type { Store } from '#store';
import { storedObject } from '../registry.ts';
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

/** The object, where it is the one that is meant and has not been deleted for long. */
function readBound<T extends KubeObject = KubeObject>(
  { store, clock }: SubjectDeps,
  key: string,
  { uid }: BoundObject,
): T | undefined {
  const found = storedObject<T>(store, key);
  const isMeant = found?.metadata.uid === uid;
  return isMeant && found !== undefined && isKept(found, clock.now()) ? found : undefined;
}

function isKept({ metadata: { deletionTimestamp } }: KubeObject, nowMs: number): boolean {
  return deletionTimestamp === undefined || Date.parse(deletionTimestamp) >= nowMs - leewayMs;
}

function accountProblem(deps: SubjectDeps, subject: TokenSubject): string | undefined {
  const { namespace, serviceAccount } = subject;
  const { name, uid } = serviceAccount;
  const found = storedObject(deps.store, `serviceaccounts/${namespace}/${name}`);
  if (found === undefined) return `serviceaccounts "${name}" not found`;
  if (found.metadata.uid !== uid) {
    return `service account UID (${found.metadata.uid}) does not match claim (${uid})`;
  }
  if (isKept(found, deps.clock.now())) return undefined;
  return `service account ${namespace}/${name} has been deleted`;
}

function problemOf(deps: SubjectDeps, subject: TokenSubject): string | undefined {
  const { namespace, pod, secret, node } = subject;
  const account = accountProblem(deps, subject);
  if (account !== undefined) return account;
  const held = secret === undefined ? undefined : secretProblem(deps, subject, secret);
  if (held !== undefined) return held;
  if (pod !== undefined) {
    return readBound(deps, `pods/${namespace}/${pod.name}`, pod) ? undefined : invalidated;
  }
  if (node === undefined) return undefined;
  return readBound(deps, `minions/${node.name}`, node) ? undefined : invalidated;
}

/** A Secret that holds its token for use by hand can be marked, and its use is noted. */
function secretProblem(
  deps: SubjectDeps,
  { namespace, serviceAccount }: TokenSubject,
  secret: BoundObject,
): string | undefined {
  const found = readBound<Secret>(deps, `secrets/${namespace}/${secret.name}`, secret);
  if (found === undefined) return invalidated;
  const { type, metadata } = found;
  if (type !== 'kubernetes.io/service-account-token') return undefined;
  deps.onHeldUse({ namespace, secretName: secret.name });
  if ((metadata.labels?.[invalidSinceLabel] ?? '') === '') return undefined;
  return `the token in secret ${namespace}/${secret.name} for service account ${namespace}/${serviceAccount.name} has been marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the '${invalidSinceLabel}' label from the secret to temporarily allow use of this token`;
}
