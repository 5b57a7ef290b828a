/**
 * The controllers that look after everything but workloads: what stands behind Services, volumes,
 * quotas, certificates, tokens, scaling, and what is left over.
 *
 * `controllers.ts` runs them with the others. The order is of no importance, but for what shares
 * informers: a kind that is kept whole is named before those who want its metadata alone.
 */
import type { Controller, ControllerDeps } from './controller.ts';
import { openEndpointSliceMirroringController } from './endpoint-slice-mirroring/endpoint-slice-mirroring.ts';
import { openEndpointsController } from './endpoints/endpoints.ts';

export function openUpkeepControllers(deps: ControllerDeps): readonly Controller[] {
  return [openEndpointsController(deps), openEndpointSliceMirroringController(deps)];
}
