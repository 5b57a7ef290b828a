/**
 * Requests for certificates (PKCS #10), written and read; and certificates for them, signed.
 *
 * `createCertificateRequest` makes a new key and asks for a certificate for it.
 * `parseCertificateRequest` gives who asks for which names; what was asked for comes into the
 * certificate as its own bytes. `signCertificateRequest` issues it, after checking that who asks
 * holds the key. Synchronous, as `x509.ts` is. Format: RFC 2986, RFC 5280.
 */
import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign,
  verify,
  X509Certificate,
} from 'node:crypto';
import {
  bitString,
  children,
  contentOf,
  DerError,
  integer,
  objectIdentifier,
  oid,
  parseObjectIdentifier,
  sequence,
  tagged,
  time,
  toPem,
} from './der.ts';
import type { Random } from './random.ts';
import { parseSubject, type RequestSubject, requestBytes } from './request-subject.ts';
import {
  createPrivateKeyPem,
  encodeAlternativeNames,
  encodeName,
  extension,
  type KeyPair,
  keyIdentifier,
  publicKeyInfo,
  subjectOf,
} from './x509.ts';

export interface ParsedRequest extends RequestSubject {
  readonly dnsNames: readonly string[];
  /** As bytes in hexadecimal: what matters is whether there are any. */
  readonly ipAddresses: readonly string[];
  readonly emailAddresses: readonly string[];
  readonly uris: readonly string[];
  readonly der: {
    readonly subject: Uint8Array;
    readonly publicKey: Uint8Array;
    /** The value of the extension with alternative names. */
    readonly names: Uint8Array | undefined;
    readonly signed: Uint8Array;
    readonly algorithm: string;
    readonly signature: Uint8Array;
  };
}

const extensionRequest = '1.2.840.113549.1.9.14';

/** PEM of the request and of the new key that signs it. */
export function createCertificateRequest(of: {
  readonly commonName: string;
  readonly organizations?: readonly string[] | undefined;
  readonly dnsNames?: readonly string[] | undefined;
  readonly ipAddresses?: readonly string[] | undefined;
}): { readonly request: string; readonly key: string } {
  const key = createPrivateKeyPem();
  const names = encodeAlternativeNames(of);
  const attributes =
    names === undefined
      ? []
      : [
          sequence(
            objectIdentifier(extensionRequest),
            tagged(0x31, sequence(extension(oid.subjectAltName, names))),
          ),
        ];
  const body = sequence(
    integer(Uint8Array.of(0)),
    encodeName(of.commonName, of.organizations ?? []),
    publicKeyInfo(key),
    tagged(0xa0, Buffer.concat(attributes)),
  );
  const algorithm = sequence(objectIdentifier(oid.ecdsaWithSha256));
  const signature = sign('sha256', body, createPrivateKey(key));
  const request = toPem(sequence(body, algorithm, bitString(signature)), 'CERTIFICATE REQUEST');
  return { request, key };
}

/** Throws where the text is no request. */
export function parseCertificateRequest(pem: string): ParsedRequest {
  const request = requestBytes(pem);
  if (request === undefined) throw new DerError('PEM block type must be CERTIFICATE REQUEST');
  const [signed, algorithm, signature] = children(request);
  if (signed === undefined || algorithm === undefined || signature === undefined) {
    throw new DerError('a certificate request has three parts');
  }
  const [, subject, publicKey, attributes] = children(signed);
  const [algorithmId] = children(algorithm);
  if (subject === undefined || publicKey === undefined || algorithmId === undefined) {
    throw new DerError('a certificate request has a subject and a key');
  }
  const names = attributes === undefined ? undefined : namesIn(attributes);
  return {
    ...parseSubject(subject),
    ...alternativeNames(names),
    der: {
      subject,
      publicKey,
      names,
      signed,
      algorithm: parseObjectIdentifier(algorithmId),
      // The first byte of a bit string counts unused bits: none in a signature.
      signature: contentOf(signature).subarray(1),
    },
  };
}

function namesIn(attributes: Uint8Array): Uint8Array | undefined {
  for (const attribute of children(attributes)) {
    const [id, values] = children(attribute);
    if (id === undefined || values === undefined) continue;
    if (parseObjectIdentifier(id) !== extensionRequest) continue;
    for (const one of children(values).flatMap(children)) {
      const [type, ...rest] = children(one);
      const value = rest.at(-1);
      if (type === undefined || value === undefined) continue;
      if (parseObjectIdentifier(type) === oid.subjectAltName) return contentOf(value);
    }
  }
  return undefined;
}

function alternativeNames(names: Uint8Array | undefined) {
  const of = (tag: number, encoding: 'latin1' | 'hex'): readonly string[] =>
    (names === undefined ? [] : children(names))
      .filter((name) => name[0] === tag)
      .map((name) => Buffer.from(contentOf(name)).toString(encoding));
  return {
    emailAddresses: of(0x81, 'latin1'),
    dnsNames: of(0x82, 'latin1'),
    uris: of(0x86, 'latin1'),
    ipAddresses: of(0x87, 'hex'),
  };
}

/** Signature algorithms and their digests; a key that needs none says null. */
const digests: Readonly<Record<string, string | null>> = {
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.3.101.112': null,
};

/** Whether who asks holds the key. */
export function isSelfSigned({ der }: ParsedRequest): boolean {
  const digest = digests[der.algorithm];
  if (digest === undefined) return false;
  const key = createPublicKey({ key: Buffer.from(der.publicKey), type: 'spki', format: 'der' });
  return verify(digest, der.signed, key, der.signature);
}

