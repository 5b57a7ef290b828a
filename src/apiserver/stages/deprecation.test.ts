/** Warnings about versions that go away, on answers of every sort. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestServer } from '#test/fixtures.ts';

test('an old version says what to use instead; a current one says nothing', async () => {
  await using server = await openTestServer();
  const warningOf = async (method: string, path: string, body?: object) =>
    (await server.request(method, path, body)).headers['warning'];
  const ingresses = '/apis/extensions/v1beta1/namespaces/default/ingresses';
  const text =
    '299 - "extensions/v1beta1 Ingress is deprecated in v1.14+, unavailable in v1.22+; use networking.k8s.io/v1 Ingress"';
  assert.equal(await warningOf('GET', ingresses), text);
  assert.equal(await warningOf('GET', `${ingresses}/none`), text);
  const endpoints = '/api/v1/namespaces/default/endpoints';
  const other =
    '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"';
  assert.equal(await warningOf('GET', endpoints), other);
  assert.equal(await warningOf('GET', '/api/v1/namespaces/default/pods'), undefined);
  assert.equal(
    await warningOf('GET', '/apis/batch/v1beta1/cronjobs'),
    '299 - "batch/v1beta1 CronJob is deprecated in v1.21+, unavailable in v1.25+; use batch/v1 CronJob"',
  );
  const both = await warningOf('POST', `${endpoints}`, {
    metadata: { name: 'e' },
    nothing: 'known',
  });
  assert.equal(both, `${other}, 299 - "unknown field \\"nothing\\""`);
  const { text: metrics } = await server.request('GET', '/metrics');
  assert.match(
    metrics,
    /apiserver_requested_deprecated_apis\{group="extensions",removed_release="1\.22",resource="ingresses",subresource="",version="v1beta1"\} 1/,
  );
});
