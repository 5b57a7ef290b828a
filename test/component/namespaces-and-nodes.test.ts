/** What namespaces get and lose, which endpoints Services have, and what happens when nodes go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isReason } from '#api/errors.ts';
import {
  configMaps,
  deployments,
  endpointSlices,
  ingresses,
  namespaces,
  nodes,
  pods,
  roles,
  serviceAccounts,
  services,
} from '#resources/kinds.ts';
import type { Endpoint } from '#resources/types/discovery-v1.ts';
import { covers } from '#test/covers.ts';
import { openWorld, type World } from './control-world.ts';

const podSpec = { containers: [{ name: 'web', image: 'web:1' }] };

async function createNamespace(world: World, name: string): Promise<void> {
  const { client, signal } = world;
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
  await client.create(namespaces, namespace, { signal });
  await world.pass(500);
}

async function createPod(world: World, namespace: string, name: string, spec: object = {}) {
  const labels = { app: 'web' };
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name, labels } };
  await world.client.create(pods, { ...pod, spec: { ...podSpec, ...spec } }, world);
}

test('every namespace has an account and the root certificate, made again if need be', async (t) => {
  covers('WRK-118');
  const world = await openWorld(t);
  const { client, signal } = world;
  await createNamespace(world, 'shop');
  const account = { namespace: 'shop', name: 'default' };
  const certificate = { namespace: 'shop', name: 'kube-root-ca.crt' };
  for (let round = 0; round < 2; round++) {
    await client.get(serviceAccounts, account, { signal });
    const { data } = await client.get(configMaps, certificate, { signal });
    assert.deepEqual(data, { 'ca.crt': 'the certificate' });
    await client.delete(serviceAccounts, account, { signal });
    await client.delete(configMaps, certificate, { signal });
    await world.pass(500);
  }
  const change = { data: { 'ca.crt': 'forged' } };
  await client.patch(configMaps, certificate, change, { type: 'merge', signal });
  await world.pass(500);
  const { data } = await client.get(configMaps, certificate, { signal });
  assert.deepEqual(data, { 'ca.crt': 'the certificate' });
});

test('roles and Ingresses go with their namespace, and with their owner', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  await createNamespace(world, 'shop');
  const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role' };
  const owner = await client.create(
    roles,
    { ...role, metadata: { namespace: 'shop', name: 'owner' } },
    { signal },
  );
  const ownerReferences = [
    { apiVersion: role.apiVersion, kind: 'Role', name: 'owner', uid: owner.metadata.uid ?? '' },
  ];
  const ingress = { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress' };
  const spec = { defaultBackend: { service: { name: 'web', port: { number: 80 } } } };
  for (const [name, metadata] of [
    ['owned', { ownerReferences }],
    ['free', {}],
  ] as const) {
    const named = { ...metadata, namespace: 'shop', name };
    await client.create(ingresses, { ...ingress, metadata: named, spec }, { signal });
  }
  const left = async (): Promise<readonly unknown[]> => {
    const { items } = await client.list(ingresses, { namespace: 'shop', signal });
    return items.map(({ metadata }) => metadata.name);
  };
  await client.delete(roles, { namespace: 'shop', name: 'owner' }, { signal });
  await world.pass(5_000);
  assert.deepEqual(await left(), ['free']);
  await client.delete(namespaces, { name: 'shop' }, { signal });
  await world.pass(30_000);
  assert.deepEqual(await left(), []);
  await assert.rejects(client.get(namespaces, { name: 'shop' }, { signal }), (error) =>
    isReason(error, 'NotFound'),
  );
});

test('a deleted namespace takes everything in it along', async (t) => {
  covers('WRK-117', 'API-147');
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  await createNamespace(world, 'shop');
  const labels = { app: 'web' };
  const template = { metadata: { labels }, spec: podSpec };
  await client.create(
    deployments,
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { namespace: 'shop', name: 'web' },
      spec: { replicas: 2, selector: { matchLabels: labels }, template },
    },
    { signal },
  );
  await world.until('pods', async () => (await world.list(pods, 'shop')).length === 2);
  await client.delete(namespaces, { name: 'shop' }, { signal });
  // The answer comes before the end.
  const ending = await client.get(namespaces, { name: 'shop' }, { signal });
  assert.equal(ending.status?.phase, 'Terminating');
  assert.equal((await world.list(pods, 'shop')).length, 2);
  await world.until('the end', async () => {
    const all = await world.list(namespaces);
    return !all.some(({ metadata }) => metadata.name === 'shop');
  });
  for (const kind of [pods, deployments, configMaps, serviceAccounts]) {
    const { items } = await client.list<never>(kind as never, { namespace: 'shop', signal });
    assert.equal(items.length, 0, kind.plural);
  }
});

test('while a pod of an ending namespace is there, what it may need stays', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  await createNamespace(world, 'shop');
  const metadata = { namespace: 'shop', name: 'settings' };
  await client.create(configMaps, { apiVersion: 'v1', kind: 'ConfigMap', metadata }, { signal });
  const pod = { namespace: 'shop', name: 'slow', finalizers: ['example.com/keep'] };
  await client.create(
    pods,
    { apiVersion: 'v1', kind: 'Pod', metadata: pod, spec: podSpec },
    { signal },
  );
  await client.delete(namespaces, { name: 'shop' }, { signal });
  await world.pass(5_000);
  const { metadata: ending } = await client.get(pods, pod, { signal });
  assert.notEqual(ending.deletionTimestamp, undefined);
  await client.get(configMaps, metadata, { signal });
  const { status } = await client.get(namespaces, { name: 'shop' }, { signal });
  assert.ok(status?.conditions?.some(({ type }) => type === 'NamespaceDeletionContentFailure'));
  const free = { metadata: { finalizers: null } };
  await client.patch(pods, pod, free, { type: 'merge', signal });
  await world.pass(15_000);
  await assert.rejects(client.get(namespaces, { name: 'shop' }, { signal }), (error) =>
    isReason(error, 'NotFound'),
  );
});

test('a namespace that cannot be emptied says why', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  await createNamespace(world, 'shop');
  const metadata = { namespace: 'shop', name: 'kept', finalizers: ['example.com/keep'] };
  await client.create(configMaps, { apiVersion: 'v1', kind: 'ConfigMap', metadata }, { signal });
  await client.delete(namespaces, { name: 'shop' }, { signal });
  await world.pass(5_000);
  const { status } = await client.get(namespaces, { name: 'shop' }, { signal });
  assert.equal(status?.phase, 'Terminating');
  const messages = status?.conditions
    ?.filter((condition) => condition.status === 'True')
    .map(({ type, message }) => `${type}: ${message}`);
  assert.deepEqual(messages, [
    'NamespaceContentRemaining: Some resources are remaining: configmaps. has 1 resource instances',
    'NamespaceFinalizersRemaining: Some content in the namespace has finalizers remaining: ' +
      'example.com/keep in 1 resource instances',
  ]);
  const free = { metadata: { finalizers: null } };
  const at = { namespace: 'shop', name: 'kept' };
  await client.patch(configMaps, at, free, { type: 'merge', signal });
  await world.pass(15_000);
  await assert.rejects(client.get(namespaces, { name: 'shop' }, { signal }), (error) =>
    isReason(error, 'NotFound'),
  );
});

test('endpoints follow pods: ready, ending, gone', async (t) => {
  covers('SVC-078');
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  await client.create(
    services,
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace: 'default', name: 'web' },
      spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
    },
    { signal },
  );
  const endpoints = async (): Promise<readonly Endpoint[]> => {
    const slices = (await world.list(endpointSlices, 'default')).filter(
      ({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === 'web',
    );
    assert.ok(slices.length <= 1);
    return slices[0]?.endpoints ?? [];
  };
  await world.pass(500);
  assert.deepEqual(await endpoints(), []);
  world.becomesReady = (pod) => pod.metadata.name !== 'slow';
  await createPod(world, 'default', 'quick');
  await createPod(world, 'default', 'slow');
  await world.pass(1_000);
  const [only, ...others] = await endpoints();
  assert.equal(others.length, 0, 'a pod without address is no endpoint');
  assert.deepEqual(only?.conditions, { ready: true, serving: true, terminating: false });
  assert.equal(only?.nodeName, 'n1');
  assert.equal(only?.zone, 'zone-of-n1');
  assert.equal(only?.targetRef?.name, 'quick');
  const quick = { namespace: 'default', name: 'quick' };
  const setReady = async (status: string): Promise<void> => {
    const change = { status: { conditions: [{ type: 'Ready', status }] } };
    const options = { type: 'merge', subresource: 'status', signal } as const;
    await client.patch(pods, quick, change, options);
    await world.pass(200);
  };
  await setReady('False');
  const broken = (await endpoints())[0]?.conditions;
  assert.deepEqual(broken, { ready: false, serving: false, terminating: false });
  await setReady('True');
  assert.equal((await endpoints())[0]?.conditions?.ready, true);
  world.living.delete('n1');
  await client.delete(pods, quick, { signal });
  await world.pass(500);
  const [ending] = await endpoints();
  assert.deepEqual(ending?.conditions, { ready: false, serving: true, terminating: true });
  world.living.add('n1');
  await world.pass(1_000);
  assert.deepEqual(await endpoints(), []);
  await client.delete(services, { namespace: 'default', name: 'web' }, { signal });
  await world.pass(1_000);
  const left = (await world.list(endpointSlices, 'default')).filter(
    ({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === 'web',
  );
  assert.deepEqual(left, []);
});

test('each node gets its own block of pod addresses', async (t) => {
  covers('WRK-005');
  const world = await openWorld(t);
  for (const name of ['n1', 'n2', 'n3']) await world.addNode(name);
  await world.pass(500);
  const blocks = (await world.list(nodes)).map(({ spec }) => spec?.podCIDR);
  assert.deepEqual(blocks, ['10.42.0.0/24', '10.42.1.0/24', '10.42.2.0/24']);
  await world.client.delete(nodes, { name: 'n2' }, { signal: world.signal });
  world.living.delete('n2');
  await world.addNode('n4');
  await world.pass(500);
  const { spec } = await world.client.get(nodes, { name: 'n4' }, { signal: world.signal });
  assert.equal(spec?.podCIDR, '10.42.1.0/24', 'a free block is used again');
});

test('a silent node is Unknown, tainted, and loses its pods after five minutes', async (t) => {
  covers('WRK-006', 'WRK-011');
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  await createPod(world, 'default', 'web');
  await world.pass(1_000);
  await world.addNode('n2');
  world.living.delete('n1');
  const node = () => client.get(nodes, { name: 'n1' }, { signal });
  const ready = async () =>
    (await node()).status?.conditions?.find(({ type }) => type === 'Ready')?.status;
  await world.pass(40_000);
  assert.equal(await ready(), 'True', 'the grace is not over');
  await world.pass(25_000);
  assert.equal(await ready(), 'Unknown');
  const taints = (await node()).spec?.taints?.map(({ key, effect }) => `${key}:${effect}`);
  assert.deepEqual(taints?.toSorted(), [
    'node.kubernetes.io/unreachable:NoExecute',
    'node.kubernetes.io/unreachable:NoSchedule',
  ]);
  const pod = () => client.get(pods, { namespace: 'default', name: 'web' }, { signal });
  const podReady = (await pod()).status?.conditions?.find(({ type }) => type === 'Ready');
  assert.equal(podReady?.status, 'False');
  assert.equal((await pod()).metadata.deletionTimestamp, undefined);
  await world.pass(300_000);
  const evicted = await pod();
  assert.ok(evicted.metadata.deletionTimestamp, 'the toleration is over');
  const why = evicted.status?.conditions?.find(({ type }) => type === 'DisruptionTarget');
  assert.equal(why?.reason, 'DeletionByTaintManager');
});

test('a node that comes back in time keeps its pods and loses its taints', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  await createPod(world, 'default', 'web');
  await world.pass(1_000);
  await world.addNode('n2');
  world.living.delete('n1');
  await world.pass(120_000);
  world.living.add('n1');
  await world.pass(400_000);
  const { metadata } = await client.get(pods, { namespace: 'default', name: 'web' }, { signal });
  assert.equal(metadata.deletionTimestamp, undefined);
  const { spec } = await client.get(nodes, { name: 'n1' }, { signal });
  assert.deepEqual(spec?.taints ?? [], []);
});

test('while every node is silent nothing is driven away', async (t) => {
  covers('HA-012');
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  await createPod(world, 'default', 'web');
  await world.addNode('n2');
  await world.pass(1_000);
  world.living.clear();
  await world.pass(600_000);
  const { metadata } = await client.get(pods, { namespace: 'default', name: 'web' }, { signal });
  assert.equal(metadata.deletionTimestamp, undefined);
  const { spec } = await client.get(nodes, { name: 'n1' }, { signal });
  const effects = spec?.taints?.map(({ effect }) => effect);
  assert.deepEqual(effects, ['NoSchedule']);
});

/** When each silent node of a zone of ten got the taint that drives pods away, in seconds. */
async function evictionTimes(world: World, silent: number): Promise<readonly number[]> {
  for (let index = 0; index < 10; index++) await world.addNode(`n${index}`, 'one-zone');
  await world.pass(1_000);
  const startMs = world.clock.now();
  for (let index = 0; index < silent; index++) world.living.delete(`n${index}`);
  await world.pass(150_000);
  return (await world.list(nodes))
    .flatMap(({ spec }) => spec?.taints?.filter(({ effect }) => effect === 'NoExecute') ?? [])
    .map(({ timeAdded = '' }) => (Date.parse(timeAdded) - startMs) / 1000)
    .toSorted((a, b) => a - b);
}

