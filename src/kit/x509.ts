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
import { assert } from './assert.ts';
import {
  bitString,
  contentStart,
  elementEnd,
  integer,
  objectIdentifier,
  oid,
  sequence,
  tagged,
  time,
  toPem,
} from './der.ts';
import { addressBytes } from './ip-network.ts';
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
  const names = encodeAlternativeNames(request);
  if (names !== undefined) list.push(extension(oid.subjectAltName, names));
  return list;
}

/** The value of the extension; undefined where there are none. */
export function encodeAlternativeNames(of: {
  readonly dnsNames?: readonly string[] | undefined;
  readonly ipAddresses?: readonly string[] | undefined;
}): Uint8Array | undefined {
  const names = [
    ...(of.dnsNames ?? []).map((name) => tagged(0x82, Buffer.from(name, 'latin1'))),
    ...(of.ipAddresses ?? []).map((address) => tagged(0x87, addressBytes(address))),
  ];
  return names.length === 0 ? undefined : sequence(...names);
}

export function extension(id: string, value: Uint8Array, critical?: 'critical'): Uint8Array {
  const flag = critical === undefined ? [] : [tagged(0x01, Uint8Array.of(0xff))];
  return sequence(objectIdentifier(id), ...flag, tagged(0x04, value));
}

export function publicKeyInfo(privateKeyPem: string): Uint8Array {
  return createPublicKey(privateKeyPem).export({ type: 'spki', format: 'der' });
}

export function keyIdentifier(publicKey: Uint8Array): Uint8Array {
  return createHash('sha1').update(publicKey).digest();
}

export function encodeName(commonName: string, organizations: readonly string[]): Uint8Array {
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
export function subjectOf(certificate: Uint8Array): Uint8Array {
  let at = contentStart(certificate, contentStart(certificate, 0));
  for (let skipped = 0; skipped < 5; skipped++) at = elementEnd(certificate, at);
  return certificate.subarray(at, elementEnd(certificate, at));
}
