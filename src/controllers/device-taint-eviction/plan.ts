/**
 * When a pod has to leave because of its devices. Pure.
 *
 * A driver taints a device that must not be used any more. With the effect NoExecute every pod
 * whose claim has that device leaves: at once, or after the shortest `tolerationSeconds` of the
 * tolerations that the claim was allocated with and that match. A toleration without a time bears
 * the taint for ever. Of several devices, taints and claims the earliest moment counts.
 *
 * Example: tainted at 100 s, tolerated for 30 s: the pod leaves at 130 s. Behaviour: kubernetes.io,
 * "Device taints and tolerations"; KEP-5055.
 */
import type { Pod } from '#resources/types/core-v1.ts';
import type {
  DeviceRequestAllocationResult,
  DeviceTaint,
  ResourceClaim,
  ResourceSlice,
} from '#resources/types/resource-v1.ts';
import { toleratesDevice } from '#scheduling';
import { claimNameOf } from '../resource-claim/plan.ts';

type Device = Pick<DeviceRequestAllocationResult, 'driver' | 'pool' | 'device'>;

/** The taints of a device that drive pods away, as its pool's newest slices have it. */
export function evictingTaints(
  { driver, pool, device }: Device,
  slices: Iterable<ResourceSlice>,
): readonly DeviceTaint[] {
  const ofPool = [...slices].filter(
    ({ spec }) => spec.driver === driver && spec.pool.name === pool,
  );
  const newest = Math.max(...ofPool.map(({ spec }) => spec.pool.generation));
  for (const { spec } of ofPool) {
    if (spec.pool.generation !== newest) continue;
    const found = spec.devices?.find(({ name }) => name === device);
    if (found !== undefined) return (found.taints ?? []).filter(drives);
  }
  return [];
}

export function drives({ effect }: DeviceTaint): boolean {
  return effect === 'NoExecute';
}

/** `driver/pool` of the devices that the claim has. */
export function poolsOf({ status }: ResourceClaim): ReadonlySet<string> {
  const results = status?.allocation?.devices?.results ?? [];
  return new Set(results.map(({ driver, pool }) => `${driver}/${pool}`));
}

/** The moment at which users of the claim leave; undefined: they may stay. */
export function claimLeavesMs(
  { status }: ResourceClaim,
  taintsOf: (device: Device) => readonly DeviceTaint[],
): number | undefined {
  let leavesMs: number | undefined;
  for (const one of status?.allocation?.devices?.results ?? []) {
    for (const taint of taintsOf(one)) {
      const seconds = toleratedSeconds(one, taint);
      if (seconds === Number.POSITIVE_INFINITY) continue;
      const sinceMs = taint.timeAdded === undefined ? 0 : Date.parse(taint.timeAdded);
      leavesMs = Math.min(leavesMs ?? Number.POSITIVE_INFINITY, sinceMs + seconds * 1000);
    }
  }
  return leavesMs;
}

/** 0 where nothing tolerates it. */
function toleratedSeconds(
  { tolerations = [] }: DeviceRequestAllocationResult,
  taint: DeviceTaint,
): number {
  const times = tolerations
    .filter((one) => one.effect === 'NoExecute' && toleratesDevice(one, taint))
    .map(({ tolerationSeconds }) => tolerationSeconds);
  if (times.length === 0) return 0;
  if (times.includes(undefined)) return Number.POSITIVE_INFINITY;
  return Math.max(0, Math.min(...times.map((seconds) => seconds ?? 0)));
}

/** The moment at which the pod leaves; undefined: it may stay. */
export function podLeavesMs(
  pod: Pod,
  claimOf: (name: string) => ResourceClaim | undefined,
  taintsOf: (device: Device) => readonly DeviceTaint[],
): number | undefined {
  if (!pod.spec?.nodeName) return undefined;
  const { uid } = pod.metadata;
  const moments = (pod.spec.resourceClaims ?? []).flatMap((named) => {
    const claim = claimOf(claimNameOf(pod, named) ?? '');
    const isReserved = claim?.status?.reservedFor?.some((one) => one.uid === uid);
    if (claim === undefined || isReserved !== true) return [];
    // One that was made for a pod is nobody else's.
    const { ownerReferences = [] } = claim.metadata;
    const isMade = named.resourceClaimName === undefined;
    if (isMade && !ownerReferences.some((owner) => owner.uid === uid)) return [];
    return claimLeavesMs(claim, taintsOf) ?? [];
  });
  return moments.length === 0 ? undefined : Math.min(...moments);
}
