/**
 * Prefers nodes where cpu and memory would be used in like shares, so that neither runs out while
 * the other lies idle. The score is 100 less the spread of the two shares.
 *
 * Example: cpu 60 % and memory 20 % used afterwards: deviation (0.6 − 0.2) / 2 = 0.2, score 80.
 * A pod that asks for neither changes no share and is passed over.
 */
import type { NodeInfo } from '../node-info.ts';
import type { Plugin } from '../plugin.ts';
import type { PodFacts } from '../pod-facts.ts';

export const balancedAllocation: Plugin = {
  name: 'NodeResourcesBalancedAllocation',
  score: {
    weight: 1,
    applies: ({ requests }) => requests.milliCPU > 0 || requests.memory > 0,
    of: balance,
  },
  helps: () => false,
};

function balance({ requests }: PodFacts, { allocatable, requested }: NodeInfo): number {
  // With fewer than two resources to compare there is no spread.
  if (allocatable.milliCPU === 0 || allocatable.memory === 0) return 100;
  const cpu = Math.min(1, (requested.milliCPU + requests.milliCPU) / allocatable.milliCPU);
  const memory = Math.min(1, (requested.memory + requests.memory) / allocatable.memory);
  return Math.floor((1 - Math.abs(cpu - memory) / 2) * 100);
}
