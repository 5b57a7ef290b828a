/**
 * Which PersistentVolume serves a claim. Pure; asked by the volume binder and by the scheduler.
 *
 * A volume that names the claim already is taken whatever else holds. Otherwise class, volume mode,
 * attributes class, access modes, labels and capacity must do, and the volume be free: among those,
 * the ones with the fewest access modes, and of these the smallest. Claims of a class that waits
 * for its first consumer are matched only for a node. Behaviour: kubernetes.io, "Persistent
 * Volumes", "Binding".
 */
import { compareQuantities } from '#api/quantity.ts';
import { labelSelectorMatches } from '#api/selectors.ts';
import type { PersistentVolume, PersistentVolumeClaim } from '../types/core-v1.ts';
import { storageClassNameOf } from './storage-class-name.ts';

/** Annotations that binder, scheduler and provisioners leave for one another. */
export const volumeAnnotations = {
  boundByController: 'pv.kubernetes.io/bound-by-controller',
  bindCompleted: 'pv.kubernetes.io/bind-completed',
  provisionedBy: 'pv.kubernetes.io/provisioned-by',
  migratedTo: 'pv.kubernetes.io/migrated-to',
  selectedNode: 'volume.kubernetes.io/selected-node',
  storageProvisioner: 'volume.kubernetes.io/storage-provisioner',
  betaStorageProvisioner: 'volume.beta.kubernetes.io/storage-provisioner',
} as const;

/** Whether the volume names this claim, by name alone (set by a user) or with its uid. */
export function isBoundTo(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const { claimRef } = volume.spec ?? {};
  if (claimRef === undefined) return false;
  const { namespace, name, uid } = claim.metadata;
  if (claimRef.namespace !== namespace || claimRef.name !== name) return false;
  return !claimRef.uid || claimRef.uid === uid;
}

/** What the claim asks for and the volume is not, in upstream's words; undefined where it does. */
export function volumeProblem(
  volume: PersistentVolume,
  claim: PersistentVolumeClaim,
): string | undefined {
  if (volume.metadata.deletionTimestamp !== undefined) {
    return `the volume is marked for deletion "${volume.metadata.name}"`;
  }
  if (isTooSmall(volume, claim)) return 'requested PV is too small';
  if (storageClassNameOf(volume) !== storageClassNameOf(claim))
    return 'storageClassName does not match';
  if (attributesOf(volume) !== attributesOf(claim)) {
    return 'volumeAttributesClassName does not match';
  }
  if (hasOtherMode(volume, claim)) return 'incompatible volumeMode';
  if (!hasAccessModes(volume, claim)) return 'incompatible accessMode';
  return undefined;
}

function isTooSmall(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const wanted = claim.spec?.resources?.requests?.['storage'] ?? '0';
  return compareQuantities(volume.spec?.capacity?.['storage'] ?? '0', wanted) < 0;
}

function attributesOf({ spec }: PersistentVolume | PersistentVolumeClaim): string {
  return spec?.volumeAttributesClassName ?? '';
}

export function hasOtherMode(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const { volumeMode = 'Filesystem' } = volume.spec ?? {};
  return volumeMode !== (claim.spec?.volumeMode ?? 'Filesystem');
}

function hasAccessModes(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const modes = volume.spec?.accessModes ?? [];
  return (claim.spec?.accessModes ?? []).every((mode) => modes.includes(mode));
}

/** Free, and what the claim asks for but for its size, mode and attributes. */
export function isOnOffer(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  if (volume.status?.phase !== 'Available') return false;
  if (storageClassNameOf(volume) !== storageClassNameOf(claim)) return false;
  const { selector } = claim.spec ?? {};
  if (selector !== undefined && !labelSelectorMatches(selector, volume.metadata.labels)) {
    return false;
  }
  return hasAccessModes(volume, claim);
}

/** Of the same mode and attributes, without which nobody can use it. */
export function isOfSameSort(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  return !hasOtherMode(volume, claim) && attributesOf(volume) === attributesOf(claim);
}

/** The one that names the claim, or the best on offer; that only if the class waits for nobody. */
export function findVolume(
  claim: PersistentVolumeClaim,
  volumes: Iterable<PersistentVolume>,
  { isDelayed }: { readonly isDelayed: boolean },
): PersistentVolume | undefined {
  let best: PersistentVolume | undefined;
  for (const volume of volumes) {
    const isNamed = isBoundTo(volume, claim);
    if (volume.spec?.claimRef !== undefined && !isNamed) continue;
    if (volume.metadata.deletionTimestamp !== undefined) continue;
    if (isTooSmall(volume, claim) || !isOfSameSort(volume, claim)) continue;
    if (!hasAccessModes(volume, claim)) continue;
    if (isNamed) return volume;
    if (isDelayed || !isOnOffer(volume, claim)) continue;
    if (best === undefined || isBetter(volume, best)) best = volume;
  }
  return best;
}

function isBetter(volume: PersistentVolume, than: PersistentVolume): boolean {
  const modes = (of: PersistentVolume): number => of.spec?.accessModes?.length ?? 0;
  if (modes(volume) !== modes(than)) return modes(volume) < modes(than);
  const capacity = (of: PersistentVolume): string => of.spec?.capacity?.['storage'] ?? '0';
  return compareQuantities(capacity(volume), capacity(than)) < 0;
}
