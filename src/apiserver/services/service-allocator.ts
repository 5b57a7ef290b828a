/**
 * Cluster addresses and node ports of Services.
 *
 * A write first takes what it needs in memory (`reserve`, without waiting, so that validation can
 * look at the Service as it will be), then writes it down where other servers see it (`record`),
 * then stores the Service, then gives back what the Service does not need any more (`commit`). A
 * write that fails gives back what it took (`rollBack`); what a crash leaves is repaired.
 *
 * Called by create, update and remove for every kind; does nothing for other kinds than Service.
 */
import type { Served } from '#api/catalog.ts';
import { internalError, invalid } from '#api/errors.ts';
import { type FieldError, invalid as invalidField } from '#api/field-error.ts';
import type { KubeObject } from '#api/object.ts';
import type { Resource } from '#api/resource.ts';
import { present } from '#kit/assert.ts';
import { type Family, formatAddress } from '#kit/ip-network.ts';
import {
  needsClusterIP,
  needsHealthCheckNodePort,
  needsNodePort,
} from '#resources/core/service/defaults.ts';
import type { Service, ServiceSpec } from '#resources/types/core-v1.ts';
import { Addresses, type AddressParts, canonical, type Owner, spanOf } from './addresses.ts';
import { familyOf, planFamilies } from './ip-families.ts';
import { NodePorts, type PortRange } from './node-ports.ts';

export interface Reservation {
  /** The Service with its addresses and ports. */
  readonly hub: KubeObject;
  /**
   * Writes down what was taken, before the Service is stored. Answers with the Service, which may
   * have got another address where another server was faster.
   */
  record(): Promise<KubeObject>;
  /** The Service is stored: what it does not hold any more is free. */
  commit(): Promise<void>;
  rollBack(): Promise<void>;
}

export interface ServiceAllocatorOptions {
  readonly serviceCIDR: string;
  /** Of the other family. */
  readonly secondServiceCIDR?: string | undefined;
  readonly nodePortRange: PortRange;
}

/** What a Service holds. */
export interface Held {
  readonly addresses: readonly string[];
  readonly ports: readonly number[];
}

const nothing: Held = { addresses: [], ports: [] };

/** How often another number is tried when another server was faster. */
const attemptsMax = 100;

export class ServiceAllocator {
  readonly addresses: Addresses;
  readonly ports: NodePorts;
  readonly #first: string;
  /** Families that this cluster gives addresses of, the default first. */
  readonly #families: readonly Family[];

  constructor(parts: AddressParts, options: ServiceAllocatorOptions) {
    const spans = serviceRanges(options).map((cidr) =>
      present(spanOf(cidr), `service range ${cidr} is one that addresses can be given out of`),
    );
    this.#families = spans.map(({ family }) => family);
    this.#first =
      spans.map(({ family, first }) => formatAddress({ family, value: first }))[0] ?? '';
    this.addresses = new Addresses(parts);
    this.ports = new NodePorts(parts, options.nodePortRange);
  }

  /** The first address: the one of `default/kubernetes`. */
  get firstAddress(): string {
    return this.#first;
  }

  reserve(served: Served, next: KubeObject, old: KubeObject | undefined): Reservation | undefined {
    if (!isService(served.resource)) return undefined;
    const before = old === undefined ? undefined : asService(old).spec;
    const allocation = new Allocation(this, next, before);
    const plan = planFamilies(asService(next).spec ?? {}, before, this.#families);
    allocation.refuse(plan.errors);
    allocation.fill(plan.spec);
    allocation.refuse(allocation.errors);
    return allocation;
  }

  async release(resource: Resource, hub: KubeObject): Promise<void> {
    if (!isService(resource)) return;
    await this.erase(heldBy(asService(hub).spec), ownerOf(hub));
  }

  async erase({ addresses, ports }: Held, owner: Owner): Promise<void> {
    await Promise.all([
      ...addresses.map((address) => this.addresses.erase(address, owner)),
      ...ports.map((port) => this.ports.erase(port, owner)),
    ]);
  }
}

/** The ranges of a cluster, the one of its default family first. */
export function serviceRanges(
  options: Pick<ServiceAllocatorOptions, 'serviceCIDR' | 'secondServiceCIDR'>,
): readonly string[] {
  const { serviceCIDR, secondServiceCIDR: second } = options;
  return second === undefined ? [serviceCIDR] : [serviceCIDR, second];
}

/** What one write takes, so that it can be written down or given back. */
class Allocation implements Reservation {
  readonly errors: FieldError[] = [];
  readonly #books: ServiceAllocator;
  readonly #next: KubeObject;
  readonly #before: Held;
  readonly #isNew: boolean;
  readonly #owner: Owner;
  /** Taken by this write → whether the client wanted just that one. */
  readonly #addresses = new Map<string, boolean>();
  readonly #ports = new Map<number, boolean>();
  readonly #recorded: { addresses: string[]; ports: number[] } = { addresses: [], ports: [] };
  #spec: ServiceSpec = {};

