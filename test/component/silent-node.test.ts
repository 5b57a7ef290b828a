/** The walkthrough of a node that fails: what is told, in which order, and what spares its pods. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isReason } from '#api/errors.ts';
import { deployments, endpoints, events, nodes, pods, services } from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { openWorld, type World } from './control-world.ts';

const namespace = 'default';
const labels = { app: 'web' };

async function toldAbout(world: World, name: string): Promise<readonly string[]> {
  const all = await world.list(events);
  const own = all.filter(({ regarding }) => regarding?.name === name);
  return own.map(({ reason, note }) => `${reason}: ${note}`);
}

async function createPod(world: World, name: string, more: object = {}): Promise<void> {
  const spec = { containers: [{ name: 'web', image: 'web:1' }], ...more };
  const metadata = { namespace, name, labels };
  await world.client.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec }, world);
}

const podsOn = async (world: World, node: string): Promise<readonly Pod[]> =>
  (await world.list(pods, namespace)).filter(({ spec }) => spec?.nodeName === node);

test('a node fails: NotReady, out of the Service, replaced elsewhere after five minutes', async (t) => {
  covers('POD-081', 'POD-083', 'POD-217');
  superseded('WRK-013', { by: 'v1.32', now: 'the same after 50 s' });
  superseded('POD-219', { by: 'v1.13', now: 'the same with PIDPressure in place of OutOfDisk' });
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  await world.pass(500);
  assert.ok(
    (await toldAbout(world, 'n1')).includes(
      'RegisteredNode: Node n1 event: Registered Node n1 in Controller',
    ),
  );
  await client.create(
    services,
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace, name: 'web' },
      spec: { selector: labels, ports: [{ port: 80 }] },
    },
    { signal },
  );
  const template = {
    metadata: { labels },
    spec: { containers: [{ name: 'web', image: 'web:1' }] },
  };
  await client.create(
    deployments,
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { namespace, name: 'web' },
      spec: { replicas: 2, selector: { matchLabels: labels }, template },
    },
    { signal },
  );
  await createPod(world, 'bare');
  const addresses = async (): Promise<number> => {
    const { subsets = [] } = await client.get(endpoints, { namespace, name: 'web' }, { signal });
    return subsets.flatMap(({ addresses: ready = [] }) => ready).length;
  };
  await world.until('three ready', async () => {
    const all = await world.list(pods, namespace);
    return all.filter(({ status }) => status?.phase === 'Running').length === 3;
  });
  await world.pass(500);
  assert.equal(await addresses(), 3);
  const before = new Set((await podsOn(world, 'n1')).map(({ metadata }) => metadata.uid));
  await world.addNode('n2');
  world.living.delete('n1');
  await world.pass(40_000);
  assert.equal(await addresses(), 3, 'silence has to last');
  await world.pass(25_000);
  const node = await client.get(nodes, { name: 'n1' }, { signal });
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready');
  assert.deepEqual(
    [ready?.status, ready?.reason, ready?.message],
    ['Unknown', 'NodeStatusUnknown', 'Kubelet stopped posting node status.'],
  );
  const all = node.status?.conditions ?? [];
  const unknown = all.filter(({ status }) => status === 'Unknown').map(({ type }) => type);
  assert.deepEqual(unknown.sort(), ['DiskPressure', 'MemoryPressure', 'PIDPressure', 'Ready']);
  for (const one of all) assert.ok(one.lastHeartbeatTime && one.lastTransitionTime, one.type);
  const notReady = 'NodeNotReady: Node n1 status is now: NodeNotReady';
  assert.equal((await toldAbout(world, 'n1')).filter((one) => one === notReady).length, 1);
  assert.equal(await addresses(), 0);
  assert.ok((await toldAbout(world, 'bare')).includes('NodeNotReady: Node is not ready'));
  // The pods stay on their node, and nobody else is given their names.
  assert.equal((await podsOn(world, 'n1')).length, 3);
  await world.pass(320_000);
  const replaced = await podsOn(world, 'n2');
  assert.equal(replaced.length, 2);
  assert.ok(replaced.every(({ metadata }) => !before.has(metadata.uid)));
  const ending = await podsOn(world, 'n1');
  assert.ok(ending.every(({ metadata }) => metadata.deletionTimestamp !== undefined));
  assert.ok(
    (await toldAbout(world, 'bare')).includes(
      'TaintManagerEviction: Marking for deletion Pod default/bare',
    ),
  );
  await world.until('two addresses', async () => (await addresses()) === 2);
  await client.delete(nodes, { name: 'n1' }, { signal });
  await world.pass(120_000);
  const left = await world.list(pods, namespace);
  assert.equal(left.length, 2);
  assert.ok(
    left.every(({ metadata }) => metadata.name !== 'bare'),
    'nobody replaces a bare pod',
  );
  const removed = 'RemovingNode: Node n1 event: Removing Node n1 from Controller';
  assert.ok((await toldAbout(world, 'n1')).includes(removed));
});

test('a taint that goes in time spares the pod, and that is told', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  const toleration = { key: 'k', operator: 'Exists', effect: 'NoExecute' };
  const tolerations = [{ ...toleration, tolerationSeconds: 60 }];
  await createPod(world, 'patient', { tolerations });
  await world.pass(2_000);
  const merge = { type: 'merge', signal } as const;
  const taints = [{ key: 'k', effect: 'NoExecute' }];
  await client.patch(nodes, { name: 'n1' }, { spec: { taints } }, merge);
  await world.pass(30_000);
  await client.patch(nodes, { name: 'n1' }, { spec: { taints: [] } }, merge);
  await world.pass(60_000);
  const { metadata } = await client.get(pods, { namespace, name: 'patient' }, { signal });
  assert.equal(metadata.deletionTimestamp, undefined);
  const cancelled = 'TaintManagerEviction: Cancelling deletion of Pod default/patient';
  assert.ok((await toldAbout(world, 'patient')).includes(cancelled));
});

test('pods that end on a node marked out of service are removed', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  await world.addNode('n2');
  await createPod(world, 'stuck');
  await world.pass(1_000);
  world.living.delete('n1');
  await world.pass(70_000);
  const at = { namespace, name: 'stuck' };
  await client.delete(pods, at, { signal });
  await world.pass(60_000);
  await client.get(pods, at, { signal });
  const taint = { key: 'node.kubernetes.io/out-of-service', value: 'nodeshutdown' };
  const { spec } = await client.get(nodes, { name: 'n1' }, { signal });
  const taints = [...(spec?.taints ?? []), { ...taint, effect: 'NoSchedule' }];
  const merge = { type: 'merge', signal } as const;
  await client.patch(nodes, { name: 'n1' }, { spec: { taints } }, merge);
  await world.pass(25_000);
  await assert.rejects(client.get(pods, at, { signal }), (error) => isReason(error, 'NotFound'));
});
