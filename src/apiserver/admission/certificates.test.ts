/** Who may decide about certificate requests, and for whom none is made. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestServer } from '#test/fixtures.ts';

const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
const manager = { name: 'system:kube-controller-manager', groups: [] };

const masters = `-----BEGIN CERTIFICATE REQUEST-----
MIHyMIGZAgEAMDcxFzAVBgNVBAoMDnN5c3RlbTptYXN0ZXJzMQ4wDAYDVQQKDAVi
b2F0czEMMAoGA1UEAwwDZXZlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEozSj
H85qLgEyTpwRDfQInL437vcEgySONzCtwGXPgXDAQyZk8MR5y50/ljeKWvgIR3a8
qn+8erZ3fKBkB4k+hqAAMAoGCCqGSM49BAMCA0gAMEUCIQDxyjGQtvRc3zqPdVbD
w6sLtFcq/NCwHq8f+l3Kw9VL0AIgfAz/ElT0gpM/kAKVi3+iEazt7lJPpfIjc8yK
CNFJCDc=
-----END CERTIFICATE REQUEST-----
`;

function request(name: string, signerName: string): object {
  const spec = {
    request: Buffer.from(masters).toString('base64'),
    signerName,
    usages: ['client auth'],
  };
  return { metadata: { name }, spec };
}

test('the signer of clients makes no administrators', async () => {
  await using server = await openTestServer();
  const refused = await server.request(
    'POST',
    path,
    request('a', 'kubernetes.io/kube-apiserver-client'),
  );
  assert.equal(refused.status, 403);
  assert.equal(
    refused.body.message,
    'certificatesigningrequests.certificates.k8s.io "a" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed',
  );
  const other = await server.request('POST', path, request('a', 'example.com/boats'));
  assert.equal(other.status, 201);
  const approved = { status: { conditions: [{ type: 'Approved', status: 'True', reason: 'x' }] } };
  const decide = await server.request('PATCH', `${path}/a/approval`, approved, { as: manager });
  assert.equal(decide.status, 200, decide.text);
});
