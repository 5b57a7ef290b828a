/**
 * Gives each node a block of the cluster's pod addresses (`spec.podCIDR`), a /24 if not told
 * otherwise. The first free one in order; a node keeps what it has. What was given and is not in
 * the cache yet counts as taken.
 */

import { formatIPv4, parseCIDR, rangeSize } from '#kit/ip.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { nodes as nodeKind } from '#resources/kinds.ts';
import type { Node } from '#resources/types/core-v1.ts';
import { ignoreNotFound } from './api-failure.ts';
import type { Controller, ControllerDeps } from './controller.ts';
import type { Figures } from './figures.ts';
import { type NodePatches, nodeWorkers } from './node-patches.ts';

interface BlockOptions {
  /** Bits of the network part of a block. */
  readonly maskSize?: number | undefined;
  readonly serviceCIDR?: string | undefined;
}

/** Which node has which block. Giving one costs the same however many there are. */
export class NodeBlocks {
  readonly #maskSize: number;
  readonly #blockSize: number;
  readonly #base: number;
  readonly #count: number;
  readonly #byNode = new Map<string, string>();
  readonly #holders = new Map<string, number>();
  /** Below it all blocks are taken. */
  #firstFree = 0;

  constructor(clusterCIDR: string, { maskSize = 24, serviceCIDR }: BlockOptions = {}) {
    const range = parseCIDR(clusterCIDR);
    this.#maskSize = maskSize;
    this.#blockSize = 2 ** (32 - maskSize);
    this.#base = range?.base ?? 0;
    this.#count = range === undefined ? 0 : Math.floor(rangeSize(range) / this.#blockSize);
    const services = serviceCIDR === undefined ? undefined : parseCIDR(serviceCIDR);
    if (services !== undefined) this.#occupy(services.base, rangeSize(services));
  }

  /** Addresses that stand for Services are no node's. */
  #occupy(base: number, size: number): void {
    const first = Math.max(0, Math.floor((base - this.#base) / this.#blockSize));
    const end = Math.min(this.#count, Math.ceil((base + size - this.#base) / this.#blockSize));
    for (let index = first; index < end; index++) this.#holders.set(this.#blockAt(index), 1);
  }

  #blockAt(index: number): string {
    return `${formatIPv4(this.#base + index * this.#blockSize)}/${this.#maskSize}`;
  }

  get counts(): { readonly total: number; readonly given: number } {
    return { total: this.#count, given: this.#holders.size };
  }

  /** The first free block, or the one that the node was given before; undefined: none is left. */
  give(node: string): string | undefined {
    const known = this.#byNode.get(node);
    if (known !== undefined) return known;
    for (; this.#firstFree < this.#count; this.#firstFree++) {
      const block = this.#blockAt(this.#firstFree);
      if (this.#holders.has(block)) continue;
      this.hold(node, block);
      return block;
    }
    return undefined;
  }

  hold(node: string, block: string): void {
    if (this.#byNode.get(node) === block) return;
    this.release(node);
    this.#byNode.set(node, block);
    this.#holders.set(block, (this.#holders.get(block) ?? 0) + 1);
  }

  /** Whether it had one. */
  release(node: string): boolean {
    const block = this.#byNode.get(node);
    if (block === undefined) return false;
    this.#byNode.delete(node);
    const left = (this.#holders.get(block) ?? 1) - 1;
    if (left > 0) this.#holders.set(block, left);
    else this.#holders.delete(block);
    const base = parseCIDR(block)?.base ?? this.#base;
    const index = (base - this.#base) / this.#blockSize;
    if (left === 0) this.#firstFree = Math.min(this.#firstFree, index);
    return true;
  }
}

export function openNodeIpamController(
  deps: ControllerDeps & { readonly nodePatches: NodePatches },
  options: BlockOptions & { readonly clusterCIDR: string },
): Controller {
  const queue = new WorkQueue(deps);
  const recorder = deps.recorderFor('cidrAllocator');
  const nodes = deps.informers.of(nodeKind);
  const blocks = new NodeBlocks(options.clusterCIDR, options);
  const { figures } = deps;
  const range = [options.clusterCIDR];
  const used = (): number => blocks.counts.given / blocks.counts.total;
  figures.gauge('node_ipam_controller_cidrset_usage_cidrs', () => [[range, used()]]);
  figures.gauge('node_ipam_controller_cirdset_max_cidrs', () => [[range, blocks.counts.total]]);
  const see = ({ metadata, spec }: Node): void => {
    const { name = '' } = metadata;
    if (spec?.podCIDR === undefined) queue.add(name);
    else blocks.hold(name, spec.podCIDR);
  };
  nodes.addHandler({
    onAdd: see,
    onUpdate: see,
    onDelete: ({ metadata }) => {
      if (!blocks.release(metadata.name ?? '')) return;
      figures.count('node_ipam_controller_cidrset_cidrs_releases_total', range);
    },
  });
  return {
    name: 'node-ipam-controller',
    queue,
    workers: nodeWorkers,
    sources: [nodes],
    reconcile: async (name, { signal }) => {
      const node = nodes.get(name);
      if (node === undefined || node.spec?.podCIDR !== undefined) return;
      const { given } = blocks.counts;
      const podCIDR = blocks.give(name);
      if (podCIDR === undefined) {
        const message = `Node ${name} status is now: CIDRNotAvailable`;
        recorder.record(node, { type: 'Normal', reason: 'CIDRNotAvailable', message });
        throw new Error(`no block of ${options.clusterCIDR} is left for node ${name}`);
      }
      if (blocks.counts.given > given) noteBlock(figures, range);
      const patch = { spec: { podCIDR, podCIDRs: [podCIDR] } };
      await deps.nodePatches.patch(name, patch, { signal }).catch(ignoreNotFound);
    },
  };
}

/** The first that is free is known: nothing is tried in vain. */
function noteBlock(figures: Figures, range: readonly string[]): void {
  figures.count('node_ipam_controller_cidrset_cidrs_allocations_total', range);
  figures.observe('node_ipam_controller_cidrset_allocation_tries_per_request', range, 0);
}
