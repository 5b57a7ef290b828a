/**
 * The controllers that look after everything but workloads: what stands behind Services, volumes,
 * quotas, certificates, tokens, scaling, and what is left over.
 *
 * `controllers.ts` runs them with the others. The order is of no importance, but for what shares
 * informers: a kind that is kept whole is named before those who want its metadata alone.
 */
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import { openAttachDetachController } from './attach-detach/attach-detach.ts';
import { openAutoscalingController } from './autoscaling/autoscaling.ts';
import type { Controller, ControllerDeps } from './controller.ts';
import { openEndpointSliceMirroringController } from './endpoint-slice-mirroring/endpoint-slice-mirroring.ts';
import { openEndpointsController } from './endpoints/endpoints.ts';
import { openEphemeralVolumeController } from './ephemeral-volume.ts';
import { openPersistentVolumeController } from './persistent-volume/persistent-volume.ts';
import { openResourceQuotaController } from './resource-quota/resource-quota.ts';
import { openVolumeExpandController } from './volume-expand.ts';
import {
  openAttributesClassProtectionController,
  openClaimProtectionController,
  openVolumeProtectionController,
} from './volume-protection/volume-protection.ts';

export interface UpkeepOptions {
  /** Every kind that is served. */
  readonly kinds: () => readonly KindOf<KubeObject>[];
}

export function openUpkeepControllers(
  deps: ControllerDeps,
  { kinds }: UpkeepOptions,
): readonly Controller[] {
  return [
    openEndpointsController(deps),
    openEndpointSliceMirroringController(deps),
    openPersistentVolumeController(deps),
    openClaimProtectionController(deps),
    openVolumeProtectionController(deps),
    openAttributesClassProtectionController(deps),
    openEphemeralVolumeController(deps),
    openVolumeExpandController(deps),
    openAttachDetachController(deps),
    openAutoscalingController(deps, { kinds }),
    openResourceQuotaController(deps, { kinds }),
  ];
}
