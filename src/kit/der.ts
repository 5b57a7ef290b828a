/**
 * DER, written and walked: just what certificates and requests for them are made of.
 *
 * Functions give the bytes of one element each; reading goes from element to element by offsets,
 * and `children` gives those inside one. Format: X.690, RFC 5280.
 */
import { assert } from './assert.ts';

/** What parts of certificates are called. */
export const oid = {
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

export function contentStart(der: Uint8Array, at: number): number {
  const first = der[at + 1] ?? 0;
  return first < 0x80 ? at + 2 : at + 2 + (first & 0x7f);
}

export function elementEnd(der: Uint8Array, at: number): number {
  const start = contentStart(der, at);
  let length = der[at + 1] ?? 0;
  if (length >= 0x80) {
    length = 0;
    for (let i = at + 2; i < start; i++) length = length * 256 + (der[i] ?? 0);
  }
  if (start + length > der.length) throw new DerError('an element ends outside its container');
  return start + length;
}

/** Bytes from outside that are no DER, or not what was expected. */
export class DerError extends Error {
  override readonly name = 'DerError';
}

/** The elements inside the element that these bytes are, each with its head. */
export function children(der: Uint8Array): readonly Uint8Array[] {
  const found: Uint8Array[] = [];
  const end = elementEnd(der, 0);
  for (let at = contentStart(der, 0); at < end; ) {
    const next = elementEnd(der, at);
    if (next > end) throw new DerError('an element ends outside its container');
    found.push(der.subarray(at, next));
    at = next;
  }
  return found;
}

export function contentOf(der: Uint8Array): Uint8Array {
  return der.subarray(contentStart(der, 0), elementEnd(der, 0));
}

export function tagged(tag: number, content: Uint8Array): Uint8Array {
  const { length } = content;
  const head =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff];
  assert(length < 0x10000, 'a certificate element is shorter than 64 KiB');
  return Buffer.concat([Uint8Array.from(head), content]);
}

export function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return tagged(0x30, Buffer.concat(parts));
}

/** A non-negative integer from big-endian bytes, with the leading zero that DER wants. */
export function integer(bytes: Uint8Array): Uint8Array {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const trimmed = bytes.subarray(start);
  const positive = (trimmed[0] ?? 0) >= 0x80 ? [Uint8Array.of(0), trimmed] : [trimmed];
  return tagged(0x02, Buffer.concat(positive));
}

export function bitString(bytes: Uint8Array): Uint8Array {
  return tagged(0x03, Buffer.concat([Uint8Array.of(0), bytes]));
}

export function objectIdentifier(text: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const groups = [part & 0x7f];
    for (let left = part >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return tagged(0x06, Uint8Array.from(bytes));
}

/** As `1.2.840.10045.4.3.2`. */
export function parseObjectIdentifier(der: Uint8Array): string {
  const [first = 0, ...bytes] = contentOf(der);
  const parts = first < 80 ? [Math.trunc(first / 40), first % 40] : [2, first - 80];
  let value = 0;
  for (const byte of bytes) {
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) {
      parts.push(value);
      value = 0;
    }
  }
  return parts.join('.');
}

/** UTCTime up to 2049, GeneralizedTime from 2050 (RFC 5280, 4.1.2.5). */
export function time(ms: number): Uint8Array {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]/g, '').slice(0, 14);
  const isLate = Number(digits.slice(0, 4)) >= 2050;
  return isLate
    ? tagged(0x18, Buffer.from(`${digits}Z`, 'latin1'))
    : tagged(0x17, Buffer.from(`${digits.slice(2)}Z`, 'latin1'));
}

export function toPem(der: Uint8Array, label = 'CERTIFICATE'): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
