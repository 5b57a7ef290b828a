/**
 * What becomes of an object whose owners are gone or going. Pure.
 *
 * An object lives as long as one of its owners does. `solid` owners live; `waiting` owners are
 * being deleted in the foreground and wait for their dependants; `absent` owners are gone, which
 * the server itself has confirmed. `garbage-collector.ts` finds out and performs. Behaviour:
 * kubernetes.io, "Garbage Collection".
 */
import type { KubeObject, OwnerReference } from '#api/object.ts';

export const foregroundFinalizer = 'foregroundDeletion';
export const orphanFinalizer = 'orphan';

export type OwnerState = 'solid' | 'waiting' | 'absent';

export type Action =
  | { readonly do: 'nothing' }
  /** Some owners live: forget the others. */
  | { readonly do: 'drop-references'; readonly kept: readonly OwnerReference[] }
  | { readonly do: 'delete'; readonly propagation: 'Background' | 'Foreground' | 'Orphan' };

export interface Facts {
  readonly object: KubeObject;
  readonly stateOf: (owner: OwnerReference) => OwnerState;
  readonly hasDependents: boolean;
}

export function planCollection({ object, stateOf, hasDependents }: Facts): Action {
  const { ownerReferences = [], finalizers = [], deletionTimestamp } = object.metadata;
  if (deletionTimestamp !== undefined || ownerReferences.length === 0) return { do: 'nothing' };
  const kept = ownerReferences.filter((owner) => stateOf(owner) === 'solid');
  if (kept.length === ownerReferences.length) return { do: 'nothing' };
  if (kept.length > 0) return { do: 'drop-references', kept };
  const isAwaited = ownerReferences.some((owner) => stateOf(owner) === 'waiting');
  if (isAwaited && hasDependents) return { do: 'delete', propagation: 'Foreground' };
  if (finalizers.includes(orphanFinalizer)) return { do: 'delete', propagation: 'Orphan' };
  const inForeground = finalizers.includes(foregroundFinalizer);
  return { do: 'delete', propagation: inForeground ? 'Foreground' : 'Background' };
}

/** Whether the object is being deleted and waits for its dependants to go, or to be let go. */
export function awaits(object: KubeObject | undefined): 'foreground' | 'orphan' | undefined {
  if (object?.metadata.deletionTimestamp === undefined) return undefined;
  if (object.metadata.finalizers?.includes(orphanFinalizer)) return 'orphan';
  if (object.metadata.finalizers?.includes(foregroundFinalizer)) return 'foreground';
  return undefined;
}
