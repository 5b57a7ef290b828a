/**
 * Blocks of addresses as text (`10.9.8.0/24`): whether they are well-formed, the first address, and
 * whether one lies inside another. Used by network policies and Service ranges.
 */
import { BlockList, isIP } from 'node:net';
import { type FieldError, invalid } from '#api/field-error.ts';

export interface Block {
  readonly address: string;
  readonly bits: number;
  readonly family: 'ipv4' | 'ipv6';
}

export function parseBlock(text: string): Block | undefined {
  const [address = '', bits = '', more] = text.split('/');
  const version = isIP(address);
  if (version === 0 || more !== undefined || !/^\d{1,3}$/.test(bits)) return undefined;
  const length = Number(bits);
  if (length > (version === 4 ? 32 : 128)) return undefined;
  return { address, bits: length, family: version === 4 ? 'ipv4' : 'ipv6' };
}

/** Smaller than `outer`, and wholly in it. */
export function isStrictlyInside(inner: Block, outer: Block): boolean {
  if (inner.family !== outer.family || inner.bits <= outer.bits) return false;
  const list = new BlockList();
  list.addSubnet(outer.address, outer.bits, outer.family);
  return list.check(inner.address, inner.family);
}

export function validateBlock(text: string, field: string): FieldError[] {
  if (parseBlock(text) !== undefined) return [];
  const detail = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)';
  return [invalid(field, text, detail)];
}
