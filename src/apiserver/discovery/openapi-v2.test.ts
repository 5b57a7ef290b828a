/** OpenAPI v2: both forms say the same, are packed once, and named by a hash. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Reader } from '#kit/protobuf-wire.ts';
import { superseded } from '#test/covers.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';
import { openApiV2Types, openApiV3Types } from './openapi.ts';

const protobuf = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';

interface Blocks {
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** The length-delimited fields of a message; whole numbers are passed over. */
function blocks(bytes: Uint8Array): readonly Blocks[] {
  const reader = new Reader(bytes);
  const found: Blocks[] = [];
  while (reader.offset < bytes.length) {
    const tag = reader.whole();
    if (tag % 8 === 2) found.push({ number: tag >>> 3, bytes: reader.bytes() });
    else reader.whole();
  }
  return found;
}

interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly bytes: Uint8Array;
}

async function ask(
  { transport }: TestServer,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<Answered> {
  const { signal } = new AbortController();
  const response = await transport.send({ method: 'GET', path, headers }, { signal });
  assert.ok(response.body instanceof Uint8Array);
  return { status: response.status, headers: response.headers, bytes: response.body };
}

const inside = (bytes: Uint8Array, number: number): readonly Uint8Array[] =>
  blocks(bytes)
    .filter((block) => block.number === number)
    .map((block) => block.bytes);
const first = (bytes: Uint8Array, ...path: readonly number[]): Uint8Array =>
  path.reduce((at, number) => inside(at, number)[0] ?? new Uint8Array(), bytes);
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

test('JSON describes every kind, its paths and what may be written', async () => {
  superseded('API-047', { by: 'v1.14', now: 'the same is at /openapi/v2' });
  await using server = await openTestServer();
  const { body, headers } = await server.request('GET', '/openapi/v2');
  assert.equal(headers['content-type'], 'application/json');
  assert.equal((await server.request('GET', '/swagger.json')).status, 404);
  assert.equal(body.swagger, '2.0');
  const pod = body.definitions['io.k8s.api.core.v1.Pod'];
  assert.deepEqual(pod['x-kubernetes-group-version-kind'], [
    { group: '', kind: 'Pod', version: 'v1' },
  ]);
  assert.equal(pod.properties.spec.$ref, '#/definitions/io.k8s.api.core.v1.PodSpec');
  assert.match(pod.properties.spec.description, /what is to run/i);
  const { protocol } = body.definitions['io.k8s.api.core.v1.ServicePort'].properties;
  assert.deepEqual(protocol.enum, ['SCTP', 'TCP', 'UDP']);
  const { patch } = body.paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}'];
  assert.equal(patch.operationId, 'patchAppsV1NamespacedDeployment');
  assert.deepEqual(patch['x-kubernetes-group-version-kind'], {
    group: 'apps',
    kind: 'Deployment',
    version: 'v1',
  });
  const names = patch.parameters.map(({ name }: { name: string }) => name);
  assert.deepEqual(names, ['body', 'dryRun', 'fieldManager', 'fieldValidation', 'force']);
  const token = '/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token';
  assert.equal(body.paths[token].post.operationId, 'createCoreV1NamespacedServiceAccountToken');
});

test('every reference leads somewhere, also with legacy versions', async () => {
  await using server = await openTestServer({ options: { legacyVersions: true } });
  const { text: json, body } = await server.request('GET', '/openapi/v2');
  for (const [, name = ''] of json.matchAll(/"\$ref":"#\/definitions\/([^"]+)"/g)) {
    assert.ok(name in body.definitions, name);
  }
  const { template } = body.definitions['io.k8s.api.extensions.v1beta1.DeploymentSpec'].properties;
  assert.equal(template.$ref, '#/definitions/io.k8s.api.core.v1.PodTemplateSpec');
});

