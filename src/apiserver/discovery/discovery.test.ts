/** Discovery, OpenAPI, health, metrics; and a kind that is added while the server runs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { covers } from '#test/covers.ts';
import { openTestServer } from '#test/fixtures.ts';

interface Boat extends KubeObject {
  readonly spec?: { readonly crew?: number };
  readonly status?: { readonly afloat?: boolean };
}

/** A kind that nobody has heard of, as a custom resource would be. */
function boatResource(): Resource {
  return defineResource<Boat>({
    kind: 'Boat',
    plural: 'boats',
    singular: 'boat',
    shortNames: ['bt'],
    categories: ['all'],
    namespaced: true,
    storagePrefix: 'river.example.com/boats',
    views: [
      {
        group: 'river.example.com',
        version: 'v1',
        definition: 'com.example.river.v1.Boat',
        schema: {
          type: 'object',
          fields: {
            apiVersion: { type: 'string' },
            kind: { type: 'string' },
            metadata: { ref: 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' },
            spec: { type: 'object', fields: { crew: { type: 'integer', format: 'int32' } } },
            status: { type: 'object', fields: { afloat: { type: 'boolean' } } },
          },
        },
        setDefaults: (object) => ({ ...object, spec: { crew: 1, ...(object as Boat).spec } }),
      },
    ],
    hasStatus: true,
    validate: (boat) =>
      (boat.spec?.crew ?? 0) > 1
        ? [
            {
              type: 'FieldValueInvalid',
              field: 'spec.crew',
              badValue: 2,
              detail: 'one person only',
            },
          ]
        : [],
    columns: [
      {
        name: 'Name',
        type: 'string',
        format: 'name',
        description: '',
        priority: 0,
        cell: (boat) => boat.metadata.name ?? '',
      },
    ],
  });
}

test('a kind added to the running server is usable at once', async () => {
  await using server = await openTestServer();
  const boats = '/apis/river.example.com/v1/namespaces/default/boats';
  assert.equal((await server.request('GET', boats)).status, 404);
  assert.equal((await server.request('GET', '/apis/river.example.com/v1')).status, 404);
  const resource = boatResource();
  server.catalog.add(resource);
  const watch = await server.watch(`${boats}?watch=1`);
  const made = await server.request('POST', boats, { metadata: { name: 'a' } });
  assert.equal(made.status, 201);
  assert.equal(made.body.spec.crew, 1);
  assert.equal(made.body.metadata.generation, 1);
  assert.equal((await watch.next()).type, 'ADDED');
  watch.stop();
  const full = await server.request('POST', boats, { metadata: { name: 'b' }, spec: { crew: 2 } });
  assert.equal(
    full.body.message,
    'Boat.river.example.com "b" is invalid: spec.crew: Invalid value: 2: one person only',
  );
  const status = await server.request('PATCH', `${boats}/a/status`, { status: { afloat: true } });
  assert.equal(status.body.status.afloat, true);
  const list = await server.request('GET', '/apis/river.example.com/v1');
  assert.deepEqual(
    list.body.resources.map(({ name }: { name: string }) => name),
    ['boats', 'boats/status'],
  );
  assert.deepEqual(list.body.resources[0].shortNames, ['bt']);
  const index = await server.request('GET', '/openapi/v3');
  const { serverRelativeURL } = index.body.paths['apis/river.example.com/v1'];
  const openApi = await server.request('GET', serverRelativeURL);
  const schema = openApi.body.components.schemas['com.example.river.v1.Boat'];
  assert.equal(schema.properties.spec.properties.crew.type, 'integer');
  server.catalog.remove(resource);
  assert.equal((await server.request('GET', `${boats}/a`)).status, 404);
  assert.equal((await server.request('GET', '/apis/river.example.com')).status, 404);
});

test('/api and /apis', async () => {
  covers('API-116', 'API-136', 'API-051');
  await using server = await openTestServer();
  const api = await server.request('GET', '/api');
  assert.deepEqual(api.body, {
    kind: 'APIVersions',
    versions: ['v1'],
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: '192.0.2.1:6443' }],
  });
  const apis = await server.request('GET', '/apis');
  const apps = apis.body.groups.find(({ name }: { name: string }) => name === 'apps');
  assert.deepEqual(apps.preferredVersion, { groupVersion: 'apps/v1', version: 'v1' });
  const group = await server.request('GET', '/apis/apps');
  assert.equal(group.body.kind, 'APIGroup');
  const core = await server.request('GET', '/api/v1');
  const batch = await server.request('GET', '/apis/batch/v1');
  assert.deepEqual([core.body.groupVersion, batch.body.groupVersion], ['v1', 'batch/v1']);
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } };
  const made = await server.request('POST', '/api/v1/namespaces/default/configmaps', map);
  assert.equal(made.body.apiVersion, 'v1');
  const jobs = await server.request('GET', '/apis/batch/v1/jobs');
  assert.equal(jobs.body.apiVersion, 'batch/v1');
  const pods = core.body.resources.find(({ name }: { name: string }) => name === 'pods');
  assert.deepEqual(pods.shortNames, ['po']);
  assert.deepEqual(pods.categories, ['all']);
  assert.deepEqual(pods.verbs, [
    'create',
    'delete',
    'deletecollection',
    'get',
    'list',
    'patch',
    'update',
    'watch',
  ]);
  const token = core.body.resources.find(
    ({ name }: { name: string }) => name === 'serviceaccounts/token',
  );
  assert.equal(token.group, 'authentication.k8s.io');
});

