/**
 * The controllers that look after everything but workloads: what stands behind Services, volumes,
 * quotas, certificates, tokens, scaling, and what is left over.
 *
 * `controllers.ts` runs them with the others. The order is of no importance, but for what shares
 * informers: a kind that is kept whole is named before those who want its metadata alone.
 */
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import type { KeyPair } from '#kit/x509.ts';
import { openAccountTokenCleaner } from './account-token-cleaner/account-token-cleaner.ts';
import { openAccountTokenController } from './account-tokens/account-tokens.ts';
import { openAdmissionPolicyStatusController } from './admission-policy-status.ts';
import { openAttachDetachController } from './attach-detach/attach-detach.ts';
import { openAutoscalingController } from './autoscaling/autoscaling.ts';
import { openBootstrapSigner, openTokenCleaner } from './bootstrap-tokens/bootstrap-tokens.ts';
import { openCertificateControllers } from './certificates/certificates.ts';
import { openClusterRoleAggregationController } from './cluster-role-aggregation.ts';
import type { Controller, ControllerDeps } from './controller.ts';
import { openEndpointSliceMirroringController } from './endpoint-slice-mirroring/endpoint-slice-mirroring.ts';
import { openEndpointsController } from './endpoints/endpoints.ts';
import { openEphemeralVolumeController } from './ephemeral-volume.ts';
import type { NodePatches } from './node-patches.ts';
import { openNodeTTLController } from './node-ttl.ts';
import { openPersistentVolumeController } from './persistent-volume/persistent-volume.ts';
import { openResourceClaimController } from './resource-claim/resource-claim.ts';
import { openResourceQuotaController } from './resource-quota/resource-quota.ts';
import { openServiceCIDRController } from './service-cidr.ts';
import { openVolumeExpandController } from './volume-expand.ts';
import {
  openAttributesClassProtectionController,
  openClaimProtectionController,
  openVolumeProtectionController,
} from './volume-protection/volume-protection.ts';

export interface UpkeepOptions {
  /** Every kind that is served. */
  readonly kinds: () => readonly KindOf<KubeObject>[];
  /** PEM of the certificate authority that pods verify the API server with. */
  readonly rootCA: string;
  /** Signs certificates that are asked for; without it nothing is signed. */
  readonly issuer?: KeyPair | undefined;
  /** Approves what nodes serve with, which upstream leaves to people. */
  readonly approvesServing?: boolean | undefined;
}

export function openUpkeepControllers(
  deps: ControllerDeps & { readonly nodePatches: NodePatches },
  { kinds, rootCA, issuer, approvesServing = false }: UpkeepOptions,
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
    openResourceClaimController(deps),
    openAutoscalingController(deps, { kinds }),
    ...openCertificateControllers(deps, { issuer, approvesServing }),
    openBootstrapSigner(deps),
    openTokenCleaner(deps),
    openAccountTokenController(deps, { rootCA }),
    openAccountTokenCleaner(deps),
    openClusterRoleAggregationController(deps),
    openNodeTTLController(deps),
    openServiceCIDRController(deps),
    openAdmissionPolicyStatusController(deps),
    openResourceQuotaController(deps, { kinds }),
  ];
}
