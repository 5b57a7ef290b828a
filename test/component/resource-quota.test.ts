/** What quotas find used, as objects come and go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isReason } from '#api/errors.ts';
import {
  configMaps,
  deployments,
  jobs,
  persistentVolumeClaims,
  pods,
  resourceQuotas,
  services,
} from '#resources/kinds.ts';
import { covers } from '#test/covers.ts';
import { openWorld, type World } from './control-world.ts';

const namespace = 'default';

async function createQuota(world: World, name: string, spec: object): Promise<void> {
  const metadata = { namespace, name };
  const quota = { apiVersion: 'v1', kind: 'ResourceQuota', metadata, spec };
  await world.client.create(resourceQuotas, quota, world);
  await world.pass(500);
}

async function usedOf(world: World, name: string): Promise<unknown> {
  const { status } = await world.client.get(resourceQuotas, { namespace, name }, world);
  return status?.used;
}

async function createPod(world: World, name: string, more: object = {}): Promise<void> {
  const resources = {
    limits: { memory: '800Mi', cpu: '800m' },
    requests: { memory: '600Mi', cpu: '400m' },
  };
  const spec = { containers: [{ name: 'c', image: 'nginx', resources }], ...more };
  const metadata = { namespace, name };
  await world.client.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec }, world);
  await world.pass(500);
}

test('the walkthrough: a new pod shows in what is used, and a finished one does not', async (t) => {
  covers('QUO-034', 'QUO-009', 'QUO-031');
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  const hard = {
    'requests.cpu': '1',
    'requests.memory': '1Gi',
    'limits.cpu': '2',
    'limits.memory': '2Gi',
    cpu: '1',
    memory: '1Gi',
  };
  await createQuota(world, 'mem-cpu-demo', { hard });
  const { status } = await client.get(
    resourceQuotas,
    { namespace, name: 'mem-cpu-demo' },
    { signal },
  );
  assert.deepEqual(status?.hard, hard);
  const nothing = Object.fromEntries(Object.keys(hard).map((name) => [name, '0']));
  assert.deepEqual(status?.used, nothing);
  await createPod(world, 'quota-mem-cpu-demo');
  assert.deepEqual(await usedOf(world, 'mem-cpu-demo'), {
    'limits.cpu': '800m',
    'limits.memory': '800Mi',
    'requests.cpu': '400m',
    'requests.memory': '600Mi',
    cpu: '400m',
    memory: '600Mi',
  });
  const at = { namespace, name: 'quota-mem-cpu-demo' };
  const pod = await client.get(pods, at, { signal });
  world.becomesReady = () => false;
  const done = { ...pod, status: { ...pod.status, phase: 'Succeeded' } };
  await client.update(pods, done, { subresource: 'status', signal });
  // What is less is written when it is sure.
  await world.pass(2_000);
  assert.deepEqual(await usedOf(world, 'mem-cpu-demo'), nothing);
});

test('a quota of pods says 0 at once; deletion and a change of the quota are noticed', async (t) => {
  covers('QUO-036', 'QUO-016');
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  await createQuota(world, 'pod-demo', { hard: { pods: '2' } });
  assert.deepEqual(await usedOf(world, 'pod-demo'), { pods: '0' });
  await createPod(world, 'one');
  await createPod(world, 'two');
  assert.deepEqual(await usedOf(world, 'pod-demo'), { pods: '2' });
  // Less than what is used already: nothing that exists is touched.
  const merge = { type: 'merge', signal } as const;
  const lower = { spec: { hard: { pods: '1' } } };
  await client.patch(resourceQuotas, { namespace, name: 'pod-demo' }, lower, merge);
  await world.pass(10_000);
  assert.equal((await world.list(pods, namespace)).length, 2);
  const { status } = await client.get(resourceQuotas, { namespace, name: 'pod-demo' }, { signal });
  assert.deepEqual(status, { hard: { pods: '1' }, used: { pods: '2' } });
  await client.delete(pods, { namespace, name: 'one' }, { signal });
  await world.pass(2_000);
  assert.deepEqual(await usedOf(world, 'pod-demo'), { pods: '1' });
  // Who comes first is served; who comes late is not, until there is room again.
  await assert.rejects(createPod(world, 'three'), (error) => isReason(error, 'Forbidden'));
  await client.delete(pods, { namespace, name: 'two' }, { signal });
  await world.pass(2_000);
  await createPod(world, 'three');
  // What the nodes have is no matter to a quota.
  await createQuota(world, 'large', { hard: { 'requests.cpu': '20k' } });
  await client.delete(resourceQuotas, { namespace, name: 'pod-demo' }, { signal });
  const resources = { requests: { cpu: '10k' } };
  await createPod(world, 'giant', { containers: [{ name: 'c', image: 'nginx', resources }] });
  assert.deepEqual(await usedOf(world, 'large'), { 'requests.cpu': '10000400m' });
});

test('objects of any kind are counted; types that nobody uses are listed as 0', async (t) => {
  covers('QUO-042', 'VOL-124');
  const world = await openWorld(t);
  const { client, signal } = world;
  const hard = {
    persistentvolumeclaims: '1',
    'requests.storage': '10Gi',
    'services.loadbalancers': '2',
    'services.nodeports': '0',
    configmaps: '10',
    'count/deployments.apps': '3',
  };
  await createQuota(world, 'object-quota-demo', { hard });
  const before = {
    persistentvolumeclaims: '0',
    'requests.storage': '0',
    'services.loadbalancers': '0',
    'services.nodeports': '0',
    configmaps: '1',
    'count/deployments.apps': '0',
  };
  assert.deepEqual(await usedOf(world, 'object-quota-demo'), before);
  const metadata = { namespace, name: 'thing' };
  await client.create(
    persistentVolumeClaims,
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata,
      spec: {
        accessModes: ['ReadWriteOnce'],
        storageClassName: 'manual',
        resources: { requests: { storage: '3Gi' } },
      },
    },
    { signal },
  );
  await client.create(configMaps, { apiVersion: 'v1', kind: 'ConfigMap', metadata }, { signal });
  const template = {
    metadata: { labels: { a: 'b' } },
    spec: { containers: [{ name: 'c', image: 'i' }] },
  };
  const spec = { replicas: 0, selector: { matchLabels: { a: 'b' } }, template };
  const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec };
  await client.create(deployments, deployment, { signal });
  await client.create(
    services,
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { ports: [{ port: 80 }] } },
    { signal },
  );
  await world.pass(500);
  assert.deepEqual(await usedOf(world, 'object-quota-demo'), {
    ...before,
    persistentvolumeclaims: '1',
    'requests.storage': '3Gi',
    configmaps: '2',
    'count/deployments.apps': '1',
  });
  const claim = await client.get(persistentVolumeClaims, metadata, { signal });
  assert.equal(claim.status?.phase, 'Pending');
  await client.delete(configMaps, metadata, { signal });
  await world.pass(2_000);
  const { configmaps } = (await usedOf(world, 'object-quota-demo')) as { configmaps: string };
  assert.equal(configmaps, '1');
});

test('each of the four scopes counts its own pods', async (t) => {
  covers('QUO-014');
  const world = await openWorld(t);
  await world.addNode('n1');
  for (const scope of ['Terminating', 'NotTerminating', 'BestEffort', 'NotBestEffort']) {
    await createQuota(world, scope.toLowerCase(), { hard: { pods: '9' }, scopes: [scope] });
  }
  const scopes = ['NotTerminating', 'NotBestEffort'];
  await createQuota(world, 'both', { hard: { pods: '9' }, scopes });
  await createPod(world, 'long');
  await createPod(world, 'short', { activeDeadlineSeconds: 60 });
  const plain = [{ name: 'c', image: 'nginx' }];
  await createPod(world, 'besteffort', { containers: plain });
  const used = async (name: string) => ((await usedOf(world, name)) as { pods: string }).pods;
  assert.equal(await used('terminating'), '1');
  assert.equal(await used('notterminating'), '2');
  assert.equal(await used('besteffort'), '1');
  assert.equal(await used('notbesteffort'), '2');
  assert.equal(await used('both'), '1', 'only what is in each of its scopes');
});

test('a Deployment that is larger than its quota says so; a Job too many is refused', async (t) => {
  covers('QUO-004', 'QUO-005', 'QUO-017');
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  await createQuota(world, 'compute-resources', { hard: { pods: '2', 'count/jobs.batch': '1' } });
  const labels = { app: 'web' };
  const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } };
  const metadata = { namespace, name: 'web' };
  const spec = { replicas: 4, selector: { matchLabels: labels }, template };
  const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec };
  await client.create(deployments, deployment, { signal });
  await world.pass(5_000);
  assert.equal((await world.list(pods, namespace)).length, 2);
  const { status } = await client.get(deployments, metadata, { signal });
  const failure = status?.conditions?.find(({ type }) => type === 'ReplicaFailure');
  assert.deepEqual([failure?.status, failure?.reason], ['True', 'FailedCreate']);
  assert.match(
    failure?.message ?? '',
    /exceeded quota: compute-resources, requested: pods=1, used: pods=2, limited: pods=2$/,
  );
  const job = (name: string) => ({
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { namespace, name },
    spec: { suspend: true, template: { spec: { ...template.spec, restartPolicy: 'Never' } } },
  });
  await client.create(jobs, job('one'), { signal });
  await assert.rejects(client.create(jobs, job('two'), { signal }), (error) =>
    isReason(error, 'Forbidden'),
  );
  await client.delete(jobs, { namespace, name: 'one' }, { signal });
  await world.pass(2_000);
  await client.create(jobs, job('two'), { signal });
});

test('storage is counted by class too', async (t) => {
  covers('QUO-011');
  const world = await openWorld(t);
  const { client, signal } = world;
  const gold = 'gold.storageclass.storage.k8s.io';
  const bronze = 'bronze.storageclass.storage.k8s.io';
  const hard = {
    'requests.storage': '1Ti',
    [`${gold}/requests.storage`]: '500Gi',
    [`${bronze}/requests.storage`]: '100Gi',
    [`${bronze}/persistentvolumeclaims`]: '1',
  };
  await createQuota(world, 'classes', { hard });
  const claim = (name: string, storageClassName: string, storage: string) =>
    client.create(
      persistentVolumeClaims,
      {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: { namespace, name },
        spec: {
          accessModes: ['ReadWriteOnce'],
          storageClassName,
          resources: { requests: { storage } },
        },
      },
      { signal },
    );
  const isForbidden = (error: unknown): boolean => isReason(error, 'Forbidden');
  await claim('a', 'gold', '300Gi');
  await claim('b', 'bronze', '50Gi');
  await world.pass(1_000);
  const used = {
    'requests.storage': '350Gi',
    [`${gold}/requests.storage`]: '300Gi',
    [`${bronze}/requests.storage`]: '50Gi',
    [`${bronze}/persistentvolumeclaims`]: '1',
  };
  assert.deepEqual(await usedOf(world, 'classes'), used);
  await assert.rejects(claim('c', 'gold', '300Gi'), isForbidden);
  await assert.rejects(claim('d', 'bronze', '1Gi'), isForbidden);
  await claim('e', 'silver', '300Gi');
  await client.delete(persistentVolumeClaims, { namespace, name: 'a' }, { signal });
  await world.pass(1_000);
  await claim('c', 'gold', '300Gi');
});
