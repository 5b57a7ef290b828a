/**
 * Makes the claims of generic ephemeral volumes: one for each such volume of a pod, from the
 * template in it, owned by the pod so that it goes with it.
 *
 * A claim of that name that the pod does not own is somebody else's: the pod waits, and an Event
 * says why. Behaviour: kubernetes.io, "Ephemeral Volumes".
 */
import { isReason } from '#api/errors.ts';
import { objectKey } from '#api/object.ts';
import { messageOf } from '#kit/error-message.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { persistentVolumeClaims as claimKind, pods as podKind } from '#resources/kinds.ts';
import type { PersistentVolumeClaim, Pod, Volume } from '#resources/types/core-v1.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { controllerReference } from '../ownership.ts';
import { claimKeysOf, claimNameOf, podsByClaim } from '../persistent-volume/claims-of-pod.ts';

export function openEphemeralVolumeController(deps: ControllerDeps): Controller {
  const { client, informers } = deps;
  const queue = new WorkQueue(deps);
  const recorder = deps.recorderFor('ephemeral_volume');
  const pods = informers.of(podKind);
  const claims = informers.of(claimKind);
  pods.addIndex(podsByClaim, claimKeysOf);
  pods.addHandler({
    onAdd: (pod) => {
      if (volumesOf(pod).length > 0) queue.add(objectKey(pod));
    },
  });
  claims.addHandler({
    onDelete: (claim) => {
      for (const pod of pods.byIndex(podsByClaim, objectKey(claim))) {
        if (volumesOf(pod).length > 0) queue.add(objectKey(pod));
      }
    },
  });
  const ensure = async (pod: Pod, volume: Volume, signal: AbortSignal): Promise<void> => {
    const name = claimNameOf(pod, volume) ?? '';
    const claim = claims.get(`${pod.metadata.namespace}/${name}`);
    if (claim !== undefined) {
      const isOurs = claim.metadata.ownerReferences?.some(
        ({ uid, controller }) => controller === true && uid === pod.metadata.uid,
      );
      if (isOurs === true) return;
      const what = `PVC ${objectKey(claim)} was not created for pod ${objectKey(pod)}`;
      throw new Error(`${what} (pod is not owner)`);
    }
    deps.figures.count('ephemeral_volume_controller_create_total');
    await client.create(claimKind, claimFor(pod, volume, name), { signal }).catch((error) => {
      deps.figures.count('ephemeral_volume_controller_create_failures_total');
      throw error;
    });
  };
  return {
    name: 'ephemeral-volume-controller',
    queue,
    workers: 5,
    sources: [pods, claims],
    reconcile: async (key, { signal }) => {
      const pod = pods.get(key);
      if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) return;
      for (const volume of volumesOf(pod)) {
        try {
          await ensure(pod, volume, signal);
        } catch (error) {
          signal.throwIfAborted();
          // The cache has not seen it yet: the next attempt asks whose it is.
          if (!isReason(error, 'AlreadyExists')) {
            const message = `ephemeral volume ${volume.name}: ${messageOf(error)}`;
            recorder.record(pod, { type: 'Warning', reason: 'FailedBinding', message });
          }
          throw error;
        }
      }
    },
  };
}

function volumesOf({ spec }: Pod): readonly Volume[] {
  return spec?.volumes?.filter(({ ephemeral }) => ephemeral !== undefined) ?? [];
}

function claimFor(pod: Pod, volume: Volume, name: string): PersistentVolumeClaim {
  const { metadata, spec } = volume.ephemeral?.volumeClaimTemplate ?? { spec: {} };
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      namespace: pod.metadata.namespace,
      name,
      ...(metadata?.labels === undefined ? {} : { labels: metadata.labels }),
      ...(metadata?.annotations === undefined ? {} : { annotations: metadata.annotations }),
      ownerReferences: [controllerReference(pod, podKind)],
    },
    spec,
  };
}
