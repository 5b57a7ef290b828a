/**
 * What rules need to know of claims and volumes: which are bound, which wait for a pod, and which
 * volume would suit a claim on a node.
 *
 * A claim whose class says WaitForFirstConsumer gets its volume when its first pod is placed: an
 * existing one that the node can reach, or a new one made for the node. What was promised to pods a
 * moment ago (`assumptions.ts`) counts as taken.
 *
 * Behaviour: kubernetes.io, "Persistent Volumes", "Storage Classes" (volume binding mode), "Storage
 * Capacity".
 */
import { objectKey } from '#api/object.ts';
import { quantityValue } from '#api/quantity.ts';
import { labelSelectorMatches } from '#api/selectors.ts';
import type { PersistentVolume, PersistentVolumeClaim } from '#resources/types/core-v1.ts';
import type { StorageClass } from '#resources/types/storage-v1.ts';
import { storageClassNameOf } from '#resources/volumes/storage-class-name.ts';
import {
  isBoundTo,
  isOfSameSort,
  isOnOffer,
  volumeAnnotations,
} from '#resources/volumes/volume-matching.ts';
import type { Cluster } from './cluster.ts';
import type { NodeInfo } from './node-info.ts';
import { matchesSelector } from './node-selector.ts';
import type { ClusterChange } from './plugin.ts';
import type { PodClaim, PodFacts } from './pod-facts.ts';

const { bindCompleted } = volumeAnnotations;
const noProvisioner = 'kubernetes.io/no-provisioner';

/** The claims of a pod, sorted by what is still to be done; or why the pod cannot run at all. */
export type PodClaims =
  | { readonly ok: false; readonly reason: string }
  | {
      readonly ok: true;
      readonly bound: readonly PersistentVolumeClaim[];
      /** To be bound with the pod. */
      readonly delayed: readonly PersistentVolumeClaim[];
      /** To be bound without regard to the pod, and not bound yet. */
      readonly immediate: readonly PersistentVolumeClaim[];
    };

export function podClaims(pod: PodFacts, cluster: Cluster): PodClaims {
  const { facts } = cluster;
  const bound: PersistentVolumeClaim[] = [];
  const delayed: PersistentVolumeClaim[] = [];
  const immediate: PersistentVolumeClaim[] = [];
  for (const wanted of pod.claims) {
    const claim = facts.persistentVolumeClaims.get(`${pod.namespace}/${wanted.name}`);
    const reason = unusable(claim, wanted, pod);
    if (claim === undefined || reason !== undefined) return { ok: false, reason: reason ?? '' };
    if (isBound(claim)) bound.push(claim);
    else if (!claim.spec?.volumeName && isDelayed(claim, cluster)) delayed.push(claim);
    else immediate.push(claim);
  }
  return { ok: true, bound, delayed, immediate };
}

function unusable(
  claim: PersistentVolumeClaim | undefined,
  { name, ephemeral }: PodClaim,
  pod: PodFacts,
): string | undefined {
  if (claim === undefined) {
    return ephemeral
      ? `waiting for ephemeral volume controller to create the persistentvolumeclaim "${name}"`
      : `persistentvolumeclaim "${name}" not found`;
  }
  if (claim.status?.phase === 'Lost') {
    const volume = claim.spec?.volumeName ?? '';
    return `persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${volume}"`;
  }
  if (claim.metadata.deletionTimestamp !== undefined) {
    return `persistentvolumeclaim "${name}" is being deleted`;
  }
  const owned = claim.metadata.ownerReferences?.some(
    ({ uid, controller }) => uid === pod.uid && controller === true,
  );
  if (ephemeral && owned !== true) {
    return `PVC ${objectKey(claim)} was not created for pod ${pod.key} (pod is not owner)`;
  }
  return undefined;
}

/** Claims of others change nothing for a pod: volumes that they give up change themselves. */
export function isOwnClaim(change: ClusterChange, pod: PodFacts): boolean {
  if (change.what !== 'fact' || change.kind !== 'claim' || change.action === 'Delete') return false;
  return pod.claims.some(({ name }) => `${pod.namespace}/${name}` === change.key);
}