  constructor(books: ServiceAllocator, next: KubeObject, old: ServiceSpec | undefined) {
    this.#books = books;
    this.#next = next;
    this.#before = heldBy(old);
    this.#isNew = old === undefined;
    this.#owner = ownerOf(next);
  }

  get hub(): KubeObject {
    return { ...this.#next, spec: this.#spec };
  }

  refuse(errors: readonly FieldError[]): void {
    if (errors.length === 0) return;
    this.#settle();
    throw invalid({ group: '', kind: 'Service' }, this.#next.metadata.name ?? '', errors);
  }

  fill(given: ServiceSpec): void {
    let spec = given;
    try {
      if (needsClusterIP(spec)) spec = this.#fillAddresses(spec);
      if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') spec = this.#fillPorts(spec);
      if (needsHealthCheckNodePort(spec)) spec = this.#fillHealthCheckPort(spec);
    } catch (error) {
      this.#settle();
      throw error;
    }
    this.#spec = spec;
  }

  async record(): Promise<KubeObject> {
    for (const [address, wanted] of this.#addresses) await this.#recordAddress(address, wanted);
    for (const [port, wanted] of this.#ports) await this.#recordPort(port, wanted);
    this.#settle();
    return this.hub;
  }

  async commit(): Promise<void> {
    const { addresses, ports } = heldBy(this.#spec);
    const dropped = {
      addresses: this.#before.addresses.filter((address) => !addresses.includes(address)),
      ports: this.#before.ports.filter((port) => !ports.includes(port)),
    };
    await this.#books.erase(dropped, this.#owner);
  }

  async rollBack(): Promise<void> {
    this.#settle();
    const { addresses, ports } = this.#recorded;
    const recorded = { addresses: addresses.splice(0), ports: ports.splice(0) };
    await this.#books.erase(recorded, this.#owner);
  }

  #settle(): void {
    for (const address of this.#addresses.keys()) this.#books.addresses.settle(address);
    for (const port of this.#ports.keys()) this.#books.ports.settle(port);
    this.#addresses.clear();
    this.#ports.clear();
  }

  #fillAddresses(spec: ServiceSpec): ServiceSpec {
    const given = spec.clusterIPs ?? (spec.clusterIP ? [spec.clusterIP] : []);
    if (given[0] === 'None') return { ...spec, clusterIPs: given };
    const count = Math.max(given.length, (spec.ipFamilies ?? []).length);
    const clusterIPs = Array.from({ length: count }, (_, index) =>
      this.#fillAddress(given[index] ?? '', { given, family: spec.ipFamilies?.[index] }),
    );
    return { ...spec, clusterIP: clusterIPs[0], clusterIPs };
  }

  #fillAddress(
    wanted: string,
    { given, family }: { readonly given: readonly string[]; readonly family: string | undefined },
  ): string {
    if (wanted === '') {
      const address = this.#books.addresses.takeAny(family === 'IPv6' ? 'IPv6' : 'IPv4');
      if (address === undefined) throw this.#full('serviceIP');
      this.#addresses.set(address, false);
      return address;
    }
    if (this.#before.addresses.includes(canonical(wanted))) return wanted;
    const why = this.#books.addresses.take(wanted);
    if (why === undefined) this.#addresses.set(canonical(wanted), true);
    else
      this.errors.push(taken('spec.clusterIPs', given, `failed to allocate IP ${wanted}: ${why}`));
    return wanted;
  }

  #full(what: 'serviceIP' | 'nodePort'): Error {
    const { name } = this.#owner;
    const text =
      what === 'nodePort'
        ? 'failed to allocate a nodePort: range is full'
        : `failed to allocate a serviceIP for Service ${JSON.stringify(name)}: range is full`;
    return internalError(text);
  }

  /** The protocols of one port share a number when they are made, also where only one names it. */
  #fillPorts(spec: ServiceSpec): ServiceSpec {
    const own = new Map<number, number>();
    const given = spec.ports ?? [];
    const requested = (port: number): number =>
      given.find((one) => one.port === port && (one.nodePort ?? 0) !== 0)?.nodePort ?? 0;
    const ports = given.map((port, index) => {
      const said = port.nodePort ?? 0;
      if (said === 0 && !needsNodePort(spec)) return port;
      const field = `spec.ports[${index}].nodePort`;
      if (!this.#isNew) return { ...port, nodePort: this.#takePort(said, field) };
      const known = own.get(port.port);
      const shares = known !== undefined && (said === 0 || said === known);
      const wanted = said === 0 ? requested(port.port) : said;
      const nodePort = shares ? known : this.#takePort(wanted, field);
      if (known === undefined) own.set(port.port, nodePort);
      return { ...port, nodePort };
    });
    return { ...spec, ports };
  }

  #fillHealthCheckPort(spec: ServiceSpec): ServiceSpec {
    const wanted = spec.healthCheckNodePort ?? 0;
    if (wanted === 0) return { ...spec, healthCheckNodePort: this.#takePort(0, '') };
    if (this.#before.ports.includes(wanted) || this.#ports.has(wanted)) return spec;
    const why = this.#books.ports.take(wanted);
    if (why !== undefined) {
      const text = `failed to allocate requested HealthCheck NodePort ${wanted}: ${why}`;
      throw internalError(text);
    }
    this.#ports.set(wanted, true);
    return spec;
  }

  #takePort(wanted: number, field: string): number {
    if (wanted === 0) {
      const port = this.#books.ports.takeAny();
      if (port === undefined) throw this.#full('nodePort');
      this.#ports.set(port, false);
      return port;
    }
    const isOwn = !this.#isNew && this.#ports.has(wanted);
    if (isOwn || this.#before.ports.includes(wanted)) return wanted;
    const why = this.#books.ports.take(wanted);
    if (why === undefined) this.#ports.set(wanted, true);
    else this.errors.push(taken(field, wanted, why));
    return wanted;
  }

  async #recordAddress(first: string, wanted: boolean): Promise<void> {
    let address = first;
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      if (await this.#books.addresses.record(address, this.#owner)) {
        this.#recorded.addresses.push(address);
        this.#books.addresses.settle(address);
        return;
      }
      this.#books.addresses.settle(address);
      if (wanted) {
        const why = `failed to allocate IP ${address}: provided IP is already allocated`;
        this.refuse([taken('spec.clusterIPs', this.#spec.clusterIPs, why)]);
      }
      const other = this.#books.addresses.takeAny(familyOf(address));
      if (other === undefined) throw this.#full('serviceIP');
      const replace = (one: string): string => (one === address ? other : one);
      const clusterIPs = (this.#spec.clusterIPs ?? []).map(replace);
      this.#spec = { ...this.#spec, clusterIPs, clusterIP: clusterIPs[0] };
      address = other;
    }
    throw this.#full('serviceIP');
  }

  async #recordPort(first: number, wanted: boolean): Promise<void> {
    let port = first;
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      if (await this.#books.ports.record(port, this.#owner)) {
        this.#recorded.ports.push(port);
        this.#books.ports.settle(port);
        return;
      }
      this.#books.ports.settle(port);
      if (wanted) {
        const at = (this.#spec.ports ?? []).findIndex(({ nodePort }) => nodePort === port);
        const field = at < 0 ? 'spec.healthCheckNodePort' : `spec.ports[${at}].nodePort`;
        this.refuse([taken(field, port, 'provided port is already allocated')]);
      }
      const other = this.#books.ports.takeAny();
      if (other === undefined) throw this.#full('nodePort');
      this.#replacePort(port, other);
      port = other;
    }
    throw this.#full('nodePort');
  }

  #replacePort(port: number, other: number): void {
    const { ports = [], healthCheckNodePort } = this.#spec;
    this.#spec = {
      ...this.#spec,
      ports: ports.map((one) => (one.nodePort === port ? { ...one, nodePort: other } : one)),
      ...(healthCheckNodePort === port ? { healthCheckNodePort: other } : {}),
    };
  }
}

function taken(field: string, value: unknown, detail: string): FieldError {
  return invalidField(field, value, detail);
}

export function heldBy(spec: ServiceSpec | undefined): Held {
  if (spec === undefined) return nothing;
  const addresses = needsClusterIP(spec)
    ? (spec.clusterIPs ?? [])
        .filter((address) => address !== 'None' && address !== '')
        .map((address) => canonical(address))
    : [];
  const ports = new Set<number>();
  if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') {
    for (const { nodePort = 0 } of spec.ports ?? []) if (nodePort !== 0) ports.add(nodePort);
  }
  const { healthCheckNodePort = 0 } = spec;
  if (needsHealthCheckNodePort(spec) && healthCheckNodePort !== 0) ports.add(healthCheckNodePort);
  return { addresses, ports: [...ports] };
}

export function ownerOf({ metadata: { namespace = '', name = '' } }: KubeObject): Owner {
  return { namespace, name };
}

function isService(resource: Resource): boolean {
  return resource.storagePrefix === 'services/specs';
}

function asService(hub: KubeObject): Service {
  // The kind was checked by the caller.
  return hub as Service;
}
