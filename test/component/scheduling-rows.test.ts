/**
 * Rows about room on nodes, and about who has to leave them, on whole clusters under a virtual
 * clock: nobody but the scheduler, the controllers and hollow nodes decides.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import { limitRanges, namespaces, nodes, pods, resourceQuotas } from '#resources/kinds.ts';
import type { Pod, PodSpec, Taint } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { startCluster, type TestCluster } from '#testing';

function pod(name: string, spec: Partial<PodSpec> = {}, namespace = 'default'): Pod {
  const containers = [{ name: 'c', image: 'nginx' }];
  const metadata = { namespace, name };
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers, ...spec } };
}

async function create(cluster: TestCluster, one: Pod): Promise<void> {
  await cluster.client.create(pods, one, { signal: cluster.signal });
}

async function get({ client, signal }: TestCluster, name: string, namespace = 'default') {
  return await client.get(pods, { namespace, name }, { signal });
}

async function runs(cluster: TestCluster, name: string, namespace = 'default'): Promise<void> {
  await cluster.until(`${name} runs`, async () => {
    return (await get(cluster, name, namespace)).status?.phase === 'Running';
  });
}

/** Why a pod waits. */
async function waiting(cluster: TestCluster, name: string): Promise<string> {
  const said = async (): Promise<string> =>
    (await get(cluster, name)).status?.conditions?.find(({ reason }) => reason === 'Unschedulable')
      ?.message ?? '';
  await cluster.until(`${name} is said to wait`, async () => (await said()) !== '');
  return await said();
}

test('a node has room for 110 pods, those of the system among them', async () => {
  covers('QUO-045');
  await using cluster = await startCluster({ clock: 'virtual', seed: 3, nodes: 1 });
  const { client, signal } = cluster;
  for (const name of ['kube-system', 'ibm-system']) {
    const metadata = { name };
    const object: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata };
    if (name !== 'kube-system') await client.create(namespaces, object, { signal });
    await cluster.advance('2s');
    await create(cluster, pod('agent', {}, name));
    await runs(cluster, 'agent', name);
  }
  for (let index = 0; index < 108; index++) await create(cluster, pod(`p${index}`));
  await cluster.until('all to run', async () => {
    const { items } = await client.list(pods, { signal });
    return items.filter(({ status }) => status?.phase === 'Running').length === 110;
  });
  await create(cluster, pod('last'));
  assert.match(await waiting(cluster, 'last'), /^0\/1 nodes are available: 1 Too many pods\./);
  await client.delete(pods, { namespace: 'ibm-system', name: 'agent' }, { signal });
  await runs(cluster, 'last');
});

test('what init containers ask for counts as far as it is more', async () => {
  // The cgroup of such a pod is in `src/kubelet/pods/qos.test.ts`.
  covers('SCH-017');
  const list = [{ name: 'n1', capacity: { cpu: '1300m', memory: '1Gi' } }];
  await using cluster = await startCluster({ clock: 'virtual', seed: 3, nodes: list });
  const { client, signal } = cluster;
  const metadata = { namespace: 'default', name: 'q' };
  const quota = { apiVersion: 'v1', kind: 'ResourceQuota', metadata };
  await client.create(resourceQuotas, { ...quota, spec: { hard: { cpu: '2' } } }, { signal });
  await cluster.advance('2s');
  const asking = (name: string, cpu: string) => ({
    ...{ name, image: name },
    resources: { requests: { cpu } },
  });
  const containers = [asking('a', '200m'), asking('b', '200m')];
  await create(cluster, pod('first', { initContainers: [asking('init', '1')], containers }));
  await runs(cluster, 'first');
  assert.equal((await get(cluster, 'first')).status?.qosClass, 'Burstable');
  const used = async () => (await client.get(resourceQuotas, metadata, { signal })).status?.used;
  assert.deepEqual(await used(), { cpu: '1' });
  await create(cluster, pod('second', { containers: [asking('c', '400m')] }));
  assert.match(await waiting(cluster, 'second'), /^0\/1 nodes are available: 1 Insufficient cpu\./);
  await create(cluster, pod('third', { containers: [asking('c', '300m')] }));
  await runs(cluster, 'third');
  assert.deepEqual(await used(), { cpu: '1700m' });
  // Where the containers ask for nothing, the class is still not the lowest.
  const quiet = [{ name: 'c', image: 'c', resources: { requests: { cpu: '0' } } }];
  const begins = { initContainers: [asking('init', '10m')], containers: quiet };
  await client.delete(resourceQuotas, metadata, { signal });
  await create(cluster, pod('fourth', begins));
  assert.equal((await get(cluster, 'fourth')).status?.qosClass, 'Burstable');
});

