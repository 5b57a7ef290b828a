/** Certificates are kept while they are good, and issued anew for a new name or near their end. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { seededRandom } from '#kit/random.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { openCertificates } from './certificates.ts';

const dayMs = 24 * 60 * 60 * 1000;

test('kept, renewed and extended', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'coracle-certificates-'));
  try {
    const clock = new VirtualClock();
    const open = (extraNames: readonly string[] = []) =>
      openCertificates(
        { clock, random: seededRandom(1) },
        {
          dataDir,
          nodeName: 'n1',
          nodeIP: '192.0.2.7',
          serviceIP: '10.43.0.1',
          clusterDomain: 'cluster.local',
          extraNames,
        },
      );
    const first = open();
    assert.deepEqual(open(), first);
    const server = new X509Certificate(first.apiServer.cert);
    for (const name of ['kubernetes.default.svc.cluster.local', 'localhost', 'n1']) {
      assert.equal(server.checkHost(name), name);
    }
    for (const address of ['127.0.0.1', '10.43.0.1', '192.0.2.7']) {
      assert.equal(server.checkIP(address), address);
    }
    assert.match(new X509Certificate(first.admin.cert).subject, /O=system:masters/);
    assert.match(new X509Certificate(first.node.cert).subject, /O=system:nodes\nCN=system:node:n1/);
    const folder = join(dataDir, 'server/tls');
    for (const name of readdirSync(folder)) {
      assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
    }

    const extended = open(['api.example']);
    assert.notEqual(extended.apiServer.cert, first.apiServer.cert);
    assert.equal(extended.admin.cert, first.admin.cert);

    await clock.advance(250 * dayMs);
    const renewed = open(['api.example']);
    assert.notEqual(renewed.admin.cert, first.admin.cert);
    assert.equal(renewed.ca.cert, first.ca.cert);
    assert.equal(renewed.serviceAccountKey, first.serviceAccountKey);
  } finally {
    rmSync(dataDir, { recursive: true });
  }
});
