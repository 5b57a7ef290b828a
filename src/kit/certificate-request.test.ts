/** A request that we write is one that we, and OpenSSL's reader in Node, can read. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import {
  createCertificateRequest,
  isSelfSigned,
  parseCertificateRequest,
  signCertificateRequest,
} from './certificate-request.ts';
import { seededRandom } from './random.ts';
import { issueCertificate } from './x509.ts';

test('a request says who asks for which names, and is signed by its key', () => {
  const { request, key } = createCertificateRequest({
    commonName: 'system:node:n1',
    organizations: ['system:nodes'],
    dnsNames: ['n1'],
    ipAddresses: ['10.0.0.2'],
  });
  const parsed = parseCertificateRequest(request);
  assert.equal(parsed.commonName, 'system:node:n1');
  assert.deepEqual(parsed.organizations, ['system:nodes']);
  assert.deepEqual([parsed.dnsNames, parsed.ipAddresses], [['n1'], ['0a000002']]);
  assert.ok(isSelfSigned(parsed));
  const random = seededRandom(1);
  const valid = { notBeforeMs: Date.UTC(2026, 0), notAfterMs: Date.UTC(2027, 0) };
  const issuer = issueCertificate({ random }, { commonName: 'ca', role: 'ca', ...valid });
  const usages = ['digital signature', 'server auth'];
  const pem = signCertificateRequest({ random }, { request: parsed, usages, issuer, ...valid });
  const certificate = new X509Certificate(pem);
  assert.equal(certificate.subject, 'O=system:nodes\nCN=system:node:n1');
  assert.equal(certificate.checkHost('n1'), 'n1');
  assert.equal(certificate.checkIP('10.0.0.2'), '10.0.0.2');
  assert.ok(key.startsWith('-----BEGIN PRIVATE KEY-----'));
});

test('a request without names asks for none', () => {
  const parsed = parseCertificateRequest(createCertificateRequest({ commonName: 'a' }).request);
  assert.deepEqual([parsed.der.names, parsed.dnsNames, parsed.organizations], [undefined, [], []]);
  assert.ok(isSelfSigned(parsed));
});
