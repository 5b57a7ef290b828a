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
import { openAdmissionPolicyStatusController } from './admission-policy-status/admission-policy-status.ts';
import { openAttachDetachController } from './attach-detach/attach-detach.ts';
import { openAutoscalingController } from './autoscaling/autoscaling.ts';
import { openBootstrapSigner, openTokenCleaner } from './bootstrap-tokens/bootstrap-tokens.ts';
import {
  openCertificateApprover,
  openCertificateCleaner,
  openCertificateSigner,
  openServingApprover,
} from './certificates/certificates.ts';
import { openClusterRoleAggregationController } from './cluster-role-aggregation/cluster-role-aggregation.ts';
import type { Controller, ControllerDeps } from './controller.ts';
import { openEndpointSliceMirroringController } from './endpoint-slice-mirroring/endpoint-slice-mirroring.ts';
import { openEndpointsController } from './endpoints/endpoints.ts';
import { openEphemeralVolumeController } from './ephemeral-volume/ephemeral-volume.ts';
import type { NodePatches } from './node-patches.ts';
import { openNodeTTLController } from './node-ttl/node-ttl.ts';
import { openPersistentVolumeController } from './persistent-volume/persistent-volume.ts';
import type { HostFolders } from './persistent-volume/provisioning.ts';
import { openResourceClaimController } from './resource-claim/resource-claim.ts';
import { openResourceQuotaController } from './resource-quota/resource-quota.ts';
import { openServiceCIDRController } from './service-cidr/service-cidr.ts';
import type { ControllersSettings } from './settings.ts';
import { openVolumeExpandController } from './volume-expand/volume-expand.ts';
import {
  openAttributesClassProtectionController,
  openClaimProtectionController,
  openVolumeProtectionController,
} from './volume-protection/volume-protection.ts';

/** What a controller is opened with. */
export interface Parts {
  readonly deps: ControllerDeps & { readonly nodePatches: NodePatches };
  /** Every kind that is served. */
  readonly kinds: () => readonly KindOf<KubeObject>[];
  /** Pod addresses of the cluster; without them nodes are given none. */
  readonly clusterCIDR: string | undefined;
  /** PEM of the certificate authority that pods verify the API server with. */
  readonly rootCA: string;
  /** Signs certificates that are asked for; without it nothing is signed. */
  readonly issuer: KeyPair | undefined;
  /** Approves what nodes serve with, which upstream leaves to people. */
  readonly approvesServing: boolean;
  readonly settings: ControllersSettings;
  readonly folders: HostFolders | undefined;
}

/** Undefined where it has nothing to do in this cluster. */
export type Opener = (parts: Parts) => Controller | undefined;

export const upkeepControllers: Readonly<Record<string, Opener>> = {
  'endpoints-controller': ({ deps, settings }) =>
    openEndpointsController(deps, settings.batchMs['endpoints-controller']),
  'endpointslice-mirroring-controller': ({ deps, settings }) =>
    openEndpointSliceMirroringController(deps, {
      perSubset: settings.mirroredPerSubset,
      batchMs: settings.batchMs['endpointslice-mirroring-controller'],
    }),
  'persistentvolume-binder-controller': ({ deps, settings, folders }) =>
    openPersistentVolumeController(deps, {
      recycling: settings.recycling,
      makesFolders: settings.hostPathProvisioner,
      folders,
    }),
  'persistentvolumeclaim-protection-controller': ({ deps }) => openClaimProtectionController(deps),
  'persistentvolume-protection-controller': ({ deps }) => openVolumeProtectionController(deps),
  'volumeattributesclass-protection-controller': ({ deps }) =>
    openAttributesClassProtectionController(deps),
  'ephemeral-volume-controller': ({ deps }) => openEphemeralVolumeController(deps),
  'persistentvolume-expander-controller': ({ deps }) => openVolumeExpandController(deps),
  'persistentvolume-attach-detach-controller': ({ deps }) => openAttachDetachController(deps),
  'resourceclaim-controller': ({ deps }) => openResourceClaimController(deps),
  'horizontal-pod-autoscaler-controller': ({ deps, kinds, settings }) =>
    openAutoscalingController(deps, { kinds, settings: settings.autoscaling }),
  'certificatesigningrequest-approving-controller': ({ deps }) => openCertificateApprover(deps),
  'certificatesigningrequest-cleaner-controller': ({ deps }) => openCertificateCleaner(deps),
  'certificatesigningrequest-serving-approving-controller': ({ deps, approvesServing }) =>
    approvesServing ? openServingApprover(deps) : undefined,
  'certificatesigningrequest-signing-controller': ({ deps, issuer, settings }) => {
    const { certificateMs, issuers } = settings;
    const own: Readonly<Record<string, KeyPair | undefined>> = issuers;
    if (issuer === undefined && Object.keys(own).length === 0) return undefined;
    const issuerFor = (signer: string): KeyPair | undefined => own[signer] ?? issuer;
    return openCertificateSigner(deps, { issuerFor, certificateMs });
  },
  'bootstrap-signer-controller': ({ deps }) => openBootstrapSigner(deps),
  'token-cleaner-controller': ({ deps }) => openTokenCleaner(deps),
  'serviceaccount-token-controller': ({ deps, rootCA }) =>
    openAccountTokenController(deps, { rootCA }),
  'legacy-serviceaccount-token-cleaner-controller': ({ deps, settings }) =>
    openAccountTokenCleaner(deps, settings.unusedTokenMs),
  'clusterrole-aggregation-controller': ({ deps }) => openClusterRoleAggregationController(deps),
  'ttl-controller': ({ deps }) => openNodeTTLController(deps),
  'service-cidr-controller': ({ deps }) => openServiceCIDRController(deps),
  'validatingadmissionpolicy-status-controller': ({ deps }) =>
    openAdmissionPolicyStatusController(deps),
  'resourcequota-controller': ({ deps, kinds, settings }) =>
    openResourceQuotaController(deps, { kinds, resyncMs: settings.quotaResyncMs }),
};
