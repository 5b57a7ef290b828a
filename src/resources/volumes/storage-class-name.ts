/**
 * The StorageClass that a volume or a claim names: in its spec, or in the annotation of versions
 * before v1.6, which wins where both are there. An empty name is a name: it asks for no class.
 *
 * Behaviour: kubernetes.io, "Persistent Volumes", "Class".
 */
import type { PersistentVolumeClaim } from '../types/core-v1.ts';

export const storageClassAnnotation = 'volume.beta.kubernetes.io/storage-class';

interface Classified {
  readonly metadata: PersistentVolumeClaim['metadata'];
  readonly spec?: { readonly storageClassName?: string | undefined } | undefined;
}

/** Empty: none. */
export function storageClassNameOf(object: Classified): string {
  const { metadata, spec } = object;
  return metadata.annotations?.[storageClassAnnotation] ?? spec?.storageClassName ?? '';
}

/** Whether it says anything about its class, be it that it wants none. */
export function namesStorageClass({ metadata, spec }: Classified): boolean {
  const annotation = metadata.annotations?.[storageClassAnnotation];
  return annotation !== undefined || spec?.storageClassName !== undefined;
}