test('reviews are in discovery and in OpenAPI', async () => {
  await using server = await openTestServer();
  const { body } = await server.request('GET', '/apis/authentication.k8s.io/v1');
  assert.deepEqual(body.resources[1], {
    name: 'tokenreviews',
    singularName: 'tokenreview',
    namespaced: false,
    kind: 'TokenReview',
    verbs: ['create'],
  });
  const openApi = await server.request('GET', '/openapi/v3/apis/authentication.k8s.io/v1');
  const { post } = openApi.body.paths['/apis/authentication.k8s.io/v1/tokenreviews'];
  assert.equal(post['x-kubernetes-group-version-kind'].kind, 'TokenReview');
  const name = 'io.k8s.api.authentication.v1.TokenReview';
  assert.deepEqual(openApi.body.components.schemas[name]['x-kubernetes-group-version-kind'], [
    { group: 'authentication.k8s.io', kind: 'TokenReview', version: 'v1' },
  ]);
});

test('aggregated discovery says the same in two documents', async () => {
  await using server = await openTestServer();
  const accept =
    'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';
  const named = await server.request('GET', '/apis', undefined, { headers: { accept } });
  assert.equal(named.body.kind, 'APIGroupDiscoveryList');
  assert.match(named.headers['content-type'] ?? '', /as=APIGroupDiscoveryList/);
  const apps = named.body.items.find(
    ({ metadata }: { metadata: { name: string } }) => metadata.name === 'apps',
  );
  const deployments = apps.versions[0].resources.find(
    ({ resource }: { resource: string }) => resource === 'deployments',
  );
  assert.equal(deployments.scope, 'Namespaced');
  assert.deepEqual(
    deployments.subresources.map(({ subresource }: { subresource: string }) => subresource),
    ['scale', 'status'],
  );
  const core = await server.request('GET', '/api', undefined, { headers: { accept } });
  assert.equal(core.body.items.length, 1);
});

test('legacy versions show only where they are switched on, and last', async () => {
  await using plain = await openTestServer();
  const groups = async (server: typeof plain): Promise<string[]> => {
    const { body } = await server.request('GET', '/apis');
    return body.groups.map(({ name }: { name: string }) => name);
  };
  assert.equal((await groups(plain)).includes('extensions'), false);
  await using legacy = await openTestServer({ options: { legacyVersions: true } });
  assert.equal((await groups(legacy)).at(-1), 'extensions');
  const { body } = await legacy.request('GET', '/apis/extensions/v1beta1');
  assert.equal(body.resources[0].shortNames, undefined);
});

