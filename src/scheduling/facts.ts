/**
 * What rules look up besides nodes and pods: budgets, workloads, volumes, devices.
 *
 * The scheduler passes its informers, which fit `Reader` as they are; whoever explains one pod, or
 * tests a rule, passes plain lists (`readerOf`). Nothing here is copied or indexed twice.
 */
import { type KubeObject, objectKey } from '#api/object.ts';
import type { ReplicaSet, StatefulSet } from '#resources/types/apps-v1.ts';
import type {
  Namespace,
  PersistentVolume,
  PersistentVolumeClaim,
  ReplicationController,
  Service,
} from '#resources/types/core-v1.ts';
import type { PodDisruptionBudget } from '#resources/types/policy-v1.ts';
import type { DeviceClass, ResourceClaim, ResourceSlice } from '#resources/types/resource-v1.ts';
import type {
  CSIDriver,
  CSINode,
  CSIStorageCapacity,
  StorageClass,
  VolumeAttachment,
} from '#resources/types/storage-v1.ts';

export interface Reader<T> {
  /** By `namespace/name` or `name`. */
  get(key: string): T | undefined;
  list(): Iterable<T>;
  listNamespace(namespace: string): Iterable<T>;
}

export interface Facts {
  readonly namespaces: Reader<Namespace>;
  readonly services: Reader<Service>;
  readonly replicationControllers: Reader<ReplicationController>;
  readonly replicaSets: Reader<ReplicaSet>;
  readonly statefulSets: Reader<StatefulSet>;
  readonly podDisruptionBudgets: Reader<PodDisruptionBudget>;
  readonly persistentVolumes: Reader<PersistentVolume>;
  readonly persistentVolumeClaims: Reader<PersistentVolumeClaim>;
  readonly storageClasses: Reader<StorageClass>;
  readonly csiNodes: Reader<CSINode>;
  readonly csiDrivers: Reader<CSIDriver>;
  readonly csiStorageCapacities: Reader<CSIStorageCapacity>;
  readonly volumeAttachments: Reader<VolumeAttachment>;
  readonly resourceClaims: Reader<ResourceClaim>;
  readonly resourceSlices: Reader<ResourceSlice>;
  readonly deviceClasses: Reader<DeviceClass>;
}

export function readerOf<T extends KubeObject>(...objects: readonly T[]): Reader<T> {
  const byKey = new Map(objects.map((object) => [objectKey(object), object]));
  return {
    get: (key) => byKey.get(key),
    list: () => byKey.values(),
    listNamespace: (namespace) =>
      objects.filter((object) => object.metadata.namespace === namespace),
  };
}

/** Only what is given; all else is empty. */
export function factsOf(some: Partial<Facts> = {}): Facts {
  const empty: Reader<never> = { get: () => undefined, list: () => [], listNamespace: () => [] };
  return {
    namespaces: empty,
    services: empty,
    replicationControllers: empty,
    replicaSets: empty,
    statefulSets: empty,
    podDisruptionBudgets: empty,
    persistentVolumes: empty,
    persistentVolumeClaims: empty,
    storageClasses: empty,
    csiNodes: empty,
    csiDrivers: empty,
    csiStorageCapacities: empty,
    volumeAttachments: empty,
    resourceClaims: empty,
    resourceSlices: empty,
    deviceClasses: empty,
    ...some,
  };
}
