/** Addresses and node ports of Services, through the lifecycle and at the range itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { seededRandom } from '#kit/random.ts';
import { openMemoryStore } from '#store';
import { covers } from '#test/covers.ts';
import { openTestServer } from '#test/fixtures.ts';
import { NumberRange } from './address-range.ts';

const services = '/api/v1/namespaces/default/services';

function service(name: string, spec: object = {}): object {
  return {
    metadata: { name },
    spec: { selector: { app: name }, ports: [{ port: 80 }], ...spec },
  };
}

test('the first address belongs to default/kubernetes', async () => {
  covers('API-014');
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

test('a Service gets an address and single-stack families', async () => {
  await using server = await openTestServer();
  const { body } = await server.request('POST', services, service('a'));
  assert.match(body.spec.clusterIP, /^10\.43\.\d+\.\d+$/);
  assert.deepEqual(body.spec.clusterIPs, [body.spec.clusterIP]);
  assert.deepEqual(body.spec.ipFamilies, ['IPv4']);
  assert.equal(body.spec.ipFamilyPolicy, 'SingleStack');
});

test('a requested address is taken once, and free again after the delete', async () => {
  covers('API-092');
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
  const outside = await make('c', '10.99.0.1');
  assert.match(outside.body.message, /The range of valid IPs is 10\.43\.0\.0\/16/);
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
  await using server = await openTestServer();
  const make = (name: string, nodePort?: number) => {
    const ports = [{ port: 80, ...(nodePort === undefined ? {} : { nodePort }) }];
    return server.request('POST', services, service(name, { type: 'NodePort', ports }));
  };
  const any = await make('a');
  const { nodePort } = any.body.spec.ports[0];
  assert.ok(nodePort >= 30_000 && nodePort <= 32_767);
  const taken = await make('b', nodePort);
  assert.equal(
    taken.body.message,
    `Service "b" is invalid: spec.ports[0].nodePort: Invalid value: ${nodePort}: provided port is already allocated`,
  );
  const outside = await make('c', 99);
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

test('the lower band of a range is handed out last', () => {
  const range = new NumberRange({ first: 100, size: 20, band: 5 });
  const random = seededRandom(3);
  const upper = Array.from({ length: 15 }, () => range.takeAny(random));
  assert.ok(upper.every((value) => value !== undefined && value >= 105));
  const lower = Array.from({ length: 5 }, () => range.takeAny(random));
  assert.ok(lower.every((value) => value !== undefined && value < 105));
  assert.equal(range.takeAny(random), undefined);
});
