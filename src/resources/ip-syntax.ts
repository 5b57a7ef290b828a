/**
 * Addresses and blocks of addresses as people write them. Some forms were always read but mean
 * different things to different programs (`010.0.0.1`, `::ffff:1.2.3.4`): new objects may not have
 * them, old ones keep them. Others are sound but not as they are best written (`2001:DB8::1`): of
 * those the server warns.
 *
 * Called by the validation and the warnings of every kind that has addresses.
 */
import { isIP, SocketAddress } from 'node:net';
import { type FieldError, invalid } from '#api/field-error.ts';

const noAddress = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';
const noBlock = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)';

export interface Address {
  readonly version: 4 | 6;
  /** As it is best written; an IPv4 address in the coat of an IPv6 one is the former. */
  readonly canonical: string;
  /** Zeros lead a part of it, so that some take it for octal. */
  readonly hasZeros: boolean;
  /** `::ffff:1.2.3.4`. */
  readonly isMapped: boolean;
}

const octets = /^\d+\.\d+\.\d+\.\d+$/;

export function parseAddress(text: string): Address | undefined {
  if (octets.test(text)) {
    const parts = text.split('.').map(Number);
    if (parts.some((part) => part > 255)) return undefined;
    const canonical = parts.join('.');
    return { version: 4, canonical, hasZeros: canonical !== text, isMapped: false };
  }
  const [, head = '', tail = ''] = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text) ?? [];
  const inner = head === '' ? undefined : parseAddress(tail);
  if (head !== '' && inner === undefined) return undefined;
  const sound = inner === undefined ? text : head + inner.canonical;
  if (isIP(sound) !== 6 || sound.includes('%')) return undefined;
  const { address } = new SocketAddress({ address: sound, family: 'ipv6' });
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1];
  const hasZeros = inner?.hasZeros ?? false;
  return { version: 6, canonical: mapped ?? address, hasZeros, isMapped: mapped !== undefined };
}

export function validateIP(address: string | undefined, field: string): FieldError[] {
  const text = address ?? '';
  const parsed = parseAddress(text);
  if (parsed === undefined) return [invalid(field, text, noAddress)];
  if (parsed.hasZeros) return [keepable(field, text, 'must not have leading 0s')];
  if (!parsed.isMapped) return [];
  return [keepable(field, text, 'must not be an IPv4-mapped IPv6 address')];
}

/** What an object that has it may keep. */
function keepable(field: string, text: string, detail: string): FieldError {
  return { ...invalid(field, text, detail), ratchets: true };
}

/** Traffic is not sent to addresses that mean a machine itself, or one link only. */
export function validateEndpointIP(text: string, field: string): FieldError[] {
  const canonical = parseAddress(text)?.canonical;
  if (canonical === undefined) return [invalid(field, text, 'must be a valid IP address')];
  const rules: readonly [RegExp, string][] = [
    [/^(0\.0\.0\.0|::)$/, `may not be unspecified (${text})`],
    [/^(127\.|::1$)/, 'may not be in the loopback range (127.0.0.0/8, ::1/128)'],
    [
      /^(169\.254\.|fe[89ab][0-9a-f]:)/,
      'may not be in the link-local range (169.254.0.0/16, fe80::/10)',
    ],
    [
      /^(224\.0\.0\.|ff[0-9a-f]2:)/,
      'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)',
    ],
  ];
  const [, detail] = rules.find(([pattern]) => pattern.test(canonical)) ?? [];
  return detail === undefined ? [] : [invalid(field, text, detail)];
}

/** Where only the best form will do. */
export function validateCanonicalIP(address: string, field: string): FieldError[] {
  const errors = validateIP(address, field);
  const canonical = parseAddress(address)?.canonical;
  if (errors.length > 0 || canonical === address) return errors;
  return [invalid(field, address, `must be in canonical form (${JSON.stringify(canonical)})`)];
}

