/**
 * Deciding about a certificate request through the server, as `kubectl certificate approve` does.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestServer } from '#test/fixtures.ts';

const pem = `-----BEGIN CERTIFICATE REQUEST-----
MAA=
-----END CERTIFICATE REQUEST-----
`;
const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests';

test('a request records who asked, and only approval decides', async () => {
  await using server = await openTestServer();
  const spec = {
    request: Buffer.from(pem).toString('base64'),
    signerName: 'example.com/boats',
    usages: ['client auth'],
    username: 'somebody-else',
  };
  const made = await server.request('POST', path, { metadata: { name: 'one' }, spec });
  assert.equal(made.status, 201);
  assert.equal(made.body.spec.username, 'admin');
  assert.deepEqual(made.body.spec.groups, ['system:masters', 'system:authenticated']);
  const conditions = [{ type: 'Approved', status: 'True', reason: 'Fine' }];
  const decided = { ...made.body, status: { conditions } };
  const plain = await server.request('PUT', `${path}/one`, decided);
  assert.equal(plain.body.status?.conditions, undefined);
  const status = await server.request('PUT', `${path}/one/status`, decided);
  assert.equal(status.status, 422);
  const approved = await server.request('PUT', `${path}/one/approval`, decided);
  assert.equal(approved.status, 200);
  assert.equal(approved.body.status.conditions[0].type, 'Approved');
  assert.ok(approved.body.status.conditions[0].lastUpdateTime);
  const patched = await server.request('PATCH', `${path}/one/approval`, {
    status: { conditions: [] },
  });
  assert.equal(patched.status, 422);
  const shown = await server.request('GET', `${path}/one/approval`);
  assert.equal(shown.body.status.conditions[0].reason, 'Fine');
});
