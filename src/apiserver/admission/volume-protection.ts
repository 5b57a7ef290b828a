/**
 * StorageObjectInUseProtection: volumes, claims and classes of volume attributes get a finalizer
 * when they are made, so that none of them goes while somebody uses it. Controllers take it away.
 */
import type { KubeObject } from '#api/object.ts';
import type { Resource } from '#api/resource.ts';

const finalizers: Readonly<Record<string, string>> = {
  persistentvolumes: 'kubernetes.io/pv-protection',
  persistentvolumeclaims: 'kubernetes.io/pvc-protection',
  volumeattributesclasses: 'kubernetes.io/vac-protection',
};

export function protectVolume({ plural }: Resource, hub: KubeObject): KubeObject {
  const finalizer = finalizers[plural];
  const given = hub.metadata.finalizers ?? [];
  if (finalizer === undefined || given.includes(finalizer)) return hub;
  return { ...hub, metadata: { ...hub.metadata, finalizers: [...given, finalizer] } };
}
