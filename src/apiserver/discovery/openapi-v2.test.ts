/** What an old kubectl reads before it applies anything. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openApiV2, openApiV2Types } from './openapi-v2.ts';

test('protobuf for those who ask for it, in the field numbers of the published format', () => {
  const { type, body } = openApiV2(
    'application/com.github.proto-openapi.spec.v2@v1.0+protobuf',
    'v1.36.0',
  );
  assert.equal(type, openApiV2Types.protobuf);
  const info = '\x0a\x0aKubernetes\x12\x07v1.36.0';
  assert.equal(Buffer.from(body).toString('latin1'), `\x0a\x032.0\x12\x15${info}\x42\x00`);
});

test('JSON for everybody else', () => {
  const { type, body } = openApiV2('*/*', 'v1.36.0');
  assert.equal(type, 'application/json');
  assert.deepEqual(JSON.parse(Buffer.from(body).toString()), {
    swagger: '2.0',
    info: { title: 'Kubernetes', version: 'v1.36.0' },
    paths: {},
    definitions: {},
  });
});
