/**
 * What a ResourceClaim counts for in a quota: itself, and the devices of each class that it may
 * come to hold. Where a request names alternatives, the one that needs most of a class counts;
 * where it asks for all devices, the most that a claim can get.
 */
import type { ResourceClaim } from '../types/resource-v1.ts';
import type { Amounts } from './amounts.ts';

const ofClass = '.deviceclass.resource.k8s.io/devices';
/** Devices that one claim can get at most. */
const devicesMax = 32;

export function resourcesOfDeviceClaim(name: string): boolean {
  return name.endsWith(ofClass);
}

interface Asked {
  readonly allocationMode?: string | undefined;
  readonly count?: number | undefined;
}

export function usageOfDeviceClaim({ spec }: ResourceClaim): Amounts {
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
  const byClass = [...devices].map(([name, count]) => [`${name}${ofClass}`, String(count)]);
  return { 'count/resourceclaims.resource.k8s.io': '1', ...Object.fromEntries(byClass) };
}

function countOf({ allocationMode = 'ExactCount', count = 1 }: Asked): number {
  if (allocationMode === 'All') return devicesMax;
  return allocationMode === 'ExactCount' ? count : 0;
}
