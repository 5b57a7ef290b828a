/** Requests, read and signed; who is approved, what is refused, and when requests go. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  isSelfSigned,
  type ParsedRequest,
  parseCertificateRequest,
  signCertificateRequest,
} from '#kit/certificate-request.ts';
import { seededRandom } from '#kit/random.ts';
import { issueCertificate } from '#kit/x509.ts';
import type { CertificateSigningRequest } from '#resources/types/certificates-v1.ts';
import { covers } from '#test/covers.ts';
import { expiresAtMs, limits, planApproval, planSigning, planValidity, signers } from './plan.ts';

const nodeUsages = ['digital signature', 'client auth'];

const request = (more: Partial<ParsedRequest> = {}): ParsedRequest => ({
  commonName: 'system:node:n1',
  organizations: ['system:nodes'],
  dnsNames: [],
  ipAddresses: [],
  emailAddresses: [],
  uris: [],
  der: {
    subject: new Uint8Array(),
    publicKey: new Uint8Array(),
    names: undefined,
    signed: new Uint8Array(),
    algorithm: '',
    signature: new Uint8Array(),
  },
  ...more,
});

const csr = (
  spec: Partial<CertificateSigningRequest['spec']> = {},
  status: CertificateSigningRequest['status'] = {},
): CertificateSigningRequest => ({
  apiVersion: 'certificates.k8s.io/v1',
  kind: 'CertificateSigningRequest',
  metadata: { name: 'r', creationTimestamp: '2026-01-01T00:00:00Z' },
  spec: { request: '', signerName: signers.kubeletClient, usages: nodeUsages, ...spec },
  status,
});

test('a kubelet is approved for itself, and for any node where it may ask for any', () => {
  const tried = (of: CertificateSigningRequest, asked = request()) =>
    planApproval(of, asked).map(({ subresource }) => subresource);
  assert.deepEqual(tried(csr({ username: 'system:node:n1' })), ['selfnodeclient', 'nodeclient']);
  assert.deepEqual(tried(csr({ username: 'system:bootstrap:abc' })), ['nodeclient']);
  assert.deepEqual(tried(csr({ signerName: signers.kubeletServing })), []);
  assert.deepEqual(tried(csr({ usages: ['server auth'] })), []);
  assert.deepEqual(tried(csr(), request({ organizations: ['system:masters'] })), []);
});

test('each signer signs what it is for', () => {
  const plan = (of: Partial<CertificateSigningRequest['spec']>, asked = request()) => {
    const signing = planSigning(csr(of), asked);
    return signing.do === 'refuse' ? signing.why : signing.do;
  };
  assert.equal(plan({}), 'sign');
  assert.equal(
    plan({ usages: [...nodeUsages, 'key encipherment', 'server auth'] }),
    'usages did not match [client auth digital signature key encipherment]',
  );
  assert.equal(plan({}, request({ dnsNames: ['a'] })), 'DNS subjectAltNames are not allowed');
  assert.equal(
    plan({}, request({ commonName: 'bob' })),
    'subject common name does not begin with system:node:',
  );
  const serving = {
    signerName: signers.kubeletServing,
    usages: ['digital signature', 'server auth'],
  };
  assert.equal(plan(serving), 'DNS or IP subjectAltName is required');
  assert.equal(plan(serving, request({ ipAddresses: ['0a000001'] })), 'sign');
  const client = { signerName: signers.client, usages: ['client auth'] };
  assert.equal(plan(client), 'sign');
  assert.equal(
    plan({ ...client, usages: ['server auth'] }),
    'invalid usage for client certificate: server auth',
  );
  assert.equal(plan({ signerName: signers.legacy, usages: ['cert sign'] }), 'sign');
  assert.equal(plan({ signerName: 'example.com/own' }), 'leave');
});

test('authorities that others made sign as well, whatever key they have', () => {
  const folder = mkdtempSync(join(tmpdir(), 'coracle-authority-'));
  try {
    for (const sort of ['rsa:2048', 'ed25519', 'ec -pkeyopt ec_paramgen_curve:P-384']) {
      const make =
        `openssl req -x509 -newkey ${sort} -nodes -keyout ca.key -out ca.crt -subj /CN=ca -days 2 &&` +
        ' openssl req -new -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=me -out me.csr';
      execFileSync('sh', ['-c', make], { cwd: folder, stdio: 'ignore' });
      const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
      const issuer = { cert: read('ca.crt'), key: read('ca.key') };
      const nowMs = Date.now();
      const validity = { notBeforeMs: nowMs - 1000, notAfterMs: nowMs + 3_600_000 };
      const request = parseCertificateRequest(read('me.csr'));
      const options = { request, usages: ['client auth'], issuer, ...validity };
      const signed = signCertificateRequest({ random: seededRandom(1) }, options);
      writeFileSync(join(folder, 'me.crt'), signed);
      const told = execFileSync('openssl', ['verify', '-CAfile', 'ca.crt', 'me.crt'], {
        cwd: folder,
        encoding: 'utf8',
      });
      assert.equal(told.trim(), 'me.crt: OK', sort);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('how long a certificate holds, and how long its request is kept', () => {
  const nowMs = Date.UTC(2026, 0, 1);
  const hour = 3_600_000;
  const hours = (seconds: number | undefined, endsMs = nowMs + 10 * limits.certificateMs) =>
    (planValidity(seconds, endsMs, nowMs).notAfterMs - nowMs) / hour;
  assert.equal(hours(undefined), 365 * 24 - 1 / 12);
  assert.equal(hours(3600), 1);
  assert.equal(hours(60), 1 / 6);
  assert.equal(hours(undefined, nowMs + 5 * hour), 5);
  const at = '2026-01-01T00:00:00Z';
  const decided = (type: string) =>
    csr({}, { conditions: [{ type, status: 'True', lastUpdateTime: at }] });
  assert.equal(expiresAtMs(csr(), undefined) - nowMs, 24 * hour);
  for (const type of ['Approved', 'Denied', 'Failed']) {
    assert.equal(expiresAtMs(decided(type), undefined) - nowMs, hour);
  }
  assert.equal(expiresAtMs(decided('Approved'), nowMs + 1), nowMs + 1);
});

/** Every usage of the API, as OpenSSL tells it. */
const usageTexts: Readonly<Record<string, string>> = {
  signing: 'Digital Signature',
  'digital signature': 'Digital Signature',
  'content commitment': 'Non Repudiation',
  'key encipherment': 'Key Encipherment',
  'data encipherment': 'Data Encipherment',
  'key agreement': 'Key Agreement',
  'cert sign': 'Certificate Sign',
  'crl sign': 'CRL Sign',
  'encipher only': 'Encipher Only',
  'decipher only': 'Decipher Only',
  any: 'Any Extended Key Usage',
  'server auth': 'TLS Web Server Authentication',
  'client auth': 'TLS Web Client Authentication',
  'code signing': 'Code Signing',
  'email protection': 'E-mail Protection',
  's/mime': 'E-mail Protection',
  'ipsec end system': 'IPSec End System',
  'ipsec tunnel': 'IPSec Tunnel',
  'ipsec user': 'IPSec User',
  timestamping: 'Time Stamping',
  'ocsp signing': 'OCSP Signing',
  'microsoft sgc': 'Microsoft Server Gated Crypto',
  'netscape sgc': 'Netscape Server Gated Crypto',
};