test('storage on the node that containers ask for is summed', async () => {
  covers('QUO-006');
  const capacity = { 'ephemeral-storage': '10Gi' };
  const list = [{ name: 'n1', capacity }];
  await using cluster = await startCluster({ clock: 'virtual', seed: 3, nodes: list });
  const resources = {
    requests: { 'ephemeral-storage': '2Gi' },
    limits: { 'ephemeral-storage': '4Gi' },
  };
  const containers = ['db', 'wp'].map((name) => ({ name, image: name, resources }));
  await create(cluster, pod('frontend', { containers }));
  await create(cluster, pod('second', { containers }));
  await runs(cluster, 'frontend');
  await runs(cluster, 'second');
  await create(cluster, pod('third', { containers }));
  const message = /^0\/1 nodes are available: 1 Insufficient ephemeral-storage\./;
  assert.match(await waiting(cluster, 'third'), message);
  // The same amount in other suffixes: 2 GiB are left.
  const rest = (amount: string) => [
    { name: 'c', image: 'c', resources: { requests: { 'ephemeral-storage': amount } } },
  ];
  await create(cluster, pod('too-much', { containers: rest('2147483649') }));
  assert.match(await waiting(cluster, 'too-much'), message);
  await create(cluster, pod('fits', { containers: rest('2097152Ki') }));
  await runs(cluster, 'fits');
});

test('a pod gets the most that a LimitRange allows, and waits where there is less', async () => {
  covers('QUO-027');
  const list = [{ name: 'n1', capacity: { cpu: '500m', memory: '2Gi' } }];
  await using cluster = await startCluster({ clock: 'virtual', seed: 3, nodes: list });
  const { client, signal } = cluster;
  for (const [resource, most, least] of [
    ['memory', '1Gi', '500Mi'],
    ['cpu', '800m', '200m'],
  ] as const) {
    const name = `${resource}-min-max-demo-lr`;
    const limits = [{ type: 'Container', max: { [resource]: most }, min: { [resource]: least } }];
    const metadata = { namespace: 'default', name };
    const range = { apiVersion: 'v1', kind: 'LimitRange', metadata, spec: { limits } };
    await client.create(limitRanges, range, { signal });
    await create(cluster, pod(`constraints-${resource}-demo-4`));
    const { spec } = await get(cluster, `constraints-${resource}-demo-4`);
    const given = spec?.containers[0]?.resources;
    assert.deepEqual(given, { limits: { [resource]: most }, requests: { [resource]: most } });
    if (resource === 'memory') await runs(cluster, 'constraints-memory-demo-4');
    await client.delete(limitRanges, metadata, { signal });
  }
  const why = await waiting(cluster, 'constraints-cpu-demo-4');
  assert.match(why, /^0\/1 nodes are available: 1 Insufficient cpu\./);
});

test('NoExecute: at once, never, or after a time unless the taint goes before', async () => {
  covers('WRK-110');
  await using cluster = await startCluster({ clock: 'virtual', seed: 3, nodes: 1 });
  const { client, signal } = cluster;
  const tolerated = (tolerationSeconds?: number): Partial<PodSpec> => ({
    tolerations: [
      {
        key: 'key1',
        operator: 'Exists',
        effect: 'NoExecute',
        ...(tolerationSeconds && { tolerationSeconds }),
      },
    ],
  });
  await create(cluster, pod('never'));
  await create(cluster, pod('always', tolerated()));
  await create(cluster, pod('a-while', tolerated(10)));
  for (const name of ['never', 'always', 'a-while']) await runs(cluster, name);
  const taint = async (taints: readonly Taint[]): Promise<void> => {
    await client.patch(
      nodes,
      { name: 'hollow-0' },
      { spec: { taints } },
      { type: 'merge', signal },
    );
  };
  const left = async (): Promise<readonly string[]> => {
    const { items } = await client.list(pods, { namespace: 'default', signal });
    return items
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .map(({ metadata }) => metadata.name ?? '')
      .toSorted();
  };
  const key1: Taint = { key: 'key1', value: 'value1', effect: 'NoExecute' };
  await taint([key1]);
  await cluster.advance('1s');
  assert.deepEqual(await left(), ['a-while', 'always']);
  // The taint goes before the ten seconds are over: the pod stays for good.
  await cluster.advance('7s');
  await taint([]);
  await cluster.advance('10m');
  assert.deepEqual(await left(), ['a-while', 'always']);
  await taint([key1]);
  await cluster.advance('8s');
  assert.deepEqual(await left(), ['a-while', 'always']);
  await cluster.advance('3s');
  assert.deepEqual(await left(), ['always']);
  await cluster.advance('10m');
  assert.deepEqual(await left(), ['always']);
  assert.equal((await get(cluster, 'always')).status?.phase, 'Running');
});
