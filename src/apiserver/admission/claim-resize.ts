/**
 * PersistentVolumeClaimResize: a claim grows only where it is bound and its class allows volumes to
 * grow.
 */
import { compareQuantities } from '#api/quantity.ts';
import type { PersistentVolumeClaim } from '#resources/types/core-v1.ts';
import type { StorageClass } from '#resources/types/storage-v1.ts';
import { storageClassNameOf } from '#resources/volumes/storage-class-name.ts';
import type { Store } from '#store';
import { storedObject } from '../registry.ts';

/** Why the claim may not become what it shall; undefined when it may. */
export function resizeProblem(
  { store }: { readonly store: Store },
  next: PersistentVolumeClaim,
  old: PersistentVolumeClaim,
): string | undefined {
  if (compareQuantities(sizeOf(next), sizeOf(old)) <= 0) return undefined;
  if (old.status?.phase !== 'Bound') return 'Only bound persistent volume claims can be expanded';
  const name = storageClassNameOf(next);
  const found =
    name === '' || name !== storageClassNameOf(old)
      ? undefined
      : storedObject<StorageClass>(store, `storageclasses/${name}`);
  if (found?.allowVolumeExpansion === true) return undefined;
  return 'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize';
}

function sizeOf({ spec }: PersistentVolumeClaim): string {
  return spec?.resources?.requests?.['storage'] ?? '0';
}
