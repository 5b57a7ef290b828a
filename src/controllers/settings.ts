/**
 * What of the controllers can be set, in one value with all defaults: those of upstream's
 * kube-controller-manager. Each controller gets its part of it.
 *
 * The control plane runs with the defaults; `coracle kube-controller-manager` reads others from
 * upstream's flags (`cluster/settings/controller-manager-settings.ts`).
 */
import type { KeyPair } from '#kit/x509.ts';
import { limits as tokenLimits } from './account-token-cleaner/plan.ts';
import { type AutoscalingSettings, limits as autoscalingLimits } from './autoscaling/settings.ts';
import { limits as certificateLimits, type SignerName } from './certificates/plan.ts';
import { limits as sliceLimits } from './endpoint-slice/plan.ts';
import { limits as mirrorLimits } from './endpoint-slice-mirroring/plan.ts';
import { type HealthSettings, healthDefaults } from './node-lifecycle/plan.ts';
import { type RecyclingSettings, recyclingDefaults } from './persistent-volume/reclaim.ts';
import { limits as podGCLimits } from './pod-gc/plan.ts';
import { limits as quotaLimits } from './resource-quota/plan.ts';

export interface ControllersSettings {
  /** Which run: `*`, `name`, `-name`, in upstream's sense. */
  readonly controllers: readonly string[];
  /** Keys worked on at the same time, by the controller's name, where not its own number. */
  readonly workers: Readonly<Record<string, number>>;
  /** How long endpoints wait for more changes of pods before they are written. */
  readonly batchMs: Readonly<Record<string, number>>;
  readonly health: HealthSettings;
  readonly autoscaling: AutoscalingSettings;
  readonly recycling: RecyclingSettings;
  /** Folders of the controllers' machine are made for claims of class `kubernetes.io/host-path`. */
  readonly hostPathProvisioner: boolean;
  /** Ended pods that are kept; 0: all. */
  readonly terminatedPodsMax: number;
  readonly quotaResyncMs: number;
  /** Unused tokens of old clusters are kept this long. */
  readonly unusedTokenMs: number;
  /** The longest that a signed certificate holds. */
  readonly certificateMs: number;
  /** Who signs for one signer's name, where not the issuer of all. */
  readonly issuers: Readonly<Partial<Record<SignerName, KeyPair>>>;
  readonly endpointsPerSlice: number;
  readonly mirroredPerSubset: number;
  /** Bits of the network part of each node's addresses. */
  readonly nodeMaskSize: number;
  /** The same of IPv6. */
  readonly nodeMaskSize6: number;
  /** Addresses of Services, as `10.43.0.0/16`: no node gets any of them. */
  readonly serviceCIDR: string | undefined;
}

/** Those that `*` does not mean. */
export const offByDefault: readonly string[] = [
  'bootstrap-signer-controller',
  'token-cleaner-controller',
];

/** Of a cluster that nodes join by tokens. */
export const defaultSettings: ControllersSettings = {
  controllers: ['*', ...offByDefault],
  workers: {},
  batchMs: {},
  health: healthDefaults,
  autoscaling: autoscalingLimits,
  recycling: recyclingDefaults,
  hostPathProvisioner: false,
  terminatedPodsMax: podGCLimits.terminatedMax,
  quotaResyncMs: quotaLimits.resyncMs,
  unusedTokenMs: tokenLimits.unusedMs,
  certificateMs: certificateLimits.certificateMs,
  issuers: {},
  endpointsPerSlice: sliceLimits.endpointsPerSlice,
  mirroredPerSubset: mirrorLimits.addressesPerSubset,
  nodeMaskSize: 24,
  nodeMaskSize6: 64,
  serviceCIDR: undefined,
};

/** What is asked for by name counts before what `*` says. */
export function isEnabled(
  name: string,
  controllers: readonly string[],
  { onByDefault }: { readonly onByDefault: boolean },
): boolean {
  if (controllers.includes(name)) return true;
  if (controllers.includes(`-${name}`)) return false;
  return controllers.includes('*') && onByDefault;
}
