/**
 * Devices as drivers publish them: slices that together are a pool, and what of a pool a node can
 * reach.
 *
 * Of a pool only the newest generation counts. While slices of it are missing nothing is given from
 * it, and a claim for all devices waits. A pool that contradicts itself (two devices of one name, a
 * device that uses a counter which does not exist) gives nothing either. Pools are looked through
 * by name; those whose devices must be made ready first come last.
 *
 * Behaviour: kubernetes.io, "Dynamic Resource Allocation"; KEP-4381, KEP-4815.
 */
import { quantity } from '#api/quantity.ts';
import type { NodeSelector } from '#resources/types/core-v1.ts';
import type { Device, ResourceSlice } from '#resources/types/resource-v1.ts';
import type { NodeInfo } from './node-info.ts';
import { matchesSelector } from './node-selector.ts';

export interface Candidate {
  readonly id: string;
  readonly driver: string;
  readonly pool: string;
  readonly device: Device;
  /** Where the device can be used from. */
  readonly where: Where;
  readonly counters: readonly (readonly [string, bigint])[];
  /** Several claims may have it, each a part of its capacity. */
  readonly shared: boolean;
}

export interface Where {
  readonly nodeName?: string | undefined;
  readonly allNodes?: boolean | undefined;
  readonly nodeSelector?: NodeSelector | undefined;
}

/** What a node can reach of a pool. */
export interface Pool {
  /** `driver/name` */
  readonly id: string;
  readonly state: 'complete' | 'incomplete' | 'invalid';
  readonly candidates: readonly Candidate[];
}

/** `driver/pool/set/counter` → amount in nano units. */
export type Counters = Map<string, bigint>;

interface PublishedPool {
  readonly id: string;
  readonly slices: readonly ResourceSlice[];
  readonly complete: boolean;
}

export function deviceId(driver: string, pool: string, device: string): string {
  return `${driver}/${pool}/${device}`;
}

/** All pools, worked out once and asked for each node. */
export class DevicePools {
  readonly #pools: readonly PublishedPool[];
  readonly #candidates = new Map<ResourceSlice, readonly Candidate[]>();

  constructor(slices: Iterable<ResourceSlice>) {
    const byPool = Map.groupBy(slices, poolId);
    this.#pools = [...byPool]
      .map(([id, all]) => publishedPool(id, all))
      .sort((left, right) => compare(left.id, right.id));
  }

  /** What all counters of a kind amount to. */
  counters(): Counters {
    const counters: Counters = new Map();
    for (const { spec } of this.#slices()) {
      for (const { name, counters: set } of spec.sharedCounters ?? []) {
        for (const [counter, { value }] of Object.entries(set)) {
          counters.set(`${poolName(spec)}/${name}/${counter}`, quantity(value).nano);
        }
      }
    }
    return counters;
  }

  *candidates(): Iterable<Candidate> {
    for (const slice of this.#slices()) yield* this.#of(slice);
  }

  reachableFrom(node: NodeInfo): readonly Pool[] {
    const pools: Pool[] = [];
    const later: Pool[] = [];
    for (const published of this.#pools) {
      const relevant = published.slices.filter((slice) => isRelevant(slice, node));
      if (relevant.length === 0) continue;
      const pool = this.#pool(published, relevant, node);
      const waits =
        pool.state === 'complete' &&
        relevant.some(({ spec }) =>
          spec.devices?.some(({ bindingConditions }) => bindingConditions !== undefined),
        );
      (waits ? later : pools).push(pool);
    }
    return [...pools, ...later];
  }

  #pool(
    { id, slices, complete }: PublishedPool,
    relevant: readonly ResourceSlice[],
    node: NodeInfo,
  ) {
    const state = complete ? 'complete' : 'incomplete';
    if (!complete) return { id, state, candidates: [] } as const;
    const all = relevant.flatMap((slice) => this.#of(slice));
    const known = new Set(slices.flatMap(({ spec }) => counterNames(spec)));
    const names = new Set(all.map((one) => one.id));
    const every = slices.flatMap((slice) => this.#of(slice));
    const contradicts =
      names.size < all.length ||
      every.some(({ counters }) => counters.some(([counter]) => !known.has(counter)));
    if (contradicts) return { id, state: 'invalid', candidates: [] } as const;
    const candidates = all.filter(({ where }) => isFor(where, node));
    return { id, state, candidates } as const;
  }

  *#slices(): Iterable<ResourceSlice> {
    for (const { slices } of this.#pools) yield* slices;
  }

  #of(slice: ResourceSlice): readonly Candidate[] {
    let candidates = this.#candidates.get(slice);
    if (candidates === undefined) {
      candidates = candidatesOf(slice);
      this.#candidates.set(slice, candidates);
    }
    return candidates;
  }
}

function poolId(slice: ResourceSlice): string {
  return poolName(slice.spec);
}

function poolName({ driver, pool }: ResourceSlice['spec']): string {
  return `${driver}/${pool.name}`;
}

function publishedPool(id: string, all: readonly ResourceSlice[]): PublishedPool {
  const newest = Math.max(...all.map(({ spec }) => spec.pool.generation));
  const slices = all
    .filter(({ spec }) => spec.pool.generation === newest)
    .sort((left, right) => compare(left.metadata.name ?? '', right.metadata.name ?? ''));
  const complete = slices.length === slices[0]?.spec.pool.resourceSliceCount;
  return { id, slices, complete };
}

function candidatesOf({ spec }: ResourceSlice): readonly Candidate[] {
  const { driver, pool, devices = [] } = spec;
  return devices.map((device) => ({
    id: deviceId(driver, pool.name, device.name),
    driver,
    pool: pool.name,
    device,
    where: spec.perDeviceNodeSelection === true ? device : spec,
    counters: consumption(poolName(spec), device),
    shared: device.allowMultipleAllocations === true,
  }));
}

function consumption(
  pool: string,
  { consumesCounters = [] }: Device,
): readonly (readonly [string, bigint])[] {
  return consumesCounters.flatMap(({ counterSet, counters }) =>
    Object.entries(counters).map(
      ([name, { value }]) => [`${pool}/${counterSet}/${name}`, quantity(value).nano] as const,
    ),
  );
}

function counterNames(spec: ResourceSlice['spec']): readonly string[] {
  return (spec.sharedCounters ?? []).flatMap(({ name, counters }) =>
    Object.keys(counters).map((counter) => `${poolName(spec)}/${name}/${counter}`),
  );
}

function isRelevant({ spec }: ResourceSlice, node: NodeInfo): boolean {
  if ((spec.sharedCounters ?? []).length > 0) return true;
  if (spec.perDeviceNodeSelection !== true) return isFor(spec, node);
  return (spec.devices ?? []).some((device) => isFor(device, node));
}

function isFor({ nodeName, allNodes, nodeSelector }: Where, node: NodeInfo): boolean {
  if (nodeName) return nodeName === node.name;
  if (allNodes === true) return true;
  return nodeSelector !== undefined && matchesSelector(nodeSelector, node);
}

function compare(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