test('OpenAPI documents are complete: every reference leads somewhere', async () => {
  await using server = await openTestServer();
  const index = await server.request('GET', '/openapi/v3');
  for (const { serverRelativeURL } of Object.values<{ serverRelativeURL: string }>(
    index.body.paths,
  )) {
    assert.match(serverRelativeURL, /\?hash=[0-9A-F]{128}$/);
    const document = await server.request('GET', serverRelativeURL);
    const known = new Set(Object.keys(document.body.components.schemas));
    for (const [, name = ''] of document.text.matchAll(
      /"\$ref":"#\/components\/schemas\/([^"]+)"/g,
    )) {
      assert.ok(known.has(name), `${serverRelativeURL} lacks ${name}`);
    }
  }
});

test('OpenAPI has what kubectl explain and strategic patches read', async () => {
  await using server = await openTestServer();
  const { body } = await server.request('GET', '/openapi/v3/apis/apps/v1');
  const { schemas } = body.components;
  const deployment = schemas['io.k8s.api.apps.v1.Deployment'];
  assert.deepEqual(deployment['x-kubernetes-group-version-kind'], [
    { group: 'apps', kind: 'Deployment', version: 'v1' },
  ]);
  assert.equal(
    deployment.properties.spec.allOf[0].$ref,
    '#/components/schemas/io.k8s.api.apps.v1.DeploymentSpec',
  );
  const { containers } = schemas['io.k8s.api.core.v1.PodSpec'].properties;
  assert.equal(containers['x-kubernetes-patch-merge-key'], 'name');
});

test('health: plain, verbose, one check, left out, unknown; readyz fails when draining', async () => {
  await using server = await openTestServer();
  const get = (path: string) => server.request('GET', path);
  assert.equal((await get('/healthz')).text, 'ok');
  assert.match((await get('/livez?verbose')).text, /^\[\+\]ping ok\n[\s\S]*livez check passed\n$/);
  assert.equal((await get('/readyz/etcd')).text, 'ok');
  assert.equal((await get('/readyz/none')).status, 404);
  const left = await get('/readyz?verbose&exclude=etcd&exclude=none');
  assert.match(left.text, /\[\+\]etcd excluded: ok/);
  assert.match(left.text, /no matches for "none"/);
  server.server.drain();
  const failing = await get('/readyz');
  assert.equal(failing.status, 500);
  assert.match(failing.text, /\[-\]shutdown failed: reason withheld/);
  assert.equal((await get('/livez')).status, 200);
});

