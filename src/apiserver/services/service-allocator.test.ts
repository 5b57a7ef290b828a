/** Addresses and node ports of Services, through the lifecycle and at the range itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { seededRandom } from '#kit/random.ts';
import { openMemoryStore } from '#store';
import { covers } from '#test/covers.ts';
import { openTestServer } from '#test/fixtures.ts';
import { Register } from './register.ts';

const services = '/api/v1/namespaces/default/services';

function service(name: string, spec: object = {}): object {
  return {
    metadata: { name },
    spec: { selector: { app: name }, ports: [{ port: 80 }], ...spec },
  };
}

test('the first address belongs to default/kubernetes', async () => {
  await using server = await openTestServer({ options: { serviceCIDR: '10.10.10.0/24' } });
  const { body } = await server.request('GET', `${services}/kubernetes`);
  assert.equal(body.spec.clusterIP, '10.10.10.1');
  assert.equal(body.spec.ports[0].port, 443);
  const slice = await server.request(
    'GET',
    '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes',
  );
  assert.deepEqual(slice.body.endpoints[0].addresses, ['192.0.2.1']);
  assert.equal(slice.body.ports[0].port, 6443);
  assert.equal(slice.body.metadata.labels['kubernetes.io/service-name'], 'kubernetes');
});

test('a server that only its own machine reaches is no endpoint of kubernetes', async () => {
  const advertise = { address: '127.0.0.1', port: 6443 };
  await using server = await openTestServer({ options: { advertise } });
  assert.equal((await server.request('GET', `${services}/kubernetes`)).status, 200);
  const own = await server.request('GET', '/api/v1/namespaces/default/endpoints/kubernetes');
  assert.equal(own.status, 200);
  assert.deepEqual(own.body.subsets ?? [], []);
});

test('a range of 16 bits has some 65,000 addresses, and Services are given those alone', async () => {
  covers('QUO-046');
  await using server = await openTestServer({ options: { serviceCIDR: '172.21.0.0/16' } });
  const free = async (): Promise<number> => {
    const { text } = await server.request('GET', '/metrics');
    const name = 'kube_apiserver_clusterip_allocator_available_ips{cidr="172.21.0.0/16"} ';
    return Number(
      text
        .split('\n')
        .find((line) => line.startsWith(name))
        ?.slice(name.length),
    );
  };
  // Without those of the network, of broadcast, and of the Service `kubernetes`.
  assert.equal(await free(), 65_533);
  const made = await server.request('POST', services, service('a'));
  assert.match(made.body.spec.clusterIP, /^172\.21\.\d+\.\d+$/);
  assert.equal(await free(), 65_532);
  const clusterIP = '172.22.0.1';
  const outside = await server.request('POST', services, service('b', { clusterIP }));
  assert.equal(outside.status, 422);
  assert.match(
    outside.body.message,
    /failed to allocate IP 172\.22\.0\.1: the provided network does not match the current range/,
  );
});

test('a Service gets an address and single-stack families', async () => {
  await using server = await openTestServer();
  const { body } = await server.request('POST', services, service('a'));
  assert.match(body.spec.clusterIP, /^10\.43\.\d+\.\d+$/);
  assert.deepEqual(body.spec.clusterIPs, [body.spec.clusterIP]);
  assert.deepEqual(body.spec.ipFamilies, ['IPv4']);
  assert.equal(body.spec.ipFamilyPolicy, 'SingleStack');
});

test('a requested address is taken once, and free again after the delete', async () => {
  covers('API-092', 'SVC-030');
  await using server = await openTestServer();
  const clusterIP = '10.43.0.10';
  const make = (name: string, address: string) =>
    server.request('POST', services, service(name, { clusterIP: address }));
  assert.equal((await make('a', clusterIP)).status, 201);
  const taken = await make('b', clusterIP);
  assert.equal(taken.status, 422);
  assert.equal(
    taken.body.message,
    'Service "b" is invalid: spec.clusterIPs: Invalid value: ["10.43.0.10"]: failed to allocate IP 10.43.0.10: provided IP is already allocated',
  );
  const outside = await make('c', '8.8.8.8');
  assert.equal(outside.status, 422);
  assert.match(outside.body.message, /the provided network does not match the current range$/);
  assert.equal((await make('d', '1.2.3.999')).status, 422);
  await server.request('DELETE', `${services}/a`);
  assert.equal((await make('b', clusterIP)).status, 201);
});

test('a creation that fails gives back what it took', async () => {
  await using server = await openTestServer();
  const spec = { clusterIP: '10.43.0.20', ports: [{ port: 99_999 }] };
  assert.equal((await server.request('POST', services, service('a', spec))).status, 422);
  const good = { clusterIP: '10.43.0.20' };
  assert.equal((await server.request('POST', services, service('a', good))).status, 201);
  const again = await server.request('POST', services, service('a', { clusterIP: '10.43.0.21' }));
  assert.equal(again.status, 409);
  const freed = await server.request('POST', services, service('b', { clusterIP: '10.43.0.21' }));
  assert.equal(freed.status, 201);
  const dry = service('c', { clusterIP: '10.43.0.22' });
  await server.request('POST', `${services}?dryRun=All`, dry);
  assert.equal((await server.request('POST', services, dry)).status, 201);
});

test('two creations at once never share an address', async () => {
  await using server = await openTestServer({ options: { serviceCIDR: '10.43.0.0/26' } });
  const answers = await Promise.all(
    Array.from({ length: 70 }, (_, index) =>
      server.request('POST', services, service(`s${index}`)),
    ),
  );
  const made = answers.filter(({ status }) => status === 201);
  assert.equal(new Set(made.map(({ body }) => body.spec.clusterIP)).size, made.length);
  // 62 addresses, of which `kubernetes` has one.
  assert.equal(made.length, 61);
  const full = answers.find(({ status }) => status !== 201);
  assert.match(full?.body.message, /range is full/);
});

test('node ports: any, a certain one, taken, outside', async () => {
  covers('SVC-006', 'SVC-037');
  await using server = await openTestServer();
  const make = (name: string, nodePort?: number) => {
    const ports = [{ port: 80, ...(nodePort === undefined ? {} : { nodePort }) }];
    return server.request('POST', services, service(name, { type: 'NodePort', ports }));
  };
  const any = await make('a');
  const { nodePort } = any.body.spec.ports[0];
  assert.ok(nodePort >= 30_000 && nodePort <= 32_767);
  const certain = await make('certain', 30_123);
  assert.deepEqual([certain.status, certain.body.spec.ports[0].nodePort], [201, 30_123]);
  const taken = await make('b', nodePort);
  assert.equal(taken.status, 422);
  assert.equal(
    taken.body.message,
    `Service "b" is invalid: spec.ports[0].nodePort: Invalid value: ${nodePort}: provided port is already allocated`,
  );
  const outside = await make('c', 99);
  assert.equal(outside.status, 422);
  assert.match(outside.body.message, /The range of valid ports is 30000-32767/);
});

test('one node port may serve TCP and UDP of one Service', async () => {
  await using server = await openTestServer();
  const ports = [
    { name: 't', port: 53, protocol: 'TCP', nodePort: 30_053 },
    { name: 'u', port: 53, protocol: 'UDP', nodePort: 30_053 },
  ];
  const made = await server.request('POST', services, service('dns', { type: 'NodePort', ports }));
  assert.equal(made.status, 201);
});

test('an update keeps what the client left out, and gives back what the type drops', async () => {
  await using server = await openTestServer();
  const made = await server.request('POST', services, service('a', { type: 'NodePort' }));
  const { clusterIP, ports } = made.body.spec;
  const put = await server.request('PUT', `${services}/a`, service('a', { type: 'NodePort' }));
  assert.equal(put.body.spec.clusterIP, clusterIP);
  assert.equal(put.body.spec.ports[0].nodePort, ports[0].nodePort);
  const plain = await server.request('PATCH', `${services}/a`, { spec: { type: 'ClusterIP' } });
  assert.equal(plain.body.spec.ports[0].nodePort, undefined);
  const again = service('b', {
    type: 'NodePort',
    ports: [{ port: 80, nodePort: ports[0].nodePort }],
  });
  assert.equal((await server.request('POST', services, again)).status, 201);
});

test('headless and external Services have no address', async () => {
  await using server = await openTestServer();
  const bare = service('bare', { clusterIP: 'None', ports: undefined });
  assert.equal((await server.request('POST', services, bare)).status, 201);
  const headless = await server.request('POST', services, service('a', { clusterIP: 'None' }));
  assert.deepEqual(headless.body.spec.clusterIPs, ['None']);
  const external = { type: 'ExternalName', externalName: 'example.com', ports: [] };
  const named = await server.request('POST', services, service('b', external));
  assert.equal(named.status, 201);
  assert.equal(named.body.spec.clusterIP, undefined);
});

test('a server that opens on a store knows what is taken', async () => {
  const store = openMemoryStore({ clock: systemClock() });
  await using first = await openTestServer({ store });
  await first.request('POST', services, service('a', { clusterIP: '10.43.0.30' }));
  await using second = await openTestServer({ store });
  const taken = await second.request('POST', services, service('b', { clusterIP: '10.43.0.30' }));
  assert.equal(taken.status, 422);
  await store[Symbol.asyncDispose]();
});

const addresses = '/apis/networking.k8s.io/v1/ipaddresses';

test('each address is an object that names its Service, and goes with it', async () => {
  await using server = await openTestServer();
  const range = await server.request('GET', '/apis/networking.k8s.io/v1/servicecidrs/kubernetes');
  assert.deepEqual(range.body.spec.cidrs, ['10.43.0.0/16']);
  assert.deepEqual(
    range.body.status.conditions.map(({ type, status }: Record<string, string>) => [type, status]),
    [['Ready', 'True']],
  );
  const made = await server.request('POST', services, service('a'));
  const { clusterIP } = made.body.spec;
  const { body } = await server.request('GET', `${addresses}/${clusterIP}`);
  assert.deepEqual(body.metadata.labels, {
    'ipaddress.kubernetes.io/ip-family': 'IPv4',
    'ipaddress.kubernetes.io/managed-by': 'ipallocator.k8s.io',
  });
  assert.deepEqual(body.spec.parentRef, {
    resource: 'services',
    namespace: 'default',
    name: 'a',
  });
  assert.equal((await server.request('GET', `${addresses}/10.43.0.1`)).status, 200);
  const external = { spec: { type: 'ExternalName', externalName: 'example.com' } };
  assert.equal((await server.request('PATCH', `${services}/a`, external)).status, 200);
  assert.equal((await server.request('GET', `${addresses}/${clusterIP}`)).status, 404);
  const back = await server.request('PATCH', `${services}/a`, { spec: { type: 'ClusterIP' } });
  assert.equal(
    (await server.request('GET', `${addresses}/${back.body.spec.clusterIP}`)).status,
    200,
  );
  await server.request('DELETE', `${services}/a`);
  const { body: left } = await server.request('GET', addresses);
  assert.deepEqual(
    left.items.map(({ metadata }: { metadata: { name: string } }) => metadata.name),
    ['10.43.0.1'],
  );
});

test('two servers on one store never give out the same number', async () => {
  const cidr = { serviceCIDR: '10.43.0.0/26', nodePortRange: { first: 30_000, last: 30_059 } };
  await using first = await openTestServer({ options: cidr });
  await using second = await openTestServer({ store: first.store, options: cidr });
  const spec = { type: 'NodePort' };
  const answers = await Promise.all(
    Array.from({ length: 64 }, (_, index) =>
      (index % 2 === 0 ? first : second).request('POST', services, service(`s${index}`, spec)),
    ),
  );
  const made = answers.filter(({ status }) => status === 201).map(({ body }) => body.spec);
  assert.equal(made.length, 60);
  assert.equal(new Set(made.map(({ clusterIP }) => clusterIP)).size, 60);
  assert.equal(new Set(made.map(({ ports }) => ports[0].nodePort)).size, 60);
  const full = answers.find(({ status }) => status !== 201);
  assert.match(full?.body.message, /range is full/);
  // One that failed has given back its address too: 61 others and the one of `kubernetes`.
  const { body } = await first.request('GET', addresses);
  assert.equal(body.items.length, 61);
});

test('another block gives addresses once it is ready, and as long as it stays', async () => {
  await using server = await openTestServer({ options: { serviceCIDR: '10.43.0.0/30' } });
  const ranges = '/apis/networking.k8s.io/v1/servicecidrs';
  assert.equal((await server.request('POST', services, service('a'))).status, 201);
  assert.equal((await server.request('POST', services, service('b'))).status, 500);
  const more = { metadata: { name: 'more' }, spec: { cidrs: ['10.44.0.0/24'] } };
  assert.equal((await server.request('POST', ranges, more)).status, 201);
  const wanted = { clusterIP: '10.44.0.9' };
  assert.equal((await server.request('POST', services, service('b', wanted))).status, 422);
  const conditions = [
    {
      type: 'Ready',
      status: 'True',
      reason: 'x',
      message: '',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    },
  ];
  const set = await server.request('PATCH', `${ranges}/more/status`, { status: { conditions } });
  assert.equal(set.status, 200, set.text);
  assert.equal((await server.request('POST', services, service('b', wanted))).status, 201);
  const any = await server.request('POST', services, service('c'));
  assert.match(any.body.spec.clusterIP, /^10\.44\.0\./);
});

test('ports of several protocols, health checks, and balancers without node ports', async () => {
  covers('SVC-092');
  await using server = await openTestServer();
  const ports = [
    { name: 't', port: 53, protocol: 'TCP' },
    { name: 'u', port: 53, protocol: 'UDP' },
    { name: 'w', port: 80 },
  ];
  const made = await server.request('POST', services, service('dns', { type: 'NodePort', ports }));
  const [tcp, udp, web] = made.body.spec.ports;
  assert.equal(tcp.nodePort, udp.nodePort);
  assert.notEqual(web.nodePort, tcp.nodePort);
  const local = { type: 'LoadBalancer', externalTrafficPolicy: 'Local', ports };
  const balanced = await server.request('POST', services, service('lb', local));
  const { healthCheckNodePort } = balanced.body.spec;
  assert.ok(healthCheckNodePort >= 30_000);
  const stolen = { type: 'NodePort', ports: [{ port: 1, nodePort: healthCheckNodePort }] };
  const taken = await server.request('POST', services, service('thief', stolen));
  assert.match(taken.body.message, /provided port is already allocated/);
  const wanted = { ...local, healthCheckNodePort };
  const second = await server.request('POST', services, service('lb2', wanted));
  assert.match(second.body.message, /failed to allocate requested HealthCheck NodePort/);
  const cluster = { spec: { externalTrafficPolicy: 'Cluster' } };
  const changed = await server.request('PATCH', `${services}/lb`, cluster);
  assert.equal(changed.body.spec.healthCheckNodePort, undefined);
  assert.equal((await server.request('POST', services, service('thief', stolen))).status, 201);
  const none = { type: 'LoadBalancer', allocateLoadBalancerNodePorts: false };
  const bare = await server.request('POST', services, service('bare', none));
  assert.equal(bare.body.spec.ports[0].nodePort, undefined);
});

test('the families of a cluster of one family', async () => {
  await using server = await openTestServer();
  const make = (name: string, spec: object) =>
    server.request('POST', services, service(name, spec));
  const refused = async (spec: object): Promise<string> => {
    const { status, body } = await make('x', spec);
    assert.equal(status, 422);
    return body.message;
  };
  const invalid = 'Service "x" is invalid: ';
  assert.equal(
    await refused({ ipFamilyPolicy: 'RequireDualStack' }),
    `${invalid}spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services`,
  );
  assert.equal(
    await refused({ ipFamilies: ['IPv6'] }),
    `${invalid}spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster`,
  );
  assert.equal(
    await refused({ ipFamilies: ['IPv4', 'IPv6'] }),
    `${invalid}spec.ipFamilyPolicy: Invalid value: "SingleStack": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified`,
  );
  assert.match(
    await refused({ clusterIP: 'fd00::5' }),
    /spec.clusterIPs\[0\]: Invalid value: \["fd00::5"\]: IPv6 is not configured on this cluster/,
  );
  assert.match(
    await refused({
      clusterIP: '10.43.0.9',
      clusterIPs: ['10.43.0.9', '10.43.0.10'],
      ipFamilyPolicy: 'PreferDualStack',
    }),
    /may specify no more than one IP for each IP family/,
  );
  const preferred = await make('a', { ipFamilyPolicy: 'PreferDualStack' });
  assert.deepEqual(preferred.body.spec.ipFamilies, ['IPv4']);
  assert.equal(preferred.body.spec.clusterIPs.length, 1);
  const free = await make('b', { clusterIP: 'None', selector: undefined });
  assert.deepEqual(free.body.spec.ipFamilies, ['IPv4', 'IPv6']);
  assert.equal(free.body.spec.ipFamilyPolicy, 'RequireDualStack');
  const headless = await make('c', { clusterIP: 'None' });
  assert.deepEqual(headless.body.spec.ipFamilies, ['IPv4']);
});

test('default/kubernetes has Endpoints too', async () => {
  covers('SVC-044');
  await using server = await openTestServer();
  const { body } = await server.request('GET', '/api/v1/namespaces/default/endpoints/kubernetes');
  assert.deepEqual(body.subsets, [
    {
      addresses: [{ ip: '192.0.2.1' }],
      ports: [{ name: 'https', port: 6443, protocol: 'TCP' }],
    },
  ]);
  assert.equal(body.metadata.labels['endpointslice.kubernetes.io/skip-mirror'], 'true');
  const { body: own } = await server.request('GET', `${services}/kubernetes`);
  assert.deepEqual([own.spec.clusterIP, own.spec.ports[0].port], ['10.43.0.1', 443]);
  assert.equal(own.metadata.managedFields[0].manager, 'kube-apiserver');
});

test('a server that opens again writes nothing, unless its address has changed', async () => {
  await using first = await openTestServer();
  const { revision } = first.store;
  await using second = await openTestServer({ store: first.store });
  assert.equal(first.store.revision, revision);
  const advertise = { address: '192.0.2.9', port: 7443 };
  await using moved = await openTestServer({ store: first.store, options: { advertise } });
  const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes';
  const { body } = await moved.request('GET', slices);
  assert.deepEqual(body.endpoints[0].addresses, ['192.0.2.9']);
  const endpoints = '/api/v1/namespaces/default/endpoints/kubernetes';
  const old = await second.request('GET', endpoints);
  assert.deepEqual(old.body.subsets[0].addresses, [{ ip: '192.0.2.9' }]);
  assert.equal(old.body.subsets[0].ports[0].port, 7443);
});

test('the lower band of a range is handed out last', () => {
  const register = new Register(() => false);
  const spans = [{ first: 100n, size: 20n, band: 5n }];
  const random = seededRandom(3);
  const upper = Array.from({ length: 15 }, () => register.takeAny(spans, random));
  assert.ok(upper.every((value) => value !== undefined && value >= 105));
  const lower = Array.from({ length: 5 }, () => register.takeAny(spans, random));
  assert.ok(lower.every((value) => value !== undefined && value < 105));
  assert.equal(register.takeAny(spans, random), undefined);
});
