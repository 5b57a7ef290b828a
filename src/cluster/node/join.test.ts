/** Which server a node believes, and what join tokens look like. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { detachedSignature } from '#kit/detached-signature.ts';
import { seededRandom } from '#kit/random.ts';
import { issueCertificate } from '#kit/x509.ts';
import type { ConfigMap } from '#resources/types/core-v1.ts';
import {
  formatJoinToken,
  hashOfCA,
  type JoinToken,
  makeJoinToken,
  parseJoinToken,
  tokenSecret,
} from '../credentials/join-token.ts';
import { readClusterInfo } from './join.ts';

const random = seededRandom(1);
const valid = { notBeforeMs: Date.UTC(2026, 0), notAfterMs: Date.UTC(2030, 0) };
const authority = () =>
  issueCertificate({ random }, { commonName: 'coracle-ca', role: 'ca', ...valid }).cert;
const ca = authority();
const token = makeJoinToken(random, ca);

function info(signer: JoinToken = token, caCert = ca): ConfigMap {
  const data = Buffer.from(caCert).toString('base64');
  const kubeconfig = `clusters:\n- cluster:\n    certificate-authority-data: ${data}\n`;
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {},
    data: { kubeconfig, [`jws-kubeconfig-${signer.id}`]: detachedSignature(kubeconfig, signer) },
  };
}

test('a token is read as it is written, with and without the hash of the authority', () => {
  const text = formatJoinToken(token);
  assert.match(text, /^K10[0-9a-f]{64}::[a-z0-9]{6}\.[a-z0-9]{16}$/);
  assert.deepEqual(parseJoinToken(text), token);
  const plain = parseJoinToken('abcdef.0123456789abcdef');
  assert.deepEqual(plain, { id: 'abcdef', secret: '0123456789abcdef', caHash: undefined });
  for (const wrong of ['', 'abcdef', 'ABCDEF.0123456789abcdef', `K10::${token.id}`]) {
    assert.throws(() => parseJoinToken(wrong), /--token/);
  }
});

test('the authority is believed when the token has signed it and its hash is right', () => {
  assert.deepEqual(readClusterInfo(info(), token), { ca });
  assert.deepEqual(readClusterInfo(info(), { ...token, caHash: undefined }), { ca });
});

test('a description of somebody else is refused', () => {
  const other = authority();
  const refused = (map: ConfigMap, by = token) => {
    const reading = readClusterInfo(map, by);
    return 'refused' in reading ? reading.refused : reading;
  };
  const tampered = { ...info().data, kubeconfig: info(token, other).data?.['kubeconfig'] ?? '' };
  const unsigned = 'its description is not signed with this token';
  assert.equal(refused({ ...info(), data: tampered }), unsigned);
  assert.equal(refused(info({ ...token, secret: '0123456789abcdef' })), unsigned);
  const pinned = { ...token, caHash: hashOfCA(other) };
  assert.equal(refused(info(), pinned), 'its authority is not the one that the token names');
});

test('what is not signed yet may be soon', () => {
  const { kubeconfig = '' } = info().data ?? {};
  const reading = readClusterInfo({ ...info(), data: { kubeconfig } }, token);
  const later = `token id "${token.id}" is invalid for this cluster or it has expired`;
  assert.deepEqual(reading, { later });
});

test('the Secret of a token says what it is for and when it ends', () => {
  const expiresAtMs = Date.UTC(2026, 0, 2);
  const { metadata, type, data = {} } = tokenSecret(token, { description: 'd', expiresAtMs });
  assert.equal(metadata.name, `bootstrap-token-${token.id}`);
  assert.equal(type, 'bootstrap.kubernetes.io/token');
  const text = (key: string) => Buffer.from(data[key] ?? '', 'base64').toString('utf8');
  assert.equal(text('expiration'), '2026-01-02T00:00:00Z');
  assert.equal(text('usage-bootstrap-authentication'), 'true');
  assert.equal(tokenSecret(token, { description: 'd' }).data?.['expiration'], undefined);
});
