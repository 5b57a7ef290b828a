/**
 * How much of an extended resource a node has as devices, and how much of that is taken, for scores
 * that count it: nodes whose own plugin counts the resource are not asked.
 *
 * Devices count that the class accepts, whether a claim could have them or not. Behaviour:
 * KEP-5004, scoring.
 */
import { AllocationError } from '../allocation-error.ts';
import type { Cluster } from '../cluster.ts';
import type { DeviceAllocator } from '../device-allocator.ts';
import { backingClass } from '../extended-claims.ts';
import type { NodeInfo } from '../node-info.ts';
import { openAllocator } from '../open-allocator.ts';

export interface DeviceAmount {
  readonly total: number;
  readonly used: number;
}

export type DeviceAmounts = (node: NodeInfo, name: string) => DeviceAmount | undefined;

/** Undefined where none of the resources stands for devices. */
export function deviceAmounts(
  names: readonly string[],
  cluster: Cluster,
): DeviceAmounts | undefined {
  const classes = new Map<string, string>();
  for (const name of names) {
    const found = backingClass(name, cluster.facts.deviceClasses);
    if (found !== undefined) classes.set(name, found.metadata.name ?? '');
  }
  if (classes.size === 0) return undefined;
  let allocator: DeviceAllocator | undefined;
  return (node, name) => {
    const className = classes.get(name);
    if (className === undefined || node.allocatable.others?.get(name)) return undefined;
    allocator ??= openAllocator(cluster, { filterTimeoutMs: 0 });
    try {
      const counted = allocator.count(className, node);
      return counted.total > 0 ? counted : undefined;
    } catch (error) {
      // A class whose selectors cannot be judged has no devices, as far as scores go.
      if (error instanceof AllocationError) return undefined;
      throw error;
    }
  };
}