test('metrics count requests and objects under upstream names', async () => {
  await using server = await openTestServer();
  await server.request('GET', '/api/v1/namespaces/none');
  const { text } = await server.request('GET', '/metrics');
  assert.match(
    text,
    /apiserver_request_total\{code="404",component="apiserver",dry_run="",group="",resource="namespaces",scope="resource",subresource="",verb="GET",version="v1"\} 1\n/,
  );
  assert.match(text, /apiserver_resource_objects\{group="",resource="namespaces"\} 4\n/);
  assert.match(text, /apiserver_current_inflight_requests\{request_kind="readOnly"\} 1\n/);
  assert.match(text, /kubernetes_build_info\{git_version="v1\.36/);
  assert.match(text, /process_resident_memory_bytes \d+\n/);
  assert.match(text, /apiserver_storage_objects\{resource="namespaces"\} 4\n/);
  assert.match(text, /apiserver_request_duration_seconds_bucket\{[^}]*le="\+Inf"\} 1\n/);
  assert.match(text, /bugs_total 0\n/);
});

test('metrics keep no name that is longer than any that is served', async () => {
  await using server = await openTestServer();
  const long = (letter: string, length: number) => letter.repeat(length);
  const paths = [
    ...[`/apis/${long('a', 254)}/v1/boats`, `/apis/a.b/${long('b', 254)}/boats`],
    ...[`/apis/a.b/v1/${long('c', 254)}`, `/apis/a.b/v1/boats/x/${long('d', 254)}`],
    `/${long('e', 254)}`,
  ];
  for (const path of paths) assert.equal((await server.request('GET', path)).status, 404, path);
  await server.request('POST', paths[0] ?? '', { metadata: { name: 'a' } });
  await server.request(long('F', 254), '/livez');
  await server.request('GET', `/apis/${long('g', 253)}/v1/boats`);
  const { text } = await server.request('GET', '/metrics');
  assert.doesNotMatch(text, /([a-f])\1{20}/i);
  assert.match(text, /_total\{code="404",component="apiserver",verb="OTHER"\} 6\n/);
  assert.match(text, /group="g{253}"/);
});

test('metrics tell of bytes, of who asks and may, of admission, lists, addresses and Node', async () => {
  // Durations are counted: no machine may be too slow for the first bucket.
  const clock = new VirtualClock();
  const options = { secondServiceCIDR: 'fd00:43::/112' };
  await using server = await openTestServer({ clock, options });
  const services = '/api/v1/namespaces/default/services';
  const ports = [{ port: 80, nodePort: 30_001 }];
  const spec = { type: 'NodePort', ports, ipFamilyPolicy: 'RequireDualStack' };
  await server.request('POST', services, { metadata: { name: 'a' }, spec });
  await server.request('POST', services, { metadata: { name: 'A' }, spec });
  await server.request('GET', services);
  await server.unbound('GET', services);
  await server.unbound('GET', services, { authorization: 'Bearer nonsense' });
  const { text } = await server.request('GET', '/metrics');
  const value = (series: string): number => {
    const line = text.split('\n').find((one) => one.startsWith(`${series} `));
    assert.ok(line !== undefined, series);
    return Number(line.slice(series.length));
  };
  const kind = 'group="",resource="services"';
  assert.equal(value(`apiserver_request_body_size_bytes_count{${kind},verb="create"}`), 2);
  const one = `${kind},scope="resource",subresource="",verb="POST",version="v1"`;
  assert.equal(value(`apiserver_response_sizes_bucket{${one},le="1000"}`), 2);
  assert.equal(value('authentication_attempts{result="failure"}'), 1);
  assert.ok(value('authenticated_user_requests{username="admin"}') >= 4);
  assert.equal(value('authorization_attempts_total{result="no-opinion"}'), 1);
  assert.ok(value('authorization_duration_seconds_count{result="allowed"}') >= 3);
  const step = 'apiserver_admission_step_admission_duration_seconds_count';
  assert.ok(value(`${step}{operation="CREATE",rejected="false",type="admit"}`) >= 2);
  assert.equal(value(`apiserver_storage_list_total{${kind}}`), 1);
  assert.equal(value(`apiserver_storage_list_returned_objects_total{${kind}}`), 2);
  assert.equal(value(`apiserver_storage_events_received_total{${kind}}`), 2);
  const taken = 'kube_apiserver_clusterip_allocator_allocated_ips';
  assert.equal(value(`${taken}{cidr="10.43.0.0/16"}`), 2);
  assert.equal(value(`${taken}{cidr="fd00:43::/112"}`), 1);
  const free = 'kube_apiserver_clusterip_allocator_available_ips';
  assert.equal(value(`${free}{cidr="fd00:43::/112"}`), 65_534);
  assert.equal(value('kube_apiserver_nodeport_allocator_allocated_ports'), 1);
  assert.equal(value('kube_apiserver_nodeport_allocator_available_ports'), 2767);
  assert.ok(value('nodejs_heap_size_used_bytes') > 0);
  assert.ok(value('process_open_fds') > 0);
  assert.match(text, /apiserver_request_sli_duration_seconds_bucket\{[^}]*le="0.05"\} 2\n/);
  assert.doesNotMatch(text, /apiserver_request_sli_duration_seconds_bucket\{[^}]*le="0.025"\}/);
});

test('/version names the API that is spoken', async () => {
  await using server = await openTestServer();
  const { body } = await server.request('GET', '/version');
  assert.equal(body.major, '1');
  assert.equal(body.minor, '36');
  assert.match(body.gitVersion, /^v1\.36\.\d+\+coracle$/);
});
