/**
 * Claims of devices: which are to be made for a pod, and who still holds one. Pure.
 *
 * A pod names claims, or templates that a claim of its own is made from; which claim that is stands
 * in the pod's status. A claim is reserved for pods; those that are gone or have ended give it
 * back, and with the last of them its devices are free again. Behaviour: kubernetes.io, "Dynamic
 * Resource Allocation".
 */
import type { Pod, PodResourceClaim } from '#resources/types/core-v1.ts';
import type {
  ResourceClaim,
  ResourceClaimConsumerReference,
} from '#resources/types/resource-v1.ts';
import { isTerminated, isTerminating } from '../pod-state.ts';

export const podClaimAnnotation = 'resource.kubernetes.io/pod-claim-name';
export const allocationFinalizer = 'resource.kubernetes.io/delete-protection';

/** The claim that the pod uses by this name; undefined where it is not made yet. */
export function claimNameOf(pod: Pod, claim: PodResourceClaim): string | undefined {
  if (claim.resourceClaimName !== undefined) return claim.resourceClaimName;
  const status = pod.status?.resourceClaimStatuses?.find(({ name }) => name === claim.name);
  return status?.resourceClaimName;
}

/** By namespace and name; with the one that the scheduler made for extended resources. */
export function claimKeysOf(pod: Pod): readonly string[] {
  const named = (pod.spec?.resourceClaims ?? []).map((claim) => claimNameOf(pod, claim));
  const made = pod.status?.extendedResourceClaimStatus?.resourceClaimName;
  return [...named, made].flatMap((name) =>
    name === undefined ? [] : [`${pod.metadata.namespace}/${name}`],
  );
}

/** Claims, by their names in the pod, that are to be made from templates. */
export function planCreations(
  pod: Pod,
  exists: (claimName: string) => boolean,
): readonly PodResourceClaim[] {
  if (isTerminating(pod) || isTerminated(pod)) return [];
  return (pod.spec?.resourceClaims ?? []).filter((claim) => {
    if (claim.resourceClaimTemplateName === undefined) return false;
    const status = pod.status?.resourceClaimStatuses?.find(({ name }) => name === claim.name);
    // Said to need none.
    if (status !== undefined && status.resourceClaimName === undefined) return false;
    return status?.resourceClaimName === undefined || !exists(status.resourceClaimName);
  });
}

/** Those for whom the claim stays reserved. */
export function planReservations(
  claim: ResourceClaim,
  gone: ReadonlySet<string>,
): readonly ResourceClaimConsumerReference[] {
  return (claim.status?.reservedFor ?? []).filter(({ uid }) => !gone.has(uid));
}

/** Whether its devices are to be given back: the last that held it is gone, or it is deleted. */
export function isSpent(claim: ResourceClaim, reservedFor: readonly unknown[]): boolean {
  if (claim.status?.allocation === undefined || reservedFor.length > 0) return false;
  const wasHeld = (claim.status.reservedFor ?? []).length > 0;
  return wasHeld || claim.metadata.deletionTimestamp !== undefined;
}

export function isHeld({ metadata }: ResourceClaim): boolean {
  return metadata.finalizers?.includes(allocationFinalizer) ?? false;
}

/**
 * Deleted and given back, but not let go: whoever gave it back never heard that it was done. While
 * it is not deleted, the scheduler may just be about to allocate it.
 */
export function isHeldInVain(claim: ResourceClaim): boolean {
  const { allocation, reservedFor = [] } = claim.status ?? {};
  const isEnding = claim.metadata.deletionTimestamp !== undefined;
  return isEnding && isHeld(claim) && allocation === undefined && reservedFor.length === 0;
}

/** A claim made for a pod that will not run again. */
export function isObsolete(claim: ResourceClaim, owner: Pod | undefined): boolean {
  return (
    claim.metadata.deletionTimestamp === undefined && owner !== undefined && isTerminated(owner)
  );
}
