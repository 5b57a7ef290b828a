/** Bodies as generated clients send them: an envelope around numbered fields. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Writer } from '#kit/protobuf-wire.ts';
import { openTestServer } from '#test/fixtures.ts';

type Field = readonly [number: number, value: string | number | Uint8Array];

function message(...fields: readonly Field[]): Uint8Array {
  const writer = new Writer();
  for (const [number, value] of fields) {
    if (typeof value === 'number') {
      writer.tag(number, 0);
      writer.whole(value);
    } else {
      writer.tag(number, 2);
      if (typeof value === 'string') writer.text(value);
      else writer.bytes(value);
    }
  }
  return writer.finish();
}

function envelope(apiVersion: string, kind: string, raw: Uint8Array): Uint8Array {
  const body = message([1, message([1, apiVersion], [2, kind])], [2, raw], [3, ''], [4, '']);
  return Buffer.concat([Buffer.from('k8s\0', 'latin1'), body]);
}

const headers = { 'content-type': 'application/vnd.kubernetes.protobuf' };

test('maps, bytes, and empty fields that Go always writes', async () => {
  await using server = await openTestServer();
  const metadata = message([1, 'a'], [2, ''], [3, ''], [8, message()]);
  const entry = message([1, 'user'], [2, Buffer.from('root')]);
  const secret = envelope('v1', 'Secret', message([1, metadata], [2, entry], [3, '']));
  const path = '/api/v1/namespaces/default/secrets';
  const made = await server.request('POST', path, secret, { headers });
  assert.equal(made.status, 201, made.text);
  assert.deepEqual(made.body.data, { user: Buffer.from('root').toString('base64') });
  assert.equal(made.body.type, 'Opaque');
});

test('embedded structs, int-or-string and quantities take their JSON form', async () => {
  await using server = await openTestServer();
  await server.request('POST', '/api/v1/namespaces/default/serviceaccounts', {
    metadata: { name: 'default' },
  });
  const httpGet = message([1, '/'], [2, message([1, 1], [2, 0], [3, 'web'])]);
  const probe = message([1, message([2, httpGet])], [2, 0]);
  const cpu = message([1, 'cpu'], [2, message([1, '0.5'])]);
  const port = message([1, 'web'], [2, 0], [3, 80], [4, 'TCP']);
  const container = message(
    [1, 'main'],
    [2, 'nginx:1'],
    [6, port],
    [8, message([2, cpu])],
    [11, probe],
  );
  const volume = message([1, 'tmp'], [2, message([2, message([1, ''])])]);
  const spec = message([1, volume], [2, container], [21, 0]);
  const pod = envelope('v1', 'Pod', message([1, message([1, 'p'])], [2, spec]));
  const path = '/api/v1/namespaces/default/pods?fieldValidation=Strict';
  const made = await server.request('POST', path, pod, { headers });
  assert.equal(made.status, 201, made.text);
  const [main] = made.body.spec.containers;
  assert.equal(main.readinessProbe.httpGet.port, 'web');
  assert.equal(main.resources.requests.cpu, '500m');
  assert.equal(main.ports[0].hostPort, undefined);
  assert.deepEqual(made.body.spec.volumes[0], { name: 'tmp', emptyDir: {} });
  assert.equal(made.body.spec.automountServiceAccountToken, false);
});

test('zero replicas are a wish', async () => {
  await using server = await openTestServer();
  const labels = message([1, 'app'], [2, 'web']);
  const template = message(
    [1, message([11, labels])],
    [2, message([2, message([1, 'main'], [2, 'nginx:1'])])],
  );
  const spec = message([1, 0], [2, message([1, labels])], [3, template]);
  const body = envelope('apps/v1', 'Deployment', message([1, message([1, 'web'])], [2, spec]));
  const path = '/apis/apps/v1/namespaces/default/deployments';
  const made = await server.request('POST', path, body, { headers });
  assert.equal(made.status, 201, made.text);
  assert.equal(made.body.spec.replicas, 0);
});

test('so are zero bounds of a rolling update, and no history', async () => {
  await using server = await openTestServer();
  const labels = message([1, 'app'], [2, 'web']);
  const selector = message([1, labels]);
  const zero = message([1, 0], [2, 0], [3, '']);
  const one = message([1, 0], [2, 1], [3, '']);
  const template = message(
    [1, message([11, labels])],
    [2, message([2, message([1, 'main'], [2, 'nginx:1'])])],
  );
  const strategy = message([1, 'RollingUpdate'], [2, message([1, zero], [2, one])]);
  const spec = message([1, selector], [2, template], [3, strategy], [6, 0]);
  const body = envelope('apps/v1', 'DaemonSet', message([1, message([1, 'web'])], [2, spec]));
  const path = '/apis/apps/v1/namespaces/default/daemonsets';
  const made = await server.request('POST', path, body, { headers });
  assert.equal(made.status, 201, made.text);
  const { updateStrategy, revisionHistoryLimit } = made.body.spec;
  assert.deepEqual(updateStrategy.rollingUpdate, { maxUnavailable: 0, maxSurge: 1 });
  assert.equal(revisionHistoryLimit, 0);
});

test('bytes that are no message are refused', async () => {
  await using server = await openTestServer();
  const path = '/api/v1/namespaces/default/configmaps';
  const send = (body: Uint8Array) => server.request('POST', path, body, { headers });
  assert.equal((await send(Buffer.from('{}'))).status, 400);
  const cut = envelope('v1', 'ConfigMap', message([1, message([1, 'a'])])).subarray(0, -6);
  assert.equal((await send(cut)).status, 400);
  assert.equal((await send(envelope('v1', 'Nothing', message()))).status, 400);
});
