/**
 * What a ResourceClaim counts for in a quota: itself, and the devices of each class that it may
 * come to hold. Where a request names alternatives, the one that needs most of a class counts;
 * where it asks for all devices, the most that a claim can get.
 *
 * Devices count under the extended resources that stand for their class, too. What the scheduler
 * made a claim for the pod has been charged for already: only more than that counts.
 */
import { compareQuantities, subtractQuantities } from '#api/quantity.ts';
import {
  deviceClassFor,
  extendedClaimAnnotation,
  implicitPrefix,
  mayBeBacked,
} from '../resource/extended-device-class.ts';
import type { Pod } from '../types/core-v1.ts';
import type { DeviceClass, ResourceClaim } from '../types/resource-v1.ts';
import type { Amounts } from './amounts.ts';
import { usageOfPod } from './pod-usage.ts';

/** What has to be known beside a claim of devices. */
export interface DeviceFacts {
  readonly classes: readonly DeviceClass[];
  /** The pod of this name in the claim's namespace. */
  podOf(claim: ResourceClaim, name: string): Pod | undefined;
  /** All claims of the claim's namespace. */
  siblingsOf(claim: ResourceClaim): Iterable<ResourceClaim>;
}

const ofClass = '.deviceclass.resource.k8s.io/devices';
/** Devices that one claim can get at most. */
const devicesMax = 32;

const requests = 'requests.';

export function resourcesOfDeviceClaim(name: string, facts: DeviceFacts | undefined): boolean {
  if (name.endsWith(ofClass)) return true;
  if (facts === undefined || !name.startsWith(requests)) return false;
  const resource = name.slice(requests.length);
  return mayBeBacked(resource) && deviceClassFor(resource, facts.classes) !== undefined;
}

interface Asked {
  readonly allocationMode?: string | undefined;
  readonly count?: number | undefined;
}

export function usageOfDeviceClaim(
  claim: ResourceClaim,
  facts: DeviceFacts | undefined,
  nowMs: number,
): Amounts {
  const byClass = devicesByClass(claim);
  const named = [...byClass].map(([name, count]) => [`${name}${ofClass}`, String(count)]);
  const usage = { 'count/resourceclaims.resource.k8s.io': '1', ...Object.fromEntries(named) };
  if (facts === undefined) return usage;
  const charged = chargedToPod(claim, facts, nowMs);
  const extended: Record<string, string> = {};
  const count = (resource: string, amount: number): void => {
    const name = `${requests}${resource}`;
    const rest = subtractQuantities(String(amount), charged[name] ?? '0');
    if (compareQuantities(rest, '0') > 0) extended[name] = rest;
  };
  for (const [className, amount] of byClass) {
    count(`${implicitPrefix}${className}`, amount);
    const { spec } = facts.classes.find(({ metadata }) => metadata.name === className) ?? {};
    if (spec?.extendedResourceName) count(spec.extendedResourceName, amount);
  }
  return { ...usage, ...extended };
}

function devicesByClass({ spec }: ResourceClaim): ReadonlyMap<string, number> {
  const devices = new Map<string, number>();
  for (const { exactly, firstAvailable = [] } of spec.devices?.requests ?? []) {
    const most = new Map<string, number>();
    const alternatives = exactly === undefined ? firstAvailable : [exactly];
    for (const one of alternatives) {
      const { deviceClassName } = one;
      most.set(deviceClassName, Math.max(most.get(deviceClassName) ?? 0, countOf(one)));
    }
    for (const [name, count] of most) devices.set(name, (devices.get(name) ?? 0) + count);
  }
  return devices;
}

/** What the pod that a claim was made for counts for; nothing where it is not really its claim. */
function chargedToPod(claim: ResourceClaim, facts: DeviceFacts, nowMs: number): Amounts {
  const { annotations, ownerReferences = [], name = '' } = claim.metadata;
  if (annotations?.[extendedClaimAnnotation] !== 'true') return {};
  const owner = ownerReferences.find(({ controller }) => controller);
  if (owner?.kind !== 'Pod' || owner.apiVersion !== 'v1') return {};
  const pod = facts.podOf(claim, owner.name);
  if (pod === undefined || pod.metadata.uid !== owner.uid) return {};
  const said = pod.status?.extendedResourceClaimStatus;
  if (said !== undefined) return said.resourceClaimName === name ? usageOfPod(pod, nowMs) : {};
  // Until the pod says which, the first one made is its own.
  const made = ({ metadata }: ResourceClaim): string =>
    `${metadata.creationTimestamp ?? '9'} ${metadata.name}`;
  for (const other of facts.siblingsOf(claim)) {
    const { metadata } = other;
    const same = metadata.ownerReferences?.some((one) => one.controller && one.uid === owner.uid);
    if (!same || metadata.annotations?.[extendedClaimAnnotation] !== 'true') continue;
    if (metadata.uid !== claim.metadata.uid && made(other) < made(claim)) return {};
  }
  return usageOfPod(pod, nowMs);
}

function countOf({ allocationMode = 'ExactCount', count = 1 }: Asked): number {
  if (allocationMode === 'All') return devicesMax;
  return allocationMode === 'ExactCount' ? count : 0;
}
