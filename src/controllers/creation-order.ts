/**
 * Older first: the order in which most controllers go through what they have. Pure.
 *
 * Times are whole seconds, so many objects of one turn have the same; of those the name decides.
 */
import type { KubeObject } from '#api/object.ts';

export function compareCreation(a: KubeObject, b: KubeObject): number {
  const [one = '', other = ''] = [a.metadata.creationTimestamp, b.metadata.creationTimestamp];
  if (one !== other) return one < other ? -1 : 1;
  return (a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1;
}
