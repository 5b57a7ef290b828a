/** When certificates of nodes are renewed, and which are used at all. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { seededRandom } from '#kit/random.ts';
import { issueCertificate } from '#kit/x509.ts';
import { isUsable, renewalMs, selfSigned } from './node-certificates.ts';

const random = seededRandom(1);
const fromMs = Date.UTC(2026, 0);
const valid = { notBeforeMs: fromMs, notAfterMs: fromMs + 1_000_000 };
const issue = (commonName: string, role: 'ca' | 'client', issuer?: ReturnType<typeof ca>) =>
  issueCertificate({ random }, { commonName, role, ...valid, ...(issuer && { issuer }) });
const ca = () => issueCertificate({ random }, { commonName: 'ca', role: 'ca', ...valid });

test('a certificate is renewed after 70 to 90 % of its time', () => {
  const { cert } = issue('a', 'client', ca());
  assert.equal(renewalMs(cert, 0), fromMs + 700_000);
  assert.equal(Math.round(renewalMs(cert, 1)), fromMs + 900_000);
});

test('used is what holds, is of the node, of its authority, and fits its key', () => {
  const authority = ca();
  const pair = issue('system:node:n1', 'client', authority);
  const of = { nodeName: 'n1', caCert: authority.cert, nowMs: fromMs + 1000 };
  assert.ok(isUsable(pair, of));
  assert.ok(!isUsable(pair, { ...of, nowMs: valid.notAfterMs }));
  assert.ok(!isUsable(pair, { ...of, nodeName: 'n2' }));
  assert.ok(!isUsable(pair, { ...of, caCert: ca().cert }));
  const other = issue('system:node:n1', 'client', authority);
  assert.ok(!isUsable({ cert: pair.cert, key: other.key }, of));
});

test('until a certificate is signed the node signs one itself', () => {
  const names = { nodeName: 'n1', dnsNames: ['n1'], ipAddresses: ['10.0.0.2'] };
  const pair = selfSigned({ clock: { now: () => fromMs }, random }, names);
  const certificate = new X509Certificate(pair.cert);
  assert.equal(certificate.checkIP('10.0.0.2'), '10.0.0.2');
  assert.ok(certificate.verify(certificate.publicKey));
});
