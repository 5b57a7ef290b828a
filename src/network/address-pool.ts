/**
 * The addresses of one node's pods: one file per address in use, named by the address, holding its
 * owner. Files survive a restart of ours, so an address is never handed out while a pod has it.
 *
 * Addresses go round the range instead of starting over from its lowest one, so that a dead pod's
 * address rests for as long as possible. First and last address of the range stay unused, by habit
 * of everything that meets them. Called by `cni-calls.ts`; nothing here touches the kernel.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { formatIPv4, parseCIDR, parseIPv4, rangeSize } from '#kit/ip.ts';
import { addressAt, parseNetwork } from '#kit/ip-network.ts';

/**
 * The address of IPv6 that goes with a pod's: the one with the same number in its own range, so
 * that nobody has to remember it. With 10.42.0.0/24 and fd42::/64, 10.42.0.7 has fd42::7. Undefined
 * for addresses outside of the range: such a pod is from before the node had this one.
 */
export function secondAddressOf(
  address: string,
  ranges: { readonly podCIDR: string; readonly secondPodCIDR: string },
): string | undefined {
  const first = parseNetwork(ranges.podCIDR);
  const second = parseNetwork(ranges.secondPodCIDR);
  if (first === undefined || second === undefined) return undefined;
  const index = BigInt(parseIPv4(address) ?? -1) - first.base;
  if (index < 0n || index >= first.size || index >= second.size) return undefined;
  return addressAt(second, index);
}

export class AddressPool {
  readonly #folder: string;
  readonly #first: number;
  readonly #count: number;
  readonly #ownerOf = new Map<string, string>();
  readonly #addressOf = new Map<string, string>();
  #next = 0;

  constructor(options: { readonly folder: string; readonly podCIDR: string }) {
    const range = parseCIDR(options.podCIDR);
    if (range === undefined || range.bits > 30) {
      throw new Error(`pods cannot have addresses from "${options.podCIDR}"`);
    }
    this.#folder = options.folder;
    this.#first = range.base + 1;
    this.#count = rangeSize(range) - 2;
    this.#load();
  }

  /** Of this owner, also one that it had before; undefined when all are in use. */
  allocate(owner: string): string | undefined {
    const held = this.#addressOf.get(owner);
    if (held !== undefined) return held;
    for (let tries = 0; tries < this.#count; tries++) {
      const address = formatIPv4(this.#first + this.#next);
      this.#next = (this.#next + 1) % this.#count;
      if (this.#ownerOf.has(address)) continue;
      this.#write(address, owner);
      this.#remember(address, owner);
      return address;
    }
    return undefined;
  }

  addressOf(owner: string): string | undefined {
    return this.#addressOf.get(owner);
  }

  /** Harmless when the owner has none. */
  release(owner: string): void {
    const address = this.#addressOf.get(owner);
    if (address === undefined) return;
    rmSync(path.join(this.#folder, address), { force: true });
    this.#addressOf.delete(owner);
    this.#ownerOf.delete(address);
  }

  /** Owner and address of everything in use. */
  inUse(): ReadonlyMap<string, string> {
    return this.#addressOf;
  }

  #load(): void {
    mkdirSync(this.#folder, { recursive: true });
    for (const name of readdirSync(this.#folder)) {
      const file = path.join(this.#folder, name);
      if (parseIPv4(name) === undefined) {
        // What a crash left between writing and renaming.
        rmSync(file, { force: true });
        continue;
      }
      this.#remember(name, readFileSync(file, 'utf8'));
      const index = (parseIPv4(name) ?? 0) - this.#first;
      if (index >= this.#next && index < this.#count) this.#next = (index + 1) % this.#count;
    }
  }

  #write(address: string, owner: string): void {
    const partial = path.join(this.#folder, `partial-${address}`);
    writeFileSync(partial, owner);
    renameSync(partial, path.join(this.#folder, address));
  }

  #remember(address: string, owner: string): void {
    this.#ownerOf.set(address, owner);
    this.#addressOf.set(owner, address);
  }
}
