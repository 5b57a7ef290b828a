/**
 * IPv4 addresses and ranges as numbers: parse, format, contain, overlap.
 */
import { isIPv4 } from 'node:net';

export interface Range {
  /** First address, as an unsigned 32-bit number. */
  readonly base: number;
  /** Length of the prefix, 0 to 32. */
  readonly bits: number;
}

/** `10.42.0.7` → 0x0a2a0007; undefined when it is not an IPv4 address. */
export function parseIPv4(text: string): number | undefined {
  if (!isIPv4(text)) return undefined;
  return text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

export function formatIPv4(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

/** `10.42.0.0/16`; bits of the host part are cleared. Undefined when it is not an IPv4 range. */
export function parseCIDR(text: string): Range | undefined {
  const [address = '', length = ''] = text.split('/');
  const value = parseIPv4(address);
  const bits = /^\d{1,2}$/.test(length) ? Number(length) : Number.NaN;
  if (value === undefined || !(bits >= 0 && bits <= 32)) return undefined;
  const size = 2 ** (32 - bits);
  return { base: Math.floor(value / size) * size, bits };
}

export function rangeSize(range: Range): number {
  return 2 ** (32 - range.bits);
}

export function contains(cidr: string, address: string): boolean {
  const range = parseCIDR(cidr);
  const value = parseIPv4(address);
  if (range === undefined || value === undefined) return false;
  return value >= range.base && value < range.base + rangeSize(range);
}

export function overlaps(one: string, other: string): boolean {
  const a = parseCIDR(one);
  const b = parseCIDR(other);
  if (a === undefined || b === undefined) return false;
  return a.base < b.base + rangeSize(b) && b.base < a.base + rangeSize(a);
}
