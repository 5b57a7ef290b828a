/**
 * The service proxy: makes the stable address of a Service lead to its endpoints, on this node.
 *
 * It moves no packet itself. It watches Services and EndpointSlices, plans what each of them
 * means (`service-plan.ts`, pure), collects that in a `Ruleset` and hands the difference to the
 * kernel's packet filter as one transaction (`nft.ts`). Changes that come while a transaction
 * runs go into the next. When we stop or die, the rules stay and services go on working; the next
 * start replaces them in one step, after it has seen everything, so nothing is interrupted.
 *
 * In a cluster of both families two of these run, one for each, with a table of its own.
 *
 * README.md in this folder explains the way of a packet. Next in the walk: `dns/records.ts`.
 */
import type { Informer, Informers } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Family } from '#kit/ip-network.ts';
import type { Logger } from '#kit/log.ts';
import { endpointSlices, services } from '#resources/kinds.ts';
import type { Service } from '#resources/types/core-v1.ts';
import type { EndpointSlice } from '#resources/types/discovery-v1.ts';
import {
  type FlowTable,
  kernelFlows,
  planStale,
  planStaleFlows,
  type StaleFlows,
} from './conntrack.ts';
import type { Words } from './item.ts';
import {
  type ApplyNft,
  deleteTable,
  formatChanges,
  formatLoad,
  nftApplier,
  serviceTableName,
} from './nft.ts';
import { Ruleset } from './ruleset.ts';
import { type NodeFacts, planService, type UdpPlace } from './service-plan.ts';

export const limits = {
  /** Services planned between two pauses for the event loop. */
  planBatch: 100,
  retryDelayMs: 500,
  retryDelayMsMax: 30_000,
} as const;

export interface ServiceProxyDeps {
  /** Run by whoever made them. */
  readonly informers: Informers;
  readonly clock: Clock;
  readonly log: Logger;
  /** How transactions reach the kernel; `nft -f` unless a test looks on. */
  readonly nft?: ApplyNft | undefined;
  /** The kernel's table of flows, unless a test has its own. */
  readonly flows?: FlowTable | undefined;
}

export interface ServiceProxyOptions {
  readonly nodeName: string;
  readonly clusterId: string;
  /** Addresses of pods, of the family that is to be served. */
  readonly clusterCIDR: string;
  readonly signal: AbortSignal;
  /** Called once the kernel has the rules of everything that exists. */
  readonly onReady?: (() => void) | undefined;
}

export type { Item, Rule } from './item.ts';

/** Keeps the rules right until the signal aborts; leaves them in place then. */
export async function runServiceProxy(
  deps: ServiceProxyDeps,
  options: ServiceProxyOptions,
): Promise<void> {
  const proxy = new ServiceProxy(deps, options);
  const { signal } = options;
  try {
    await proxy.run(signal);
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error;
  }
}

