/**
 * What is to be done about a volume. Pure.
 *
 * Free or promised to a claim that does not exist yet: Available. Bound to a living claim: Bound.
 * When that claim is gone: Released, and then what its reclaim policy says. `persistent-volume.ts`
 * gathers and performs; what reclaiming means for each sort of volume is in `reclaim.ts`.
 */
import type { EventText } from '#client';
import type { PersistentVolume, PersistentVolumeClaim } from '#resources/types/core-v1.ts';
import { hasOtherMode, volumeAnnotations } from '#resources/volumes/volume-matching.ts';

export type VolumeAction =
  | { readonly do: 'set-phase'; readonly phase: 'Available' | 'Bound' | 'Released' }
  | { readonly do: 'reclaim' }
  /** Takes the claim's name (or only its uid, where a user had named it) off the volume. */
  | { readonly do: 'unbind' }
  | { readonly do: 'wake-claim' }
  | { readonly do: 'tell'; readonly about: 'volume' | 'claim'; readonly event: EventText };

/** `claim` is the one with the name and the uid that the volume says, as the server knows it. */
export function planVolume(
  volume: PersistentVolume,
  claim: PersistentVolumeClaim | undefined,
): readonly VolumeAction[] {
  const { claimRef } = volume.spec ?? {};
  if (!claimRef?.uid) return setPhase(volume, 'Available');
  if (claim === undefined) return release(volume);
  const { volumeName = '' } = claim.spec ?? {};
  if (volumeName === '') {
    return hasOtherMode(volume, claim) ? mismatch(volume, claim) : [{ do: 'wake-claim' }];
  }
  if (volumeName === volume.metadata.name) return setPhase(volume, 'Bound');
  const isProvisioned = volumeAnnotations.provisionedBy in (volume.metadata.annotations ?? {});
  const isDeleted = volume.spec?.persistentVolumeReclaimPolicy === 'Delete';
  return isProvisioned && isDeleted ? release(volume) : [{ do: 'unbind' }];
}

function setPhase(volume: PersistentVolume, phase: 'Available' | 'Bound'): readonly VolumeAction[] {
  return volume.status?.phase === phase ? [] : [{ do: 'set-phase', phase }];
}

function release(volume: PersistentVolume): readonly VolumeAction[] {
  const { phase } = volume.status ?? {};
  if (phase === 'Released' || phase === 'Failed') return [{ do: 'reclaim' }];
  return [{ do: 'set-phase', phase: 'Released' }, { do: 'reclaim' }];
}

function mismatch(volume: PersistentVolume, claim: PersistentVolumeClaim): readonly VolumeAction[] {
  const why = 'due to incompatible volumeMode.';
  const type = 'Warning';
  const reason = 'VolumeMismatch';
  const onVolume =
    `Cannot bind PersistentVolume to requested PersistentVolumeClaim ` +
    `"${claim.metadata.name}" ${why}`;
  const onClaim =
    `Cannot bind PersistentVolume "${volume.metadata.name}" to requested ` +
    `PersistentVolumeClaim ${why}`;
  return [
    { do: 'tell', about: 'volume', event: { type, reason, message: onVolume } },
    { do: 'tell', about: 'claim', event: { type, reason, message: onClaim } },
  ];
}
