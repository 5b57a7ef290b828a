/**
 * Cluster addresses and node ports of Services.
 *
 * The store is the truth: what is taken is rebuilt from the Services in it when the server opens.
 * Afterwards a write first reserves in memory (so that two creations cannot get the same number),
 * then stores, then commits; a write that fails gives back what it reserved. Called by create,
 * update and remove for every kind; does nothing for other kinds than Service.
 */
import type { Served } from '#api/catalog.ts';
import { internalError, invalid } from '#api/errors.ts';
import { type FieldError, invalid as invalidField } from '#api/field-error.ts';
import type { KubeObject } from '#api/object.ts';
import type { Resource } from '#api/resource.ts';
import { assert, present } from '#kit/assert.ts';
import { formatIPv4, parseCIDR, parseIPv4, rangeSize } from '#kit/ip.ts';
import type { Random } from '#kit/random.ts';
import {
  needsClusterIP,
  needsHealthCheckNodePort,
  needsNodePort,
} from '#resources/core/service/defaults.ts';
import type { Service, ServiceSpec } from '#resources/types/core-v1.ts';
import { NumberRange } from './address-range.ts';
import { normalizeFamilies } from './service-spec.ts';

export interface Reservation {
  /** The Service with its addresses and ports. */
  readonly hub: KubeObject;
  commit(): void;
  rollBack(): void;
}

export interface ServiceAllocatorOptions {
  readonly serviceCIDR: string;
  readonly nodePortRange: { readonly first: number; readonly last: number };
}

/** What a Service holds. */
interface Held {
  readonly addresses: readonly string[];
  readonly ports: readonly number[];
}

/**
 * The part of a range that is handed out last: a sixteenth, but 16 to 256 of it (ports: half that).
 */
function bandOf(size: number, divisor: number, most: number): number {
  return size < 32 ? 0 : Math.min(Math.max(16, Math.floor(size / divisor)), most);
}

export class ServiceAllocator {
  readonly #random: Random;
  readonly #options: ServiceAllocatorOptions;
  readonly #addresses: NumberRange;
  readonly #ports: NumberRange;

  constructor(deps: { readonly random: Random }, options: ServiceAllocatorOptions) {
    this.#random = deps.random;
    this.#options = options;
    const range = parseCIDR(options.serviceCIDR);
    assert(range !== undefined, `service range ${options.serviceCIDR} is an IPv4 range`);
    const size = Math.max(1, rangeSize(range) - 2);
    this.#addresses = new NumberRange({ first: range.base + 1, size, band: bandOf(size, 16, 256) });
    const { first, last } = options.nodePortRange;
    const ports = last - first + 1;
    this.#ports = new NumberRange({ first, size: ports, band: bandOf(ports, 32, 128) });
  }

  /** The first address: the one of `default/kubernetes`. */
  get firstAddress(): string {
    return formatIPv4(this.#addresses.first);
  }

  /** Takes what a stored Service holds. For the start. */
  restore(hub: KubeObject): void {
    const { addresses, ports } = heldBy(asService(hub).spec);
    for (const address of addresses) {
      const value = parseIPv4(address);
      if (value !== undefined) this.#addresses.take(value);
    }
    for (const port of ports) this.#ports.take(port);
  }

  reserve(served: Served, next: KubeObject, old: KubeObject | undefined): Reservation | undefined {
    if (!isService(served.resource)) return undefined;
    const before = old === undefined ? undefined : asService(old).spec;
    const allocation = new Allocation(this.#random, this.#addresses, this.#ports, this.#options);
    const given = normalizeFamilies(asService(next).spec ?? {});
    const spec = allocation.fill(given, heldBy(before));
    if (allocation.errors.length > 0) {
      allocation.rollBack();
      const { name = '' } = next.metadata;
      throw invalid({ group: '', kind: 'Service' }, name, allocation.errors);
    }
    const after = heldBy(spec);
    const held = heldBy(before);
    return {
      hub: { ...next, spec } as KubeObject,
      commit: () => this.#releaseDropped(held, after),
      rollBack: () => allocation.rollBack(),
    };
  }

  release(resource: Resource, hub: KubeObject): void {
    if (!isService(resource)) return;
    this.#releaseDropped(heldBy(asService(hub).spec), { addresses: [], ports: [] });
  }

  #releaseDropped(before: Held, after: Held): void {
    for (const address of before.addresses) {
      const value = parseIPv4(address);
      if (value !== undefined && !after.addresses.includes(address)) this.#addresses.release(value);
    }
    for (const port of before.ports) if (!after.ports.includes(port)) this.#ports.release(port);
  }
}

/** What one write takes, so that it can be given back. */
class Allocation {
  readonly errors: FieldError[] = [];
  readonly #random: Random;
  readonly #addresses: NumberRange;
  readonly #ports: NumberRange;
  readonly #options: ServiceAllocatorOptions;
  readonly #takenAddresses: number[] = [];
  readonly #takenPorts: number[] = [];

