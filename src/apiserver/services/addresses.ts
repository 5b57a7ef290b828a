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
import { formatIPv4, parseCIDR, parseIPv4, rangeSize } from '#kit/ip.ts';
import type { IPAddress, ParentReference, ServiceCIDR } from '#resources/types/networking-v1.ts';
import type { Parts } from '../parts.ts';
import { decodeEntry, encodeStored, keyOf, registryRoot } from '../registry.ts';
import { ownedFromStart } from '../verbs/managed-fields.ts';
import { stampNew } from '../verbs/write.ts';
import { familyOf } from './ip-families.ts';
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

/** The addresses of a block that Services can have: all but the first and the last. */
export function spanOf(cidr: string): Span | undefined {
  const range = parseCIDR(cidr);
  if (range === undefined) return undefined;
  const whole = rangeSize(range);
  return { first: range.base + 1, size: Math.max(0, whole - 2), band: bandOf(whole, 16, 256) };
}

export class Addresses {
  readonly #parts: AddressParts;
  readonly #register: Register;

  constructor(parts: AddressParts) {
    this.#parts = parts;
    this.#register = new Register(
      (value) => parts.store.get(`${prefix}${formatIPv4(value)}`) !== undefined,
    );
  }

  /** Takes it for a write on its way, or says why not. */
  take(address: string): string | undefined {
    const value = parseIPv4(address);
    const fits = ({ first, size }: Span): boolean =>
      value !== undefined && value >= first && value < first + size;
    if (value === undefined || !this.#spans().some(fits)) return notInRange;
    return this.#register.take(value) ? undefined : 'provided IP is already allocated';
  }

  /** Undefined when all is taken. */
  takeAny(): string | undefined {
    const value = this.#register.takeAny(this.#spans(), this.#parts.random);
    return value === undefined ? undefined : formatIPv4(value);
  }

  settle(address: string): void {
    const value = parseIPv4(address);
    if (value !== undefined) this.#register.settle(value);
  }

  /** False when another server was faster. */
  async record(address: string, owner: Owner): Promise<boolean> {
    const { catalog, clock, random, store } = this.#parts;
    const served = this.#kind();
    const parentRef = { group: '', resource: 'services', ...owner };
    const object = {
      kind: 'IPAddress',
      apiVersion: 'networking.k8s.io/v1',
      metadata: {
        name: address,
        labels: { [familyLabel]: familyOf(address), [managerLabel]: managerName },
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
    // What is stored under this prefix has this shape.
    const { spec } = decodeEntry(entry) as IPAddress;
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
  #spans(): readonly Span[] {
    return serviceCIDRs(this.#parts)
      .filter((cidr) => isReady(cidr))
      .flatMap(({ spec }) => spec?.cidrs ?? [])
      .flatMap((cidr) => spanOf(cidr) ?? []);
  }
}

export function refersTo(reference: ParentReference | undefined, { namespace, name }: Owner) {
  const { group = '', resource, namespace: space = '', name: named } = reference ?? {};
  return group === '' && resource === 'services' && space === namespace && named === name;
}

export function serviceCIDRs({ store }: Pick<Parts, 'store'>): readonly ServiceCIDR[] {
  const { entries } = store.list({ prefix: `${registryRoot}servicecidrs/` });
  // What is stored under this prefix has this shape.
  return entries.map((entry) => decodeEntry(entry) as ServiceCIDR);
}

function isReady({ metadata, status }: KubeObject & ServiceCIDR): boolean {
  const { conditions = [] } = status ?? {};
  const ready = conditions.some(({ type, status: is }) => type === 'Ready' && is === 'True');
  return ready && metadata.deletionTimestamp === undefined;
}
