/**
 * Disruption budgets over a real API server: their status, evictions that ask it, drains, and the
 * condition that is left behind.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ApiError } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import {
  daemonSets,
  deployments,
  events,
  nodes,
  podDisruptionBudgets,
  pods,
} from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import type { PodDisruptionBudget, PodDisruptionBudgetSpec } from '#resources/types/policy-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { openWorld, type World } from './control-world.ts';
import { heading, printed } from './printed.ts';

const namespace = 'default';
const labels = { app: 'zk' };
const containers = [{ name: 'zk', image: 'zk:1' }];
const at = { namespace, name: 'zk-pdb' } as const;

async function start(t: TestContext, replicas: number): Promise<World> {
  const world = await openWorld(t);
  await world.addNode('n1');
  const spec = {
    replicas,
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers } },
  };
  const metadata = { namespace, name: 'zk' };
  const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec };
  await world.client.create(deployments, deployment, { signal: world.signal });
  await world.until('all to be ready', async () => (await ready(world)).length === replicas);
  return world;
}

const deploymentOf = (world: World) =>
  world.client.get(deployments, { namespace, name: 'zk' }, { signal: world.signal });

async function ready(world: World): Promise<readonly Pod[]> {
  return (await world.list(pods, namespace)).filter(
    ({ metadata, status }) =>
      metadata.deletionTimestamp === undefined && status?.phase === 'Running',
  );
}

async function limit(world: World, spec: PodDisruptionBudgetSpec): Promise<void> {
  const budget: PodDisruptionBudget = {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: at,
    spec: { selector: { matchLabels: labels }, ...spec },
  };
  const { signal } = world;
  await world.client.delete(podDisruptionBudgets, at, { signal }).catch(() => undefined);
  await world.client.create(podDisruptionBudgets, budget, { signal });
  await world.pass(1_000);
}

const get = (world: World): Promise<PodDisruptionBudget> =>
  world.client.get(podDisruptionBudgets, at, { signal: world.signal });

/** Healthy, desired, allowed, expected. */
async function counts(world: World): Promise<readonly (number | undefined)[]> {
  const { status } = await get(world);
  const { currentHealthy, desiredHealthy, disruptionsAllowed, expectedPods } = status ?? {};
  return [currentHealthy, desiredHealthy, disruptionsAllowed, expectedPods];
}

/** Undefined, or the message of the refusal. */
async function evict(world: World, name: string): Promise<string | undefined> {
  const where = { namespace, name };
  const body: KubeObject = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: where };
  const { signal } = world;
  try {
    await world.client.createSubresource(pods, where, 'eviction', body, { signal });
    return undefined;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    assert.equal(error.status.code, 429);
    return error.message;
  }
}

test('the status counts what there is, is wanted, and may go', async (t) => {
  covers('WRK-028', 'WRK-029', 'WRK-133', 'WRK-134', 'WRK-138');
  const world = await start(t, 3);
  await limit(world, { minAvailable: 2 });
  assert.deepEqual(await counts(world), [3, 2, 1, 3]);
  const { metadata, status } = await get(world);
  assert.equal(status?.observedGeneration, metadata.generation);
  assert.equal(status?.conditions?.[0]?.type, 'DisruptionAllowed');
  const [one, two] = await ready(world);
  const name = one?.metadata.name ?? '';
  assert.equal(await evict(world, name), undefined);
  assert.deepEqual(Object.keys((await get(world)).status?.disruptedPods ?? {}), [name]);
  const refused = await evict(world, two?.metadata.name ?? '');
  assert.equal(refused, "Cannot evict pod as it would violate the pod's disruption budget.");
  await world.until('the replacement to count', async () => (await counts(world))[2] === 1);
  assert.equal(await evict(world, two?.metadata.name ?? ''), undefined);
  await world.until('the second to be replaced', async () => (await counts(world))[2] === 1);
  await limit(world, { minAvailable: '30%' });
  assert.deepEqual(await counts(world), [3, 1, 2, 3]);
  const scale = { spec: { replicas: 10 } };
  const merge = { type: 'merge', signal: world.signal } as const;
  await world.client.patch(deployments, { namespace, name: 'zk' }, scale, merge);
  await world.until('ten', async () => (await counts(world))[3] === 10);
  assert.equal((await get(world)).status?.desiredHealthy, 3);
});

test('an eviction counts for two minutes, whatever the clock said that wrote it', async (t) => {
  const world = await start(t, 3);
  await limit(world, { minAvailable: 2 });
  const [one] = await ready(world);
  const name = one?.metadata.name ?? '';
  for (const time of ['2020-01-01T00:00:00Z', '2040-01-01T00:00:00Z']) {
    const budget = await get(world);
    const status = { ...budget.status, disruptionsAllowed: 0, disruptedPods: { [name]: time } };
    const { signal } = world;
    await world.client.update(
      podDisruptionBudgets,
      { ...budget, status },
      { subresource: 'status', signal },
    );
    await world.pass(118_000);
    assert.deepEqual(await counts(world), [2, 2, 0, 3], time);
    await world.pass(3_000);
    assert.deepEqual(await counts(world), [3, 2, 1, 3], time);
  }
});

