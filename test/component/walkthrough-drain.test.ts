/**
 * Drains with the real scheduler and hollow nodes, on a virtual clock: the example of the documents
 * with pods a to e, two drains at once, and what a Job and a DaemonSet make of full nodes.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ApiError } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import {
  daemonSets,
  deployments,
  jobs,
  nodes,
  podDisruptionBudgets,
  pods,
  statefulSets,
} from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { startCluster, type TestCluster } from '#testing';

const namespace = 'default';

async function start(t: TestContext, names: readonly string[]): Promise<TestCluster> {
  const cluster = await startCluster({
    clock: 'virtual',
    seed: 1,
    nodes: names.map((name) => ({ name, capacity: { cpu: '2' }, delays: { readyMs: 20_000 } })),
  });
  t.after(() => cluster[Symbol.asyncDispose]());
  return cluster;
}

const container = (cpu: string) => ({ name: 'c', image: 'c:1', resources: { requests: { cpu } } });

function workload(kind: string, name: string, spec: object) {
  const labels = { app: name };
  const template = { metadata: { labels }, spec: { containers: [container('1')] } };
  const metadata = { namespace, name };
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata,
    spec: { selector: { matchLabels: labels }, template, ...spec },
  };
}

async function limit(cluster: TestCluster, app: string, minAvailable: number): Promise<void> {
  const selector = { matchLabels: { app } };
  const metadata = { namespace, name: app };
  const spec = { minAvailable, selector };
  const budget = { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata, spec };
  await cluster.client.create(podDisruptionBudgets, budget, { signal: cluster.signal });
}

async function podsOf(cluster: TestCluster, app: string): Promise<readonly Pod[]> {
  const options = { namespace, labelSelector: `app=${app}`, signal: cluster.signal };
  const { items } = await cluster.client.list(pods, options);
  return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
}

const isReady = ({ status }: Pod): boolean =>
  status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;

async function ready(cluster: TestCluster, app: string, count: number): Promise<void> {
  await cluster.until(`${count} of ${app} to be ready`, async () => {
    return (await podsOf(cluster, app)).filter(isReady).length === count;
  });
}

async function cordon(cluster: TestCluster, name: string, unschedulable: boolean): Promise<void> {
  const options = { type: 'merge', signal: cluster.signal } as const;
  await cluster.client.patch(nodes, { name }, { spec: { unschedulable } }, options);
}

/** False where the budget does not allow it yet. */
async function evict(cluster: TestCluster, pod: Pod): Promise<boolean> {
  const where = { namespace, name: pod.metadata.name ?? '' };
  const body: KubeObject = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: where };
  const { client, signal } = cluster;
  try {
    await client.createSubresource(pods, where, 'eviction', body, { signal });
    return true;
  } catch (error) {
    assert.ok(error instanceof ApiError && error.status.code === 429, String(error));
    return false;
  }
}

/** One round of `kubectl drain`: the pods that may not go yet. */
async function drain(cluster: TestCluster, name: string): Promise<readonly Pod[]> {
  const { client, signal } = cluster;
  await cordon(cluster, name, true);
  const fieldSelector = `spec.nodeName=${name}`;
  const { items } = await client.list(pods, { namespace, fieldSelector, signal });
  const held: Pod[] = [];
  for (const pod of items) if (!(await evict(cluster, pod))) held.push(pod);
  return held;
}

const nodeOf = (pod: Pod | undefined): string | undefined => pod?.spec?.nodeName;

test('three nodes are drained one after the other; the budget makes the impatient wait', async (t) => {
  const cluster = await start(t, ['node-1', 'node-2', 'node-3']);
  const { client, signal } = cluster;
  await client.create(deployments, workload('Deployment', 'app', { replicas: 3 }), { signal });
  await limit(cluster, 'app', 2);
  await ready(cluster, 'app', 3);
  const layout = (await podsOf(cluster, 'app')).map(nodeOf).toSorted();
  assert.deepEqual(layout, ['node-1', 'node-2', 'node-3']);
  // Something unrelated on node-1, which may also run on node-3.
  const other = workload('Deployment', 'x', { replicas: 1 });
  const expression = {
    key: 'kubernetes.io/hostname',
    operator: 'In',
    values: ['node-1', 'node-3'],
  };
  const nodeSelectorTerms = [{ matchExpressions: [expression] }];
  const required = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } };
  const spec = { ...other.spec.template.spec, affinity: { nodeAffinity: required } };
  const template = { ...other.spec.template, spec };
  await cordon(cluster, 'node-3', true);
  await client.create(deployments, { ...other, spec: { ...other.spec, template } }, { signal });
  await ready(cluster, 'x', 1);
  await cordon(cluster, 'node-3', false);
  assert.equal(nodeOf((await podsOf(cluster, 'x'))[0]), 'node-1');

  assert.deepEqual(await drain(cluster, 'node-1'), [], 'pod-a and pod-x go at once');
  await cluster.until('pod-d and pod-y to be placed', async () => {
    const app = (await podsOf(cluster, 'app')).map(nodeOf).toSorted();
    const x = (await podsOf(cluster, 'x')).map(nodeOf);
    return app.join() === 'node-2,node-2,node-3' && x.join() === 'node-3';
  });
  const b = (await podsOf(cluster, 'app')).find((pod) => nodeOf(pod) === 'node-2' && isReady(pod));
  assert.ok(b !== undefined);
  assert.equal(await evict(cluster, b), false, 'pod-d is only starting');
  await ready(cluster, 'app', 3);
  await cluster.advance('1s');
  const held = await drain(cluster, 'node-2');
  assert.equal(held.length, 1, 'one goes, the other has to stay');
  await cluster.advance('40s');
  const pending = (await podsOf(cluster, 'app')).filter((pod) => nodeOf(pod) === undefined);
  assert.equal(pending.length, 1, 'there is no room for pod-e');
  const again = await drain(cluster, 'node-2');
  assert.equal(again.length, 1, 'the drain blocks');
  await cordon(cluster, 'node-1', false);
  await ready(cluster, 'app', 3);
  await cluster.advance('1s');
  assert.deepEqual(await drain(cluster, 'node-2'), []);
});

