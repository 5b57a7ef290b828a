/**
 * Requests that few clients send: odd types, options that exclude each other, paths that are none,
 * bodies that are nearly right. Each answer here is what upstream's kube-apiserver v1.36 said to
 * the same request.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const space = '/api/v1/namespaces/default';
const secrets = `${space}/secrets`;
const json = 'application/json, application/yaml, application/vnd.kubernetes.protobuf';

async function withSecrets(): Promise<TestServer> {
  const server = await openTestServer();
  for (const name of ['a', 'b', 'c']) {
    await server.request('POST', secrets, { metadata: { name, labels: { x: name } } });
  }
  return server;
}

async function asked(server: TestServer, path: string, accept: string) {
  const { status, body } = await server.request('GET', path, undefined, { headers: { accept } });
  return { status, body };
}

test('types are asked for of the path first, then of the kind', async () => {
  await using server = await withSecrets();
  const one = await asked(server, `${secrets}/a`, 'application/*');
  assert.equal(one.status, 406);
  const words = '406: Not Acceptable\n\nAvailable representations: ';
  assert.equal(one.body.message, words + json);
  const many = await asked(server, secrets, 'text/html');
  const streams = ['application/json', 'application/vnd.kubernetes.protobuf'];
  const ending = streams.map((type) => `${type};stream=watch`).join(', ');
  assert.equal(many.body.message, `${words}${json}, ${ending}`);
  const only = `only the following media types are accepted: ${json}`;
  for (const accept of ['as=Foo;v=v1;g=meta.k8s.io', 'as=Table', 'as=Table;v=v2;g=meta.k8s.io']) {
    const { status, body } = await asked(server, secrets, `application/json;${accept}`);
    assert.deepEqual([status, body.message, body.details], [406, only, undefined]);
  }
  assert.equal((await asked(server, secrets, 'application/json;q=0')).status, 200);
  assert.equal((await asked(server, '/version', 'application/yaml')).status, 406);
  assert.equal((await asked(server, '/apis/apps/v1', 'text/plain')).status, 406);
  assert.equal((await asked(server, '/healthz', 'image/png')).status, 200);
});

test('metadata of a list and of an object are two things', async () => {
  await using server = await withSecrets();
  const partial = (kind: string) => `application/json;as=${kind};v=v1;g=meta.k8s.io`;
  const list = await asked(server, secrets, partial('PartialObjectMetadata'));
  assert.equal(
    list.body.message,
    'you requested PartialObjectMetadata, but the requested object is a list (*core.SecretList)',
  );
  const one = await asked(server, `${secrets}/a`, partial('PartialObjectMetadataList'));
  assert.equal(
    one.body.message,
    'you requested PartialObjectMetadataList, but the requested object is not a list (*core.Secret)',
  );
  assert.equal(
    (await asked(server, `${secrets}/z`, partial('PartialObjectMetadataList'))).status,
    404,
  );
});

test('clients from before v1.15 get tables under the name that they know', async () => {
  await using server = await withSecrets();
  const accept = 'application/json;as=Table;v=v1beta1;g=meta.k8s.io';
  const { body } = await asked(server, secrets, accept);
  assert.equal(body.apiVersion, 'meta.k8s.io/v1beta1');
  assert.equal(body.rows[0].object.apiVersion, 'meta.k8s.io/v1beta1');
  const watch = await server.watch(`${secrets}?watch=1`, { headers: { accept } });
  const { object } = await watch.next();
  watch.stop();
  assert.equal(object['apiVersion'], 'meta.k8s.io/v1beta1');
});

test('a long list in YAML comes in order, object by object', async () => {
  await using server = await withSecrets();
  const headers = { accept: 'application/yaml' };
  const { text } = await server.request('GET', `${secrets}?labelSelector=x`, undefined, {
    headers,
  });
  assert.match(text, /^apiVersion: v1\nitems:\n- metadata:\n {4}creationTimestamp: "2/);
  assert.match(text, /\nkind: SecretList\nmetadata:\n {2}resourceVersion: "\d+"\n$/);
  assert.equal(text.match(/^- metadata:$/gm)?.length, 3);
  const none = await server.request('GET', `${secrets}?labelSelector=y`, undefined, { headers });
  assert.match(none.text, /^apiVersion: v1\nitems: \[\]\nkind: SecretList\n/);
});

test('options of lists that exclude each other', async () => {
  await using server = await withSecrets();
  const problems = async (query: string) => {
    const { status, body } = await server.request('GET', `${secrets}?${query}`);
    assert.equal(status, 422, query);
    return body.details.causes.map(({ message }: { message: string }) => message);
  };
  assert.deepEqual(await problems('sendInitialEvents=true&resourceVersionMatch=NotOlderThan'), [
    'Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided',
    'Forbidden: sendInitialEvents is forbidden for list',
  ]);
  assert.deepEqual(await problems('resourceVersion=0&resourceVersionMatch=Exact'), [
    'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
  ]);
  assert.deepEqual(await problems('watch=true&sendInitialEvents=true&resourceVersionMatch=Exact'), [
    'Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan',
    'Unsupported value: "Exact": supported values: "NotOlderThan"',
  ]);
  assert.deepEqual(await problems('watch=true&continue=abc'), [
    'Forbidden: resourceVersionMatch is forbidden when continue is provided',
  ]);
  const said = async (query: string) =>
    (await server.request('GET', `${secrets}?${query}`)).body.message;
  const refused = 'invalid timeout specified in the request URL - time:';
  assert.equal(await said('timeout=abc'), `${refused} invalid duration "abc"`);
  assert.equal(await said('timeout=5'), `${refused} missing unit in duration "5"`);
  assert.equal(await said('timeout=5d'), `${refused} unknown unit "d" in duration "5d"`);
  assert.equal(await said('timeout=1m30s'), undefined);
  // The query of what is passed on belongs to whom it is passed on to.
  const proxied = await server.request('GET', '/api/v1/nodes/n1/proxy/jobs?timeout=abc');
  assert.equal(proxied.body.message, 'nodes "n1" not found');
  const long = '99999999999999999999';
  assert.equal(
    await said(`limit=${long}`),
    `strconv.ParseInt: parsing "${long}": value out of range`,
  );
  assert.equal(
    await said('labelSelector=x%20in'),
    "unable to parse requirement: found '' expected: '('",
  );
  assert.equal(
    await said('fieldSelector=metadata.name%3D%5C'),
    'invalid field selector: invalid escape sequence: \\',
  );
  const any = await server.request('GET', `${secrets}?resourceVersion=0&limit=1`);
  assert.deepEqual([any.body.items.length, any.body.metadata.continue], [3, undefined]);
});

test('a watch from the start marks its end for who takes bookmarks, and may leave it out', async () => {
  await using server = await withSecrets();
  const watch = await server.watch(`${secrets}?watch=1&allowWatchBookmarks=true`);
  for (const _ of ['a', 'b', 'c']) assert.equal((await watch.next()).type, 'ADDED');
  const { type, object } = await watch.next();
  assert.equal(type, 'BOOKMARK');
  assert.deepEqual(object.metadata.annotations, { 'k8s.io/initial-events-end': 'true' });
  watch.stop();
  const query = 'sendInitialEvents=false&resourceVersionMatch=NotOlderThan';
  const later = await server.watch(`${secrets}?watch=1&${query}`);
  await server.request('POST', secrets, { metadata: { name: 'd' } });
  assert.equal((await later.next()).object.metadata.name, 'd');
  later.stop();
});

test('paths that are none, and methods of paths', async () => {
  await using server = await openTestServer();
  const answer = async (method: string, path: string) => {
    const { status, headers } = await server.request(method, path);
    return `${status} ${headers['content-type']?.split(';')[0]}`;
  };
  const text = ['/foo', '/apis/nothing', '/apis/nothing/v1', '//api/v1', '/metrics/', '/healthz/'];
  for (const path of [...text, '/openapi', '/openapi/v2/', '/readyz/nothing', '/livez/shutdown']) {
    assert.equal(await answer('GET', path), '404 text/plain', path);
  }
  for (const path of ['/api/v2', '/apis/apps/v9', '/api/v1//namespaces', '/api/v1/foo']) {
    assert.equal(await answer('GET', path), '404 application/json', path);
  }
  for (const path of ['/version', '/api', '/api/v1', '/apis/apps/v1']) {
    assert.equal(await answer('OPTIONS', path), '405 application/json', path);
    assert.equal(await answer('GET', `${path}/`), '200 application/json', path);
  }
  assert.equal(await answer('OPTIONS', '/apis'), '200 application/json');
  assert.equal(await answer('POST', '/healthz'), '200 text/plain');
  const index = (await server.request('GET', '/index.html')).body.paths;
  for (const path of [
    '/apis/apps',
    '/apis/apps/v1',
    '/healthz/etcd',
    '/readyz/shutdown',
    '/version',
  ]) {
    assert.ok(index.includes(path), path);
  }
  const figures = (await server.request('GET', '/metrics/slis')).text;
  assert.match(figures, /^kubernetes_healthcheck\{name="etcd",type="readyz"\} 1$/m);
  const version = (await server.request('GET', '/version')).text;
  assert.match(version, /^\{\n {2}"major": "1",\n {2}"minor": "36",\n {2}"emulationMajor": "1"/);
});

test('warnings are told as far as clients can take them', async () => {
  await using server = await withSecrets();
  const path = `${secrets}?dryRun=All`;
  const warned = async (names: readonly string[]): Promise<readonly string[]> => {
    const unknown = Object.fromEntries(names.map((name) => [name, 1]));
    const { headers } = await server.request('POST', path, { ...unknown, metadata: { name: 'y' } });
    return (headers['warning'] ?? '').split(', 299');
  };
  assert.equal((await warned(['a', 'b', 'c'])).length, 3);
  const short = await warned(Array.from({ length: 20_000 }, (_, index) => `field${index}`));
  assert.ok(short.length > 100 && short.join().length < 10_000, `${short.length} warnings`);
  const long = await warned(['a'.repeat(5000), 'b']);
  assert.deepEqual(
    long.map((text) => text.replace(/^(299)? - /, '').replaceAll('\\"', "'")),
    [`"unknown field '${'a'.repeat(241)}"`, `"unknown field 'b'"`],
  );
});

test('who is refused by admission, or because the name is taken, hears the warnings too', async () => {
  await using server = await openTestServer();
  const spread = { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' };
  const spec = {
    topologySpreadConstraints: [spread],
    containers: [{ name: 'a', image: 'a', resources: { requests: { cpu: '1' } } }],
  };
  const create = (name: string) =>
    server.request('POST', `${space}/pods`, { metadata: { name }, spec });
  const warning =
    '299 - "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod"';
  await server.request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
  const first = await create('a');
  const taken = await create('a');
  const hard = { 'requests.cpu': '1' };
  await server.request('POST', `${space}/resourcequotas`, {
    metadata: { name: 'q' },
    spec: { hard },
  });
  await server.request('PATCH', `${space}/resourcequotas/q/status`, {
    status: { hard, used: { 'requests.cpu': '1' } },
  });
  const over = await create('b');
  const told = [first, taken, over].map(({ status, headers }) => [status, headers['warning']]);
  assert.deepEqual(told, [
    [201, warning],
    [409, warning],
    [403, warning],
  ]);
});

test('bodies that are nearly right', async () => {
  await using server = await withSecrets();
  const create = async (type: string, body: string | Buffer, query = '') => {
    const headers = { 'content-type': type };
    const made = await server.request('POST', `${secrets}?dryRun=All${query}`, body, { headers });
    return { ...made, message: made.body.message as string | undefined };
  };
  const [asYaml, asJson] = ['application/yaml', 'application/json'];
  const repeated = 'apiVersion: v1\nkind: Secret\nmetadata: {name: y}\nmetadata: {name: z}\n';
  const twice = await create(asYaml, repeated);
  assert.equal(twice.body.metadata.name, 'z');
  assert.equal(twice.headers['warning'], '299 - "line 4: key \\"metadata\\" already set in map"');
  const lead = 'Secret in version "v1" cannot be handled as a Secret:';
  assert.equal(
    (await create(asYaml, repeated, '&fieldValidation=Strict')).message,
    `${lead} strict decoding error: yaml: unmarshal errors:\n  line 4: key "metadata" already set in map`,
  );
  const bool = await create(asYaml, 'apiVersion: v1\nkind: Secret\nmetadata: {name: yes}\n');
  assert.equal(
    bool.message,
    `${lead} json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.name of type string`,
  );
  const unnamed = await create(asJson, '{"foo":1}');
  assert.equal(unnamed.status, 422);
  assert.equal(unnamed.headers['warning'], '299 - "unknown field \\"foo\\""');
  const list = await create(asJson, '{"apiVersion":"v1","kind":"SecretList","items":[]}');
  assert.equal(
    list.message,
    'SecretList in version "v1" cannot be handled as a Secret: ' +
      'converting (v1.SecretList) to (core.Secret): unknown conversion',
  );
  const unknown = 'the object provided is unrecognized (must be of type Secret):';
  const marked = await create(asJson, Buffer.from('\ufeff{"kind":"Secret"}'));
  assert.match(marked.message ?? '', /json parse error: invalid character 'ï' looking for/);
  const noProtobuf = await create('application/vnd.kubernetes.protobuf', '{}');
  assert.equal(
    noProtobuf.message,
    `${unknown} provided data does not appear to be a protobuf message, expected prefix [107 56 115 0] ({})`,
  );
  const huge = '{"metadata":{"name":"x","generation":99999999999999999999}}';
  assert.equal((await create(asJson, huge)).status, 400);
  const manager = await create(asJson, '{}', '&fieldManager=%00');
  assert.equal(
    manager.body.details.causes[0].message,
    'Invalid value: "\\x00": invalid character U+0000 (at position 0)',
  );
});

test('patches that are nearly right', async () => {
  await using server = await withSecrets();
  const patch = async (name: string, type: string, body: string, query = '') => {
    const headers = { 'content-type': type };
    const path = `${secrets}/${name}?dryRun=All${query}`;
    const { status, body: said } = await server.request('PATCH', path, body, { headers });
    return [status, status < 300 ? '' : said.message];
  };
  const [asJson, asMerge] = ['application/json-patch+json', 'application/merge-patch+json'];
  const [asStrategic, asApply] = [
    'application/strategic-merge-patch+json',
    'application/apply-patch+yaml',
  ];
  assert.deepEqual(await patch('none', asMerge, 'x'), [404, 'secrets "none" not found']);
  assert.deepEqual(await patch('a', asJson, 'null'), [200, '']);
  assert.deepEqual(await patch('a', asMerge, 'null'), [400, 'Invalid JSON Patch']);
  assert.deepEqual(await patch('a', asStrategic, 'null'), [200, '']);
  const misordered = '{"metadata":{"finalizers":["a.b/c"],"$setElementOrder/finalizers":["x"]}}';
  assert.deepEqual(await patch('a', asStrategic, misordered), [
    500,
    "The order in patch list:\n[a.b/c]\n doesn't match $setElementOrder list:\n[x]\n",
  ]);
  const apply = (name: string, text: string, query = '') =>
    patch(name, asApply, `apiVersion: v1\nkind: Secret\n${text}`, `&fieldManager=m${query}`);
  assert.deepEqual(await apply('new', ''), [
    400,
    'the name of the object (new based on URL) was undeterminable: name must be provided',
  ]);
  assert.deepEqual(await apply('a', 'metadata: {name: a, managedFields: []}\n'), [
    400,
    'metadata.managedFields must be nil',
  ]);
  assert.deepEqual(await apply('new', 'metadata: {name: a}\nfoo: 1\n'), [
    500,
    'failed to create typed patch object (/a; /v1, Kind=Secret): .foo: field not declared in schema',
  ]);
  const twice = 'metadata: {name: a}\nmetadata: {name: a}\n';
  assert.deepEqual(await apply('a', twice), [200, '']);
  assert.deepEqual(await apply('a', twice, '&fieldValidation=Strict'), [
    400,
    'error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n' +
      '  line 4: key "metadata" already set in map',
  ]);
});

test('options of a deletion come from its body, else from its query', async () => {
  await using server = await withSecrets();
  const bad = await server.request('DELETE', `${secrets}/a?gracePeriodSeconds=abc`);
  assert.equal(bad.body.message, 'strconv.ParseInt: parsing "abc": invalid syntax');
  await server.request('DELETE', `${secrets}/a?dryRun=All`);
  assert.equal((await server.request('GET', `${secrets}/a`)).status, 200);
  await server.request('DELETE', `${secrets}/a?dryRun=All`, {});
  assert.equal((await server.request('GET', `${secrets}/a`)).status, 404);
});

test('a Lease is given back by a holder without a name', async () => {
  await using server = await openTestServer();
  const leases = '/apis/coordination.k8s.io/v1/namespaces/default/leases';
  const spec = { holderIdentity: 'me', leaseDurationSeconds: 15 };
  const made = await server.request('POST', leases, { metadata: { name: 'a' }, spec });
  const released = { ...made.body, spec: { ...spec, holderIdentity: '' } };
  const { status, body } = await server.request('PUT', `${leases}/a`, released);
  assert.deepEqual([status, body.spec.holderIdentity], [200, '']);
});

test('what is told of objects besides the answer', async () => {
  await using server = await openTestServer();
  await server.request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
  const told = async (path: string, body: object) => {
    const made = await server.request('POST', `${path}?dryRun=All`, body);
    return `${made.status} ${made.headers['warning'] ?? ''}`.trimEnd().replaceAll('\\"', "'");
  };
  const pod = (spec: object) => ({
    metadata: { name: 'p' },
    spec: { containers: [{ name: 'c', image: 'i' }], ...spec },
  });
  const items = [
    { key: 'k', path: 'a/b' },
    { key: 'l', path: 'a' },
  ];
  assert.equal(
    await told(`${space}/pods`, pod({ volumes: [{ name: 'v', configMap: { name: 'x', items } }] })),
    `201 299 - "volume 'v' (ConfigMap 'x'): overlapping paths: 'a' with 'a/b'"`,
  );
  const sources = [
    { serviceAccountToken: { path: 'token' } },
    { downwardAPI: { items: [{ path: 'token/x', fieldRef: { fieldPath: 'metadata.name' } }] } },
  ];
  assert.equal(
    await told(`${space}/pods`, pod({ volumes: [{ name: 'v', projected: { sources } }] })),
    `201 299 - "volume 'v' (Projected): overlapping paths: 'token/x' (DownwardAPI) with 'token' (ServiceAccountToken)"`,
  );
  assert.equal(
    await told(`${space}/pods`, pod({ hostAliases: [{ ip: '2001:0db8::1' }] })),
    `201 299 - "spec.hostAliases[0].ip: IPv6 address '2001:0db8::1' should be in RFC 5952 canonical format ('2001:db8::1')"`,
  );
  const zone = 'failure-domain.beta.kubernetes.io/zone';
  const old = `deprecated since v1.17; use 'topology.kubernetes.io/zone' instead`;
  const expressions = [{ key: zone, values: ['a'] }];
  assert.equal(
    await told('/apis/storage.k8s.io/v1/storageclasses', {
      metadata: { name: 's' },
      provisioner: 'a.b/c',
      allowedTopologies: [{ matchLabelExpressions: expressions }],
    }),
    `201 299 - "allowedTopologies[0].matchLabelExpressions[0].key: ${old}"`,
  );
  assert.equal(
    await told('/apis/node.k8s.io/v1/runtimeclasses', {
      metadata: { name: 'r' },
      handler: 'h',
      scheduling: { nodeSelector: { [zone]: 'a' } },
    }),
    `201 299 - "scheduling.nodeSelector: ${old}"`,
  );
});

test('addresses in odd forms: new objects are refused, old ones keep them', async () => {
  await using server = await openTestServer();
  const policies = '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies';
  const policy = (cidr: string) => ({
    metadata: { name: 'n' },
    spec: { podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr } }] }] },
  });
  const refused = await server.request('POST', policies, policy('1.2.3.4/16'));
  assert.equal(
    refused.body.details.causes[0].message,
    'Invalid value: "1.2.3.4/16": must not have bits set beyond the prefix length',
  );
  const made = await server.request('POST', policies, policy('1.2.0.0/16'));
  assert.equal(made.status, 201);
  // Stored by an older version of the server.
  const key = '/registry/networkpolicies/default/n';
  const value = Buffer.from(server.store.get(key)?.value ?? []).toString();
  const odd = Buffer.from(value.replace('1.2.0.0/16', '1.2.3.4/16'));
  await server.store.put({ key, value: odd, expect: 'any' });
  const labels = { metadata: { labels: { a: 'b' } } };
  const kept = await server.request('PATCH', `${policies}/n`, labels);
  assert.equal(kept.status, 200);
  assert.match(kept.headers['warning'] ?? '', /is ambiguous in this context/);
  const worse = await server.request('PUT', `${policies}/n`, policy('010.0.0.0/8'));
  assert.equal(worse.status, 422);
});

test('an Ingress that names two classes is refused', async () => {
  await using server = await openTestServer();
  const ingress = (ingressClassName: string) => ({
    metadata: { name: 'i', annotations: { 'kubernetes.io/ingress.class': 'x' } },
    spec: { ingressClassName, defaultBackend: { service: { name: 'a', port: { number: 80 } } } },
  });
  const path = '/apis/networking.k8s.io/v1/namespaces/default/ingresses';
  const { status, body } = await server.request('POST', path, ingress('y'));
  assert.equal(status, 422);
  assert.deepEqual(body.details.causes, [
    {
      reason: 'FieldValueInvalid',
      message: 'Invalid value: "x": must match `ingressClassName` when both are specified',
      field: 'annotations.kubernetes.io/ingress.class',
    },
  ]);
  assert.equal((await server.request('POST', path, ingress('x'))).status, 201);
});

test('a list in which a key occurs twice is owned by key', async () => {
  await using server = await openTestServer();
  await server.request('POST', `${space}/serviceaccounts`, { metadata: { name: 'default' } });
  const env = [
    { name: 'a', value: '1' },
    { name: 'a', value: '2' },
    { name: 'b', value: '3' },
  ];
  const { body } = await server.request('POST', `${space}/pods`, {
    metadata: { name: 'p', annotations: { 'pod.beta.kubernetes.io/init-containers': '[]' } },
    spec: { containers: [{ name: 'c', image: 'i', env }], terminationGracePeriodSeconds: -1 },
  });
  const { fieldsV1 } = body.metadata.managedFields[0];
  assert.deepEqual(fieldsV1['f:spec']['f:containers']['k:{"name":"c"}']['f:env'], {
    '.': {},
    'k:{"name":"a"}': {},
    'k:{"name":"b"}': { '.': {}, 'f:name': {}, 'f:value': {} },
  });
  assert.equal(body.spec.terminationGracePeriodSeconds, 1);
  assert.equal(body.metadata.annotations, undefined);
  const again = { ...body, spec: { ...body.spec, terminationGracePeriodSeconds: -3 } };
  const updated = await server.request('PUT', `${space}/pods/p`, again);
  assert.deepEqual([updated.status, updated.body.spec.terminationGracePeriodSeconds], [200, 1]);
});