/** Takes the table of this cluster off the machine. */
export async function removeServiceProxy(options: {
  readonly clusterId: string;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { clusterId, signal } = options;
  for (const ip of ['ip', 'ip6'] as const) {
    await deleteTable(serviceTableName(clusterId), { ip, signal });
  }
}

const sliceIndex = 'proxy-service';

class ServiceProxy {
  readonly #deps: ServiceProxyDeps;
  readonly #options: ServiceProxyOptions;
  readonly #services: Informer<Service>;
  readonly #slices: Informer<EndpointSlice>;
  readonly #apply: ApplyNft;
  readonly #flows: FlowTable;
  readonly #table: string;
  readonly #ip: Words;
  readonly #node: NodeFacts;
  readonly #ruleset = new Ruleset();
  readonly #udpOf = new Map<string, readonly UdpPlace[]>();
  /** `namespace/name` of services to look at again. */
  readonly #pending = new Set<string>();
  #wake: () => void = () => {};
  /** Flows to forget once the kernel has the rules of now. */
  #stale: StaleFlows[] = [];
  #loaded = false;
  #ready = false;

  constructor(deps: ServiceProxyDeps, options: ServiceProxyOptions) {
    const { nodeName, clusterCIDR, clusterId } = options;
    this.#deps = deps;
    this.#options = options;
    const family: Family = clusterCIDR.includes(':') ? 'IPv6' : 'IPv4';
    this.#node = { nodeName, clusterCIDR, family };
    this.#ip = family === 'IPv6' ? 'ip6' : 'ip';
    this.#flows = deps.flows ?? kernelFlows(deps, family);
    this.#apply = deps.nft ?? nftApplier({ clusterId, ip: this.#ip });
    this.#table = serviceTableName(clusterId);
    this.#services = deps.informers.of(services);
    this.#slices = deps.informers.of(endpointSlices);
    this.#slices.addIndex(sliceIndex, (slice) => serviceKeys(slice));
    const service = (object: Service): void => this.#look([keyOf(object)]);
    const slice = (object: EndpointSlice): void => this.#look(serviceKeys(object));
    this.#services.addHandler({ onAdd: service, onUpdate: service, onDelete: service });
    this.#slices.addHandler({
      onAdd: slice,
      onUpdate: (object, old) => this.#look([...serviceKeys(object), ...serviceKeys(old)]),
      onDelete: slice,
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#services.synced({ signal });
    await this.#slices.synced({ signal });
    let delayMs: number = limits.retryDelayMs;
    for (;;) {
      try {
        await this.#sync(signal);
        delayMs = limits.retryDelayMs;
      } catch (error) {
        signal.throwIfAborted();
        // What the kernel holds now is unknown: the next attempt replaces all of it.
        this.#deps.log.error('service rules not applied', { error });
        this.#loaded = false;
        await this.#deps.clock.sleep(delayMs, { signal });
        delayMs = Math.min(delayMs * 2, limits.retryDelayMsMax);
        continue;
      }
      await this.#changed(signal);
    }
  }

  #look(keys: readonly string[]): void {
    for (const key of keys) this.#pending.add(key);
    this.#wake();
  }

  /** Resolves when there is something to look at. */
  #changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason);
      if (signal.aborted) {
        onAbort();
        return;
      }
      signal.addEventListener('abort', onAbort, { once: true });
      this.#wake = () => {
        this.#wake = () => {};
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      if (this.#pending.size > 0) this.#wake();
    });
  }

  async #sync(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    const startMs = clock.monotonic();
    const keys = [...this.#pending];
    this.#pending.clear();
    for (const [count, key] of keys.entries()) {
      if (count % limits.planBatch === limits.planBatch - 1) await clock.sleep(0, { signal });
      this.#stale.push(...this.#plan(key));
    }
    if (this.#loaded) {
      const changes = this.#ruleset.changes();
      if (changes.put.length + changes.remove.length > 0) {
        await this.#apply(formatChanges(this.#table, changes, this.#ip), { signal });
      }
      this.#ruleset.applied(changes);
    } else {
      const all = [...this.#ruleset.wanted()];
      await this.#apply(formatLoad(this.#table, all, this.#ip), { signal });
      this.#ruleset.appliedAll(all);
      this.#loaded = true;
    }
    const tookMs = Math.round(clock.monotonic() - startMs);
    log.debug('service rules applied', { services: keys.length, tookMs });
    if (!this.#ready) {
      this.#ready = true;
      log.info('service proxy ready', { services: keys.length, tookMs });
      this.#options.onReady?.();
      // What happened to endpoints while nobody watched shows in the flows that are there.
      const flows = await this.#flows.list({ signal });
      this.#stale = [...planStaleFlows(flows, [...this.#udpOf.values()].flat())];
    }
    const stale = this.#stale;
    this.#stale = [];
    await this.#flows.forget(stale, { signal });
  }

  /** Plans one service anew; answers the flows that its change makes stale. */
  #plan(key: string): readonly StaleFlows[] {
    const service = this.#services.get(key);
    const slices = service === undefined ? [] : [...this.#slices.byIndex(sliceIndex, key)];
    const plan =
      service === undefined ? { items: [], udp: [] } : planService(service, slices, this.#node);
    this.#ruleset.replace(key, plan.items);
    const before = this.#udpOf.get(key) ?? [];
    if (plan.udp.length === 0) this.#udpOf.delete(key);
    else this.#udpOf.set(key, plan.udp);
    return planStale(before, plan.udp);
  }
}

function keyOf({ metadata }: Service): string {
  return `${metadata.namespace ?? ''}/${metadata.name ?? ''}`;
}

/** The service that a slice belongs to, by its label. */
function serviceKeys({ metadata }: EndpointSlice): readonly string[] {
  const name = metadata.labels?.['kubernetes.io/service-name'];
  return name === undefined ? [] : [`${metadata.namespace ?? ''}/${name}`];
}