test('two drains at once never leave fewer than the budget says', async (t) => {
  covers('WRK-157');
  const cluster = await start(t, ['node-1', 'node-2', 'node-3', 'node-4']);
  const { client, signal } = cluster;
  const set = workload('StatefulSet', 'zk', { replicas: 3, serviceName: 'zk' });
  await client.create(statefulSets, set, { signal });
  await limit(cluster, 'zk', 2);
  await cluster.until('the set', async () => (await podsOf(cluster, 'zk')).length === 3, {
    limit: '5m',
  });
  await ready(cluster, 'zk', 3);
  await cluster.advance('1s');
  const [one, two] = (await podsOf(cluster, 'zk')).map((pod) => nodeOf(pod) ?? '');
  let fewest = 3;
  for (let turn = 0; turn < 120; turn++) {
    await Promise.all([drain(cluster, one ?? ''), drain(cluster, two ?? '')]);
    await cluster.advance('1s');
    fewest = Math.min(fewest, (await podsOf(cluster, 'zk')).filter(isReady).length);
  }
  assert.equal(fewest, 2);
  const places = (await podsOf(cluster, 'zk')).map(nodeOf);
  assert.ok(!places.includes(one) && !places.includes(two), `${places}`);
});

test('a Job makes up for pods that a drain takes', async (t) => {
  covers('WRK-153');
  const cluster = await start(t, ['node-1', 'node-2']);
  const { client, signal } = cluster;
  const annotations = { 'hollow.coracle.dev/run-seconds': '60' };
  const template = {
    metadata: { labels: { app: 'work' }, annotations },
    spec: { restartPolicy: 'Never', containers: [container('1')] },
  };
  const metadata = { namespace, name: 'work' };
  const spec = { completions: 2, parallelism: 2, template };
  const job = { apiVersion: 'batch/v1', kind: 'Job', metadata, spec };
  await client.create(jobs, job, { signal });
  await cluster.until('both to run', async () => {
    const all = await podsOf(cluster, 'work');
    return all.filter(({ status }) => status?.phase === 'Running').length === 2;
  });
  const lost = (await podsOf(cluster, 'work')).filter((pod) => nodeOf(pod) === 'node-1');
  assert.ok(lost.length > 0);
  assert.deepEqual(await drain(cluster, 'node-1'), []);
  await cluster.until(
    'two successes',
    async () =>
      (await client.get(jobs, { namespace, name: 'work' }, { signal })).status?.succeeded === 2,
    { limit: '5m' },
  );
  const { status } = await client.get(jobs, { namespace, name: 'work' }, { signal });
  assert.ok(status?.conditions?.some(({ type }) => type === 'Complete'));
  const uids = new Set(lost.map(({ metadata }) => metadata.uid));
  const done = (await podsOf(cluster, 'work')).filter((pod) => pod.status?.phase === 'Succeeded');
  assert.ok(done.every(({ metadata }) => !uids.has(metadata.uid)));
});

test('a DaemonSet waits for room on a full node, and goes on when there is some', async (t) => {
  covers('WRK-166');
  const cluster = await start(t, ['node-1', 'node-2']);
  const { client, signal } = cluster;
  const small = workload('DaemonSet', 'agent', {});
  const sized = (cpu: string) => ({
    spec: { template: { spec: { containers: [container(cpu)] } } },
  });
  await client.create(daemonSets, small, { signal });
  await ready(cluster, 'agent', 2);
  const metadata = { namespace, name: 'filler', labels: { app: 'filler' } };
  const filler = { apiVersion: 'v1', kind: 'Pod', metadata };
  const pod: Pod = { ...filler, spec: { nodeName: 'node-1', containers: [container('1')] } };
  await client.create(pods, pod, { signal });
  const at = { namespace, name: 'agent' };
  await client.patch(daemonSets, at, sized('1500m'), { type: 'merge', signal });
  await cluster.advance('3m');
  const waiting = (await podsOf(cluster, 'agent')).filter((one) => nodeOf(one) === undefined);
  assert.equal(waiting.length, 1);
  const status = async () => (await client.get(daemonSets, at, { signal })).status;
  assert.ok(((await status())?.numberAvailable ?? 0) < 2);
  await client.delete(pods, { namespace, name: 'filler' }, { signal });
  await cluster.until(
    'the rollout',
    async () => {
      const now = await status();
      return now?.updatedNumberScheduled === 2 && now.numberAvailable === 2;
    },
    { limit: '5m' },
  );
});
