/** A whole cluster in this process, under a virtual clock: what tests of others build on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isReason } from '#api/errors.ts';
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import { deployments, leases, namespaces, nodes, pods, replicaSets } from '#resources/kinds.ts';
import type { Deployment } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { startCluster, type TestCluster } from './testing.ts';

function web(replicas: number): Deployment {
  const labels = { app: 'web' };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'default' },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'web', image: 'web:1' }] } },
    },
  };
}

function pod(name: string, spec: Partial<Pod['spec']> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: { containers: [{ name: 'main', image: 'busybox' }], ...spec },
  };
}

async function list<T extends KubeObject>(
  { client, signal }: TestCluster,
  kind: KindOf<T>,
  namespace?: string,
): Promise<readonly T[]> {
  return (await client.list(kind, { namespace, signal })).items;
}

const isRunning = ({ status }: Pod): boolean => status?.phase === 'Running';

async function allRunning(cluster: TestCluster, count: number): Promise<boolean> {
  const found = await list(cluster, pods, 'default');
  return found.length === count && found.every(isRunning);
}

test('a Deployment comes to life, and its deletion takes everything with it', async () => {
  await using cluster = await startCluster({ clock: 'virtual' });
  const { client, signal } = cluster;
  await client.create(deployments, web(3), { signal });
  await cluster.until('three pods run', () => allRunning(cluster, 3));

  await client.delete(
    deployments,
    { namespace: 'default', name: 'web' },
    { propagationPolicy: 'Background', signal },
  );
  await cluster.until('nothing is left', async () => {
    const left = [...(await list(cluster, replicaSets)), ...(await list(cluster, pods))];
    return left.length === 0;
  });
});

test('deleting a namespace deletes what is in it, and then itself', async () => {
  await using cluster = await startCluster({ clock: 'virtual' });
  const { client, signal } = cluster;
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } };
  await client.create(namespaces, namespace, { signal });
  const inShop = { ...web(2), metadata: { name: 'web', namespace: 'shop' } };
  await client.create(deployments, inShop, { signal });
  await cluster.until('two pods run', async () => {
    const found = await list(cluster, pods, 'shop');
    return found.length === 2 && found.every(isRunning);
  });
  await client.delete(namespaces, { name: 'shop' }, { signal });
  await cluster.until('the namespace is gone', () =>
    client.get(namespaces, { name: 'shop' }, { signal }).then(
      () => false,
      (error: unknown) => {
        if (isReason(error, 'NotFound')) return true;
        throw error;
      },
    ),
  );
  assert.deepEqual(await list(cluster, pods), []);
});

test('virtual time passes by exactly what is asked for, and only then', async () => {
  const startTime = new Date('2030-05-01T00:00:00Z');
  await using cluster = await startCluster({ clock: 'virtual', startTime });
  const { clock, client, signal } = cluster;
  const before = clock.now();
  assert.ok(before >= startTime.getTime() && before < startTime.getTime() + 60_000);
  const at = { namespace: 'kube-node-lease', name: 'hollow-0' };
  const renewed = async () => (await client.get(leases, at, { signal })).spec?.renewTime ?? '';
  const first = await renewed();
  await cluster.advance('1h30m');
  assert.equal(clock.now() - before, 90 * 60_000);
  assert.ok(Date.parse(await renewed()) - Date.parse(first) > 89 * 60_000);
  await cluster.advance(250);
  assert.equal(clock.now() - before, 90 * 60_000 + 250);
  await assert.rejects(cluster.advance('soon'), /not a duration: soon/);
});

test('chosen nodes have the names, labels and room that were asked for', async () => {
  await using cluster = await startCluster({
    clock: 'virtual',
    nodes: [
      { name: 'small', capacity: { cpu: '1' } },
      { name: 'gpu', labels: { accelerator: 'yes' }, capacity: { cpu: '4' } },
    ],
  });
  const { client, signal } = cluster;
  const names = (await list(cluster, nodes)).map(({ metadata }) => metadata.name);
  assert.deepEqual(names.sort(), ['gpu', 'small']);
  await client.create(pods, pod('picky', { nodeSelector: { accelerator: 'yes' } }), { signal });
  const resources = { requests: { cpu: '3' } };
  const containers = [{ name: 'main', image: 'busybox', resources }];
  await client.create(pods, pod('large', { containers }), { signal });
  await cluster.until('both run', () => allRunning(cluster, 2));
  const hosts = (await list(cluster, pods)).map(({ spec }) => spec?.nodeName);
  assert.deepEqual(hosts, ['gpu', 'gpu']);
});

test('no nodes means that pods wait, until one is added', async () => {
  await using cluster = await startCluster({ clock: 'virtual', nodes: 0 });
  const { client, signal } = cluster;
  await client.create(pods, pod('waits'), { signal });
  await cluster.advance('1m');
  assert.equal((await list(cluster, pods))[0]?.status?.phase, 'Pending');
  await cluster.addNode({ name: 'late' });
  await cluster.until('the pod runs', () => allRunning(cluster, 1));
});

test('a node that dies is found out, and its pods are replaced elsewhere', async () => {
  await using cluster = await startCluster({ clock: 'virtual', nodes: [{ name: 'stays' }] });
  const { client, signal } = cluster;
  const dies = await cluster.addNode({ name: 'dies', labels: { first: 'yes' } });
  const labels = { app: 'web' };
  const preferred = { key: 'first', operator: 'In', values: ['yes'] };
  const affinity = {
    nodeAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [
        { weight: 100, preference: { matchExpressions: [preferred] } },
      ],
    },
  };
  const containers = [{ name: 'web', image: 'web:1' }];
  const template = { metadata: { labels }, spec: { affinity, containers } };
  const selector = { matchLabels: labels };
  const deployment = { ...web(1), spec: { replicas: 1, selector, template } };
  await client.create(deployments, deployment, { signal });
  const runsOn = (name: string) => async () =>
    (await list(cluster, pods)).some((one) => isRunning(one) && one.spec?.nodeName === name);
  await cluster.until('the pod runs on the preferred node', runsOn('dies'));
  await dies[Symbol.asyncDispose]();
  await cluster.until('its successor runs elsewhere', runsOn('stays'), { limit: '15m' });
});

test('a node may fail as wished, and take only whom it is told to', async () => {
  const taints = [{ key: 'broken', effect: 'NoSchedule' }];
  const broken = { name: 'broken', taints, failures: { starts: 1 } };
  await using cluster = await startCluster({ clock: 'virtual', nodes: [{ name: 'fine' }, broken] });
  const { client, signal } = cluster;
  const tolerations = [{ key: 'broken', operator: 'Exists' }];
  const nodeSelector = { 'kubernetes.io/hostname': 'broken' };
  await client.create(pods, pod('usual'), { signal });
  await client.create(pods, pod('unlucky', { tolerations, nodeSelector }), { signal });
  await cluster.until('one runs, the other crashes again and again', async () => {
    const [unlucky, usual] = await list(cluster, pods, 'default');
    const [container] = unlucky?.status?.containerStatuses ?? [];
    const waits = container?.state?.waiting?.reason === 'CrashLoopBackOff';
    return waits && usual?.spec?.nodeName === 'fine' && isRunning(usual);
  });
});

test('clusters beside one another share nothing', async () => {
  await using one = await startCluster({ clock: 'virtual' });
  await using other = await startCluster({ clock: 'virtual', nodes: 2 });
  await Promise.all([
    one.client.create(pods, pod('only-here'), { signal: one.signal }),
    other.client.create(deployments, web(2), { signal: other.signal }),
  ]);
  const before = other.clock.now();
  await one.until('the pod runs', () => allRunning(one, 1));
  assert.equal(other.clock.now(), before);
  await other.until('two pods run', () => allRunning(other, 2));
  const names = (await list(other, pods)).map(({ metadata }) => metadata.name);
  assert.ok(!names.includes('only-here'), names.join());
  assert.deepEqual(await list(one, deployments), []);
});

test('the same seed gives the same names', async () => {
  const namesOf = async (seed: number) => {
    await using cluster = await startCluster({ clock: 'virtual', seed });
    const { client, signal } = cluster;
    await client.create(deployments, web(2), { signal });
    await cluster.until('two pods run', () => allRunning(cluster, 2));
    const found = await list(cluster, pods);
    return found.map(({ metadata }) => `${metadata.name} ${metadata.uid}`);
  };
  assert.deepEqual(await namesOf(7), await namesOf(7));
  assert.notDeepEqual(await namesOf(7), await namesOf(8));
});

test('requests of others are authorized as theirs', async () => {
  await using cluster = await startCluster({ clock: 'virtual' });
  const { signal } = cluster;
  const nobody = cluster.clientOf({ name: 'jane', groups: [] });
  await assert.rejects(nobody.list(pods, { namespace: 'default', signal }), (error) =>
    isReason(error, 'Forbidden'),
  );
});

test('what does not happen is named when the limit is reached', async () => {
  await using cluster = await startCluster({ clock: 'virtual' });
  await assert.rejects(
    cluster.until('a miracle', () => false, { limit: '2s' }),
    /^Error: a miracle: not within 2000 ms$/,
  );
});

test('a stopped cluster ends waits and takes no more commands', async () => {
  const cluster = await startCluster({ clock: 'virtual' });
  const { client, signal } = cluster;
  const { resourceVersion } = await client.list(pods, { signal });
  const watching = (async () => {
    for await (const _ of client.watch(pods, { resourceVersion, signal })) assert.fail('no event');
  })();
  const watchEnds = assert.rejects(watching, /the test cluster stops/);
  await cluster[Symbol.asyncDispose]();
  await watchEnds;
  assert.ok(signal.aborted);
  await assert.rejects(cluster.advance('1s'), /the test cluster stops/);
  await cluster[Symbol.asyncDispose]();
});

test('components log what they do to whoever asks', async () => {
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  await using cluster = await startCluster({ clock: 'virtual', log, logLevel: 'debug' });
  await cluster.client.create(pods, pod('one'), { signal: cluster.signal });
  await cluster.until('the pod runs', () => allRunning(cluster, 1));
  assert.ok(
    lines.some((line) => line.includes('component="scheduler"')),
    lines.join(''),
  );
});
