/**
 * A node that dies under a virtual clock, with the real scheduler: what is told when, what is made
 * elsewhere, what stays until somebody says that the node is gone.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deployments, nodes, pods, replicationControllers } from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { type RunningNode, startCluster, type TestCluster } from '#testing';

const namespace = 'default';
const minute = 60_000;

async function podsOf(cluster: TestCluster, app: string): Promise<readonly Pod[]> {
  const labelSelector = `app=${app}`;
  const { signal } = cluster;
  return (await cluster.client.list(pods, { namespace, labelSelector, signal })).items;
}

const isReady = ({ metadata, status }: Pod): boolean =>
  metadata.deletionTimestamp === undefined &&
  (status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false);

async function create(cluster: TestCluster): Promise<void> {
  const { client, signal } = cluster;
  const of = (app: string) => {
    const labels = { app };
    const containers = [{ name: 'c', image: 'c:1' }];
    return { labels, template: { metadata: { labels }, spec: { containers } } };
  };
  const web = of('web');
  const spec = { replicas: 3, selector: { matchLabels: web.labels }, template: web.template };
  const metadata = { namespace, name: 'web' };
  const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec };
  await client.create(deployments, deployment, { signal });
  const rc = {
    apiVersion: 'v1',
    kind: 'ReplicationController',
    metadata: { namespace, name: 'old' },
    spec: { replicas: 3, template: of('old').template },
  };
  await client.create(replicationControllers, rc, { signal });
  for (const app of ['web', 'old']) {
    await cluster.until(`three of ${app}`, async () => {
      return (await podsOf(cluster, app)).filter(isReady).length === 3;
    });
  }
}

async function open(names: readonly string[]): Promise<{
  readonly cluster: TestCluster;
  readonly running: ReadonlyMap<string, RunningNode>;
}> {
  const cluster = await startCluster({ clock: 'virtual', seed: 2, nodes: 0 });
  const running = new Map<string, RunningNode>();
  for (const name of names) running.set(name, await cluster.addNode({ name }));
  return { cluster, running };
}

async function readiness(cluster: TestCluster, name: string): Promise<string | undefined> {
  const node = await cluster.client.get(nodes, { name }, { signal: cluster.signal });
  return node.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
}

test('what ran on a node that died runs elsewhere after five minutes', async (t) => {
  covers('WRK-015', 'WRK-150', 'WRK-168');
  superseded('WRK-014', {
    by: 'v1.27',
    now: 'the same after the 300 s that pods bear the taint; --pod-eviction-timeout is gone',
  });
  superseded('POD-194', {
    by: 'v1.13',
    now: 'still not removed: Terminating, in the phase that was told last, never Unknown',
  });
  superseded('WRK-027', {
    by: 'v1.13',
    now: 'the pods of a silent node are deleted by taint and stay Terminating',
  });
  const { cluster, running } = await open(['n1', 'n2', 'n3']);
  t.after(() => cluster[Symbol.asyncDispose]());
  await create(cluster);
  const victims = (await podsOf(cluster, 'web'))
    .filter(({ spec }) => spec?.nodeName === 'n1')
    .map(({ metadata }) => metadata.name);
  assert.ok(victims.length > 0);
  await running.get('n1')?.[Symbol.asyncDispose]();
  await cluster.until('n1 to be Unknown', async () => {
    return (await readiness(cluster, 'n1')) === 'Unknown';
  });
  await cluster.advance(4 * minute);
  const still = await podsOf(cluster, 'web');
  assert.equal(still.length, 3, 'nothing is made before the five minutes are over');
  await cluster.until(
    'three elsewhere of both',
    async () => {
      const all = [...(await podsOf(cluster, 'web')), ...(await podsOf(cluster, 'old'))];
      const ready = all.filter(isReady).filter(({ spec }) => spec?.nodeName !== 'n1');
      return ready.length === 6;
    },
    { limit: 3 * minute },
  );
  await cluster.advance(10 * minute);
  const left = (await podsOf(cluster, 'web')).filter(({ spec }) => spec?.nodeName === 'n1');
  assert.deepEqual(
    left.map(({ metadata }) => metadata.name),
    victims,
    'they are not forced away',
  );
  for (const { metadata, status } of left) {
    assert.ok(metadata.deletionTimestamp !== undefined);
    assert.equal(status?.phase, 'Running');
  }
});

test('deleting the Node frees the names of its pods', async (t) => {
  covers('POD-195', 'POD-234', 'WRK-167');
  const { cluster, running } = await open(['n1', 'n2']);
  t.after(() => cluster[Symbol.asyncDispose]());
  await create(cluster);
  await running.get('n1')?.[Symbol.asyncDispose]();
  const { client, signal } = cluster;
  const victims = (await podsOf(cluster, 'web')).filter(({ spec }) => spec?.nodeName === 'n1');
  assert.ok(victims.length > 0);
  const [victim] = victims;
  const at = { namespace, name: victim?.metadata.name ?? '' };
  await client.delete(pods, at, { signal });
  await cluster.advance(minute);
  assert.equal((await client.get(pods, at, { signal })).metadata.uid, victim?.metadata.uid);
  await client.delete(nodes, { name: 'n1' }, { signal });
  await cluster.until(
    'all on n2',
    async () => {
      const all = [...(await podsOf(cluster, 'web')), ...(await podsOf(cluster, 'old'))];
      return all.length === 6 && all.every((pod) => pod.spec?.nodeName === 'n2' && isReady(pod));
    },
    { limit: 5 * minute },
  );
});

test('a node that is back before five minutes are over keeps its pods', async (t) => {
  superseded('WRK-156', {
    by: 'v1.27',
    now: 'the same by the 300 s that pods bear the taint; --pod-eviction-timeout is gone',
  });
  const { cluster, running } = await open(['n1', 'n2']);
  t.after(() => cluster[Symbol.asyncDispose]());
  await create(cluster);
  const uids = async () =>
    [...(await podsOf(cluster, 'web')), ...(await podsOf(cluster, 'old'))]
      .map(({ metadata }) => metadata.uid)
      .toSorted();
  const before = await uids();
  await running.get('n1')?.[Symbol.asyncDispose]();
  await cluster.advance(4 * minute);
  assert.equal(await readiness(cluster, 'n1'), 'Unknown');
  await using again = await cluster.addNode({ name: 'n1' });
  assert.equal(again.name, 'n1');
  await cluster.advance(10 * minute);
  assert.deepEqual(await uids(), before);
  await again[Symbol.asyncDispose]();
  await cluster.advance(8 * minute);
  const all = [...(await podsOf(cluster, 'web')), ...(await podsOf(cluster, 'old'))];
  const ready = all.filter(isReady);
  assert.equal(ready.length, 6);
  assert.ok(ready.every(({ spec }) => spec?.nodeName === 'n2'));
});