test('protobuf says the same in the field numbers of the published format', async () => {
  await using server = await openTestServer();
  const json = await server.request('GET', '/openapi/v2');
  const response = await ask(server, '/openapi/v2', { accept: protobuf });
  assert.equal(response.headers['content-type'], openApiV2Types.protobuf);
  const document = response.bytes;
  assert.equal(text(first(document, 1)), '2.0');
  assert.equal(text(first(document, 2, 1)), 'Kubernetes');
  const paths = inside(document, 8).flatMap((block) => inside(block, 2));
  assert.deepEqual(
    paths.map((path) => text(first(path, 1))),
    Object.keys(json.body.paths),
  );
  const definitions = inside(document, 9).flatMap((block) => inside(block, 1));
  assert.deepEqual(
    definitions.map((definition) => text(first(definition, 1))),
    Object.keys(json.body.definitions),
  );
  const container = definitions.find(
    (definition) => text(first(definition, 1)) === 'io.k8s.api.core.v1.Container',
  );
  const fields = inside(first(container ?? document, 2, 25), 1);
  const policy = fields.find((field) => text(first(field, 1)) === 'imagePullPolicy');
  assert.deepEqual(
    inside(first(policy ?? document, 2), 20).map((word) => text(first(word, 2))),
    ['"Always"\n', '"IfNotPresent"\n', '"Never"\n'],
  );
});

test('a client that has it is told so; one that takes gzip gets it packed', async () => {
  await using server = await openTestServer();
  const plain = await ask(server, '/openapi/v2', {});
  const { etag = '' } = plain.headers;
  assert.match(etag, /^"[0-9A-F]{128}"$/);
  const again = await ask(server, '/openapi/v2', { 'if-none-match': etag });
  assert.equal(again.status, 304);
  assert.equal(again.bytes.length, 0);
  const packed = await ask(server, '/openapi/v2', { 'accept-encoding': 'gzip' });
  assert.equal(packed.headers['content-encoding'], 'gzip');
  assert.ok(packed.bytes.length < plain.bytes.length / 8);
  assert.equal(text(gunzipSync(packed.bytes)), text(plain.bytes));
});

test('v3: the hash names the content; an outdated one leads to the right address', async () => {
  await using server = await openTestServer();
  const index = await server.request('GET', '/openapi/v3');
  const { serverRelativeURL } = index.body.paths['apis/batch/v1'];
  const found = await ask(server, serverRelativeURL, {});
  assert.equal(found.headers['cache-control'], 'public, immutable');
  const old = await ask(server, '/openapi/v3/apis/batch/v1?hash=AB', {});
  assert.equal(old.status, 301);
  assert.equal(old.headers['location'], serverRelativeURL);
  const etag = found.headers['etag'] ?? '';
  const again = await ask(server, '/openapi/v3/apis/batch/v1', { 'if-none-match': etag });
  assert.equal(again.status, 304);
  const none = await server.request('GET', '/openapi/v3/apis/batch/v7');
  assert.equal(none.status, 404);
  const refused = await ask(server, serverRelativeURL, { accept: 'text/html' });
  assert.equal(refused.status, 406);
});

test('v3 in protobuf says the same, under the same hash', async () => {
  await using server = await openTestServer();
  const index = await server.request('GET', '/openapi/v3');
  const { serverRelativeURL: url } = index.body.paths['apis/batch/v1'];
  const json = await server.request('GET', url);
  for (const sign of ['@', '.']) {
    const accept = `application/com.github.proto-openapi.spec.v3${sign}v1.0+protobuf`;
    const { status, headers, bytes } = await ask(server, url, { accept });
    assert.equal(status, 200);
    assert.equal(headers['content-type'], openApiV3Types.protobuf);
    assert.equal(text(first(bytes, 1)), '3.0.0');
    assert.equal(text(first(bytes, 2, 1)), 'Kubernetes');
    const paths = inside(bytes, 4).flatMap((block) => inside(block, 1));
    assert.deepEqual(
      paths.map((path) => text(first(path, 1))),
      Object.keys(json.body.paths),
    );
    const schemas = inside(bytes, 5)
      .flatMap((block) => inside(block, 1))
      .flatMap((all) => inside(all, 1));
    assert.deepEqual(
      schemas.map((schema) => text(first(schema, 1))),
      Object.keys(json.body.components.schemas),
    );
    const name = 'io.k8s.api.batch.v1.JobSpec';
    const spec = schemas.find((schema) => text(first(schema, 1)) === name) ?? bytes;
    const fields = inside(first(spec, 2, 1, 31), 1);
    assert.deepEqual(
      fields.map((field) => text(first(field, 1))),
      Object.keys(json.body.components.schemas[name].properties),
    );
    const template = fields.find((field) => text(first(field, 1)) === 'template') ?? bytes;
    const reference = first(template, 2, 1, 26, 2, 1);
    assert.equal(text(reference), '#/components/schemas/io.k8s.api.core.v1.PodTemplateSpec');
    const secured = first(inside(bytes, 5).at(-1) ?? bytes, 7, 1, 1);
    assert.equal(text(secured), 'BearerToken');
  }
});