  constructor(
    random: Random,
    addresses: NumberRange,
    ports: NumberRange,
    options: ServiceAllocatorOptions,
  ) {
    this.#random = random;
    this.#addresses = addresses;
    this.#ports = ports;
    this.#options = options;
  }

  fill(spec: ServiceSpec, held: Held): ServiceSpec {
    let filled = needsClusterIP(spec) ? this.#fillAddress(spec, held) : spec;
    if (needsNodePort(filled)) filled = this.#fillPorts(filled, held);
    if (needsHealthCheckNodePort(filled)) filled = this.#fillHealthCheckPort(filled, held);
    return filled;
  }

  rollBack(): void {
    for (const value of this.#takenAddresses) this.#addresses.release(value);
    for (const port of this.#takenPorts) this.#ports.release(port);
    this.#takenAddresses.length = 0;
    this.#takenPorts.length = 0;
  }

  #fillAddress(spec: ServiceSpec, held: Held): ServiceSpec {
    const wanted = spec.clusterIP ?? '';
    if (wanted === 'None' || (wanted !== '' && held.addresses.includes(wanted))) return spec;
    if (wanted === '') {
      const value = this.#addresses.takeAny(this.#random);
      if (value === undefined) {
        throw internalError('failed to allocate a serviceIP: range is full');
      }
      this.#takenAddresses.push(value);
      const clusterIP = formatIPv4(value);
      return { ...spec, clusterIP, clusterIPs: [clusterIP] };
    }
    const value = parseIPv4(wanted);
    // Text that is no address is reported by the kind's own validation.
    if (value === undefined) return spec;
    const why = this.#takeAddress(value);
    if (why !== undefined) {
      const detail = `failed to allocate IP ${wanted}: ${why}`;
      this.errors.push(invalidField('spec.clusterIPs', spec.clusterIPs ?? [wanted], detail));
    }
    return spec;
  }

  #takeAddress(value: number): string | undefined {
    if (!this.#addresses.contains(value)) {
      return `provided IP is not in the valid range. The range of valid IPs is ${this.#options.serviceCIDR}`;
    }
    if (!this.#addresses.take(value)) return 'provided IP is already allocated';
    this.#takenAddresses.push(value);
    return undefined;
  }

  #fillPorts(spec: ServiceSpec, held: Held): ServiceSpec {
    const own = new Set<number>();
    const ports = (spec.ports ?? []).map((port, index) => {
      const wanted = port.nodePort ?? 0;
      // One number may serve TCP and UDP of the same Service.
      if (wanted !== 0 && (held.ports.includes(wanted) || own.has(wanted))) {
        own.add(wanted);
        return port;
      }
      const nodePort = this.#takePort(wanted, `spec.ports[${index}].nodePort`);
      own.add(nodePort);
      return { ...port, nodePort };
    });
    return { ...spec, ports };
  }

  #fillHealthCheckPort(spec: ServiceSpec, held: Held): ServiceSpec {
    const wanted = spec.healthCheckNodePort ?? 0;
    if (wanted !== 0 && held.ports.includes(wanted)) return spec;
    return { ...spec, healthCheckNodePort: this.#takePort(wanted, 'spec.healthCheckNodePort') };
  }

  #takePort(wanted: number, field: string): number {
    if (wanted === 0) {
      const port = this.#ports.takeAny(this.#random);
      if (port === undefined) throw internalError('failed to allocate a nodePort: range is full');
      this.#takenPorts.push(port);
      return port;
    }
    const { first, last } = this.#options.nodePortRange;
    if (!this.#ports.contains(wanted)) {
      const detail = `provided port is not in the valid range. The range of valid ports is ${first}-${last}`;
      this.errors.push(invalidField(field, wanted, detail));
    } else if (this.#ports.take(wanted)) {
      this.#takenPorts.push(wanted);
    } else {
      this.errors.push(invalidField(field, wanted, 'provided port is already allocated'));
    }
    return wanted;
  }
}

function heldBy(spec: ServiceSpec | undefined): Held {
  if (spec === undefined) return { addresses: [], ports: [] };
  const addresses = needsClusterIP(spec)
    ? (spec.clusterIPs ?? []).filter((address) => address !== 'None' && address !== '')
    : [];
  const ports: number[] = [];
  if (needsNodePort(spec)) {
    for (const { nodePort = 0 } of spec.ports ?? []) if (nodePort !== 0) ports.push(nodePort);
  }
  if (needsHealthCheckNodePort(spec) && (spec.healthCheckNodePort ?? 0) !== 0) {
    ports.push(present(spec.healthCheckNodePort, 'checked just before'));
  }
  return { addresses, ports };
}

function isService(resource: Resource): boolean {
  return resource.storagePrefix === 'services/specs';
}

function asService(hub: KubeObject): Service {
  // The kind was checked by the caller.
  return hub as unknown as Service;
}