export function ipWarnings(text: string | undefined, field: string): string[] {
  const parsed = parseAddress(text ?? '');
  if (parsed === undefined) return [];
  const [given, better] = [JSON.stringify(text), JSON.stringify(parsed.canonical)];
  if (parsed.hasZeros || parsed.isMapped) {
    return [`${field}: non-standard IP address ${given} is invalid: use ${better}`];
  }
  if (parsed.version === 4 || parsed.canonical === text) return [];
  return [`${field}: IPv6 address ${given} should be in RFC 5952 canonical format (${better})`];
}

interface ParsedBlock {
  readonly address: Address;
  readonly bits: number;
  readonly hasZeros: boolean;
  /** The block's own first address, and whether that was said. */
  readonly first: string;
  readonly isFirst: boolean;
}

function parseSloppyBlock(text: string): ParsedBlock | undefined {
  const [said = '', length = '', more] = text.split('/');
  const address = parseAddress(said);
  if (address === undefined || more !== undefined || !/^\d{1,3}$/.test(length)) return undefined;
  const bits = Number(length);
  if (bits > (address.version === 4 ? 32 : 128)) return undefined;
  const hasZeros = address.hasZeros || String(bits) !== length;
  const isShort = address.isMapped;
  const kept = isShort ? Math.max(0, bits - 96) : bits;
  const number = toNumber(address.canonical);
  const rest = BigInt((isShort || address.version === 4 ? 32 : 128) - kept);
  const begin = (number >> rest) << rest;
  const first = toText(begin, isShort ? 4 : address.version);
  return { address, bits: kept, hasZeros, first, isFirst: begin === number };
}

function toNumber(canonical: string): bigint {
  if (octets.test(canonical)) {
    return canonical.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  }
  const [head = '', tail] = canonical.split('::');
  const words = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const [left, right] = [words(head), words(tail ?? '')];
  const between = Array.from({ length: 8 - left.length - right.length }, () => '0');
  const all = tail === undefined ? left : [...left, ...between, ...right];
  return all.reduce((sum, word) => sum * 65536n + BigInt(`0x${word}`), 0n);
}

function toText(number: bigint, version: 4 | 6): string {
  if (version === 4) {
    return [24n, 16n, 8n, 0n].map((shift) => String((number >> shift) & 255n)).join('.');
  }
  const shifts = [112n, 96n, 80n, 64n, 48n, 32n, 16n, 0n];
  const address = shifts.map((shift) => ((number >> shift) & 65535n).toString(16)).join(':');
  return new SocketAddress({ address, family: 'ipv6' }).address;
}

export function validateCIDR(text: string, field: string): FieldError[] {
  const block = parseSloppyBlock(text);
  if (block === undefined) return [invalid(field, text, noBlock)];
  if (block.hasZeros) {
    return [keepable(field, text, 'must not have leading 0s in IP or prefix length')];
  }
  if (block.address.isMapped) {
    return [keepable(field, text, 'must not have an IPv4-mapped IPv6 address')];
  }
  if (block.isFirst) return [];
  return [keepable(field, text, 'must not have bits set beyond the prefix length')];
}

export function cidrWarnings(text: string, field: string): string[] {
  const block = parseSloppyBlock(text);
  if (block === undefined) return [];
  const { address, bits, first } = block;
  const given = JSON.stringify(text);
  const better = JSON.stringify(`${first}/${bits}`);
  const warnings: string[] = [];
  if (!block.isFirst) {
    const whole = address.version === 4 || address.isMapped ? 32 : 128;
    const single = JSON.stringify(`${address.canonical}/${whole}`);
    warnings.push(
      `${field}: CIDR value ${given} is ambiguous in this context (should be ${better} or ${single}?)`,
    );
  }
  if (block.hasZeros || address.isMapped) {
    warnings.push(`${field}: non-standard CIDR value ${given} is invalid: use ${better}`);
  }
  if (warnings.length === 0 && address.version === 6 && `${first}/${bits}` !== text) {
    warnings.push(
      `${field}: IPv6 CIDR value ${given} should be in RFC 5952 canonical format (${better})`,
    );
  }
  return warnings;
}
