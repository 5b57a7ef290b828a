/**
 * Mirror pods: what a kubelet shows in the API of the pods that it runs from files. Nobody but the
 * kubelet can change what they do, so the server lets nobody else, and gives them nothing.
 *
 * Asked by validation of changes, by admission, and by what decides on a node's rights.
 */
import type { KubeObject } from '#api/object.ts';

export const mirrorAnnotation = 'kubernetes.io/config.mirror';

export function isMirror({ metadata }: Pick<KubeObject, 'metadata'>): boolean {
  return metadata.annotations?.[mirrorAnnotation] !== undefined;
}
