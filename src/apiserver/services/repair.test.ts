/** What a crash or a careless hand leaves in the books of addresses and ports is mended. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '#kit/log.ts';
import { seededRandom } from '#kit/random.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { openFaultyDisk, openStoreOver } from '#store';
import { superseded } from '#test/covers.ts';
import { openTestServer } from '#test/fixtures.ts';

const services = '/api/v1/namespaces/default/services';
const addresses = '/apis/networking.k8s.io/v1/ipaddresses';
const minutesMs = 60_000;

function address(name: string, service: string): object {
  const labels = {
    'ipaddress.kubernetes.io/ip-family': 'IPv4',
    'ipaddress.kubernetes.io/managed-by': 'ipallocator.k8s.io',
  };
  const parentRef = { group: '', resource: 'services', namespace: 'default', name: service };
  return { metadata: { name, labels }, spec: { parentRef } };
}

test('a lost address comes back, a leaked one goes, and events say so', async () => {
  superseded('WRK-113', {
    by: 'v1.33',
    now: 'an IPAddress object for each address in place of one map; looked at every three minutes',
  });
  const clock = new VirtualClock();
  await using server = await openTestServer({ clock });
  const spec = { clusterIP: '10.43.0.50', ports: [{ port: 80 }] };
  await server.request('POST', services, { metadata: { name: 'a' }, spec });
  await server.request('DELETE', `${addresses}/10.43.0.50`);
  await server.request('POST', addresses, address('10.43.0.60', 'gone'));
  await server.request('POST', addresses, address('10.43.0.61', 'a'));
  const foreign = { ...address('10.43.0.62', 'gone'), metadata: { name: '10.43.0.62' } };
  await server.request('POST', addresses, foreign);
  await clock.advance(4 * minutesMs);
  const status = async (name: string) =>
    (await server.request('GET', `${addresses}/${name}`)).status;
  assert.equal(await status('10.43.0.50'), 200);
  assert.equal(await status('10.43.0.60'), 404);
  assert.equal(await status('10.43.0.61'), 404);
  assert.equal(await status('10.43.0.62'), 200);
  const { body } = await server.request('GET', '/api/v1/events');
  const told = body.items.map(({ reason, message }: Record<string, string>) => [reason, message]);
  assert.deepEqual(told.toSorted(), [
    ['ClusterIPNotAllocated', 'Cluster IP [IPv4]: 10.43.0.50 is not allocated; repairing'],
    [
      'IPAddressNotAllocated',
      'IPAddress: 10.43.0.60 for Service default/gone appears to have leaked: cleaning up',
    ],
    [
      'IPAddressWrongReference',
      'IPAddress: 10.43.0.61 for Service default/a has a wrong reference; cleaning up',
    ],
  ]);
});

test('a server that opens on an older store writes down what its Services hold', async () => {
  await using first = await openTestServer();
  const ports = [{ port: 80, nodePort: 30_500 }];
  const spec = { clusterIP: '10.43.0.50', type: 'NodePort', ports };
  await first.request('POST', services, { metadata: { name: 'a' }, spec });
  await first.store.delete({ key: '/registry/ipaddresses/10.43.0.50', expect: 'any' });
  await first.store.delete({ key: '/registry/ranges/servicenodeports/30500', expect: 'any' });
  await using second = await openTestServer({ store: first.store });
  assert.equal((await second.request('GET', `${addresses}/10.43.0.50`)).status, 200);
  const other = { type: 'NodePort', ports };
  const taken = await second.request('POST', services, { metadata: { name: 'b' }, spec: other });
  assert.match(taken.body.message, /provided port is already allocated/);
});

test('a port that nobody has is free after two looks', async () => {
  const clock = new VirtualClock();
  await using server = await openTestServer({ clock });
  const key = '/registry/ranges/servicenodeports/30500';
  const value = Buffer.from('{"namespace":"default","name":"gone"}');
  await server.store.put({ key, value, expect: 'absent' });
  await clock.advance(4 * minutesMs);
  assert.notEqual(server.store.get(key), undefined);
  await clock.advance(4 * minutesMs);
  assert.equal(server.store.get(key), undefined);
});

test('a disk that refuses what is to be mended stops neither the start nor the next look', async () => {
  const clock = new VirtualClock();
  const calm = { delayMsMax: 0, failRate: 0, lingerRate: 0 };
  const disk = await openFaultyDisk({ clock, random: seededRandom(1) }, calm);
  await using store = await openStoreOver({ clock, log: silentLog }, { backing: disk.connect() });
  const first = await inTime(clock, openTestServer({ clock, store }));
  const spec = { clusterIP: '10.43.0.50', ports: [{ port: 80 }] };
  await inTime(clock, first.request('POST', services, { metadata: { name: 'a' }, spec }));
  await first[Symbol.asyncDispose]();
  await inTime(clock, store.delete({ key: '/registry/ipaddresses/10.43.0.50', expect: 'any' }));
  disk.rates = { ...calm, failRate: 1 };
  await using second = await inTime(clock, openTestServer({ clock, store }));
  const status = async () => (await second.request('GET', `${addresses}/10.43.0.50`)).status;
  await clock.advance(4 * minutesMs);
  assert.equal(await status(), 404);
  disk.rates = calm;
  await clock.advance(4 * minutesMs);
  assert.equal(await status(), 200);
});

/** For work that waits for the disk, which takes time even where it takes none. */
async function inTime<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
  let isOver = false;
  const over = work.finally(() => {
    isOver = true;
  });
  while (!isOver) await clock.advance(1);
  return over;
}
