/**
 * What the containers of a pod come to: those that run together, and sidecars beside them; or,
 * where that is more, the init container that needs most, with the sidecars started before it.
 *
 * Example: 200m of containers, a sidecar of 50m, then an init container of 300m: 350m.
 * For quotas and for LimitRanges.
 */
import type { Container, PodSpec } from '../types/core-v1.ts';
import { type Amounts, addAmounts, maxAmounts } from './amounts.ts';

export function podTotal(
  spec: PodSpec,
  of: {
    readonly running: (container: Container) => Amounts;
    /** Of one that ends before the others start. */
    readonly starting: (container: Container) => Amounts;
  },
): Amounts {
  let total: Amounts = {};
  for (const container of spec.containers) total = addAmounts(total, of.running(container));
  let besides: Amounts = {};
  let peak: Amounts = {};
  for (const container of spec.initContainers ?? []) {
    if (container.restartPolicy === 'Always') {
      besides = addAmounts(besides, of.running(container));
      peak = maxAmounts(peak, besides);
    } else {
      peak = maxAmounts(peak, addAmounts(of.starting(container), besides));
    }
  }
  return maxAmounts(addAmounts(total, besides), peak);
}
