/**
 * Gives each node a block of the cluster's pod addresses (`spec.podCIDR`), a /24 if not told
 * otherwise, and a /64 of IPv6 in a cluster of both families (`spec.podCIDRs`). The first free one
 * in order; a node keeps what it has. What was given and is not in the cache yet counts as taken.
 */

import { addressAt, type Network, parseNetwork, widths } from '#kit/ip-network.ts';
import { WorkQueue } from '#kit/work-queue.ts';
import { nodes as nodeKind } from '#resources/kinds.ts';
import type { Node } from '#resources/types/core-v1.ts';
import { ignoreNotFound } from '../api-failure.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import type { Figures } from '../figures.ts';
import { type NodePatches, nodeWorkers } from '../node-patches.ts';

/** Bits of the network part of a block, where nobody says. */
const maskSizes = { IPv4: 24, IPv6: 64 } as const;

interface BlockOptions {
  /** Bits of the network part of a block. */
  readonly maskSize?: number | undefined;
  readonly serviceCIDR?: string | undefined;
}

/** Which node has which block. Giving one costs the same however many there are. */
export class NodeBlocks {
  readonly #maskSize: number;
  readonly #blockSize: bigint;
  readonly #range: Network | undefined;
  readonly #count: number;
  readonly #byNode = new Map<string, string>();
  readonly #holders = new Map<string, number>();
  /** Below it all blocks are taken. */
  #firstFree = 0;

  constructor(clusterCIDR: string, { maskSize, serviceCIDR }: BlockOptions = {}) {
    const range = parseNetwork(clusterCIDR);
    const family = range?.family ?? 'IPv4';
    this.#maskSize = maskSize ?? maskSizes[family];
    this.#blockSize = 1n << BigInt(widths[family] - this.#maskSize);
    this.#range = range;
    this.#count = range === undefined ? 0 : Number(range.size / this.#blockSize);
    const services = serviceCIDR === undefined ? undefined : parseNetwork(serviceCIDR);
    if (services?.family === family) this.#occupy(services);
  }

  /** Addresses that stand for Services are no node's. */
  #occupy({ base, size }: Network): void {
    const first = Math.max(0, this.#indexOf(base));
    const end = Math.min(this.#count, this.#indexOf(base + size - 1n) + 1);
    for (let index = first; index < end; index++) this.#holders.set(this.#blockAt(index), 1);
  }

  #blockAt(index: number): string {
    if (this.#range === undefined) return '';
    return `${addressAt(this.#range, BigInt(index) * this.#blockSize)}/${this.#maskSize}`;
  }

  /** Negative for what lies before the range. */
  #indexOf(address: bigint): number {
    const distance = address - (this.#range?.base ?? 0n);
    return distance < 0n ? -1 : Number(distance / this.#blockSize);
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
    const index = this.#indexOf(parseNetwork(block)?.base ?? 0n);
    if (left === 0 && index >= 0) this.#firstFree = Math.min(this.#firstFree, index);
    return true;
  }
}

/** The blocks of one family. */
interface FamilyBlocks {
  readonly range: string;
  readonly blocks: NodeBlocks;
}

export interface NodeIpamOptions {
  /** One range, or one of each family with a comma between: `10.42.0.0/16,fd42::/48`. */
  readonly clusterCIDR: string;
  /** Of IPv4. */
  readonly maskSize?: number | undefined;
  readonly maskSize6?: number | undefined;
  /** One range or two. */
  readonly serviceCIDR?: string | undefined;
}

function openBlocks(options: NodeIpamOptions): readonly FamilyBlocks[] {
  const services = options.serviceCIDR?.split(',') ?? [];
  return options.clusterCIDR.split(',').map((range) => {
    const isSecond = range.includes(':');
    const maskSize = isSecond ? options.maskSize6 : options.maskSize;
    const serviceCIDR = services.find((each) => each.includes(':') === isSecond);
    return { range, blocks: new NodeBlocks(range, { maskSize, serviceCIDR }) };
  });
}

export function openNodeIpamController(
  deps: ControllerDeps & { readonly nodePatches: NodePatches },
  options: NodeIpamOptions,
): Controller {
  const queue = new WorkQueue(deps);
  const recorder = deps.recorderFor('cidrAllocator');
  const nodes = deps.informers.of(nodeKind);
  const all = openBlocks(options);
  const { figures } = deps;
  figures.gauge('node_ipam_controller_cidrset_usage_cidrs', () =>
    all.map(({ range, blocks }) => [[range], blocks.counts.given / blocks.counts.total]),
  );
  figures.gauge('node_ipam_controller_cirdset_max_cidrs', () =>
    all.map(({ range, blocks }) => [[range], blocks.counts.total]),
  );
  const see = ({ metadata, spec }: Node): void => {
    const { name = '' } = metadata;
    if (spec?.podCIDR === undefined) {
      queue.add(name);
      return;
    }
    for (const podCIDR of spec.podCIDRs ?? [spec.podCIDR]) {
      const isSecond = podCIDR.includes(':');
      all.find(({ range }) => range.includes(':') === isSecond)?.blocks.hold(name, podCIDR);
    }
  };
  nodes.addHandler({
    onAdd: see,
    onUpdate: see,
    onDelete: ({ metadata }) => {
      for (const { range, blocks } of all) {
        if (!blocks.release(metadata.name ?? '')) continue;
        figures.count('node_ipam_controller_cidrset_cidrs_releases_total', [range]);
      }
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
      const podCIDRs: string[] = [];
      for (const { range, blocks } of all) {
        const { given } = blocks.counts;
        const podCIDR = blocks.give(name);
        if (podCIDR === undefined) {
          const message = `Node ${name} status is now: CIDRNotAvailable`;
          recorder.record(node, { type: 'Normal', reason: 'CIDRNotAvailable', message });
          throw new Error(`no block of ${range} is left for node ${name}`);
        }
        if (blocks.counts.given > given) noteBlock(figures, [range]);
        podCIDRs.push(podCIDR);
      }
      const patch = { spec: { podCIDR: podCIDRs[0] ?? '', podCIDRs } };
      await deps.nodePatches.patch(name, patch, { signal }).catch(ignoreNotFound);
    },
  };
}

/** The first that is free is known: nothing is tried in vain. */
function noteBlock(figures: Figures, range: readonly string[]): void {
  figures.count('node_ipam_controller_cidrset_cidrs_allocations_total', range);
  figures.observe('node_ipam_controller_cidrset_allocation_tries_per_request', range, 0);
}
