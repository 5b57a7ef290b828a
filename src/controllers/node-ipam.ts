/**
 * Gives each node a /24 of the cluster's pod addresses (`spec.podCIDR`). The first free one in
 * order; a node keeps what it has. What was given and is not in the cache yet counts as taken.
 */

import { formatIPv4, parseCIDR, rangeSize } from '#kit/ip.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { nodes as nodeKind } from '#resources/kinds.ts';
import { ignoreNotFound } from './api-failure.ts';
import type { Controller, ControllerDeps } from './controller.ts';

const nodeBits = 24;

/** The first block of the cluster's range that is not taken; undefined when all are. */
export function planPodCIDR(clusterCIDR: string, taken: ReadonlySet<string>): string | undefined {
  const range = parseCIDR(clusterCIDR);
  if (range === undefined) return undefined;
  const blockSize = 2 ** (32 - nodeBits);
  for (let offset = 0; offset + blockSize <= rangeSize(range); offset += blockSize) {
    const block = `${formatIPv4(range.base + offset)}/${nodeBits}`;
    if (!taken.has(block)) return block;
  }
  return undefined;
}

export function openNodeIpamController(
  deps: ControllerDeps,
  options: { readonly clusterCIDR: string },
): Controller {
  const queue = new WorkQueue(deps);
  const recorder = deps.recorderFor('cidrAllocator');
  const nodes = deps.informers.of(nodeKind);
  const given = new Map<string, string>();
  nodes.addHandler({
    onAdd: (node) => queue.add(node.metadata.name ?? ''),
    onUpdate: (node) => {
      if (node.spec?.podCIDR === undefined) queue.add(node.metadata.name ?? '');
    },
    onDelete: (node) => {
      given.delete(node.metadata.name ?? '');
    },
  });
  return {
    name: 'node-ipam-controller',
    queue,
    // One: two at a time could give the same block.
    workers: 1,
    sources: [nodes],
    reconcile: async (name, { signal }) => {
      const node = nodes.get(name);
      if (node === undefined || node.spec?.podCIDR !== undefined) {
        given.delete(name);
        return;
      }
      const taken = new Set(given.values());
      for (const { spec } of nodes.list()) if (spec?.podCIDR !== undefined) taken.add(spec.podCIDR);
      const podCIDR = given.get(name) ?? planPodCIDR(options.clusterCIDR, taken);
      if (podCIDR === undefined) {
        const message = `Node ${name} status is now: CIDRNotAvailable`;
        recorder.record(node, { type: 'Normal', reason: 'CIDRNotAvailable', message });
        throw new Error(`no block of ${options.clusterCIDR} is left for node ${name}`);
      }
      given.set(name, podCIDR);
      const patch = { spec: { podCIDR, podCIDRs: [podCIDR] } };
      await deps.client
        .patch(nodeKind, { name }, patch, { type: 'merge', signal })
        .catch(ignoreNotFound);
    },
  };
}