function isBound({ metadata, spec }: PersistentVolumeClaim): boolean {
  return Boolean(spec?.volumeName) && metadata.annotations?.[bindCompleted] !== undefined;
}

function isDelayed(claim: PersistentVolumeClaim, { facts }: Cluster): boolean {
  return (
    facts.storageClasses.get(storageClassNameOf(claim))?.volumeBindingMode ===
    'WaitForFirstConsumer'
  );
}

/** Whether a pod on the node could use the volume. */
export function canReach(volume: PersistentVolume, node: NodeInfo): boolean {
  const required = volume.spec?.nodeAffinity?.required;
  return required === undefined || matchesSelector(required, node);
}

/** Volumes that the claim could take on some node, its own first, then the smallest first. */
export function suitableVolumes(
  claim: PersistentVolumeClaim,
  cluster: Cluster,
): readonly PersistentVolume[] {
  const key = objectKey(claim);
  const wanted = requestOf(claim);
  const found: { readonly volume: PersistentVolume; readonly bytes: number }[] = [];
  for (const volume of cluster.facts.persistentVolumes.list()) {
    const { claimRef, capacity } = volume.spec ?? {};
    const promised = cluster.assumptions.claimOf(volume.metadata.name ?? '');
    if (promised !== undefined && promised !== key) continue;
    const bytes = capacity?.['storage'] === undefined ? 0 : quantityValue(capacity['storage']);
    if (bytes < wanted || volume.metadata.deletionTimestamp !== undefined) continue;
    if (!isOfSameSort(volume, claim)) continue;
    if (isBoundTo(volume, claim)) return [volume];
    if (claimRef === undefined && isOnOffer(volume, claim)) found.push({ volume, bytes });
  }
  return found.sort((left, right) => left.bytes - right.bytes).map(({ volume }) => volume);
}

export function requestOf({ spec }: PersistentVolumeClaim): number {
  const text = spec?.resources?.requests?.['storage'];
  return text === undefined ? 0 : quantityValue(text);
}

export type Provision = 'possible' | 'refused' | 'lacksSpace';

/** Whether a volume for the claim could be made for the node. */
export function provisionOn(
  claim: PersistentVolumeClaim,
  node: NodeInfo,
  cluster: Cluster,
): Provision {
  const storageClass = cluster.facts.storageClasses.get(storageClassNameOf(claim));
  const provisioner = storageClass?.provisioner;
  if (storageClass === undefined || !provisioner || provisioner === noProvisioner) return 'refused';
  if (!allows(storageClass, node)) return 'refused';
  return hasRoom(claim, { storageClass, node, cluster }) ? 'possible' : 'lacksSpace';
}

function allows({ allowedTopologies = [] }: StorageClass, { labels }: NodeInfo): boolean {
  if (allowedTopologies.length === 0) return true;
  return allowedTopologies.some(({ matchLabelExpressions = [] }) =>
    matchLabelExpressions.every(({ key, values }) => values.includes(labels[key] ?? '')),
  );
}

function hasRoom(
  claim: PersistentVolumeClaim,
  {
    storageClass,
    node,
    cluster,
  }: {
    readonly storageClass: StorageClass;
    readonly node: NodeInfo;
    readonly cluster: Cluster;
  },
): boolean {
  const { csiDrivers, csiStorageCapacities } = cluster.facts;
  if (claim.spec?.resources?.requests?.['storage'] === undefined) return true;
  if (csiDrivers.get(storageClass.provisioner)?.spec.storageCapacity !== true) return true;
  const bytes = requestOf(claim);
  for (const offer of csiStorageCapacities.list()) {
    if (offer.storageClassName !== storageClass.metadata.name) continue;
    const limit = offer.maximumVolumeSize ?? offer.capacity;
    if (limit === undefined || quantityValue(limit) < bytes) continue;
    if (offer.nodeTopology === undefined) continue;
    if (labelSelectorMatches(offer.nodeTopology, node.labels)) return true;
  }
  return false;
}
