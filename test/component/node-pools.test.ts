/**
 * Nodes that come and go while applications run: reboots one by one, a new pool in place of an old
 * one, and an autoscaler of nodes that may take away what budgets allow. Whole clusters under a
 * virtual clock; who drains does what `kubectl drain` does, by evictions.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isReason } from '#api/errors.ts';
import { deployments, nodes, podDisruptionBudgets, pods } from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { startCluster, type TestCluster } from '#testing';

const namespace = 'default';

async function deploy({ client, signal }: TestCluster, replicas: number, cpu: string) {
  const labels = { app: 'web' };
  const containers = [{ name: 'c', image: 'web', resources: { requests: { cpu } } }];
  await client.create(
    deployments,
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { namespace, name: 'web' },
      spec: {
        replicas,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers } },
      },
    },
    { signal },
  );
  await client.create(
    podDisruptionBudgets,
    {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { namespace, name: 'web' },
      spec: { maxUnavailable: 1, selector: { matchLabels: labels } },
    },
    { signal },
  );
}

async function podsOf({ client, signal }: TestCluster): Promise<readonly Pod[]> {
  return (await client.list(pods, { namespace, labelSelector: 'app=web', signal })).items;
}

const isReady = ({ metadata, status }: Pod): boolean =>
  metadata.deletionTimestamp === undefined &&
  (status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false);

const ready = async (cluster: TestCluster): Promise<number> =>
  (await podsOf(cluster)).filter(isReady).length;

async function cordon(cluster: TestCluster, name: string, unschedulable: boolean): Promise<void> {
  const options = { type: 'merge', signal: cluster.signal } as const;
  await cluster.client.patch(nodes, { name }, { spec: { unschedulable } }, options);
}

/** False where the budget does not allow it now. */
async function evict({ client, signal }: TestCluster, name: string): Promise<boolean> {
  const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { namespace, name } };
  try {
    await client.createSubresource(pods, { namespace, name }, 'eviction', body, { signal });
    return true;
  } catch (error) {
    if (!isReason(error, 'TooManyRequests')) throw error;
    return false;
  }
}

/** Gives how many were ready at the worst moment, and how often the budget said no. */
async function drain(cluster: TestCluster, node: string) {
  await cordon(cluster, node, true);
  const seen = { least: await ready(cluster), refusals: 0 };
  await cluster.until(
    `${node} is empty`,
    async () => {
      const here = (await podsOf(cluster)).filter(({ spec }) => spec?.nodeName === node);
      for (const { metadata } of here) {
        if (metadata.deletionTimestamp !== undefined) continue;
        if (!(await evict(cluster, metadata.name ?? ''))) seen.refusals += 1;
        seen.least = Math.min(seen.least, await ready(cluster));
      }
      return here.length === 0;
    },
    { limit: '10m' },
  );
  return seen;
}

const option = (name: string) => ({ name, capacity: { cpu: '4' }, delays: { readyMs: 5_000 } });

test('three nodes are drained, rebooted and used again in turn', async () => {
  covers('UPG-013');
  await using cluster = await startCluster({ clock: 'virtual', seed: 1, nodes: 0 });
  const { client, signal } = cluster;
  const names = ['n1', 'n2', 'n3'];
  const running = new Map(
    await Promise.all(
      names.map(async (name) => [name, await cluster.addNode(option(name))] as const),
    ),
  );
  await deploy(cluster, 6, '1');
  await cluster.until('all are ready', async () => (await ready(cluster)) === 6);
  for (const name of names) {
    const { least } = await drain(cluster, name);
    assert.ok(least >= 5, `${least} were ready while ${name} was drained`);
    await cluster.until('all are ready', async () => (await ready(cluster)) === 6);
    assert.ok((await podsOf(cluster)).every(({ spec }) => spec?.nodeName !== name));
    // Switched off for a minute, with another kubelet after that.
    await running.get(name)?.[Symbol.asyncDispose]();
    await cluster.advance('1m');
    const back = cluster.addNode(option(name));
    await cluster.until('it is back', async () => {
      const { status } = await client.get(nodes, { name }, { signal });
      return status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
    });
    await cordon(cluster, name, false);
    running.set(name, await back);
  }
  const now = (await podsOf(cluster)).map(({ spec }) => spec?.nodeName);
  assert.ok(!now.includes('n3'), 'nothing moves back by itself');
});

test('a new pool of nodes takes over from an old one', async () => {
  covers('HPA-002', 'UPG-004');
  await using cluster = await startCluster({ clock: 'virtual', seed: 2, nodes: 0 });
  const { client, signal } = cluster;
  for (const name of ['blue-1', 'blue-2']) await cluster.addNode(option(name));
  await deploy(cluster, 4, '1');
  await cluster.until('all are ready', async () => (await ready(cluster)) === 4);
  // They register themselves; nobody has made an object for them.
  const green = ['green-1', 'green-2', 'green-3'];
  for (const name of green) await cluster.addNode(option(name));
  const { items } = await client.list(nodes, { signal });
  assert.deepEqual(items.map(({ metadata }) => metadata.name).toSorted(), [
    ...['blue-1', 'blue-2'],
    ...green,
  ]);
  for (const name of ['blue-1', 'blue-2']) await cordon(cluster, name, true);
  for (const name of ['blue-1', 'blue-2']) {
    const { least } = await drain(cluster, name);
    assert.ok(least >= 3);
    await cluster.until('all are ready', async () => (await ready(cluster)) === 4);
  }
  for (const name of ['blue-1', 'blue-2']) await client.delete(nodes, { name }, { signal });
  await cluster.advance('5m');
  const places = (await podsOf(cluster)).map(({ spec }) => spec?.nodeName ?? '');
  assert.equal(places.length, 4);
  for (const place of places) assert.ok(green.includes(place), place);
});

test('an autoscaler of nodes may take away what the budget lets go', async () => {
  covers('HPA-003');
  await using cluster = await startCluster({ clock: 'virtual', seed: 3, nodes: 0 });
  const { client, signal } = cluster;
  for (const name of ['n1', 'n2']) await cluster.addNode(option(name));
  await deploy(cluster, 4, '1');
  await cluster.until('all are ready', async () => (await ready(cluster)) === 4);
  // As if all had to stay: the node that is hardly used cannot go.
  const at = { namespace, name: 'web' };
  const options = { type: 'merge', signal } as const;
  await client.patch(podDisruptionBudgets, at, { spec: { maxUnavailable: 0 } }, options);
  await cluster.advance('5s');
  await cordon(cluster, 'n2', true);
  const here = (await podsOf(cluster)).filter(({ spec }) => spec?.nodeName === 'n2');
  assert.ok(here.length > 0);
  for (const { metadata } of here) assert.equal(await evict(cluster, metadata.name ?? ''), false);
  assert.equal(await ready(cluster), 4);
  await client.patch(podDisruptionBudgets, at, { spec: { maxUnavailable: 1 } }, options);
  await cluster.advance('5s');
  const { least, refusals } = await drain(cluster, 'n2');
  assert.ok(least >= 3);
  assert.ok(refusals > 0, 'one after the other');
  await client.delete(nodes, { name: 'n2' }, { signal });
  await cluster.until('all are ready', async () => (await ready(cluster)) === 4);
});