test('nodes of a zone are given up one by one, ten seconds apart', async (t) => {
  covers('WRK-020');
  const world = await openWorld(t);
  const [first = 0, second = 0, third = 0, ...more] = await evictionTimes(world, 3);
  assert.equal(more.length, 0);
  assert.ok(first >= 39 && first <= 61, `${first}`);
  assert.ok(Math.abs(second - first - 10) <= 1, `${first} ${second}`);
  assert.ok(Math.abs(third - second - 10) <= 1, `${second} ${third}`);
});

test('in a small zone that is mostly silent nothing is driven away', async (t) => {
  const world = await openWorld(t);
  const times = await evictionTimes(world, 6);
  // Nodes fall silent one after the other: the first two are not yet "most of the zone".
  assert.ok(times.length < 6, `${times}`);
});

test('a NoExecute taint set by hand deletes the pods that do not tolerate it', async (t) => {
  covers('WRK-023');
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  const key = 'maintenance';
  await createPod(world, 'default', 'plain');
  await createPod(world, 'default', 'tough', { tolerations: [{ key, operator: 'Exists' }] });
  await createPod(world, 'default', 'patient', {
    tolerations: [{ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 60 }],
  });
  await world.pass(1_000);
  const taints = [{ key, value: 'now', effect: 'NoExecute' }];
  await client.patch(nodes, { name: 'n1' }, { spec: { taints } }, { type: 'merge', signal });
  const names = async () => (await world.list(pods)).map(({ metadata }) => metadata.name);
  await world.pass(5_000);
  assert.deepEqual(await names(), ['patient', 'tough']);
  await world.pass(60_000);
  assert.deepEqual(await names(), ['tough']);
});

test('pods of a deleted node are removed', async (t) => {
  covers('WRK-016');
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  await createPod(world, 'default', 'web');
  await world.pass(1_000);
  world.living.clear();
  await client.delete(nodes, { name: 'n1' }, { signal });
  await world.pass(30_000);
  assert.equal((await world.list(pods)).length, 1, 'the node may come back');
  await world.pass(60_000);
  assert.equal((await world.list(pods)).length, 0);
  // Its name is free again.
  await world.addNode('n2');
  await createPod(world, 'default', 'web');
  await world.pass(1_000);
  assert.equal((await world.list(pods))[0]?.spec?.nodeName, 'n2');
});
