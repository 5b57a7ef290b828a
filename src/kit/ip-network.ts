/**
 * Addresses and networks of both families as whole numbers. `ip.ts` has the same for IPv4 alone,
 * in plain numbers, where speed matters.
 *
 * Example: `fd00:43::/112` begins at 0xfd000043…0000 and has 2^16 addresses. The last one of an
 * IPv4 network is for broadcasts; IPv6 has none. Used for the addresses of Services
 * and in expressions.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { assert } from './assert.ts';

export type Family = 'IPv4' | 'IPv6';

export interface Address {
  readonly family: Family;
  readonly value: bigint;
}

export interface Network {
  readonly family: Family;
  /** First address; bits of the host part are cleared. */
  readonly base: bigint;
  /** Length of the prefix. */
  readonly bits: number;
  /** How many addresses there are. */
  readonly size: bigint;
}

/** Bits of an address. */
export const widths = { IPv4: 32, IPv6: 128 } as const;

export function parseAddress(text: string): Address | undefined {
  if (isIPv4(text)) {
    const value = text.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
    return { family: 'IPv4', value };
  }
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const groups = expand(text).map((group) => BigInt(`0x${group}`));
  return { family: 'IPv6', value: groups.reduce((sum, group) => sum * 65_536n + group, 0n) };
}

/** Four bytes or sixteen, as they travel. */
export function addressBytes(text: string): Buffer {
  const address = parseAddress(text);
  assert(address !== undefined, `not an IP address: ${text}`);
  const digits = widths[address.family] / 4;
  return Buffer.from(address.value.toString(16).padStart(digits, '0'), 'hex');
}

/** The eight groups of an IPv6 address; `::` stands for as many zeros as are missing. */
function expand(text: string): readonly string[] {
  const plain = text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) => {
    const group = (high: string, low: string) => (Number(high) * 256 + Number(low)).toString(16);
    return `${group(a, b)}:${group(c, d)}`;
  });
  const [head = '', tail] = plain.split('::');
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));
  if (tail === undefined) return groups(head);
  const missing = 8 - groups(head).length - groups(tail).length;
  return [...groups(head), ...Array.from({ length: missing }, () => '0'), ...groups(tail)];
}

/** The canonical text: `fd00:43::a`; what stands for an IPv4 address shows it. */
export function formatAddress({ family, value }: Address): string {
  if (family === 'IPv4') {
    return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join('.');
  }
  if (isMapped({ family, value })) {
    return `::ffff:${formatAddress({ family: 'IPv4', value: value & 0xffff_ffffn })}`;
  }
  const groups = Array.from({ length: 8 }, (_, index) =>
    ((value >> BigInt(112 - index * 16)) & 0xffffn).toString(16),
  );
  return shortened(groups);
}

/** Whether it is an IPv6 address that stands for an IPv4 one: `::ffff:10.0.0.1`. */
export function isMapped({ family, value }: Address): boolean {
  return family === 'IPv6' && value >> 32n === 0xffffn;
}

/** The first bits of it, as a number. */
export function leadingBits({ family, value }: Address, bits: number): bigint {
  return value >> BigInt(widths[family] - bits);
}

/** The longest run of two zeros or more, the first of equals, becomes `::`. */
function shortened(groups: readonly string[]): string {
  let [from, length] = [0, 1];
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (groups[end] === '0') end += 1;
    if (end - start > length) [from, length] = [start, end - start];
  }
  if (length < 2) return groups.join(':');
  return `${groups.slice(0, from).join(':')}::${groups.slice(from + length).join(':')}`;
}

export function parseNetwork(text: string): Network | undefined {
  const [address = '', length = ''] = text.split('/');
  const parsed = parseAddress(address);
  const bits = /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN;
  if (parsed === undefined || !(bits <= widths[parsed.family])) return undefined;
  const size = 1n << BigInt(widths[parsed.family] - bits);
  return { family: parsed.family, base: parsed.value - (parsed.value % size), bits, size };
}

/** Its address with this number, the first being 0: `10.42.0.0/24` and 7 → `10.42.0.7`. */
export function addressAt({ family, base }: Network, index: bigint): string {
  return formatAddress({ family, value: base + index });
}

/** Whether they have addresses in common; false where one is none or they are of two families. */
export function networksOverlap(one: string, other: string): boolean {
  const a = parseNetwork(one);
  const b = parseNetwork(other);
  if (a === undefined || b === undefined || a.family !== b.family) return false;
  return a.base < b.base + b.size && b.base < a.base + a.size;
}

/** Whether the network has the address; false where one of them is none. */
export function networkHas(network: string, address: string): boolean {
  const within = parseNetwork(network);
  const parsed = parseAddress(address);
  if (within === undefined || parsed?.family !== within.family) return false;
  return parsed.value >= within.base && parsed.value < within.base + within.size;
}