test('maxUnavailable is of what the owner wants; none of it blocks every eviction', async (t) => {
  covers('WRK-135', 'WRK-136');
  superseded('WRK-132', { by: 'v1.25', now: 'policy/v1, and the selector may be left out' });
  const world = await start(t, 3);
  await limit(world, { maxUnavailable: 1 });
  assert.deepEqual(await counts(world), [3, 2, 1, 3]);
  await limit(world, { maxUnavailable: '34%' });
  assert.deepEqual(await counts(world), [3, 1, 2, 3], 'a share is rounded up');
  for (const spec of [{ maxUnavailable: 0 }, { minAvailable: '100%' }]) {
    await limit(world, spec);
    assert.deepEqual(await counts(world), [3, 3, 0, 3]);
    for (const { metadata } of await ready(world)) {
      assert.match((await evict(world, metadata.name ?? '')) ?? '', /disruption budget/);
    }
  }
  const old = async (name: string, spec: object): Promise<number> => {
    const path = '/apis/policy/v1beta1/namespaces/default/poddisruptionbudgets';
    const selector = { matchLabels: { app: 'other' } };
    const body = {
      apiVersion: 'policy/v1beta1',
      kind: 'PodDisruptionBudget',
      metadata: { name },
      spec: { selector, ...spec },
    };
    return (await world.server.request('POST', path, body)).status;
  };
  assert.equal(await old('min', { minAvailable: '50%' }), 201);
  assert.equal(await old('max', { maxUnavailable: 1 }), 201);
  assert.equal(await old('bare', { maxUnavailable: 1, selector: undefined }), 201);
  assert.equal(await old('both', { minAvailable: 1, maxUnavailable: 1 }), 422);
  assert.equal(await old('zk', { maxUnavailable: 1, selector: { matchLabels: labels } }), 201);
  await world.client.delete(podDisruptionBudgets, at, { signal: world.signal });
  await world.pass(1_000);
  const columns = 'NAME MIN AVAILABLE MAX UNAVAILABLE ALLOWED DISRUPTIONS';
  assert.equal(await heading(world, 'pdb'), columns);
  assert.ok((await printed(world, 'pdb')).includes('zk N/A 1 1'));
  const theirs = { namespace, name: 'zk' };
  await world.client.delete(podDisruptionBudgets, theirs, { signal: world.signal });
  await world.client.delete(deployments, theirs, { signal: world.signal });
  await world.until('all to go', async () => (await world.list(pods, namespace)).length === 0);
  const bare: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name: 'bare', labels },
    spec: { containers },
  };
  await world.client.create(pods, bare, { signal: world.signal });
  await world.until('it to run', async () => (await ready(world)).length === 1);
  await limit(world, { maxUnavailable: 1 });
  assert.deepEqual(await counts(world), [1, 0, 0, 0]);
});

test('pods of nobody need a number: percentages and maxUnavailable allow nothing', async (t) => {
  covers('WRK-139');
  const world = await start(t, 0);
  for (const name of ['a', 'b']) {
    const metadata = { namespace, name, labels };
    const bare: Pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers } };
    await world.client.create(pods, bare, { signal: world.signal });
  }
  await world.until('both to run', async () => (await ready(world)).length === 2);
  await limit(world, { minAvailable: '50%' });
  assert.equal((await counts(world))[2], 0);
  const told = await world.list(events, namespace);
  assert.ok(told.some(({ reason }) => reason === 'UnmanagedPods'));
  await limit(world, { maxUnavailable: 1 });
  assert.equal((await counts(world))[2], 0);
  await limit(world, { minAvailable: 1 });
  assert.deepEqual(await counts(world), [2, 1, 1, 2]);
});

test('an owner without a scale allows nothing, and says so', async (t) => {
  const world = await start(t, 0);
  const spec = {
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { containers } },
  };
  const metadata = { namespace, name: 'agent' };
  const set = { apiVersion: 'apps/v1', kind: 'DaemonSet', metadata, spec };
  await world.client.create(daemonSets, set, { signal: world.signal });
  await world.until('its pod', async () => (await ready(world)).length === 1);
  await limit(world, { maxUnavailable: 1 });
  const { status } = await get(world);
  assert.equal(status?.disruptionsAllowed, 0);
  assert.deepEqual(
    [status?.conditions?.[0]?.reason, status?.conditions?.[0]?.message],
    ['SyncFailed', 'daemonsets.apps does not implement the scale subresource'],
  );
});

test('any owner with a scale is asked by its sub-resource', async (t) => {
  const world = await start(t, 3);
  const at = { namespace, name: 'zk' };
  const owner = await world.client.get(deployments, at, { signal: world.signal });
  const { apiVersion, kind } = owner;
  const reference = { apiVersion, kind, name: 'zk', uid: owner.metadata.uid ?? '' };
  const metadata = {
    namespace,
    name: 'direct',
    labels: { app: 'direct' },
    ownerReferences: [{ ...reference, controller: true }],
  };
  const pod: Pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers } };
  await world.client.create(pods, pod, { signal: world.signal });
  await world.until('it to run', async () => (await ready(world)).length === 4);
  await limit(world, { maxUnavailable: 1, selector: { matchLabels: { app: 'direct' } } });
  assert.deepEqual(await counts(world), [1, 2, 0, 3]);
});

