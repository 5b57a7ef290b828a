/**
 * What becomes of an object whose owners are gone or going. Pure.
 *
 * An object lives as long as one of its owners does. `solid` owners live; `waiting` owners are
 * being deleted in the foreground and wait for their dependants; `absent` owners are gone, which
 * the server itself has confirmed. Of `unknown` ones (a kind that is not served, a cluster's object
 * that names an owner inside a namespace) nobody can say, so nothing happens.
 * `garbage-collector.ts` finds out and performs. Behaviour: kubernetes.io, "Garbage Collection".
 */
import type { KubeObject, OwnerReference } from '#api/object.ts';

export const foregroundFinalizer = 'foregroundDeletion';
export const orphanFinalizer = 'orphan';

export type OwnerState = 'solid' | 'waiting' | 'absent' | 'unknown';

export type Action =
  | { readonly do: 'nothing' }
  /** Some owners live: forget the others. */
  | { readonly do: 'drop-references'; readonly kept: readonly OwnerReference[] }
  | {
      readonly do: 'delete';
      readonly propagation: 'Background' | 'Foreground' | 'Orphan';
      /** First say that no owner need wait for it: they may wait for one another in a circle. */
      readonly unblock: boolean;
    };

export interface Facts {
  readonly object: KubeObject;
  readonly stateOf: (owner: OwnerReference) => OwnerState;
  readonly hasDependents: boolean;
  /** A dependant is being deleted in the foreground itself. */
  readonly hasWaitingDependents: boolean;
}

export function planCollection(facts: Facts): Action {
  const { object, stateOf, hasDependents, hasWaitingDependents } = facts;
  const { ownerReferences = [], finalizers = [], deletionTimestamp } = object.metadata;
  if (deletionTimestamp !== undefined || ownerReferences.length === 0) return { do: 'nothing' };
  if (ownerReferences.some((owner) => stateOf(owner) === 'unknown')) return { do: 'nothing' };
  const kept = ownerReferences.filter((owner) => stateOf(owner) === 'solid');
  if (kept.length === ownerReferences.length) return { do: 'nothing' };
  if (kept.length > 0) return { do: 'drop-references', kept };
  const isAwaited = ownerReferences.some((owner) => stateOf(owner) === 'waiting');
  if (isAwaited && hasDependents) {
    return { do: 'delete', propagation: 'Foreground', unblock: hasWaitingDependents };
  }
  const asked = finalizers.includes(foregroundFinalizer) ? 'Foreground' : 'Background';
  const propagation = finalizers.includes(orphanFinalizer) ? 'Orphan' : asked;
  return { do: 'delete', propagation, unblock: false };
}

/** Whether the object is being deleted and waits for its dependants to go, or to be let go. */
export function awaits(object: KubeObject | undefined): 'foreground' | 'orphan' | undefined {
  if (object?.metadata.deletionTimestamp === undefined) return undefined;
  if (object.metadata.finalizers?.includes(orphanFinalizer)) return 'orphan';
  if (object.metadata.finalizers?.includes(foregroundFinalizer)) return 'foreground';
  return undefined;
}

/** Told about an object whose owner lives in another namespace, where it cannot own it. */
export function wrongNamespaceNote(object: KubeObject, owner: OwnerReference) {
  const { namespace = '' } = object.metadata;
  const { apiVersion, kind, name, uid } = owner;
  const reference = `[${apiVersion}/${kind}, namespace: ${namespace}, name: ${name}, uid: ${uid}]`;
  const message = `ownerRef ${reference} does not exist in namespace ${JSON.stringify(namespace)}`;
  return { type: 'Warning', reason: 'OwnerRefInvalidNamespace', message } as const;
}
