/**
 * One Service and its endpoints → what the node's packet filter must know about it. Pure.
 *
 * A port of a Service is reachable at several places: its cluster address, external addresses and
 * load-balancer addresses, and the node port on every address of the node. For each place one map
 * says which chain handles it, and one map holds its endpoints by number. The chains depend only on
 * how many endpoints there are (`service-tcp-3` chooses one of three), so all services share them.
 *
 * Example: web at 10.43.0.7:80 with endpoints 10.42.0.3:8080 and 10.42.0.4:8080 becomes
 *     service-addresses      10.43.0.7 . tcp . 80 : goto service-tcp-2
 *     tcp-service-endpoints  10.43.0.7 . 80 . 0   : 10.42.0.3 . 8080
 *     tcp-service-endpoints  10.43.0.7 . 80 . 1   : 10.42.0.4 . 8080
 *
 * IPv6 has a table of its own, planned by itself from the same Services: `NodeFacts.family` says
 * whose addresses count. Services with client affinity have chains of their own, since each
 * endpoint remembers its clients. `ruleset.ts` collects the items of all services.
 */
import { createHash } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import { type Family, parseNetwork } from '#kit/ip-network.ts';
import type { Service, ServicePort } from '#resources/types/core-v1.ts';
import type { EndpointSlice } from '#resources/types/discovery-v1.ts';
import { type PortTargets, portTargets, type Target } from './endpoints.ts';
import {
  type EndpointPlace,
  endpointMap,
  type Item,
  type Protocol,
  protocols,
  type Rule,
  type SetName,
} from './item.ts';

export interface NodeFacts {
  readonly nodeName: string;
  /** Which addresses are looked at. */
  readonly family: Family;
  /** Sources in here are pods: replies to them find their way back by themselves. */
  readonly clusterCIDR: string;
}

/** A place where UDP flows may stick to an endpoint that is gone; see conntrack.ts. */
export interface UdpPlace {
  /** Absent for node ports: any address of the node. */
  readonly address?: string;
  readonly port: number;
  readonly endpoints: readonly string[];
}

export interface ServicePlan {
  readonly items: readonly Item[];
  readonly udp: readonly UdpPlace[];
}

const affinitySecondsDefault = 10_800;

export function planService(
  service: Service,
  slices: readonly EndpointSlice[],
  node: NodeFacts,
): ServicePlan {
  const items: Item[] = [];
  const udp: UdpPlace[] = [];
  const { family } = node;
  const clusterIP = clusterAddress(service, family);
  if (clusterIP === undefined) return { items, udp };
  items.push({ kind: 'element', set: 'cluster-addresses', key: clusterIP });
  for (const port of service.spec?.ports ?? []) {
    const protocol = protocolOf(port);
    if (protocol === undefined) continue;
    const targets = portTargets(port, slices, node);
    const plan = new PortPlan({ service, port, protocol, targets, node });
    plan.addClusterAddress(clusterIP);
    for (const address of externalAddresses(service, family)) plan.addExternalAddress(address);
    for (const address of balancerAddresses(service, family)) plan.addBalancerAddress(address);
    if (port.nodePort) plan.addNodePort(port.nodePort);
    items.push(...plan.items);
    udp.push(...plan.udp);
  }
  return { items, udp };
}

/** Undefined for services that the proxy leaves alone. */
function clusterAddress(service: Service, family: Family): string | undefined {
  const { spec } = service;
  const labels = service.metadata.labels ?? {};
  if (spec?.type === 'ExternalName') return undefined;
  if ('service.kubernetes.io/service-proxy-name' in labels) return undefined;
  if ('service.kubernetes.io/headless' in labels) return undefined;
  const all = [spec?.clusterIP ?? '', ...(spec?.clusterIPs ?? [])];
  return all.find((address) => isOf(family, address));
}

function isOf(family: Family, address: string): boolean {
  return family === 'IPv6' ? isIPv6(address) : isIPv4(address);
}

function protocolOf(port: ServicePort): Protocol | undefined {
  const name = (port.protocol ?? 'TCP').toLowerCase();
  return protocols.find((protocol) => protocol === name);
}

function externalAddresses(service: Service, family: Family): readonly string[] {
  return (service.spec?.externalIPs ?? []).filter((address) => isOf(family, address));
}

function balancerAddresses(service: Service, family: Family): readonly string[] {
  if (service.spec?.type !== 'LoadBalancer') return [];
  return (service.status?.loadBalancer?.ingress ?? [])
    .filter(({ ipMode }) => (ipMode ?? 'VIP') === 'VIP')
    .flatMap(({ ip }) => (ip !== undefined && isOf(family, ip) ? [ip] : []));
}

