/**
 * Cluster addresses: an address is taken when there is an IPAddress of that name, and free when it
 * lies in a ServiceCIDR that is ready. Making that object is what takes the address, so several
 * servers on one store never give it out twice.
 *
 * `service-allocator.ts` takes and records for writes of Services; `repair.ts` makes and removes
 * what a crash left behind.
 */
import type { Served } from '#api/catalog.ts';
import type { KubeObject } from '#api/object.ts';
import { present } from '#kit/assert.ts';
import { formatTime } from '#kit/clock.ts';
import { type Family, formatAddress, parseAddress, parseNetwork } from '#kit/ip-network.ts';
import type { IPAddress, ParentReference, ServiceCIDR } from '#resources/types/networking-v1.ts';
import type { Parts } from '../parts.ts';
import { decodeEntry, encodeStored, keyOf, registryRoot, storedObjects } from '../registry.ts';
import { ownedFromStart } from '../verbs/managed-fields.ts';
import { stampNew } from '../verbs/write.ts';
import { bandOf, Register, type Span } from './register.ts';

export type AddressParts = Pick<Parts, 'store' | 'catalog' | 'clock' | 'random'>;

/** Namespace and name of a Service. */
export interface Owner {
  readonly namespace: string;
  readonly name: string;
}

export const familyLabel = 'ipaddress.kubernetes.io/ip-family';
export const managerLabel = 'ipaddress.kubernetes.io/managed-by';
export const managerName = 'ipallocator.k8s.io';

const notInRange = 'the provided network does not match the current range';
const prefix = `${registryRoot}ipaddresses/`;

/** Blocks of IPv6 are not larger than this, as upstream's are not. */
const bitsMin = { IPv4: 0, IPv6: 64 } as const;

export interface AddressSpan extends Span {
  readonly family: Family;
}

/** The addresses of a block that Services can have: not the first, nor the last of IPv4. */
export function spanOf(cidr: string): AddressSpan | undefined {
  const network = parseNetwork(cidr);
  if (network === undefined || network.bits < bitsMin[network.family]) return undefined;
  const { family, base, size: whole } = network;
  const usable = whole - (family === 'IPv4' ? 2n : 1n);
  const size = usable < 0n ? 0n : usable;
  return { family, first: base + 1n, size, band: bandOf(whole, 16n, 256n) };
}

/** Whether the address is one of those that the spans hand out. */
export function isWithin(spans: readonly AddressSpan[], address: string): boolean {
  const { family, value = 0n } = parseAddress(address) ?? {};
  return spans.some(
    (span) => span.family === family && value >= span.first && value < span.first + span.size,
  );
}

export class Addresses {
  readonly #parts: AddressParts;
  readonly #registers: Readonly<Record<Family, Register>>;

  constructor(parts: AddressParts) {
    this.#parts = parts;
    const register = (family: Family): Register =>
      new Register((value) => {
        const name = formatAddress({ family, value });
        return parts.store.get(`${prefix}${name}`) !== undefined;
      });
    this.#registers = { IPv4: register('IPv4'), IPv6: register('IPv6') };
  }

  /** Takes it for a write on its way, or says why not. */
  take(address: string): string | undefined {
    const parsed = parseAddress(address);
    if (parsed === undefined || !isWithin(this.#spans(), address)) return notInRange;
    const { family, value } = parsed;
    return this.#registers[family].take(value) ? undefined : 'provided IP is already allocated';
  }

  /** Undefined when all is taken. */
  takeAny(family: Family): string | undefined {
    const spans = this.#spans().filter((span) => span.family === family);
    const value = this.#registers[family].takeAny(spans, this.#parts.random);
    return value === undefined ? undefined : formatAddress({ family, value });
  }

  settle(address: string): void {
    const parsed = parseAddress(address);
    if (parsed !== undefined) this.#registers[parsed.family].settle(parsed.value);
  }

  /** False when another server was faster. */
  async record(address: string, owner: Owner): Promise<boolean> {
    const { catalog, clock, random, store } = this.#parts;
    const served = this.#kind();
    const parentRef = { resource: 'services', ...owner };
    const object = {
      kind: 'IPAddress',
      apiVersion: 'networking.k8s.io/v1',
      metadata: {
        name: address,
        labels: { [familyLabel]: parseAddress(address)?.family ?? '', [managerLabel]: managerName },
      },
      spec: { parentRef },
    };
    const now = formatTime(clock.now());
    const { resource } = served;
    const fresh = stampNew(object, { namespace: '', resource, random, now });
    const manager = 'kube-apiserver';
    const hub = ownedFromStart({ catalog, clock }, { served, hub: fresh, manager });
    const key = keyOf(resource, '', address);
    const value = encodeStored(resource, hub);
    return (await store.put({ key, value, expect: 'absent' })).ok;
  }

  /** Removes the object, if it speaks of this Service. */
  async erase(address: string, owner: Owner): Promise<void> {
    const entry = this.#parts.store.get(`${prefix}${address}`);
    if (entry === undefined) return;
    const { spec } = decodeEntry<IPAddress>(entry);
    if (!refersTo(spec?.parentRef, owner)) return;
    const { key, revision } = entry;
    // Where somebody else changes it at this moment, repair sees to the rest.
    await this.#parts.store.delete({ key, expect: { revision } });
  }

  #kind(): Served {
    const at = { group: 'networking.k8s.io', version: 'v1' };
    return present(this.#parts.catalog.findPlural(at, 'ipaddresses'), 'IPAddress is served');
  }

  /** Of every ServiceCIDR that is ready and stays. */
  #spans(): readonly AddressSpan[] {
    return serviceCIDRs(this.#parts)
      .filter((cidr) => isReady(cidr))
      .flatMap(({ spec }) => spec?.cidrs ?? [])
      .flatMap((cidr) => spanOf(cidr) ?? []);
  }
}

/** How an IPAddress is named, however its Service writes it. */
export function canonical(address: string): string {
  const parsed = parseAddress(address);
  return parsed === undefined ? address : formatAddress(parsed);
}

export function refersTo(reference: ParentReference | undefined, { namespace, name }: Owner) {
  const { group = '', resource, namespace: space = '', name: named } = reference ?? {};
  return group === '' && resource === 'services' && space === namespace && named === name;
}

export function serviceCIDRs({ store }: Pick<Parts, 'store'>): readonly ServiceCIDR[] {
  return storedObjects<ServiceCIDR>(store, 'servicecidrs/');
}

function isReady({ metadata, status }: KubeObject & ServiceCIDR): boolean {
  const { conditions = [] } = status ?? {};
  const ready = conditions.some(({ type, status: is }) => type === 'Ready' && is === 'True');
  return ready && metadata.deletionTimestamp === undefined;
}