/** Bits of the key usage, by the names of the API. */
const usageBits: Readonly<Record<string, number>> = {
  signing: 0,
  'digital signature': 0,
  'content commitment': 1,
  'key encipherment': 2,
  'data encipherment': 3,
  'key agreement': 4,
  'cert sign': 5,
  'crl sign': 6,
  'encipher only': 7,
  'decipher only': 8,
};

const extendedUsages: Readonly<Record<string, string>> = {
  any: '2.5.29.37.0',
  'server auth': oid.serverAuth,
  'client auth': oid.clientAuth,
  'code signing': '1.3.6.1.5.5.7.3.3',
  'email protection': '1.3.6.1.5.5.7.3.4',
  's/mime': '1.3.6.1.5.5.7.3.4',
  'ipsec end system': '1.3.6.1.5.5.7.3.5',
  'ipsec tunnel': '1.3.6.1.5.5.7.3.6',
  'ipsec user': '1.3.6.1.5.5.7.3.7',
  timestamping: '1.3.6.1.5.5.7.3.8',
  'ocsp signing': '1.3.6.1.5.5.7.3.9',
  'microsoft sgc': '1.3.6.1.4.1.311.10.3.3',
  'netscape sgc': '2.16.840.1.113730.4.1',
};

/** PEM of the certificate. Throws for usages that there are not. */
export function signCertificateRequest(
  deps: { readonly random: Random },
  options: {
    readonly request: ParsedRequest;
    readonly usages: readonly string[];
    readonly issuer: KeyPair;
    readonly notBeforeMs: number;
    readonly notAfterMs: number;
  },
): string {
  const { request, issuer } = options;
  const key = createPrivateKey(issuer.key);
  const algorithm = algorithmOf(key);
  const body = sequence(
    tagged(0xa0, integer(Uint8Array.of(2))),
    integer(deps.random.bytes(16)),
    algorithm,
    subjectOf(new X509Certificate(issuer.cert).raw),
    sequence(time(options.notBeforeMs), time(options.notAfterMs)),
    request.der.subject,
    request.der.publicKey,
    tagged(0xa3, sequence(...extensionsFor(options))),
  );
  const signature = sign(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', body, key);
  return toPem(sequence(body, algorithm, bitString(signature)));
}

/** What a signature by this key is called: authorities that others made have keys of any sort. */
function algorithmOf({ asymmetricKeyType }: KeyObject): Uint8Array {
  switch (asymmetricKeyType) {
    case 'rsa':
      return sequence(objectIdentifier('1.2.840.113549.1.1.11'), tagged(0x05, new Uint8Array()));
    case 'ed25519':
      return sequence(objectIdentifier('1.3.101.112'));
    default:
      return sequence(objectIdentifier(oid.ecdsaWithSha256));
  }
}

function extensionsFor({
  request,
  usages,
  issuer,
}: Parameters<typeof signCertificateRequest>[1]): Uint8Array[] {
  const unknown = usages.filter((usage) => !(usage in usageBits) && !(usage in extendedUsages));
  if (unknown.length > 0) {
    const list = unknown.map((usage) => JSON.stringify(usage)).join(' ');
    throw new Error(`unrecognized usage values: [${list}]`);
  }
  const bits = usages.flatMap((usage) => usageBits[usage] ?? []);
  const extended = [...new Set(usages.flatMap((usage) => extendedUsages[usage] ?? []))].toSorted();
  const keyId = keyIdOf(issuer);
  const list = [extension(oid.basicConstraints, sequence(), 'critical')];
  if (bits.length > 0) list.push(extension(oid.keyUsage, namedBits(bits), 'critical'));
  if (extended.length > 0) {
    list.push(extension(oid.extendedKeyUsage, sequence(...extended.map(objectIdentifier))));
  }
  list.push(extension(oid.authorityKeyIdentifier, sequence(tagged(0x80, keyId))));
  if (request.der.names !== undefined) list.push(extension(oid.subjectAltName, request.der.names));
  return list;
}

/**
 * How the issuer's certificate calls its key: authorities that others made count it otherwise.
 * TBSCertificate = version, serial, …, [3] extensions.
 */
function keyIdOf({ cert, key }: KeyPair): Uint8Array {
  const [body = new Uint8Array()] = children(new X509Certificate(cert).raw);
  const extensions = children(body).find(([tag]) => tag === 0xa3);
  for (const one of extensions === undefined ? [] : children(extensions).flatMap(children)) {
    const [type, ...rest] = children(one);
    const value = rest.at(-1);
    if (type === undefined || value === undefined) continue;
    if (parseObjectIdentifier(type) === oid.subjectKeyIdentifier)
      return contentOf(contentOf(value));
  }
  return keyIdentifier(publicKeyInfo(key));
}

/** A bit string without zero bits at its end: bit 0 is the highest of the first byte. */
function namedBits(bits: readonly number[]): Uint8Array {
  const highest = Math.max(...bits);
  const bytes = new Uint8Array(1 + Math.trunc(highest / 8) + 1);
  bytes[0] = 7 - (highest % 8);
  for (const bit of bits) {
    const at = 1 + Math.trunc(bit / 8);
    bytes[at] = (bytes[at] ?? 0) | (0x80 >> (bit % 8));
  }
  return tagged(0x03, bytes);
}
