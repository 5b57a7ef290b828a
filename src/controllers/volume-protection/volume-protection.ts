/**
 * Keeps what pods and claims still need from vanishing: claims in use by a pod, volumes bound to a
 * claim, and attribute classes named by either.
 *
 * Three controllers of one form: everything gets a finalizer while it lives; once it is being
 * deleted the finalizer goes as soon as nobody uses it. Before a claim is let go the server itself
 * is asked for pods, since the cache may not know the newest. Behaviour: kubernetes.io, "Storage
 * Object in Use Protection".
 */
import type { KindOf } from '#api/kind-of.ts';
import { type KubeObject, objectKey } from '#api/object.ts';
import type { Cancel, Informer } from '#client';
import { WorkQueue } from '#kit/work-queue.ts';
import {
  volumeAttributesClasses as attributesKind,
  persistentVolumeClaims as claimKind,
  pods as podKind,
  persistentVolumes as volumeKind,
} from '#resources/kinds.ts';
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '#resources/types/core-v1.ts';
import type { VolumeAttributesClass } from '#resources/types/storage-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { claimKeysOf, podsByClaim } from '../persistent-volume/claims-of-pod.ts';

interface Protection<T extends KubeObject> {
  readonly name: string;
  readonly kind: KindOf<T>;
  readonly objects: Informer<T>;
  readonly finalizer: string;
  readonly queue: WorkQueue;
  readonly others: Controller['sources'];
  readonly isUsed: (object: T, cancel: Cancel) => Promise<boolean>;
}

function protect<T extends KubeObject>(
  { client }: ControllerDeps,
  { name, kind, objects, finalizer, queue, others, isUsed }: Protection<T>,
): Controller {
  const wake = (object: T): void => queue.add(objectKey(object));
  objects.addHandler({ onAdd: wake, onUpdate: wake });
  return {
    name,
    queue,
    workers: 2,
    sources: [objects, ...others],
    reconcile: async (key, { signal }) => {
      const object = objects.get(key);
      if (object === undefined) return;
      const { finalizers = [], deletionTimestamp } = object.metadata;
      const isEnding = deletionTimestamp !== undefined;
      const isProtected = finalizers.includes(finalizer);
      if (isEnding !== isProtected) return;
      if (isEnding && (await isUsed(object, { signal }))) return;
      const next = isEnding
        ? finalizers.filter((one) => one !== finalizer)
        : [...finalizers, finalizer];
      const changed = { ...object, metadata: { ...object.metadata, finalizers: next } };
      await client.update(kind, changed, { signal }).catch(ignoreNotFound);
    },
  };
}

export function openClaimProtectionController(deps: ControllerDeps): Controller {
  const { client, informers } = deps;
  const queue = new WorkQueue(deps);
  const pods = informers.of(podKind);
  pods.addIndex(podsByClaim, claimKeysOf);
  const wakeClaims = (pod: Pod): void => {
    for (const key of claimKeysOf(pod)) queue.add(key);
  };
  pods.addHandler({
    onUpdate: (pod) => {
      if (!holds(pod)) wakeClaims(pod);
    },
    onDelete: wakeClaims,
  });
  return protect<PersistentVolumeClaim>(deps, {
    name: 'persistentvolumeclaim-protection-controller',
    kind: claimKind,
    objects: informers.of(claimKind),
    finalizer: 'kubernetes.io/pvc-protection',
    queue,
    others: [pods],
    isUsed: async (claim, { signal }) => {
      const key = objectKey(claim);
      for (const pod of pods.byIndex(podsByClaim, key)) if (holds(pod)) return true;
      const { namespace } = claim.metadata;
      const { items } = await client.list(podKind, { namespace, signal });
      return items.some((pod) => holds(pod) && claimKeysOf(pod).includes(key));
    },
  });
}

/** On a node, and its kubelet is not done with it. */
function holds({ metadata, spec }: Pod): boolean {
  if (!spec?.nodeName) return false;
  return metadata.deletionTimestamp === undefined || metadata.deletionGracePeriodSeconds !== 0;
}

export function openVolumeProtectionController(deps: ControllerDeps): Controller {
  return protect<PersistentVolume>(deps, {
    name: 'persistentvolume-protection-controller',
    kind: volumeKind,
    objects: deps.informers.of(volumeKind),
    finalizer: 'kubernetes.io/pv-protection',
    queue: new WorkQueue(deps),
    others: [],
    isUsed: ({ status }) => Promise.resolve(status?.phase === 'Bound'),
  });
}

export function openAttributesClassProtectionController(deps: ControllerDeps): Controller {
  const { informers } = deps;
  const queue = new WorkQueue(deps);
  const claims = informers.of(claimKind);
  const volumes = informers.of(volumeKind);
  const classesOfClaim = ({
    spec,
    status,
  }: PersistentVolumeClaim): readonly (string | undefined)[] => [
    spec?.volumeAttributesClassName,
    status?.currentVolumeAttributesClassName,
    status?.modifyVolumeStatus?.targetVolumeAttributesClassName,
  ];
  const wake = (names: readonly (string | undefined)[]): void => {
    for (const name of names) if (name) queue.add(name);
  };
  claims.addHandler({
    onUpdate: (_, old) => wake(classesOfClaim(old)),
    onDelete: (claim) => wake(classesOfClaim(claim)),
  });
  volumes.addHandler({
    onUpdate: (_, old) => wake([old.spec?.volumeAttributesClassName]),
    onDelete: (volume) => wake([volume.spec?.volumeAttributesClassName]),
  });
  return protect<VolumeAttributesClass>(deps, {
    name: 'volumeattributesclass-protection-controller',
    kind: attributesKind,
    objects: informers.of(attributesKind),
    finalizer: 'kubernetes.io/vac-protection',
    queue,
    others: [claims, volumes],
    isUsed: ({ metadata: { name } }) => {
      for (const claim of claims.list()) {
        if (classesOfClaim(claim).includes(name)) return Promise.resolve(true);
      }
      for (const { spec } of volumes.list()) {
        if (spec?.volumeAttributesClassName === name) return Promise.resolve(true);
      }
      return Promise.resolve(false);
    },
  });
}
