/** A certificate that is renewed while the server runs is what the next connection sees. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { seededRandom } from '#kit/random.ts';
import { issueCertificate } from '#kit/x509.ts';
import { openTestServer } from '#test/fixtures.ts';

function serialSeenAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

test('new connections see the new certificate', async () => {
  const random = seededRandom(7);
  const times = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 };
  const issuer = issueCertificate({ random }, { commonName: 'ca', role: 'ca', ...times });
  const issue = () =>
    issueCertificate({ random }, { commonName: 'server', role: 'server', issuer, ...times });
  const serialOf = (pem: string): string => new X509Certificate(pem).serialNumber;
  await using server = await openTestServer();
  const first = issue();
  const { port } = await server.server.listen({
    host: '127.0.0.1',
    port: 0,
    ...first,
    clientCA: issuer.cert,
  });
  assert.equal(await serialSeenAt(port), serialOf(first.cert));
  const second = issue();
  server.server.useCertificate(second);
  assert.equal(await serialSeenAt(port), serialOf(second.cert));
});
