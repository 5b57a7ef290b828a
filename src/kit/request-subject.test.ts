/** Subjects of real requests, made with openssl, and of what is none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requestSubject } from './request-subject.ts';

const boats = `-----BEGIN CERTIFICATE REQUEST-----
MIHyMIGZAgEAMDcxFzAVBgNVBAoMDnN5c3RlbTptYXN0ZXJzMQ4wDAYDVQQKDAVi
b2F0czEMMAoGA1UEAwwDZXZlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEozSj
H85qLgEyTpwRDfQInL437vcEgySONzCtwGXPgXDAQyZk8MR5y50/ljeKWvgIR3a8
qn+8erZ3fKBkB4k+hqAAMAoGCCqGSM49BAMCA0gAMEUCIQDxyjGQtvRc3zqPdVbD
w6sLtFcq/NCwHq8f+l3Kw9VL0AIgfAz/ElT0gpM/kAKVi3+iEazt7lJPpfIjc8yK
CNFJCDc=
-----END CERTIFICATE REQUEST-----
`;

test('the common name and the organizations are read', () => {
  assert.deepEqual(requestSubject(boats), {
    commonName: 'eve',
    organizations: ['system:masters', 'boats'],
  });
});

test('what is no request has no subject', () => {
  const pem = (base64: string): string =>
    `-----BEGIN CERTIFICATE REQUEST-----\n${base64}\n-----END CERTIFICATE REQUEST-----\n`;
  for (const text of ['', 'hello', pem('MAA='), pem('MIQAAAAA'), pem('MIHyMIGZAgEA')]) {
    assert.equal(requestSubject(text), undefined);
  }
  // Old programs call it so; neither upstream's server nor its signers take it.
  assert.equal(requestSubject(boats.replaceAll('CERTIFICATE', 'NEW CERTIFICATE')), undefined);
});
