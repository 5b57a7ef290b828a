/** What stands behind Services: Endpoints and slices, of pods and hand-written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isReason } from '#api/errors.ts';
import {
  deployments,
  endpointSlices,
  endpoints,
  events,
  pods,
  services,
} from '#resources/kinds.ts';
import { covers } from '#test/covers.ts';
import { startCluster } from '#testing';
import { openWorld, type World } from './control-world.ts';

const namespace = 'default';
const at = { namespace, name: 'web' };

async function createService(world: World, spec: object, name = 'web'): Promise<void> {
  const service = { apiVersion: 'v1', kind: 'Service', metadata: { namespace, name } };
  await world.client.create(services, { ...service, spec }, world);
}

async function createPod(world: World, name: string, labels: Record<string, string>) {
  const spec = { containers: [{ name: 'web', image: 'web:1' }] };
  const metadata = { namespace, name, labels };
  await world.client.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec }, world);
}

async function told(world: World): Promise<readonly string[]> {
  const all = await world.list(endpoints, namespace);
  const object = all.find(({ metadata }) => metadata.name === at.name);
  return (object?.subsets ?? []).flatMap((subset) =>
    (subset.addresses ?? []).map(({ ip, targetRef }) => `${targetRef?.name} ${ip.slice(0, 6)}`),
  );
}

async function slicesOf(world: World, name = 'web') {
  const labelSelector = `kubernetes.io/service-name=${name}`;
  const { items } = await world.client.list(endpointSlices, { ...world, namespace, labelSelector });
  return items;
}

test('Endpoints follow the pods that the selector matches, and go with the Service', async (t) => {
  covers('SVC-014', 'SVC-061', 'SVC-019');
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  for (const name of ['a', 'b', 'c']) await createPod(world, name, { app: 'web' });
  await createPod(world, 'other', { app: 'db' });
  await createService(world, { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 9376 }] });
  await world.until('three addresses', async () => (await told(world)).length === 3);
  const { spec } = await client.get(services, at, { signal });
  assert.match(spec?.clusterIP ?? '', /^10\.43\./);
  const { subsets } = await client.get(endpoints, at, { signal });
  assert.deepEqual(
    subsets?.[0]?.ports?.map(({ port }) => port),
    [9376],
  );
  // A pod that loses its label leaves; a Service that matches nothing has no addresses.
  const unlabelled = { metadata: { labels: { app: 'none' } } };
  const merge = { type: 'merge', signal } as const;
  await client.patch(pods, { namespace, name: 'a' }, unlabelled, merge);
  await world.until('two addresses', async () => (await told(world)).length === 2);
  await client.delete(pods, { namespace, name: 'b' }, { signal });
  await world.until('one address', async () => (await told(world)).length === 1);
  await client.patch(services, at, { spec: { selector: { app: 'wbe' } } }, merge);
  await world.until('none', async () => (await told(world)).length === 0);
  await client.delete(services, at, { signal });
  await world.pass(1_000);
  await assert.rejects(client.get(endpoints, at, { signal }), (e) => isReason(e, 'NotFound'));
});

test('a single pod is exposed by a label that only it has', async (t) => {
  covers('SVC-049');
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  for (const name of ['a', 'b', 'c']) await createPod(world, name, { app: 'web' });
  const label = { metadata: { labels: { only: 'b' } } };
  const merge = { type: 'merge', signal } as const;
  await client.patch(pods, { namespace, name: 'b' }, label, merge);
  await createService(world, { selector: { only: 'b' }, ports: [{ port: 80 }] });
  await world.until('an address', async () => (await told(world)).length > 0);
  await world.pass(1_000);
  const [address, ...more] = await told(world);
  assert.match(address ?? '', /^b /);
  assert.deepEqual(more, []);
});

test('a pod that ends slowly leaves the Endpoints at once', async (t) => {
  const world = await openWorld(t);
  await world.addNode('n1');
  await createPod(world, 'slow', { app: 'web' });
  await createService(world, { selector: { app: 'web' }, ports: [{ port: 80 }] });
  await world.until('an address', async () => (await told(world)).length === 1);
  const { client, signal } = world;
  const kept = { metadata: { finalizers: ['example.com/keep'] } };
  const slow = { namespace, name: 'slow' };
  await client.patch(pods, slow, kept, { type: 'merge', signal });
  await client.delete(pods, slow, { signal });
  await world.pass(200);
  assert.deepEqual(await told(world), []);
  const [slice] = await slicesOf(world);
  assert.deepEqual(slice?.endpoints?.[0]?.conditions, {
    ready: false,
    serving: true,
    terminating: true,
  });
});

test('a Service without selector has what its user writes, and slices that mirror it', async (t) => {
  covers('SVC-077');
  const world = await openWorld(t);
  const { client, signal } = world;
  await createService(world, { ports: [{ port: 80, targetPort: 9376 }] });
  await world.pass(2_000);
  await assert.rejects(client.get(endpoints, at, { signal }), (e) => isReason(e, 'NotFound'));
  assert.deepEqual(await slicesOf(world), []);
  const named = { ip: '1.2.3.4', hostname: 'first' };
  const subsets = [{ addresses: [named], ports: [{ port: 9376 }] }];
  const own = { apiVersion: 'v1', kind: 'Endpoints', metadata: at, subsets };
  await client.create(endpoints, own, { signal });
  await world.pass(1_000);
  const [slice, ...more] = await slicesOf(world);
  assert.equal(more.length, 0);
  const [told] = slice?.endpoints ?? [];
  assert.deepEqual([told?.addresses, told?.hostname], [['1.2.3.4'], 'first']);
  // What names are made of it is in src/dns/records.test.ts.
  covers('DNS-018');
  assert.equal(
    slice?.metadata.labels?.['endpointslice.kubernetes.io/managed-by'],
    'endpointslicemirroring-controller.k8s.io',
  );
  const moved = { subsets: [{ addresses: [{ ip: '5.6.7.8' }], ports: [{ port: 9377 }] }] };
  await client.patch(endpoints, at, moved, { type: 'merge', signal });
  await world.pass(1_000);
  const [changed] = await slicesOf(world);
  assert.equal(changed?.metadata.name, slice?.metadata.name);
  assert.deepEqual(
    [changed?.endpoints?.[0]?.addresses, changed?.ports?.[0]?.port],
    [['5.6.7.8'], 9377],
  );
  const skip = { metadata: { labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } } };
  await client.patch(endpoints, at, skip, { type: 'merge', signal });
  await world.pass(1_000);
  assert.deepEqual(await slicesOf(world), []);
});

test('more addresses than are mirrored are told in an event', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  await createService(world, { ports: [{ port: 80 }] });
  const addresses = Array.from({ length: 1001 }, (_, i) => ({ ip: `192.0.${i >> 8}.${i & 255}` }));
  const subsets = [{ addresses, ports: [{ port: 80 }] }];
  const own = { apiVersion: 'v1', kind: 'Endpoints', metadata: at, subsets };
  await client.create(endpoints, own, { signal });
  await world.pass(1_000);
  const [slice] = await slicesOf(world);
  assert.equal(slice?.endpoints?.length, 1000);
  const all = await world.list(events);
  const event = all.find(({ reason }) => reason === 'TooManyAddressesToMirror');
  assert.match(event?.note ?? '', /A max of 1000 addresses .* 1 addresses were skipped/);
});

test('the API server stands behind the Service kubernetes in both forms', async (t) => {
  const world = await openWorld(t);
  await world.pass(2_000);
  const own = { namespace, name: 'kubernetes' };
  const { subsets } = await world.client.get(endpoints, own, world);
  assert.deepEqual(subsets?.[0]?.addresses, [{ ip: '192.0.2.1' }]);
  assert.deepEqual(
    (await slicesOf(world, 'kubernetes')).map(({ metadata }) => metadata.name),
    ['kubernetes'],
  );
});

test('Endpoints that somebody writes for no Service are left alone', async (t) => {
  const world = await openWorld(t);
  const { client, clock, signal } = world;
  await clock.advance(2000);
  const metadata = { namespace, name: 'own' };
  const subsets = [{ addresses: [{ ip: '192.0.2.7' }], ports: [{ port: 80 }] }];
  await client.create(endpoints, { apiVersion: 'v1', kind: 'Endpoints', metadata, subsets }, world);
  await clock.advance(60_000);
  const found = await client.get(endpoints, { namespace, name: 'own' }, { signal });
  assert.equal(found.subsets?.[0]?.addresses?.[0]?.ip, '192.0.2.7');
});

test('hints by zone come with the annotation, go with it, and both are told', async () => {
  const zones = ['a', 'b', 'c'];
  const nodes = zones.map((zone) => ({
    name: `n-${zone}`,
    labels: { 'topology.kubernetes.io/zone': zone },
  }));
  await using cluster = await startCluster({ clock: 'virtual', seed: 3, nodes });
  const { client, signal } = cluster;
  const labels = { app: 'web' };
  const spread = {
    maxSkew: 1,
    topologyKey: 'topology.kubernetes.io/zone',
    whenUnsatisfiable: 'DoNotSchedule',
    labelSelector: { matchLabels: labels },
  };
  const spec = {
    containers: [{ name: 'c', image: 'i' }],
    topologySpreadConstraints: [spread],
  };
  const template = { metadata: { labels }, spec };
  const metadata = { namespace: 'default', name: 'web' };
  const deployment = { replicas: 6, selector: { matchLabels: labels }, template };
  await client.create(
    deployments,
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec: deployment },
    { signal },
  );
  const annotations = { 'service.kubernetes.io/topology-mode': 'Auto' };
  const service = { selector: labels, ports: [{ port: 80 }] };
  await client.create(
    services,
    { apiVersion: 'v1', kind: 'Service', metadata: { ...metadata, annotations }, spec: service },
    { signal },
  );
  const told = async (): Promise<readonly (string | undefined)[]> => {
    const { items } = await client.list(events, { namespace: 'default', signal });
    return items.filter(({ regarding }) => regarding?.kind === 'Service').map(({ note }) => note);
  };
  const enabled = 'Topology Aware Hints has been enabled, addressType: IPv4';
  const disabled = 'Topology Aware Hints has been disabled, addressType: IPv4';
  await cluster.until('hints are given', async () => (await told()).includes(enabled));
  const hinted = async (): Promise<readonly unknown[]> => {
    const { items } = await client.list(endpointSlices, { namespace: 'default', signal });
    const own = items.filter(({ metadata: { generateName } }) => generateName === 'web-');
    return own.flatMap(({ endpoints }) =>
      (endpoints ?? []).map(({ zone, hints }) => hints?.forZones?.[0]?.name === zone),
    );
  };
  await cluster.until('all six have them', async () => {
    const all = await hinted();
    return all.length === 6 && all.every((one) => one === true);
  });
  const none = { metadata: { annotations: { 'service.kubernetes.io/topology-mode': null } } };
  await client.patch(services, metadata, none, { type: 'merge', signal });
  await cluster.until('they are gone', async () => (await told()).includes(disabled));
  await cluster.until('none has one', async () => (await hinted()).every((one) => one === false));
});