interface PortFacts {
  readonly service: Service;
  readonly port: ServicePort;
  readonly protocol: Protocol;
  readonly targets: PortTargets;
  readonly node: NodeFacts;
}

/** Collects the items of one port. */
class PortPlan {
  readonly items: Item[] = [];
  readonly udp: UdpPlace[] = [];
  readonly #facts: PortFacts;
  readonly #protocol: Protocol;
  readonly #externalLocal: boolean;
  readonly #affinitySeconds: number | undefined;

  constructor(facts: PortFacts) {
    this.#facts = facts;
    const { spec } = facts.service;
    this.#protocol = facts.protocol;
    this.#externalLocal = spec?.externalTrafficPolicy === 'Local';
    this.#affinitySeconds =
      spec?.sessionAffinity === 'ClientIP'
        ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? affinitySecondsDefault)
        : undefined;
    const { cluster, local } = facts.targets;
    for (const { address, place } of [...cluster, ...local]) {
      if (place === 'elsewhere') continue;
      this.#element('hairpins', `${address} . ${address}`);
    }
  }

  addClusterAddress(address: string): void {
    const { targets, service } = this.#facts;
    const { port } = this.#facts.port;
    const key = `${address} . ${this.#protocol} . ${port}`;
    const onlyHere = service.spec?.internalTrafficPolicy === 'Local';
    const chosen = onlyHere ? targets.local : targets.cluster;
    this.#noteUdp({ address, port }, chosen);
    if (chosen.length > 0) {
      const chain = this.#serviceChain(chosen);
      this.#endpoints('service', `${address} . ${port}`, chosen);
      this.#element('service-addresses', key, `goto ${chain}`);
    } else if (onlyHere && targets.cluster.length > 0) {
      // Somebody serves elsewhere, but not for us. Without anybody, `cluster-addresses` refuses.
      this.#element('service-addresses', key, 'drop');
    }
  }

  addExternalAddress(address: string): void {
    const chain = this.#externalChain(address);
    if (chain === undefined) return;
    this.#element('service-addresses', this.#externalKey(address), `goto ${chain}`);
  }

  /** As an external address, but only for the ranges that the Service allows. */
  addBalancerAddress(address: string): void {
    const chain = this.#externalChain(address);
    if (chain === undefined) return;
    const key = this.#externalKey(address);
    const allowed = this.#facts.service.spec?.loadBalancerSourceRanges ?? [];
    const { family } = this.#facts.node;
    const ranges = allowed
      .map((range) => range.trim())
      .filter((range) => parseNetwork(range)?.family === family);
    if (allowed.length === 0) {
      this.#element('service-addresses', key, `goto ${chain}`);
      return;
    }
    const gate = `allowed-${hash([address, this.#protocol, this.#facts.port.port])}`;
    const rules: Rule[] = [{ do: 'drop' }];
    if (ranges.length > 0) {
      rules.unshift({ do: 'goto', chain, when: { source: 'in', ranges } });
    }
    this.#chain(gate, rules);
    this.#element('service-addresses', key, `goto ${gate}`);
  }

  addNodePort(nodePort: number): void {
    const { cluster, local } = this.#facts.targets;
    const key = `${this.#protocol} . ${nodePort}`;
    this.#noteUdp({ port: nodePort }, this.#externalLocal ? [...cluster, ...local] : cluster);
    if (cluster.length === 0) {
      this.#element('empty-node-ports', key);
      return;
    }
    this.#endpoints('node', String(nodePort), cluster);
    if (this.#externalLocal) this.#endpoints('node-local', String(nodePort), local);
    const chain = this.#externalLocal
      ? this.#localPolicyChain('node', { cluster, local })
      : this.#markedChain('node', cluster);
    this.#element('node-ports', key, `goto ${chain}`);
  }

  #externalKey(address: string): string {
    return `${address} . ${this.#protocol} . ${this.#facts.port.port}`;
  }

  /** The chain for an external address; undefined where nobody serves (then it is refused). */
  #externalChain(address: string): string | undefined {
    const { cluster, local } = this.#facts.targets;
    const key = this.#externalKey(address);
    this.#noteUdp({ address, port: this.#facts.port.port }, cluster);
    if (cluster.length === 0) {
      this.#element('empty-addresses', key);
      return undefined;
    }
    const endpointKey = `${address} . ${this.#facts.port.port}`;
    this.#endpoints('service', endpointKey, cluster);
    if (!this.#externalLocal) return this.#serviceChain(cluster);
    this.#endpoints('service-local', endpointKey, local);
    return this.#localPolicyChain('service', { cluster, local });
  }

  /** For addresses that pods use directly: only strangers need the way back through this node. */
  #serviceChain(targets: readonly Target[]): string {
    const name =
      this.#affinityName('service', targets) ?? this.#sharedName('service', targets.length);
    const stranger = { source: 'not in', ranges: [this.#facts.node.clusterCIDR] } as const;
    this.#chain(name, [{ do: 'mark', when: stranger }, ...this.#choice('service', targets)]);
    return name;
  }

  /** Whoever comes through a node port may sit anywhere: replies must return through this node. */
  #markedChain(place: 'node', targets: readonly Target[]): string {
    const name = this.#affinityName(place, targets) ?? this.#sharedName(place, targets.length);
    this.#chain(name, [{ do: 'mark' }, ...this.#choice(place, targets)]);
    return name;
  }

  /**
   * Policy Local: from outside only endpoints of this node, with the client's address kept; from
   * pods and from the node itself as for any service.
   */
  #localPolicyChain(place: 'service' | 'node', targets: PortTargets): string {
    const { cluster, local } = targets;
    const name =
      this.#affinityName(`${place}-local`, [...cluster, ...local]) ??
      this.#sharedName(`${place}-local`, local.length, cluster.length);
    const inside = { source: 'in', ranges: [this.#facts.node.clusterCIDR] } as const;
    const machine = { source: 'local' } as const;
    const anywhere = `${name}-all`;
    this.#chain(anywhere, this.#choice(place, cluster));
    this.#chain(name, [
      { do: 'goto', chain: anywhere, when: inside },
      { do: 'mark', when: machine },
      { do: 'goto', chain: anywhere, when: machine },
      ...(local.length > 0 ? this.#choice(`${place}-local`, local) : [{ do: 'drop' } as const]),
    ]);
    return name;
  }

  /** The last rules of a chain: one endpoint by chance, or the one that knows the client. */
  #choice(place: EndpointPlace, targets: readonly Target[]): readonly Rule[] {
    if (this.#affinitySeconds === undefined) {
      return [{ do: 'choose', place, protocol: this.#protocol, count: targets.length }];
    }
    const known: Rule[] = [];
    const chains = targets.map((target) => {
      const chain = this.#rememberingChain(target);
      const memory = memoryOf(chain);
      known.push({ do: 'goto', chain, when: { source: 'remembered', memory } });
      return chain;
    });
    return [...known, { do: 'spread', chains }];
  }

  /** Sends to one endpoint and remembers the client there. */
  #rememberingChain({ address, port }: Target): string {
    const { metadata } = this.#facts.service;
    const { port: servicePort } = this.#facts.port;
    const seconds = this.#affinitySeconds ?? affinitySecondsDefault;
    const of = [metadata.namespace, metadata.name, this.#protocol, servicePort, address, port];
    const name = `endpoint-${hash([...of, seconds])}`;
    const memory = memoryOf(name);
    this.items.push({ kind: 'memory', name: memory, timeoutSeconds: seconds });
    this.#chain(name, [
      { do: 'remember', memory },
      { do: 'redirect', to: placeText(address, port), protocol: this.#protocol },
    ]);
    return name;
  }

  /** Of chains that serve every port with so many endpoints. */
  #sharedName(place: EndpointPlace, ...counts: readonly number[]): string {
    return `${place}-${this.#protocol}-${counts.join('-')}`;
  }

  #affinityName(place: string, targets: readonly Target[]): string | undefined {
    if (this.#affinitySeconds === undefined) return undefined;
    const { metadata } = this.#facts.service;
    const of = [metadata.namespace, metadata.name, this.#protocol, this.#facts.port.port];
    const ends = targets.map(({ address, port }) => `${address}:${port}`);
    return `${place}-affinity-${hash([...of, ...ends])}`;
  }

  #endpoints(place: EndpointPlace, key: string, targets: readonly Target[]): void {
    // With affinity the endpoints are in the chains.
    if (this.#affinitySeconds !== undefined) return;
    for (const [index, { address, port }] of targets.entries()) {
      const set = endpointMap({ place, protocol: this.#protocol });
      this.#element(set, `${key} . ${index}`, `${address} . ${port}`);
    }
  }

  #element(set: SetName, key: string, value?: string): void {
    this.items.push({ kind: 'element', set, key, ...(value === undefined ? {} : { value }) });
  }

  #chain(name: string, rules: readonly Rule[]): void {
    this.items.push({ kind: 'chain', name, rules });
  }

  #noteUdp(place: { address?: string; port: number }, targets: readonly Target[]): void {
    if (this.#protocol !== 'udp') return;
    this.udp.push({ ...place, endpoints: targets.map(({ address }) => address) });
  }
}

/** `10.42.0.3:8080`, `[fd42::3]:8080` */
function placeText(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function memoryOf(chain: string): string {
  return `clients-${chain}`;
}

/** Sixteen hex digits: names of chains are limited, and these never meet a person's eye. */
function hash(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}
