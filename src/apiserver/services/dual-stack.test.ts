/** Services with addresses of both families, in a cluster that has a range of each. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestServer, type TestServer } from '#test/fixtures.ts';

const services = '/api/v1/namespaces/default/services';
const addresses = '/apis/networking.k8s.io/v1/ipaddresses';
const range = '/apis/networking.k8s.io/v1/servicecidrs/kubernetes';
const options = { secondServiceCIDR: 'fd00:43::/112' };

async function create(server: TestServer, name: string, spec: object) {
  const ports = [{ port: 80 }];
  const { body } = await server.request('POST', services, {
    metadata: { name },
    spec: { ports, selector: { app: 'a' }, ...spec },
  });
  return body;
}

function change(server: TestServer, name: string, spec: object) {
  const headers = { 'content-type': 'application/merge-patch+json' };
  return server.request('PATCH', `${services}/${name}`, { spec }, { headers });
}

const shape = /^10\.43\.\d+\.\d+,fd00:43::[0-9a-f]{1,4}$/;

test('a Service has an address of each family that it may have, in the order it asks for', async () => {
  await using server = await openTestServer({ options });
  const plain = await create(server, 'plain', {});
  assert.deepEqual(plain.spec.ipFamilies, ['IPv4']);
  const six = await create(server, 'six', { ipFamilies: ['IPv6'] });
  assert.match(six.spec.clusterIP, /^fd00:43::/);
  const both = await create(server, 'both', { ipFamilyPolicy: 'RequireDualStack' });
  assert.match(both.spec.clusterIPs.join(), shape);
  const turned = await create(server, 'turned', {
    ipFamilyPolicy: 'PreferDualStack',
    ipFamilies: ['IPv6', 'IPv4'],
  });
  assert.match(turned.spec.clusterIPs.toReversed().join(), shape);
  const kubernetes = await server.request('GET', `${services}/kubernetes`);
  assert.deepEqual(kubernetes.body.spec.clusterIPs, ['10.43.0.1']);
});

test('asked for by address: in range and free, whichever way it is written', async () => {
  await using server = await openTestServer({ options });
  const given = await create(server, 'given', {
    clusterIP: '10.43.0.51',
    clusterIPs: ['10.43.0.51', 'FD00:43::52'],
    ipFamilyPolicy: 'RequireDualStack',
  });
  assert.deepEqual(given.spec.clusterIPs, ['10.43.0.51', 'FD00:43::52']);
  const { body: address } = await server.request('GET', `${addresses}/fd00:43::52`);
  assert.equal(address.metadata.labels['ipaddress.kubernetes.io/ip-family'], 'IPv6');
  const taken = await create(server, 'taken', { clusterIP: 'fd00:43::52' });
  assert.match(taken.message, /failed to allocate IP fd00:43::52: provided IP is already alloc/);
  const outside = await create(server, 'outside', { clusterIP: 'fd00:44::1' });
  assert.match(outside.message, /the provided network does not match the current range/);
  const last = await create(server, 'last', { clusterIP: 'fd00:43::ffff' });
  assert.equal(last.spec.clusterIP, 'fd00:43::ffff');
  await server.request('DELETE', `${services}/given`);
  assert.equal((await server.request('GET', `${addresses}/fd00:43::52`)).status, 404);
});

test('a second address comes and goes with the policy', async () => {
  await using server = await openTestServer({ options });
  const { spec: before } = await create(server, 'a', {});
  const { body: grown } = await change(server, 'a', { ipFamilyPolicy: 'PreferDualStack' });
  assert.equal(grown.spec.clusterIP, before.clusterIP);
  assert.match(grown.spec.clusterIPs.join(), shape);
  const refused = await change(server, 'a', { ipFamilies: ['IPv4'] });
  assert.match(refused.body.message, /must be 'SingleStack' to release the secondary IP family/);
  const { body: shrunk } = await change(server, 'a', { ipFamilyPolicy: 'SingleStack' });
  assert.deepEqual(shrunk.spec.clusterIPs, [before.clusterIP]);
  const second = grown.spec.clusterIPs[1];
  assert.equal((await server.request('GET', `${addresses}/${second}`)).status, 404);
});

test('a cluster of one family gets the other; repair mends addresses of both', async () => {
  await using first = await openTestServer();
  const { store } = first;
  await using server = await openTestServer({ store, options });
  const { body } = await server.request('GET', range);
  assert.deepEqual(body.spec.cidrs, ['10.43.0.0/16', 'fd00:43::/112']);
  const both = await create(server, 'both', { ipFamilyPolicy: 'RequireDualStack' });
  const second = both.spec.clusterIPs[1];
  await server.store.delete({ key: `/registry/ipaddresses/${second}`, expect: 'any' });
  await using later = await openTestServer({ store, options });
  assert.equal((await later.request('GET', `${addresses}/${second}`)).status, 200);
});

test('where a range of one family is full, a Service says so', async () => {
  const small = { serviceCIDR: '10.43.0.0/30', secondServiceCIDR: 'fd00:43::/126' };
  await using server = await openTestServer({ options: small });
  const made = [];
  for (const name of ['a', 'b', 'c', 'd']) {
    made.push(await create(server, name, { ipFamilies: ['IPv6'] }));
  }
  const last = made.at(-1);
  assert.equal(last.message.includes('range is full'), true, last.message);
});

test('what a Service without addresses may not say; a change of type takes it away', async () => {
  await using server = await openTestServer({ options });
  const spec = { type: 'ExternalName', externalName: 'example.org' };
  const refused = await create(server, 'named', { ...spec, ipFamilyPolicy: 'RequireDualStack' });
  assert.match(refused.message, /ipFamilyPolicy: Forbidden: may not be set for ExternalName serv/);
  const lone = { clusterIPs: ['10.43.0.50', 'fd00:43::51'], ipFamilyPolicy: 'RequireDualStack' };
  const unsaid = await create(server, 'unsaid', lone);
  assert.match(unsaid.message, /must be empty when `clusterIP` is not specified/);
  await create(server, 'turned', { ipFamilyPolicy: 'RequireDualStack' });
  const { body } = await change(server, 'turned', { ...spec, clusterIP: '' });
  assert.deepEqual(
    [body.spec.clusterIPs, body.spec.ipFamilies, body.spec.ipFamilyPolicy],
    [undefined, undefined, undefined],
  );
});
