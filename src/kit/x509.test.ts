/** Certificates that we write must satisfy readers that we did not: Node's parser and OpenSSL. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { seededRandom } from './random.ts';
import { type CertificateRequest, issueCertificate } from './x509.ts';

const random = seededRandom(1);
const validity = { notBeforeMs: Date.UTC(2026, 0, 1), notAfterMs: Date.UTC(2055, 0, 1) };

function issue(request: Omit<CertificateRequest, 'notBeforeMs' | 'notAfterMs'>) {
  return issueCertificate({ random }, { ...validity, ...request });
}

test('a server certificate carries its names and is signed by the authority', () => {
  const ca = issue({ commonName: 'coracle-ca', role: 'ca' });
  const server = issue({
    commonName: 'kube-apiserver',
    role: 'server',
    dnsNames: ['kubernetes.default.svc', 'localhost'],
    ipAddresses: ['127.0.0.1', '10.43.0.1', '::1', 'fd00::2:1'],
    issuer: ca,
  });
  const authority = new X509Certificate(ca.cert);
  const certificate = new X509Certificate(server.cert);
  assert.equal(authority.ca, true);
  assert.equal(certificate.ca, false);
  assert.equal(certificate.checkIssued(authority), true);
  assert.equal(certificate.verify(authority.publicKey), true);
  assert.equal(certificate.checkPrivateKey(createPrivateKey(server.key)), true);
  assert.equal(certificate.checkHost('localhost'), 'localhost');
  assert.equal(certificate.checkIP('10.43.0.1'), '10.43.0.1');
  assert.equal(certificate.checkIP('fd00::2:1'), 'fd00::2:1');
  assert.equal(certificate.checkIP('10.43.0.2'), undefined);
  assert.equal(certificate.validFromDate.getTime(), validity.notBeforeMs);
  assert.equal(certificate.validToDate.getTime(), validity.notAfterMs);
});

test('a client certificate names the user and the groups', () => {
  const ca = issue({ commonName: 'coracle-ca', role: 'ca' });
  const client = issue({
    commonName: 'system:node:n1',
    organizations: ['system:nodes', 'second'],
    role: 'client',
    issuer: ca,
  });
  const { subject } = new X509Certificate(client.cert);
  assert.equal(subject, 'O=system:nodes\nO=second\nCN=system:node:n1');
});

test('another authority did not sign it', () => {
  const ca = issue({ commonName: 'coracle-ca', role: 'ca' });
  const other = issue({ commonName: 'coracle-ca', role: 'ca' });
  const client = issue({ commonName: 'x', role: 'client', issuer: ca });
  assert.equal(
    new X509Certificate(client.cert).verify(new X509Certificate(other.cert).publicKey),
    false,
  );
});
