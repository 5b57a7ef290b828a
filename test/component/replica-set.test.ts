/** ReplicaSets and owners: replacing, adopting, isolating, and what deletion takes along. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configMaps, pods, replicaSets } from '#resources/kinds.ts';
import type { ReplicaSet } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { openWorld, type World } from './control-world.ts';

const namespace = 'default';
const labels = { app: 'web' };
const podSpec = { containers: [{ name: 'web', image: 'web:1' }] };

const set = (replicas: number): ReplicaSet => ({
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  metadata: { namespace, name: 'web' },
  spec: {
    replicas,
    selector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['web'] }] },
    template: { metadata: { labels }, spec: podSpec },
  },
});

const orphan = (name: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace, name, labels },
  spec: podSpec,
});

async function start(context: Parameters<typeof openWorld>[0]): Promise<World> {
  const world = await openWorld(context);
  await world.addNode('n1');
  return world;
}

async function owned(world: World): Promise<readonly Pod[]> {
  const all = await world.list(pods, namespace);
  return all.filter(({ metadata }) => metadata.ownerReferences?.[0]?.name === 'web');
}

async function settled(world: World, count: number): Promise<void> {
  await world.until(`${count} ready replicas`, async () => {
    const { status } = await world.client.get(
      replicaSets,
      { namespace, name: 'web' },
      { signal: world.signal },
    );
    return status?.replicas === count && (status.readyReplicas ?? 0) === count;
  });
}

test('a deleted pod is replaced; there are never more than wanted', async (t) => {
  covers('WRK-032', 'WRK-037');
  const world = await start(t);
  const { client, signal } = world;
  await client.create(replicaSets, set(3), { signal });
  await settled(world, 3);
  const [victim] = await owned(world);
  const name = victim?.metadata.name ?? '';
  assert.match(name, /^web-[a-z0-9]{5}$/);
  await client.delete(pods, { namespace, name }, { signal });
  for (let turn = 0; turn < 20; turn++) {
    await world.pass(50);
    const alive = (await owned(world)).filter((pod) => !pod.metadata.deletionTimestamp);
    assert.ok(alive.length <= 3, `${alive.length} pods`);
  }
  await settled(world, 3);
  const scale = { spec: { replicas: 1 } };
  await client.patch(replicaSets, { namespace, name: 'web' }, scale, { type: 'merge', signal });
  await settled(world, 1);
  const { spec } = set(1);
  const plain = { ...set(1), metadata: { namespace, name: 'plain' } };
  const unsaid = { ...plain, ...(spec && { spec: { ...spec, replicas: undefined } }) };
  const path = '/apis/apps/v1/namespaces/default/replicasets';
  const { body } = await world.server.request('POST', path, unsaid);
  assert.equal(body.spec.replicas, 1, 'one by default');
});

test('a cache that lags neither makes too many pods nor deletes too many', async (t) => {
  const world = await openWorld(t, { podDelayMs: 2_000 });
  await world.addNode('n1');
  const { client, signal } = world;
  await client.create(replicaSets, set(4), { signal });
  const at = { namespace, name: 'web' };
  const label = async (turn: number): Promise<void> => {
    // Each change of the set makes its controller look again, at pods as they were.
    const change = { metadata: { labels: { turn: String(turn) } } };
    await client.patch(replicaSets, at, change, { type: 'merge', signal });
    await world.pass(100);
  };
  for (let turn = 0; turn < 40; turn++) {
    await label(turn);
    const made = (await world.list(pods, namespace)).length;
    assert.ok(made <= 4, `${made} pods were made`);
  }
  await settled(world, 4);
  await client.patch(replicaSets, at, { spec: { replicas: 2 } }, { type: 'merge', signal });
  for (let turn = 0; turn < 40; turn++) {
    await label(turn);
    const left = (await owned(world)).filter((pod) => !pod.metadata.deletionTimestamp);
    assert.ok(left.length >= 2, `only ${left.length} pods are left`);
  }
  await settled(world, 2);
});

test('matching pods without owner are adopted, surplus ones are deleted', async (t) => {
  covers('WRK-033');
  const world = await start(t);
  const { client, signal } = world;
  await client.create(pods, orphan('mine'), { signal });
  await world.pass(1_000);
  await client.create(replicaSets, set(2), { signal });
  await settled(world, 2);
  const adopted = await client.get(pods, { namespace, name: 'mine' }, { signal });
  assert.equal(adopted.metadata.ownerReferences?.[0]?.name, 'web');
  assert.equal(adopted.metadata.ownerReferences?.[0]?.controller, true);
  const made = (await owned(world)).find(({ metadata }) => metadata.name !== 'mine');
  assert.match(made?.metadata.name ?? '', /^web-[a-z0-9]{5}$/);
  await client.create(pods, orphan('too-many'), { signal });
  await world.pass(3_000);
  assert.equal((await world.list(pods, namespace)).length, 2);
});

test('a pod whose labels change is released and replaced', async (t) => {
  covers('WRK-036');
  const world = await start(t);
  const { client, signal } = world;
  await client.create(replicaSets, set(2), { signal });
  await settled(world, 2);
  const name = (await owned(world))[0]?.metadata.name ?? '';
  const change = { metadata: { labels: { app: 'debug' } } };
  await client.patch(pods, { namespace, name }, change, { type: 'merge', signal });
  await settled(world, 2);
  await world.pass(1_000);
  const isolated = await client.get(pods, { namespace, name }, { signal });
  assert.deepEqual(isolated.metadata.ownerReferences ?? [], []);
  assert.equal((await world.list(pods, namespace)).length, 3);
});

test('a pod counts as available only after minReadySeconds', async (t) => {
  covers('WRK-044');
  const world = await start(t);
  const { client, signal } = world;
  const at = { namespace, name: 'web' };
  const available = async (): Promise<number> =>
    (await client.get(replicaSets, at, { signal })).status?.availableReplicas ?? 0;
  const wanted = set(1);
  await client.create(replicaSets, wanted, { signal });
  await settled(world, 1);
  assert.equal(await available(), 1, 'at once, if nothing is said');
  await client.delete(replicaSets, at, { propagationPolicy: 'Background', signal });
  await world.until('no pods', async () => (await world.list(pods, namespace)).length === 0);
  await client.create(
    replicaSets,
    { ...wanted, ...(wanted.spec && { spec: { ...wanted.spec, minReadySeconds: 30 } }) },
    { signal },
  );
  await settled(world, 1);
  await world.pass(20_000);
  assert.equal(await available(), 0);
  await world.pass(12_000);
  assert.equal(await available(), 1);
});

test('background deletion: the owner goes at once, its pods after it', async (t) => {
  covers('WRK-083', 'WRK-085');
  const world = await start(t);
  const { client, signal } = world;
  await client.create(replicaSets, set(3), { signal });
  await settled(world, 3);
  const options = { propagationPolicy: 'Background', signal } as const;
  await client.delete(replicaSets, { namespace, name: 'web' }, options);
  assert.equal((await world.list(replicaSets, namespace)).length, 0);
  assert.equal((await world.list(pods, namespace)).length, 3, 'they go later');
  await world.until('no pods', async () => (await world.list(pods, namespace)).length === 0);
});

test('foreground deletion: the owner waits for the pods that block it', async (t) => {
  const world = await start(t);
  const { client, signal } = world;
  await client.create(replicaSets, set(2), { signal });
  await settled(world, 2);
  const options = { propagationPolicy: 'Foreground', signal } as const;
  await client.delete(replicaSets, { namespace, name: 'web' }, options);
  let sawWaiting = false;
  await world.until('the end', async () => {
    const sets = (await world.list(replicaSets, namespace)).length;
    const left = (await world.list(pods, namespace)).length;
    assert.ok(sets === 1 || left === 0, 'the owner went before its pods');
    sawWaiting ||= sets === 1;
    return sets === 0;
  });
  assert.ok(sawWaiting);
});

test('orphaning: the pods stay, and a new set with the same selector adopts them', async (t) => {
  covers('WRK-035');
  const world = await start(t);
  const { client, signal } = world;
  await client.create(replicaSets, set(2), { signal });
  await settled(world, 2);
  const plain = ({ metadata: { name, uid, labels: own }, spec }: Pod) => ({ name, uid, own, spec });
  const before = (await owned(world)).map(plain);
  const options = { propagationPolicy: 'Orphan', signal } as const;
  await client.delete(replicaSets, { namespace, name: 'web' }, options);
  await world.until('no set', async () => (await world.list(replicaSets, namespace)).length === 0);
  await world.pass(2_000);
  assert.equal((await world.list(pods, namespace)).length, 2);
  assert.equal((await owned(world)).length, 0);
  await client.create(replicaSets, set(2), { signal });
  await settled(world, 2);
  assert.deepEqual((await owned(world)).map(plain), before);
});

test("two sets with the same selector are both accepted, and leave each other's pods", async (t) => {
  superseded('WRK-012', {
    by: 'v1.6',
    now: 'selectors that overlap are accepted still; each controller counts only pods it owns',
  });
  const world = await start(t);
  const { client, signal } = world;
  const other = set(3);
  await client.create(replicaSets, set(2), { signal });
  await client.create(
    replicaSets,
    { ...other, metadata: { namespace, name: 'other' } },
    { signal },
  );
  const ownersOf = async (): Promise<readonly string[]> =>
    (await world.list(pods, namespace)).map(
      ({ metadata }) => metadata.ownerReferences?.find(({ controller }) => controller)?.name ?? '',
    );
  const each = ['other', 'other', 'other', 'web', 'web'];
  const isEach = async (): Promise<boolean> => (await ownersOf()).toSorted().join() === each.join();
  await world.until('pods of both', isEach);
  const names = (await world.list(pods, namespace)).map(({ metadata }) => metadata.name);
  await world.pass(60_000);
  assert.deepEqual(
    (await world.list(pods, namespace)).map(({ metadata }) => metadata.name),
    names,
  );
  assert.ok(await isEach());
});

test('what names an owner by hand goes with it; a wrong uid counts as gone', async (t) => {
  const world = await start(t);
  const { client, signal } = world;
  const owner = await client.create(pods, orphan('owner'), { signal });
  const dependent = (name: string, uid: string) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      namespace,
      name,
      ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'owner', uid }],
    },
  });
  await client.create(configMaps, dependent('right', owner.metadata.uid ?? ''), { signal });
  await client.create(configMaps, dependent('wrong', 'f0000000-0000-4000-8000-000000000000'), {
    signal,
  });
  const names = async (): Promise<readonly (string | undefined)[]> =>
    (await world.list(configMaps, namespace)).map(({ metadata }) => metadata.name);
  await world.pass(2_000);
  assert.deepEqual(await names(), ['kube-root-ca.crt', 'right']);
  await client.delete(pods, { namespace, name: 'owner' }, { signal });
  await world.until('the end', async () => !(await names()).includes('right'));
});

test('the status does not count what was deleted in the same turn', async (t) => {
  const world = await openWorld(t, { podDelayMs: 3_000 });
  await world.addNode('n1');
  const { client, signal } = world;
  await client.create(replicaSets, set(3), { signal });
  await settled(world, 3);
  const change = { spec: { replicas: 1 } };
  const name = { namespace, name: 'web' };
  await client.patch(replicaSets, name, change, { type: 'merge', signal });
  await world.pass(500);
  const left = (await owned(world)).filter(
    ({ metadata }) => metadata.deletionTimestamp === undefined,
  );
  assert.equal(left.length, 1);
  const { status } = await client.get(replicaSets, name, { signal });
  assert.equal(status?.replicas, 1);
  assert.equal(status.availableReplicas, 1);
});

test('the status does not count what was seen to go before the answer came', async (t) => {
  const world = await openWorld(t, { deletionDelayMs: 1_000 });
  await world.addNode('n1');
  const { client, signal } = world;
  await client.create(replicaSets, set(3), { signal });
  await settled(world, 3);
  const told: (number | undefined)[] = [];
  const watching = new AbortController();
  const { resourceVersion } = await client.list(replicaSets, { namespace, signal });
  const watch = client.watch(replicaSets, { namespace, resourceVersion, signal: watching.signal });
  const reading = (async () => {
    for await (const event of watch) {
      if (event.type !== 'MODIFIED' || event.object.status?.observedGeneration !== 2) continue;
      told.push(event.object.status.replicas);
    }
  })().catch((error: unknown) => assert.ok(watching.signal.aborted, String(error)));
  const name = { namespace, name: 'web' };
  await client.patch(replicaSets, name, { spec: { replicas: 1 } }, { type: 'merge', signal });
  await world.pass(5_000);
  watching.abort();
  await reading;
  assert.deepEqual([...new Set(told)], [1]);
});