test('two budgets for one pod: told, and no eviction', async (t) => {
  covers('WRK-140');
  const world = await start(t, 2);
  await limit(world, { minAvailable: 1 });
  const other = { ...(await get(world)), metadata: { namespace, name: 'other' } };
  await world.client.create(podDisruptionBudgets, other, { signal: world.signal });
  const [one] = await ready(world);
  const where = { namespace, name: one?.metadata.name ?? '' };
  const body: KubeObject = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: where };
  await assert.rejects(
    world.client.createSubresource(pods, where, 'eviction', body, { signal: world.signal }),
    /more than one PodDisruptionBudget/,
  );
  await world.client.delete(podDisruptionBudgets, other.metadata, { signal: world.signal });
  // A budget may be for some pods of a controller: the others go as they like.
  const merge = { type: 'merge', signal: world.signal } as const;
  const leader = { metadata: { labels: { role: 'leader' } } };
  await world.client.patch(pods, where, leader, merge);
  await limit(world, { minAvailable: 1, selector: { matchLabels: { ...labels, role: 'leader' } } });
  assert.deepEqual(await counts(world), [1, 1, 0, 1]);
  assert.match((await evict(world, where.name)) ?? '', /disruption budget/);
  const [, two] = await ready(world);
  assert.equal(await evict(world, two?.metadata.name ?? ''), undefined);
  // Or for those of two, which are then wanted together.
  const more = { ...(await deploymentOf(world)), metadata: { namespace, name: 'more' } };
  await world.client.create(deployments, more, { signal: world.signal });
  await world.until('four to be ready', async () => (await ready(world)).length === 4);
  await limit(world, { maxUnavailable: 1 });
  assert.deepEqual(await counts(world), [4, 3, 1, 4]);
});

test('nodes that fail and rollouts go below the budget', async (t) => {
  covers('WRK-030', 'WRK-137');
  const world = await start(t, 3);
  await limit(world, { minAvailable: 2 });
  const strategy = { rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } };
  const roll = async (image: string): Promise<void> => {
    const template = { spec: { containers: [{ name: 'zk', image }] } };
    const merge = { type: 'merge', signal: world.signal } as const;
    const change = { spec: { strategy, template } };
    await world.client.patch(deployments, { namespace, name: 'zk' }, change, merge);
  };
  // What a rollout takes away counts: nobody else may go.
  world.becomesReady = ({ spec }) => spec?.containers[0]?.image !== 'zk:bad';
  await roll('zk:bad');
  await world.until('one is away', async () => (await counts(world)).join() === '2,2,0,3');
  for (const { metadata } of await ready(world)) {
    assert.match((await evict(world, metadata.name ?? '')) ?? '', /disruption budget/);
  }
  // But it asks nobody: it goes on although all of them should stay.
  await limit(world, { minAvailable: 3 });
  let least = 3;
  await roll('zk:2');
  await world.until('the rollout', async () => {
    least = Math.min(least, (await counts(world))[0] ?? 0);
    const all = await ready(world);
    return all.length === 3 && all.every(({ spec }) => spec?.containers[0]?.image === 'zk:2');
  });
  assert.equal(least, 2);
  await world.addNode('n2');
  world.living.delete('n1');
  await world.client.delete(nodes, { name: 'n1' }, { signal: world.signal });
  let fewest = 3;
  await world.until('all to be on n2', async () => {
    const all = await ready(world);
    fewest = Math.min(fewest, (await counts(world))[0] ?? 0);
    return all.length === 3 && all.every(({ spec }) => spec?.nodeName === 'n2');
  });
  assert.ok(fewest < 3, `${fewest}`);
});

test('a pod that was to be evicted and stays loses the condition after two minutes', async (t) => {
  const world = await start(t, 1);
  const [one] = await ready(world);
  const name = one?.metadata.name ?? '';
  const lastTransitionTime = new Date(world.clock.now()).toISOString();
  const reason = 'PreemptionByScheduler';
  const target = { type: 'DisruptionTarget', status: 'True', reason, lastTransitionTime };
  const conditions = [...(one?.status?.conditions ?? []), target];
  const options = { type: 'merge', subresource: 'status', signal: world.signal } as const;
  await world.client.patch(pods, { namespace, name }, { status: { conditions } }, options);
  const status = async () => {
    const pod = await world.client.get(pods, { namespace, name }, { signal: world.signal });
    return pod.status?.conditions?.find(({ type }) => type === 'DisruptionTarget')?.status;
  };
  await world.pass(110_000);
  assert.equal(await status(), 'True');
  await world.pass(15_000);
  assert.equal(await status(), 'False');
});