test('a request of OpenSSL is read, checked and signed', () => {
  covers('AUT-055');
  const script =
    'openssl req -new -newkey rsa:2048 -nodes -keyout /dev/null -subj "/O=system:nodes/O=b/CN=me"' +
    ' -addext "subjectAltName=DNS:a.example,IP:10.0.0.1,email:x@y.z,URI:urn:a" 2>/dev/null';
  const pem = execFileSync('sh', ['-c', script], { encoding: 'utf8' });
  const parsed = parseCertificateRequest(pem);
  const { der, ...names } = parsed;
  assert.deepEqual(names, {
    commonName: 'me',
    organizations: ['system:nodes', 'b'],
    dnsNames: ['a.example'],
    ipAddresses: ['0a000001'],
    emailAddresses: ['x@y.z'],
    uris: ['urn:a'],
  });
  assert.ok(isSelfSigned(parsed));
  const forged = der.subject.slice();
  const signed = der.signed.slice();
  signed[signed.length - 3] = (signed[signed.length - 3] ?? 0) ^ 1;
  assert.ok(!isSelfSigned({ ...parsed, der: { ...der, subject: forged, signed } }));
  const validity = { notBeforeMs: Date.UTC(2026, 0, 1), notAfterMs: Date.UTC(2027, 0, 1) };
  const random = seededRandom(1);
  const issuer = issueCertificate({ random }, { commonName: 'ca', role: 'ca', ...validity });
  const usages = Object.keys(usageTexts);
  const options = { request: parsed, usages, issuer, ...validity };
  const certificate = new X509Certificate(signCertificateRequest({ random }, options));
  assert.ok(certificate.verify(new X509Certificate(issuer.cert).publicKey));
  assert.ok(certificate.checkIssued(new X509Certificate(issuer.cert)));
  assert.equal(certificate.subject, 'O=system:nodes\nO=b\nCN=me');
  assert.match(certificate.subjectAltName ?? '', /DNS:a\.example, IP Address:10\.0\.0\.1/);
  assert.equal(certificate.validToDate.getTime(), validity.notAfterMs);
  const text = execFileSync('openssl', ['x509', '-noout', '-text'], {
    input: certificate.toString(),
    encoding: 'utf8',
  });
  const [, keyUsage = ''] = /Key Usage: critical\s+(.*)/.exec(text) ?? [];
  const [, extended = ''] = /Extended Key Usage: ?\s+(.*)/.exec(text) ?? [];
  const told = new Set([...keyUsage.split(', '), ...extended.split(', ')]);
  assert.deepEqual(told, new Set(Object.values(usageTexts)));
  assert.throws(
    () => signCertificateRequest({ random }, { ...options, usages: ['x'] }),
    /unrecognized usage values: \["x"\]/,
  );
  assert.throws(() => parseCertificateRequest('nonsense'), /PEM block type/);
});
