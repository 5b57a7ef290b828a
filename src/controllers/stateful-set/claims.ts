/**
 * Who owns the claims of a StatefulSet's pods, by its retention policy. Pure.
 *
 * The garbage collector deletes a claim with its owner, so the policy is kept by owner references:
 *
 *   whenScaled   whenDeleted   owner of the claim
 *   Retain       Retain        nobody
 *   Retain       Delete        the set
 *   Delete       Retain        the pod, once its ordinal is out of range
 *   Delete       Delete        the set; once its ordinal is out of range the pod
 *
 * Claims that an earlier pod or set of the same name owns are the garbage collector's, and claims
 * with another managing owner are left alone. Behaviour: KEP-1847.
 */
import type { KindOf } from '#api/kind-of.ts';
import { formatGroupVersion, type KubeObject, type OwnerReference } from '#api/object.ts';
import { pods as podKind, statefulSets as setKind } from '#resources/kinds.ts';
import type { StatefulSet } from '#resources/types/apps-v1.ts';
import type { PersistentVolumeClaim, Pod } from '#resources/types/core-v1.ts';
import { controllerReference } from '../ownership.ts';
import { isInRange } from './identity.ts';

interface Policy {
  readonly whenScaled: boolean;
  readonly whenDeleted: boolean;
}

/** True where the claim goes as well. */
function policyOf(set: StatefulSet): Policy {
  const { whenScaled, whenDeleted } = set.spec?.persistentVolumeClaimRetentionPolicy ?? {};
  return { whenScaled: whenScaled === 'Delete', whenDeleted: whenDeleted === 'Delete' };
}

type AnyKind = Pick<KindOf<KubeObject>, 'group' | 'version' | 'kind'>;

/** The reference names this object, whatever its uid says. */
function names(reference: OwnerReference, object: KubeObject, kind: AnyKind): boolean {
  return (
    reference.apiVersion === formatGroupVersion(kind) &&
    reference.kind === kind.kind &&
    reference.name === object.metadata.name
  );
}

function referencesOf(claim: PersistentVolumeClaim): readonly OwnerReference[] {
  return claim.metadata.ownerReferences ?? [];
}

function isOwnedBy(claim: PersistentVolumeClaim, owner: KubeObject): boolean {
  return referencesOf(claim).some(({ uid }) => uid === owner.metadata.uid);
}

/** An earlier object of this name owns the claim. */
function hasStaleOwner(claim: PersistentVolumeClaim, owner: KubeObject, kind: AnyKind): boolean {
  const reference = referencesOf(claim).find((one) => names(one, owner, kind));
  return reference !== undefined && reference.uid !== owner.metadata.uid;
}

/** Such a claim goes with its former pod: no pod may be made for it before it is gone. */
export function isStale(claim: PersistentVolumeClaim, set: StatefulSet, pod: Pod): boolean {
  return policyOf(set).whenScaled && hasStaleOwner(claim, pod, podKind);
}

/** Somebody other than the set and the pod manages the claim. */
export function hasForeignManager(
  claim: PersistentVolumeClaim,
  set: StatefulSet,
  pod: Pod,
): boolean {
  const { whenScaled, whenDeleted } = policyOf(set);
  if (!whenScaled && !whenDeleted) return false;
  return referencesOf(claim).some((reference) => {
    if (names(reference, set, setKind)) return reference.uid !== set.metadata.uid;
    if (names(reference, pod, podKind)) return reference.uid !== pod.metadata.uid;
    return reference.controller === true;
  });
}

/** The references that the claim should have; undefined where nothing is to change. */
export function planOwners(
  claim: PersistentVolumeClaim,
  set: StatefulSet,
  pod: Pod,
): readonly OwnerReference[] | undefined {
  if (hasStaleOwner(claim, set, setKind) || hasStaleOwner(claim, pod, podKind)) return undefined;
  const [bySet, byPod] = [isOwnedBy(claim, set), isOwnedBy(claim, pod)];
  const others = referencesOf(claim).filter(
    (reference) => !names(reference, set, setKind) && !names(reference, pod, podKind),
  );
  if (hasForeignManager(claim, set, pod)) return bySet || byPod ? others : undefined;
  const { whenScaled, whenDeleted } = policyOf(set);
  const isScaledDown = whenScaled && !isInRange(set, pod);
  const wantsSet = whenDeleted && !isScaledDown;
  const managed = referencesOf(claim).every(
    ({ uid, controller }) =>
      (uid !== set.metadata.uid && uid !== pod.metadata.uid) || controller === true,
  );
  if (managed && bySet === wantsSet && byPod === isScaledDown) return undefined;
  return [
    ...others,
    ...(isScaledDown ? [controllerReference(pod, podKind)] : []),
    ...(wantsSet ? [controllerReference(set, setKind)] : []),
  ];
}
