/**
 * Prefers nodes where the pod brings the shares of cpu and memory nearer together, so that neither
 * runs out while the other lies idle.
 *
 * The balance of a node is 100 less the spread of the used shares (their standard deviation, in
 * hundredths). The score is 75 where the pod does not change it, up to 100 where it mends it, down
 * to 50 where it makes it worse.
 * Example: cpu 60 % and memory 20 % used: spread (0.6 − 0.2) / 2 = 0.2, balance 80; with the pod
 * 60 % and 40 %: balance 90; score 50 + (50 + 90 − 80) / 2 = 80.
 * A pod that asks for none of the resources changes no share and is passed over. Extended resources
 * count only for pods that ask for them.
 */
import type { NodeInfo } from '../node-info.ts';
import type { Plugin } from '../plugin.ts';
import { type DeviceAmounts, deviceAmounts } from './device-amounts.ts';
import { amount, cpuAndMemory, isExtended, type ResourceWeight } from './resource-scores.ts';

export interface BalancedAllocationArgs {
  readonly resources: readonly ResourceWeight[];
}

export function balancedAllocation(
  args: BalancedAllocationArgs = { resources: cpuAndMemory },
): Plugin {
  const names = args.resources.map(({ name }) => name);
  return {
    name: 'NodeResourcesBalancedAllocation',
    score: ({ requests }, cluster) => {
      const parts = names.map((name) => ({ name, wanted: amount(requests, name) }));
      if (parts.every(({ wanted }) => wanted === 0)) return undefined;
      const devices = deviceAmounts(names, cluster);
      return {
        score: (node) => {
          const after = balance(node, { parts, devices }, 1);
          const before = balance(node, { parts, devices }, 0);
          return 50 + Math.trunc((50 + after - before) / 2);
        },
      };
    },
    helps: () => false,
  };
}

interface Part {
  readonly name: string;
  readonly wanted: number;
}

interface Balanced {
  readonly parts: readonly Part[];
  readonly devices: DeviceAmounts | undefined;
}

function balance(node: NodeInfo, { parts, devices }: Balanced, times: 0 | 1): number {
  const { allocatable, requested } = node;
  let count = 0;
  let sum = 0;
  let squares = 0;
  let difference = 0;
  for (const { name, wanted } of parts) {
    if (wanted === 0 && isExtended(name)) continue;
    const given = devices?.(node, name);
    const total = given?.total ?? amount(allocatable, name);
    if (total === 0) continue;
    const used = given?.used ?? amount(requested, name);
    const share = Math.min(1, (used + times * wanted) / total);
    count += 1;
    difference = Math.abs(share - sum);
    sum += share;
    squares += share * share;
  }
  if (count < 2) return 100;
  // Exactly, as for two the spread is half their difference.
  if (count === 2) return Math.trunc((1 - difference / 2) * 100);
  const mean = sum / count;
  // Rounding may leave a tiny negative number under the root.
  const spread = Math.sqrt(Math.max(0, squares / count - mean * mean));
  return Math.trunc((1 - spread) * 100);
}
