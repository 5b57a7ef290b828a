/**
 * The allocator of devices, loaded when a pod wants some: the evaluator of expressions comes with
 * it, and most clusters have no devices at all.
 *
 * For the rule of devices, and for scores that count resources which stand for devices.
 */
import { createRequire } from 'node:module';
import type { Cluster } from './cluster.ts';
import type { AllocatorOptions, DeviceAllocator } from './device-allocator.ts';

/** Synchronous, since decisions are; what is loaded is our own file, of just this form. */
const require = createRequire(import.meta.url) as (file: string) => {
  readonly DeviceAllocator: new (cluster: Cluster, options: AllocatorOptions) => DeviceAllocator;
};

export function openAllocator(cluster: Cluster, options: AllocatorOptions): DeviceAllocator {
  const { DeviceAllocator: Allocator } = require('./device-allocator.ts');
  return new Allocator(cluster, options);
}
