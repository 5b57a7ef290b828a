/**
 * Who manages what: the owner reference with `controller: true`, adopting and releasing.
 *
 * A controller manages what refers to it. What matches its selector and belongs to nobody it
 * adopts; what is its own and no longer matches it releases. `planClaims` decides, purely;
 * `performClaims` writes, after asking the server itself (not the cache) whether the owner still
 * lives. Behaviour: kubernetes.io, "Owners and Dependents", and the ControllerRef design proposal.
 */
import type { KindOf } from '#api/kind-of.ts';
import {
  controllerOf,
  formatGroupVersion,
  type KubeObject,
  type OwnerReference,
} from '#api/object.ts';
import type { LabelSelector } from '#api/selectors.ts';
import type { Client, Informer } from '#client';
import { ignoreNotFound } from './api-failure.ts';

export const controllerIndex = 'controller';

/** For `addIndex`: by the uid of the managing owner, or by namespace where there is none. */
export function controllerIndexValues(object: KubeObject): readonly string[] {
  const owner = controllerOf(object);
  return [owner === undefined ? orphansOf(object.metadata.namespace) : owner.uid];
}

function orphansOf(namespace: string | undefined): string {
  return `orphans in ${namespace}`;
}

/** What the owner manages and what nobody does, in its namespace. Needs `controllerIndex`. */
export function* claimable<T extends KubeObject>(
  informer: Informer<T>,
  owner: KubeObject,
): Generator<T> {
  yield* informer.byIndex(controllerIndex, owner.metadata.uid ?? '');
  yield* informer.byIndex(controllerIndex, orphansOf(owner.metadata.namespace));
}

/** The managing owner, if it is of this kind and still the same object. */
export function ownerIn<T extends KubeObject>(
  owners: Informer<T>,
  kind: KindOf<T>,
  object: KubeObject,
): T | undefined {
  const reference = controllerOf(object);
  if (reference?.kind !== kind.kind) return undefined;
  const owner = owners.get(`${object.metadata.namespace}/${reference.name}`);
  return owner?.metadata.uid === reference.uid ? owner : undefined;
}

/** Only owners from before the check of selectors can be so. */
export function selectsAll(selector: LabelSelector | undefined): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector ?? {};
  return Object.keys(matchLabels).length + matchExpressions.length === 0;
}

export function controllerReference(
  owner: KubeObject,
  kind: Pick<KindOf<KubeObject>, 'group' | 'version' | 'kind'>,
): OwnerReference {
  return {
    apiVersion: formatGroupVersion(kind),
    kind: kind.kind,
    name: owner.metadata.name ?? '',
    uid: owner.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}

export interface Claims<T> {
  readonly owned: readonly T[];
  readonly adopt: readonly T[];
  readonly release: readonly T[];
}

export function planClaims<T extends KubeObject>(
  owner: KubeObject,
  candidates: Iterable<T>,
  matches: (object: T) => boolean,
): Claims<T> {
  const ending = owner.metadata.deletionTimestamp !== undefined;
  const owned: T[] = [];
  const adopt: T[] = [];
  const release: T[] = [];
  for (const object of candidates) {
    const reference = controllerOf(object);
    if (reference === undefined) {
      if (ending || object.metadata.deletionTimestamp !== undefined) continue;
      if (matches(object)) adopt.push(object);
    } else if (reference.uid === owner.metadata.uid) {
      if (matches(object)) owned.push(object);
      else if (!ending) release.push(object);
    }
  }
  return { owned, adopt, release };
}

/**
 * Performs the claims; gives everything that the owner manages from now on. The `finalizer` comes
 * with adoption and goes with release.
 */
export async function performClaims<Owner extends KubeObject, T extends KubeObject>(
  client: Client,
  kinds: { readonly owner: KindOf<Owner>; readonly object: KindOf<T> },
  owner: Owner,
  claims: Claims<T>,
  options: { readonly signal: AbortSignal; readonly finalizer?: string },
): Promise<readonly T[]> {
  const { signal, finalizer } = options;
  const { adopt, release } = claims;
  const owned = [...claims.owned];
  const write = async (object: T, ownerReferences: readonly OwnerReference[], keep: boolean) => {
    const { namespace, name = '', uid, resourceVersion } = object.metadata;
    const finalizers = finalizersFor(object, finalizer, keep);
    const patch = { metadata: { uid, resourceVersion, ownerReferences, finalizers } };
    return client.patch(kinds.object, { namespace, name }, patch, { type: 'merge', signal });
  };
  for (const object of release) {
    const others = object.metadata.ownerReferences ?? [];
    const kept = others.filter((reference) => reference.uid !== owner.metadata.uid);
    await write(object, kept, false).catch(ignoreNotFound);
  }
  if (adopt.length === 0) return owned;
  const { namespace, name = '', uid } = owner.metadata;
  const live = await client.get(kinds.owner, { namespace, name }, { signal });
  if (live.metadata.uid !== uid || live.metadata.deletionTimestamp !== undefined) return owned;
  for (const object of adopt) {
    const others = object.metadata.ownerReferences ?? [];
    const reference = controllerReference(owner, kinds.owner);
    const adopted = await write(object, [...others, reference], true).catch(ignoreNotFound);
    if (adopted !== undefined) owned.push(adopted);
  }
  return owned;
}

function finalizersFor(
  object: KubeObject,
  finalizer: string | undefined,
  keep: boolean,
): readonly string[] | undefined {
  if (finalizer === undefined) return undefined;
  const others = (object.metadata.finalizers ?? []).filter((one) => one !== finalizer);
  return keep ? [...others, finalizer] : others;
}
