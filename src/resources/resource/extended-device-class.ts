/**
 * Which class of devices an extended resource stands for, by its name: the class that claims the
 * name, and for `deviceclass.resource.kubernetes.io/NAME` the class of that name. Where two classes
 * claim one name the newer has it, then the one that sorts first.
 *
 * Asked by the scheduler, which gives devices for such names, and by quotas, which count them.
 * Behaviour: kubernetes.io, "Extended resource allocation by DRA"; KEP-5004.
 */
import { timeMs } from '#api/timestamp.ts';
import { isExtendedResource } from '../extended-resource.ts';
import type { DeviceClass } from '../types/resource-v1.ts';

export const implicitPrefix = 'deviceclass.resource.kubernetes.io/';
export const extendedClaimAnnotation = 'resource.kubernetes.io/extended-resource-claim';

/** Whether a resource could stand for devices, by its name. */
export function mayBeBacked(name: string): boolean {
  return isExtendedResource(name) || name.startsWith(implicitPrefix);
}

/** Whether the class stands for the resource, unless a newer one does. */
export function standsFor({ metadata, spec }: DeviceClass, resource: string): boolean {
  return spec.extendedResourceName === resource || `${implicitPrefix}${metadata.name}` === resource;
}

export function deviceClassFor(
  resource: string,
  classes: Iterable<DeviceClass>,
): DeviceClass | undefined {
  let found: DeviceClass | undefined;
  for (const one of classes) {
    if (standsFor(one, resource) && (found === undefined || byAge(one, found) < 0)) found = one;
  }
  return found;
}

function byAge(left: DeviceClass, right: DeviceClass): number {
  const made = ({ metadata }: DeviceClass): number => timeMs(metadata.creationTimestamp) ?? 0;
  const newerFirst = made(right) - made(left);
  if (newerFirst !== 0) return newerFirst;
  return (left.metadata.name ?? '') < (right.metadata.name ?? '') ? -1 : 1;
}
