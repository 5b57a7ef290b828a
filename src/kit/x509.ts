/**
 * X.509 certificates, written: just enough DER to issue the certificates of a cluster (a CA,
 * servers and clients, EC P-256 with SHA-256). Reading and verifying are Node's (`X509Certificate`,
 * TLS).
 *
 * Synchronous on purpose: nothing completes on another thread, so a simulated cluster may use it.
 * Decision 0006 says why this is not a library. Format: RFC 5280, RFC 5480, X.690.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  X509Certificate,
} from 'node:crypto';
import { isIPv4 } from 'node:net';
import { assert } from './assert.ts';
import type { Random } from './random.ts';

/** PEM texts of a certificate and its private key (PKCS #8). */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateRequest {
  readonly commonName: string;
  readonly organizations?: readonly string[];
  readonly role: 'ca' | 'server' | 'client';
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Who signs; absent: the certificate signs itself. */
  readonly issuer?: KeyPair;
}

const oid = {
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

/** PEM of a new EC P-256 private key. */
export function createPrivateKeyPem(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' });
}

export function issueCertificate(
  deps: { readonly random: Random },
  request: CertificateRequest,
): KeyPair {
  assert(request.notAfterMs > request.notBeforeMs, 'a certificate ends after it begins');
  const key = createPrivateKeyPem();
  const publicKey = publicKeyInfo(key);
  const issuerKey = request.issuer?.key ?? key;
  const subject = encodeName(request.commonName, request.organizations ?? []);
  const issuer =
    request.issuer === undefined
      ? subject
      : subjectOf(new X509Certificate(request.issuer.cert).raw);
  const algorithm = sequence(objectIdentifier(oid.ecdsaWithSha256));
  const body = sequence(
    tagged(0xa0, integer(Uint8Array.of(2))),
    integer(deps.random.bytes(16)),
    algorithm,
    issuer,
    sequence(time(request.notBeforeMs), time(request.notAfterMs)),
    subject,
    publicKey,
    tagged(0xa3, sequence(...extensions(request, publicKey, publicKeyInfo(issuerKey)))),
  );
  const signature = sign('sha256', body, createPrivateKey(issuerKey));
  const certificate = sequence(body, algorithm, bitString(signature));
  return { cert: toPem(certificate), key };
}

function extensions(
  request: CertificateRequest,
  publicKey: Uint8Array,
  issuerPublicKey: Uint8Array,
): Uint8Array[] {
  const isCA = request.role === 'ca';
  const constraints = isCA ? sequence(tagged(0x01, Uint8Array.of(0xff))) : sequence();
  // Bit 0 digitalSignature, bit 5 keyCertSign, bit 6 cRLSign.
  const usage = isCA
    ? Uint8Array.of(0x03, 0x02, 0x01, 0x86)
    : Uint8Array.of(0x03, 0x02, 0x07, 0x80);
  const list = [
    extension(oid.basicConstraints, constraints, 'critical'),
    extension(oid.keyUsage, usage, 'critical'),
    extension(oid.subjectKeyIdentifier, tagged(0x04, keyIdentifier(publicKey))),
    extension(oid.authorityKeyIdentifier, sequence(tagged(0x80, keyIdentifier(issuerPublicKey)))),
  ];
  if (!isCA) {
    const purpose = request.role === 'server' ? oid.serverAuth : oid.clientAuth;
    list.push(extension(oid.extendedKeyUsage, sequence(objectIdentifier(purpose))));
  }
  const names = [
    ...(request.dnsNames ?? []).map((name) => tagged(0x82, Buffer.from(name, 'latin1'))),
    ...(request.ipAddresses ?? []).map((address) => tagged(0x87, addressBytes(address))),
  ];
  if (names.length > 0) list.push(extension(oid.subjectAltName, sequence(...names)));
  return list;
}

function extension(id: string, value: Uint8Array, critical?: 'critical'): Uint8Array {
  const flag = critical === undefined ? [] : [tagged(0x01, Uint8Array.of(0xff))];
  return sequence(objectIdentifier(id), ...flag, tagged(0x04, value));
}

function publicKeyInfo(privateKeyPem: string): Uint8Array {
  return createPublicKey(privateKeyPem).export({ type: 'spki', format: 'der' });
}

function keyIdentifier(publicKey: Uint8Array): Uint8Array {
  return createHash('sha1').update(publicKey).digest();
}

function encodeName(commonName: string, organizations: readonly string[]): Uint8Array {
  const attribute = (type: string, value: string): Uint8Array =>
    tagged(0x31, sequence(objectIdentifier(type), tagged(0x0c, Buffer.from(value, 'utf8'))));
  return sequence(
    ...organizations.map((value) => attribute(oid.organization, value)),
    attribute(oid.commonName, commonName),
  );
}

/**
 * The subject of a certificate as its own bytes, so that an issuer's name is repeated exactly.
 * TBSCertificate = version, serial, algorithm, issuer, validity, subject, …
 */
function subjectOf(certificate: Uint8Array): Uint8Array {
  let at = contentStart(certificate, contentStart(certificate, 0));
  for (let skipped = 0; skipped < 5; skipped++) at = elementEnd(certificate, at);
  return certificate.subarray(at, elementEnd(certificate, at));
}

function contentStart(der: Uint8Array, at: number): number {
  const first = der[at + 1] ?? 0;
  return first < 0x80 ? at + 2 : at + 2 + (first & 0x7f);
}

function elementEnd(der: Uint8Array, at: number): number {
  const start = contentStart(der, at);
  let length = der[at + 1] ?? 0;
  if (length >= 0x80) {
    length = 0;
    for (let i = at + 2; i < start; i++) length = length * 256 + (der[i] ?? 0);
  }
  assert(start + length <= der.length, 'a DER element ends inside its container');
  return start + length;
}

function tagged(tag: number, content: Uint8Array): Uint8Array {
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

function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return tagged(0x30, Buffer.concat(parts));
}

/** A non-negative integer from big-endian bytes, with the leading zero that DER wants. */
function integer(bytes: Uint8Array): Uint8Array {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const trimmed = bytes.subarray(start);
  const positive = (trimmed[0] ?? 0) >= 0x80 ? [Uint8Array.of(0), trimmed] : [trimmed];
  return tagged(0x02, Buffer.concat(positive));
}

function bitString(bytes: Uint8Array): Uint8Array {
  return tagged(0x03, Buffer.concat([Uint8Array.of(0), bytes]));
}

function objectIdentifier(text: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const groups = [part & 0x7f];
    for (let left = part >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return tagged(0x06, Uint8Array.from(bytes));
}

/** UTCTime up to 2049, GeneralizedTime from 2050 (RFC 5280, 4.1.2.5). */
function time(ms: number): Uint8Array {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]/g, '').slice(0, 14);
  const isLate = Number(digits.slice(0, 4)) >= 2050;
  return isLate
    ? tagged(0x18, Buffer.from(`${digits}Z`, 'latin1'))
    : tagged(0x17, Buffer.from(`${digits.slice(2)}Z`, 'latin1'));
}

function addressBytes(address: string): Uint8Array {
  if (isIPv4(address)) return Uint8Array.from(address.split('.').map(Number));
  const [head = '', tail] = address.split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  const left = groups(head);
  const right = groups(tail ?? '');
  const zeros = new Array<number>(8 - left.length - right.length).fill(0);
  const all = tail === undefined ? left : [...left, ...zeros, ...right];
  assert(all.length === 8, `not an IP address: ${address}`);
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

function toPem(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
