/**
 * Notices bound claims that ask for more than they have, and says who will see to it.
 *
 * Volumes are enlarged by the drivers that serve them, outside of the control plane; nothing that
 * is built in can be. The Event tells people what they are waiting for.
 */

import { objectKey } from '#api/object.ts';
import { compareQuantities } from '#api/quantity.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import {
  persistentVolumeClaims as claimKind,
  persistentVolumes as volumeKind,
} from '#resources/kinds.ts';
import type { PersistentVolumeClaim } from '#resources/types/core-v1.ts';
import type { Controller, ControllerDeps } from '../controller.ts';

export function openVolumeExpandController(deps: ControllerDeps): Controller {
  const queue = new WorkQueue(deps);
  const recorder = deps.recorderFor('volume_expand');
  const claims = deps.informers.of(claimKind);
  const volumes = deps.informers.of(volumeKind);
  claims.addHandler({
    onAdd: (claim) => {
      if (wantsMore(claim)) queue.add(objectKey(claim));
    },
    onUpdate: (claim, old) => {
      if (wantsMore(claim) && requested(claim) !== requested(old)) queue.add(objectKey(claim));
    },
  });
  return {
    name: 'persistentvolume-expander-controller',
    queue,
    workers: 1,
    sources: [claims, volumes],
    reconcile: (key) => {
      const claim = claims.get(key);
      const volume = volumes.get(claim?.spec?.volumeName ?? '');
      const isOurs = volume?.spec?.claimRef?.uid === claim?.metadata.uid;
      if (claim !== undefined && volume !== undefined && isOurs && wantsMore(claim)) {
        const message = 'waiting for an external controller to expand this PVC';
        const type = volume.spec?.csi === undefined ? 'Warning' : 'Normal';
        recorder.record(claim, { type, reason: 'ExternalExpanding', message });
      }
      return Promise.resolve();
    },
  };
}

function requested({ spec }: PersistentVolumeClaim): string {
  return spec?.resources?.requests?.['storage'] ?? '0';
}

function wantsMore(claim: PersistentVolumeClaim): boolean {
  if (claim.status?.phase !== 'Bound') return false;
  return compareQuantities(requested(claim), claim.status.capacity?.['storage'] ?? '0') > 0;
}
