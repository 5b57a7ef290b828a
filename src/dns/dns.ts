/**
 * Cluster DNS: answers for Services, their endpoints and pods out of the API, and passes every
 * other name to the node's own name servers.
 *
 *     pod ──► 10.43.0.10:53 ──proxy──► server.ts ──► resolver.ts ──► records.ts (our names)
 *                                                                └─► forward.ts (all others)
 *
 * It reads nothing but the informers and its options, so the same role runs in the node's process
 * today and in a pod tomorrow. Records are not kept: each question is looked up in the informers'
 * copies, through indexes by address where the question is one.
 */
import { existsSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { Informer, Informers } from '#client';
import type { Clock } from '#kit/clock.ts';
import { contains } from '#kit/ip.ts';
import { networkHas } from '#kit/ip-network.ts';
import type { Logger } from '#kit/log.ts';
import { type Random, systemRandom } from '#kit/random.ts';
import { endpointSlices, namespaces, nodes, services } from '#resources/kinds.ts';
import type { Namespace, Node, Service } from '#resources/types/core-v1.ts';
import type { EndpointSlice } from '#resources/types/discovery-v1.ts';
import { Forwarder, parseUpstreams, type Upstream } from './forward.ts';
import type { RecordSource, Zone } from './records.ts';
import { resolve } from './resolver.ts';
import { DnsServer } from './server.ts';

export const limits = {
  upstreamTimeoutMs: 2_000,
  forwardedMax: 1_000,
  connectionsMax: 200,
  connectionIdleMs: 10_000,
  pendingMax: 2_000,
  /** How often the list of this machine's own addresses is read again at most. */
  ownAddressesMs: 1_000,
} as const;

export interface DnsDeps {
  /** Run by whoever made them. */
  readonly informers: Informers;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random?: Random | undefined;
}

export interface DnsOptions {
  /** The node's address, not 0.0.0.0: answers must come from where questions went. */
  readonly address: string;
  /** 0 chooses a free one. */
  readonly port: number;
  readonly clusterDomain: string;
  /** Pods are served; so are this machine itself and the other nodes, in whose name pods ask. */
  readonly clusterCIDR: string;
  /** Of IPv6, in a cluster of both families. */
  readonly secondClusterCIDR?: string | undefined;
  /** Name servers for all other names; those of this machine when absent. */
  readonly upstreams?: readonly Upstream[] | undefined;
  readonly signal: AbortSignal;
  /** Called when questions are answered, with the port. */
  readonly onReady?: ((bound: { readonly port: number }) => void) | undefined;
}

export type { Upstream };

/** Answers from the moment the API has been read until the signal aborts. */
export async function runDNS(deps: DnsDeps, options: DnsOptions): Promise<void> {
  const { clock, log } = deps;
  const { address, clusterCIDR, secondClusterCIDR: second, signal } = options;
  const source = new InformerSource(deps.informers);
  const zone: Zone = {
    domain: options.clusterDomain.toLowerCase(),
    isPodAddress: (candidate) =>
      contains(clusterCIDR, candidate) || (second !== undefined && networkHas(second, candidate)),
  };
  const upstreams = (options.upstreams ?? machineUpstreams()).filter(
    (upstream) => upstream.port !== options.port || upstream.address !== address,
  );
  const forwarder = new Forwarder(
    { clock, random: deps.random ?? systemRandom() },
    { upstreams, timeoutMs: limits.upstreamTimeoutMs, concurrentMax: limits.forwardedMax },
  );
  // Before that, names that exist would be denied.
  if (!(await source.synced(signal))) return;
  const own = new OwnAddresses({ clock });
  await using server = new DnsServer(
    {
      clock,
      log,
      isAllowed: (from) =>
        from === address || contains(clusterCIDR, from) || own.has(from) || source.isNode(from),
      resolve: (query, via) => resolve({ source, zone, forwarder }, query, { via, signal }),
    },
    {
      address,
      port: options.port,
      connectionsMax: limits.connectionsMax,
      idleMs: limits.connectionIdleMs,
      pendingMax: limits.pendingMax,
    },
  );
  const port = await server.listen();
  log.info('dns ready', { address, port, upstreams: upstreams.map((each) => each.address) });
  options.onReady?.({ port });
  await new Promise<void>((done) => {
    if (signal.aborted) done();
    else signal.addEventListener('abort', () => done(), { once: true });
  });
}

const resolvConf = '/etc/resolv.conf';

function machineUpstreams(): readonly Upstream[] {
  return existsSync(resolvConf) ? parseUpstreams(readFileSync(resolvConf, 'utf8')) : [];
}

const serviceIndex = 'dns-service';
const addressIndex = 'dns-address';

/** The informers' copies as `records.ts` wants to ask them. */
class InformerSource implements RecordSource {
  readonly #services: Informer<Service>;
  readonly #slices: Informer<EndpointSlice>;
  readonly #namespaces: Informer<Namespace>;
  readonly #nodes: Informer<Node>;

  constructor(informers: Informers) {
    this.#services = informers.of(services);
    this.#slices = informers.of(endpointSlices);
    this.#namespaces = informers.of(namespaces);
    this.#nodes = informers.of(nodes);
    this.#nodes.addIndex(addressIndex, ({ status }) =>
      (status?.addresses ?? []).map(({ address }) => address),
    );
    this.#services.addIndex(addressIndex, ({ spec }) => [
      ...new Set([spec?.clusterIP ?? '', ...(spec?.clusterIPs ?? [])]),
    ]);
    this.#slices.addIndex(serviceIndex, ({ metadata }) => {
      const name = metadata.labels?.['kubernetes.io/service-name'];
      return name === undefined ? [] : [`${metadata.namespace ?? ''}/${name}`];
    });
    this.#slices.addIndex(addressIndex, ({ endpoints }) => [
      ...new Set((endpoints ?? []).flatMap(({ addresses }) => addresses.slice(0, 1))),
    ]);
  }

  /** False when the signal aborts first. */
  async synced(signal: AbortSignal): Promise<boolean> {
    try {
      await this.#services.synced({ signal });
      await this.#slices.synced({ signal });
      await this.#namespaces.synced({ signal });
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      throw error;
    }
  }

  isNode(address: string): boolean {
    return !this.#nodes.byIndex(addressIndex, address)[Symbol.iterator]().next().done;
  }

  service(namespace: string, name: string): Service | undefined {
    return this.#services.get(`${namespace}/${name}`);
  }

  slices(namespace: string, name: string): Iterable<EndpointSlice> {
    return this.#slices.byIndex(serviceIndex, `${namespace}/${name}`);
  }

  hasNamespace(name: string): boolean {
    return this.#namespaces.get(name) !== undefined;
  }

  serviceByAddress(address: string): Service | undefined {
    for (const service of this.#services.byIndex(addressIndex, address)) return service;
    return undefined;
  }

  slicesByAddress(address: string): Iterable<EndpointSlice> {
    return this.#slices.byIndex(addressIndex, address);
  }
}

/** This machine's addresses; read again when somebody unknown asks. */
class OwnAddresses {
  readonly #clock: Clock;
  #addresses: ReadonlySet<string> = new Set();
  #readMs = Number.NEGATIVE_INFINITY;

  constructor(deps: { readonly clock: Clock }) {
    this.#clock = deps.clock;
  }

  has(address: string): boolean {
    if (address.startsWith('127.') || this.#addresses.has(address)) return true;
    const nowMs = this.#clock.monotonic();
    if (nowMs - this.#readMs > limits.ownAddressesMs) {
      const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
      this.#addresses = new Set(all.map((each) => each.address));
      this.#readMs = nowMs;
    }
    return this.#addresses.has(address);
  }
}
