/**
 * The two halves of a bond between volume and claim, as they are written. Pure.
 *
 * The volume names the claim first (which nobody can take away from it then), its phase follows,
 * then the claim names the volume, then its status. Whatever is interrupted in between is finished
 * by the next look. Who set a name is noted, so that unbinding takes off only our own.
 */
import { persistentVolumeClaims as claimKind } from '#resources/kinds.ts';
import type { PersistentVolume, PersistentVolumeClaim } from '#resources/types/core-v1.ts';
import { isBoundTo, volumeAnnotations } from '#resources/volumes/volume-matching.ts';
import { isSameValue } from '../same-value.ts';

const preResizeAnnotation = 'volume.alpha.kubernetes.io/pre-resize-capacity';

/** Undefined where the volume names the claim already, uid and all. */
export function volumeBoundTo(
  volume: PersistentVolume,
  claim: PersistentVolumeClaim,
): PersistentVolume | undefined {
  const { namespace, name, uid, resourceVersion } = claim.metadata;
  const { claimRef } = volume.spec ?? {};
  const isNamed = isBoundTo(volume, claim);
  if (isNamed && claimRef?.uid === uid) return undefined;
  const annotations = isNamed
    ? volume.metadata.annotations
    : { ...volume.metadata.annotations, [volumeAnnotations.boundByController]: 'yes' };
  const { kind } = claimKind;
  const reference = { apiVersion: 'v1', kind, namespace, name, uid, resourceVersion };
  return {
    ...volume,
    metadata: { ...volume.metadata, annotations },
    spec: { ...volume.spec, claimRef: reference },
  };
}

/** Undefined where the claim names the volume already. */
export function claimBoundTo(
  claim: PersistentVolumeClaim,
  volume: PersistentVolume,
): PersistentVolumeClaim | undefined {
  const { annotations: before = {} } = claim.metadata;
  const { name: volumeName } = volume.metadata;
  const isOurs = claim.spec?.volumeName !== volumeName;
  const annotations = {
    ...before,
    ...(isOurs ? { [volumeAnnotations.boundByController]: 'yes' } : {}),
    [volumeAnnotations.bindCompleted]: before[volumeAnnotations.bindCompleted] ?? 'yes',
  };
  if (!isOurs && isSameValue(annotations, before)) return undefined;
  return {
    ...claim,
    metadata: { ...claim.metadata, annotations },
    spec: { ...claim.spec, volumeName },
  };
}

/** The claim's status with a phase, and with what the volume gives. Undefined where it is so. */
export function claimWithStatus(
  claim: PersistentVolumeClaim,
  phase: 'Pending' | 'Bound' | 'Lost',
  volume: PersistentVolume | undefined,
): PersistentVolumeClaim | undefined {
  const {
    accessModes: _,
    capacity,
    currentVolumeAttributesClassName: attributes,
    ...others
  } = claim.status ?? {};
  const isNew = claim.status?.phase !== phase;
  if (volume === undefined) {
    const status = { ...others, phase };
    return isSameValue(status, claim.status) ? undefined : { ...claim, status };
  }
  // Of what was bound before, the size is up to those who expand it.
  const preResize = volume.metadata.annotations?.[preResizeAnnotation];
  const given =
    preResize === undefined ? volume.spec?.capacity : { ...capacity, storage: preResize };
  const isFirst = claim.status?.phase === 'Pending';
  const attributesClass = isFirst ? volume.spec?.volumeAttributesClassName : attributes;
  const status = {
    ...others,
    phase,
    accessModes: volume.spec?.accessModes,
    capacity: isNew ? given : capacity,
    ...(attributesClass === undefined ? {} : { currentVolumeAttributesClassName: attributesClass }),
  };
  return isSameValue(status, claim.status) ? undefined : { ...claim, status };
}

/** The volume without the claim; one that a user had named stays promised to it. */
export function volumeUnbound(volume: PersistentVolume): PersistentVolume {
  const { [volumeAnnotations.boundByController]: ours, ...annotations } =
    volume.metadata.annotations ?? {};
  const { claimRef, ...spec } = volume.spec ?? {};
  if (ours !== undefined) {
    return { ...volume, metadata: { ...volume.metadata, annotations }, spec };
  }
  const { uid: _, resourceVersion: __, ...kept } = claimRef ?? {};
  return { ...volume, spec: { ...spec, claimRef: kept } };
}
