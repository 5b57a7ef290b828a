/**
 * Rows about controllers that no other file proves: nodes that fail and how fast they are given up,
 * conditions of Deployments, back-off of Jobs, what a fresh namespace holds, and the labels that
 * components write.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ObjectMeta } from '#api/object.ts';
import { defaultSettings } from '#controllers';
import { formatTime } from '#kit/clock.ts';
import {
  cronJobs,
  daemonSets,
  deployments,
  endpointSlices,
  endpoints,
  jobs,
  namespaces,
  nodes,
  pods,
  replicaSets,
  replicationControllers,
  resourceQuotas,
  secrets,
  serviceAccounts,
  services,
  statefulSets,
} from '#resources/kinds.ts';
import type { Deployment } from '#resources/types/apps-v1.ts';
import type { Node, Pod, PodTemplateSpec } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { openWorld, type World } from './control-world.ts';

const namespace = 'default';
const unreachable = 'node.kubernetes.io/unreachable';

const template = (app: string, more: object = {}): PodTemplateSpec => ({
  metadata: { labels: { app } },
  spec: { containers: [{ name: 'c', image: 'web:1' }], ...more },
});

const deployment = (name: string, spec: object = {}): Deployment => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { namespace, name },
  spec: { selector: { matchLabels: { app: name } }, template: template(name), ...spec },
});

async function evicted(world: World): Promise<readonly string[]> {
  const all = await world.list(nodes);
  const isOut = ({ spec }: Node): boolean =>
    spec?.taints?.some(({ key, effect }) => key === unreachable && effect === 'NoExecute') ?? false;
  return all.filter(isOut).map(({ metadata }) => metadata.name ?? '');
}

async function readyOf({ client, signal }: World, name: string): Promise<string | undefined> {
  const { status } = await client.get(nodes, { name }, { signal });
  return status?.conditions?.find(({ type }) => type === 'Ready')?.status;
}

/** Seconds from the last sign of life until the node is said to be unknown. */
async function noticedAfter(world: World): Promise<number> {
  await world.addNode('n1');
  await world.pass(30_000);
  world.living.delete('n1');
  const fromMs = world.clock.now();
  while ((await readyOf(world, 'n1')) === 'True') await world.pass(1_000);
  return (world.clock.now() - fromMs) / 1000;
}

test('how often nodes are looked at, and how long one may be silent, can be set', async (t) => {
  covers('WRK-019');
  const health = { ...defaultSettings.health, graceMs: 16_000 };
  const at = async (monitorPeriodMs: number): Promise<number> => {
    const settings = { ...defaultSettings, health: { ...health, monitorPeriodMs } };
    return noticedAfter(await openWorld(t, { settings }));
  };
  const often = await at(2_000);
  const rarely = await at(60_000);
  // The last sign of life was up to ten seconds before.
  assert.ok(often > 5 && often <= 18, `${often} s`);
  assert.ok(rarely > often + 5 && rarely <= 76, `${rarely} s`);
});

test('most of a small zone away: nobody is given up; of a large one, slowly', async (t) => {
  covers('WRK-021');
  const { unhealthyShare, largeZoneNodes, slowEvictionPeriodMs } = defaultSettings.health;
  assert.deepEqual([unhealthyShare, largeZoneNodes, slowEvictionPeriodMs], [0.55, 50, 100_000]);
  const away = async (world: World): Promise<void> => {
    for (let index = 0; index < 10; index++) await world.addNode(`n${index}`, 'a');
    await world.addNode('other', 'b');
    await world.pass(5_000);
    for (let index = 0; index < 6; index++) world.living.delete(`n${index}`);
    await world.pass(65_000);
    assert.equal(await readyOf(world, 'n0'), 'Unknown');
  };
  const monitored = { ...defaultSettings.health, monitorPeriodMs: 5_000 };
  const small = await openWorld(t, { settings: { ...defaultSettings, health: monitored } });
  await away(small);
  await small.pass(300_000);
  assert.deepEqual(await evicted(small), [], 'fewer than 50 nodes: not at all');
  // Nodes are tainted all the same, so that nothing new comes to them.
  const { spec } = await small.client.get(nodes, { name: 'n0' }, small);
  assert.deepEqual(
    spec?.taints?.map(({ key, effect }) => `${key}:${effect}`),
    [`${unreachable}:NoSchedule`],
  );
  const health = { ...monitored, largeZoneNodes: 5 };
  const large = await openWorld(t, { settings: { ...defaultSettings, health } });
  await away(large);
  const first = (await evicted(large)).length;
  await large.pass(200_000);
  // One in a hundred seconds.
  assert.equal((await evicted(large)).length - first, 2);
  // A little less than the threshold: one in ten seconds.
  const calm = await openWorld(t, {
    settings: { ...defaultSettings, health: { ...health, unhealthyShare: 0.7 } },
  });
  await away(calm);
  await calm.pass(60_000);
  assert.equal((await evicted(calm)).length, 6);
});

test('a node that is not heard of gets taints by which its pods go', async (t) => {
  superseded('WRK-111', {
    by: 'v1.18',
    now: 'always on, by node.kubernetes.io/unreachable and not-ready; no other way of eviction is left',
  });
  superseded('WRK-112', {
    by: 'v1.12',
    now: 'not-ready, unreachable, memory-pressure, disk-pressure, pid-pressure, network-unavailable, unschedulable of node.kubernetes.io; node.cloudprovider.kubernetes.io/uninitialized is set by kubelets with an external provider',
  });
  const world = await openWorld(t);
  const { client, signal } = world;
  for (const name of ['n1', 'n2', 'n3', 'n4']) await world.addNode(name, 'a');
  const taintsOf = async (name: string): Promise<readonly string[]> => {
    const { spec } = await client.get(nodes, { name }, { signal });
    return (spec?.taints ?? []).map(({ key, effect }) => `${key}:${effect}`).toSorted();
  };
  const condition = (type: string, status: string) => ({
    ...{ type, status, reason: 'Test', lastHeartbeatTime: formatTime(world.clock.now()) },
    lastTransitionTime: formatTime(world.clock.now()),
  });
  const ready = condition('Ready', 'True');
  const pressures = ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'NetworkUnavailable'];
  const conditions = [ready, ...pressures.map((type) => condition(type, 'True'))];
  const options = { type: 'merge', subresource: 'status', signal } as const;
  await client.patch(nodes, { name: 'n1' }, { status: { conditions } }, options);
  const unready = [condition('Ready', 'False')];
  await client.patch(nodes, { name: 'n2' }, { status: { conditions: unready } }, options);
  world.living.delete('n2');
  await client.patch(
    nodes,
    { name: 'n3' },
    { spec: { unschedulable: true } },
    { type: 'merge', signal },
  );
  await world.pass(2_000);
  const prefix = 'node.kubernetes.io';
  const noSchedule = (key: string): string => `${prefix}/${key}:NoSchedule`;
  assert.deepEqual(
    await taintsOf('n1'),
    ['disk-pressure', 'memory-pressure', 'network-unavailable', 'pid-pressure'].map(noSchedule),
  );
  assert.deepEqual(await taintsOf('n2'), [
    `${prefix}/not-ready:NoExecute`,
    noSchedule('not-ready'),
  ]);
  assert.deepEqual(await taintsOf('n3'), [noSchedule('unschedulable')]);
  world.living.delete('n4');
  await world.pass(65_000);
  assert.deepEqual(await taintsOf('n4'), [`${unreachable}:NoExecute`, noSchedule('unreachable')]);
});

test('a whole zone away is given up at the usual rate, all of them not at all', async (t) => {
  covers('WRK-022');
  const world = await openWorld(t);
  for (let index = 0; index < 4; index++) {
    for (const zone of ['a', 'b']) await world.addNode(`${zone}${index}`, zone);
  }
  await world.pass(5_000);
  for (let index = 0; index < 4; index++) world.living.delete(`a${index}`);
  await world.pass(120_000);
  assert.deepEqual(await evicted(world), ['a0', 'a1', 'a2', 'a3']);
  const times = (await world.list(nodes))
    .flatMap(({ spec }) => spec?.taints?.filter(({ effect }) => effect === 'NoExecute') ?? [])
    .map(({ timeAdded = '' }) => Date.parse(timeAdded) / 1000)
    .toSorted((a, b) => a - b);
  const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0));
  assert.ok(
    gaps.every((gap) => Math.abs(gap - 10) <= 1),
    `one in ten seconds: ${gaps}`,
  );
  world.living.clear();
  await world.pass(300_000);
  assert.equal(await readyOf(world, 'b0'), 'Unknown');
  assert.deepEqual(await evicted(world), [], 'nobody is left to judge by');
});

test('of pods that ended only so many are kept', async (t) => {
  covers('WRK-026');
  const world = await openWorld(t, { settings: { ...defaultSettings, terminatedPodsMax: 3 } });
  const { client, signal } = world;
  await world.addNode('n1');
  world.becomesReady = () => false;
  for (let index = 0; index < 6; index++) {
    const metadata = { namespace, name: `p${index}` };
    const { spec } = template('p');
    await client.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec }, { signal });
    const phase = index % 2 === 0 ? 'Succeeded' : 'Failed';
    const options = { type: 'merge', subresource: 'status', signal } as const;
    await client.patch(pods, metadata, { status: { phase } }, options);
    await world.pass(1_000);
  }
  await world.pass(25_000);
  const left = await world.list(pods, namespace);
  assert.deepEqual(
    left.map(({ metadata }) => metadata.name),
    ['p3', 'p4', 'p5'],
    'the oldest go',
  );
});

test('services go on when a zone is lost', async (t) => {
  covers('HA-010');
  const world = await openWorld(t);
  const { client, signal } = world;
  const zones: Readonly<Record<string, string>> = { n1: 'a', n2: 'a', n3: 'b', n4: 'b' };
  for (const [name, zone] of Object.entries(zones)) await world.addNode(name, zone);
  for (const name of Object.keys(zones)) {
    const metadata = { namespace, name: `web-${name}`, labels: { app: 'web' } };
    const spec = { ...template('web').spec, containers: [], nodeName: name };
    const containers = [{ name: 'c', image: 'web' }];
    await client.create(
      pods,
      { apiVersion: 'v1', kind: 'Pod', metadata, spec: { ...spec, containers } },
      { signal },
    );
  }
  const service = { selector: { app: 'web' }, ports: [{ port: 80 }] };
  const metadata = { namespace, name: 'web' };
  await client.create(
    services,
    { apiVersion: 'v1', kind: 'Service', metadata, spec: service },
    { signal },
  );
  const serving = async (): Promise<readonly string[]> => {
    const slices = await world.list(endpointSlices, namespace);
    const all = slices
      .filter((slice) => slice.metadata.labels?.['kubernetes.io/service-name'] === 'web')
      .flatMap((slice) => slice.endpoints ?? []);
    const good = all.filter(({ conditions }) => conditions?.ready === true);
    return good.map(({ nodeName = '', zone = '' }) => `${nodeName} ${zone}`).toSorted();
  };
  await world.until('all answer', async () => (await serving()).length === 4);
  for (const name of ['n1', 'n2']) world.living.delete(name);
  await world.until('those of the zone are out', async () => (await serving()).length === 2);
  assert.deepEqual(await serving(), ['n3 b', 'n4 b']);
  await world.pass(400_000);
  assert.deepEqual(await serving(), ['n3 b', 'n4 b']);
});

test('a pod of a StatefulSet whose node is away waits for somebody', async (t) => {
  superseded('WRK-151', {
    by: 'v1.18',
    now: 'they are listed by label and stay Terminating, not Unknown, until somebody deletes them by force or the node',
  });
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  await client.create(
    statefulSets,
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { namespace, name: 'db' },
      spec: {
        replicas: 2,
        serviceName: 'db',
        selector: { matchLabels: { app: 'db' } },
        template: template('db'),
      },
    },
    { signal },
  );
  const listed = async (): Promise<readonly Pod[]> => {
    const { items } = await client.list(pods, { namespace, labelSelector: 'app=db', signal });
    return items;
  };
  await world.until('both run', async () => {
    const all = await listed();
    return all.length === 2 && all.every(({ status }) => status?.phase === 'Running');
  });
  const before = (await listed()).map(({ metadata }) => metadata.uid);
  await world.addNode('n2');
  world.living.delete('n1');
  await world.pass(400_000);
  const away = await listed();
  assert.deepEqual(
    away.map(({ metadata }) => metadata.uid),
    before,
    'nothing was made in their place',
  );
  for (const { metadata } of away) assert.ok(metadata.deletionTimestamp !== undefined);
  const name = 'db-0';
  await client.delete(pods, { namespace, name }, { gracePeriodSeconds: 0, signal });
  await world.until('a new one runs elsewhere', async () => {
    const found = (await listed()).find(({ metadata }) => metadata.name === name);
    return found?.spec?.nodeName === 'n2' && found.status?.phase === 'Running';
  });
});

test('a Deployment says with a time whenever it has come further', async (t) => {
  covers('WRK-059');
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  const spec = { replicas: 2, strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } };
  await client.create(deployments, deployment('web', spec), { signal });
  const at = { namespace, name: 'web' };
  const progress = async () => {
    const { status } = await client.get(deployments, at, { signal });
    return status?.conditions?.find(({ type }) => type === 'Progressing');
  };
  await world.until(
    'it is there',
    async () => (await progress())?.reason === 'NewReplicaSetAvailable',
  );
  await world.pass(60_000);
  const before = (await progress())?.lastUpdateTime ?? '';
  // Nothing happened for a minute, so nothing was said.
  assert.ok(world.clock.now() - Date.parse(before) > 55_000);
  let isReady = false;
  world.becomesReady = ({ spec: of }) => isReady || of?.containers[0]?.image === 'web:1';
  const change = {
    spec: { template: template('web', { containers: [{ name: 'c', image: 'w:2' }] }) },
  };
  await client.patch(deployments, at, change, { type: 'merge', signal });
  await world.pass(2_000);
  const made = await progress();
  assert.equal(made?.status, 'True');
  assert.ok(['NewReplicaSetCreated', 'ReplicaSetUpdated'].includes(made?.reason ?? ''));
  assert.ok((made?.lastUpdateTime ?? '') > before, 'a new set, and its first pod');
  const sizes = async (): Promise<readonly string[]> => {
    const sets = await world.list(replicaSets, namespace);
    return sets.map((set) => `${set.spec?.replicas}/${set.status?.readyReplicas ?? 0}`).toSorted();
  };
  assert.deepEqual(await sizes(), ['1/0', '2/2']);
  await world.pass(30_000);
  assert.equal((await progress())?.lastUpdateTime, made?.lastUpdateTime, 'it waits');
  isReady = true;
  await world.pass(3_000);
  const later = await progress();
  assert.ok((later?.lastUpdateTime ?? '') > (made?.lastUpdateTime ?? ''), 'ready, and down');
  await world.until(
    'it is done',
    async () => (await progress())?.reason === 'NewReplicaSetAvailable',
  );
  assert.deepEqual(await sizes(), ['0/0', '2/2']);
});

test('minReadySeconds is judged by two clocks', async (t) => {
  covers('WRK-163');
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  world.becomesReady = () => false;
  const spec = { replicas: 1, minReadySeconds: 10 };
  await client.create(deployments, deployment('web', spec), { signal });
  await world.until('a pod', async () => (await world.list(pods, namespace)).length === 1);
  await world.pass(1_000);
  const [pod] = await world.list(pods, namespace);
  // The clock of the node goes 30 seconds fast.
  const lastTransitionTime = formatTime(world.clock.now() + 30_000);
  const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime }];
  const options = { type: 'merge', subresource: 'status', signal } as const;
  const name = pod?.metadata.name ?? '';
  await client.patch(
    pods,
    { namespace, name },
    { status: { phase: 'Running', conditions } },
    options,
  );
  const available = async (): Promise<number> => {
    const { status } = await client.get(deployments, { namespace, name: 'web' }, { signal });
    return status?.availableReplicas ?? 0;
  };
  await world.pass(35_000);
  assert.equal(await available(), 0, 'ten seconds after it was ready by a right clock');
  await world.pass(8_000);
  assert.equal(await available(), 1);
});

test('whatever version they are written through, selectors stay', async (t) => {
  superseded('WRK-172', {
    by: 'v1.9',
    now: 'a label of its own for the selector works; the selector cannot change at all, and the value with slashes that is recommended is no label value',
  });
  superseded('WRK-051', {
    by: 'v1.16',
    now: 'no version lets the selector of a Deployment change',
  });
  const world = await openWorld(t);
  await world.addNode('n1');
  await world.client.create(deployments, deployment('web'), world);
  await world.pass(1_000);
  for (const version of ['extensions/v1beta1', 'apps/v1beta2', 'apps/v1']) {
    const path = `/apis/${version}/namespaces/default/deployments/web`;
    const { body } = await world.server.request('GET', path);
    const labels = { app: 'web', tier: 'front' };
    const spec = {
      ...body.spec,
      selector: { matchLabels: labels },
      template: { ...body.spec.template, metadata: { labels } },
    };
    const answer = await world.server.request('PUT', path, { ...body, spec });
    assert.equal(answer.status, 422, version);
    assert.match(answer.text, /spec\.selector: Invalid value: .*field is immutable/);
    const other = { ...body.spec.template, metadata: { labels: { app: 'other' } } };
    const wrong = { ...body, spec: { ...body.spec, template: other } };
    const refused = await world.server.request('PUT', path, wrong);
    assert.match(refused.text, /`selector` does not match template `labels`/, version);
  }
  const own = (value: string) => {
    const selector = { 'controller-selector': value };
    const labels = { ...selector, app: 'nginx' };
    const metadata = { namespace, name: 'own' };
    const spec = { selector: { matchLabels: selector }, template: template('nginx') };
    return { metadata, spec: { ...spec, template: { ...spec.template, metadata: { labels } } } };
  };
  const path = '/apis/apps/v1/namespaces/default/deployments';
  const slashes = await world.server.request('POST', path, own('extensions/v1beta1/deployment/n'));
  assert.equal(slashes.status, 422);
  const dashes = await world.server.request('POST', path, own('extensions-v1beta1-deployment-n'));
  assert.equal(dashes.status, 201, dashes.text);
  // Labels for people may change as they like.
  const { body } = await world.server.request('GET', `${path}/own`);
  const labels = { ...body.spec.template.metadata.labels, app: 'other', tier: 'front' };
  const spec = { ...body.spec, template: { ...body.spec.template, metadata: { labels } } };
  const changed = await world.server.request('PUT', `${path}/own`, { ...body, spec });
  assert.equal(changed.status, 200, changed.text);
  await world.pass(1_000);
});

test('a Job waits twice as long after each failure, and gives up after its limit', async (t) => {
  // The cap is in `src/controllers/job/plan.test.ts`.
  superseded('WRK-096', { by: 'v1.28', now: 'the back-off is capped at ten minutes, not six' });
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  world.becomesReady = ({ status }) => !['Succeeded', 'Failed'].includes(status?.phase ?? '');
  const at = { namespace, name: 'no' };
  await client.create(
    jobs,
    {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: at,
      spec: { backoffLimit: 4, template: template('no', { restartPolicy: 'Never' }) },
    },
    { signal },
  );
  const alive = async (): Promise<Pod | undefined> => {
    const all = await world.list(pods, namespace);
    return all.find(({ status }) => status?.phase === 'Running');
  };
  const waits: number[] = [];
  for (let failure = 0; failure <= 4; failure++) {
    while ((await alive()) === undefined) await world.pass(1_000);
    const name = (await alive())?.metadata.name ?? '';
    const terminated = { exitCode: 1, finishedAt: formatTime(world.clock.now()) };
    const container = { name: 'c', image: 'web:1', imageID: '', ready: false, restartCount: 0 };
    const containerStatuses = [{ ...container, state: { terminated } }];
    const status = { phase: 'Failed', containerStatuses };
    const options = { type: 'merge', subresource: 'status', signal } as const;
    await client.patch(pods, { namespace, name }, { status }, options);
    const sinceMs = world.clock.now();
    if (failure === 4) break;
    while ((await alive()) === undefined) await world.pass(1_000);
    waits.push(Math.round((world.clock.now() - sinceMs) / 10_000) * 10);
  }
  assert.deepEqual(waits, [10, 20, 40, 80]);
  await world.pass(5_000);
  const { status } = await client.get(jobs, at, { signal });
  const failed = status?.conditions?.find(({ type }) => type === 'Failed');
  assert.deepEqual([failed?.status, failed?.reason], ['True', 'BackoffLimitExceeded']);
  const plain = await client.create(
    jobs,
    {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { namespace, name: 'plain' },
      spec: { template: template('plain', { restartPolicy: 'Never' }) },
    },
    { signal },
  );
  assert.equal(plain.spec?.backoffLimit, 6);
});

test('one time of a CronJob is one Job, whoever is killed meanwhile', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  await client.create(
    cronJobs,
    {
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata: { namespace, name: 'often' },
      spec: {
        schedule: '* * * * *',
        jobTemplate: { spec: { template: template('often', { restartPolicy: 'Never' }) } },
      },
    },
    { signal },
  );
  const times = async (): Promise<readonly string[]> =>
    (await world.list(jobs, namespace)).map(({ metadata }) => metadata.name ?? '');
  await world.pass(30_000);
  await world.until('the first', async () => (await times()).length === 1);
  // Nobody has noted yet that it was started: the status is as before.
  const at = { namespace, name: 'often' };
  const forget = { status: { lastScheduleTime: null, active: null } };
  const options = { type: 'merge', subresource: 'status', signal } as const;
  await client.patch(cronJobs, at, forget, options);
  await world.restartControllers();
  await world.pass(20_000);
  assert.equal((await times()).length, 1);
  const { status } = await client.get(cronJobs, at, { signal });
  assert.equal(status?.active?.length, 1, 'it is found again by its name');
});

test('a fresh namespace holds no Secret', async (t) => {
  superseded('WRK-116', { by: 'v1.24', now: 'no token is made: the quota shows 0 of 10' });
  superseded('WRK-119', {
    by: 'v1.24',
    now: 'an account has no Secret and names none; tokens are asked for, or made by hand',
  });
  const world = await openWorld(t);
  const { client, signal } = world;
  const metadata = { name: 'fresh' };
  await client.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata }, { signal });
  const quota = { namespace: 'fresh', name: 'object-counts' };
  const spec = { hard: { secrets: '10', configmaps: '10' } };
  await client.create(
    resourceQuotas,
    { apiVersion: 'v1', kind: 'ResourceQuota', metadata: quota, spec },
    { signal },
  );
  const robot = { namespace: 'fresh', name: 'build-robot' };
  await client.create(
    serviceAccounts,
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: robot },
    { signal },
  );
  await world.pass(10_000);
  const { status } = await client.get(resourceQuotas, quota, { signal });
  assert.deepEqual(status?.used, { configmaps: '1', secrets: '0' });
  assert.deepEqual(await world.list(secrets, 'fresh'), []);
  const account = await client.get(serviceAccounts, robot, { signal });
  assert.equal(account.secrets, undefined);
});

test('each node has a range of its own out of that of the cluster', async (t) => {
  covers('NET-002');
  const world = await openWorld(t);
  for (const name of ['a', 'b', 'c', 'd']) await world.addNode(name);
  await world.pass(1_000);
  const all = await world.list(nodes);
  const ranges = all.map(({ spec }) => spec?.podCIDR ?? '');
  assert.equal(new Set(ranges).size, 4);
  for (const range of ranges) assert.match(range, /^10\.42\.\d+\.0\/24$/);
  await world.client.delete(nodes, { name: 'a' }, world);
  world.living.delete('a');
  await world.pass(1_000);
  await world.addNode('e');
  await world.pass(1_000);
  const { spec } = await world.client.get(nodes, { name: 'e' }, world);
  const freed = all.find(({ metadata }) => metadata.name === 'a')?.spec?.podCIDR;
  assert.equal(spec?.podCIDR, freed, 'what a deleted node had is free again');
});

test('who is declared is kept: one that goes is replaced', async (t) => {
  covers('OTH-005', 'UPG-018');
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  await world.addNode('n2');
  await client.create(deployments, deployment('web', { replicas: 3 }), { signal });
  const replicated = {
    apiVersion: 'v1',
    kind: 'ReplicationController',
    metadata: { namespace, name: 'rc' },
    spec: { replicas: 1, selector: { app: 'rc' }, template: template('rc') },
  };
  await client.create(replicationControllers, replicated, { signal });
  const bare = { namespace, name: 'bare', labels: { app: 'bare' } };
  const { spec } = template('bare');
  await client.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata: bare, spec }, { signal });
  const ready = async (): Promise<number> => {
    const { status } = await client.get(deployments, { namespace, name: 'web' }, { signal });
    return status?.readyReplicas ?? 0;
  };
  const of = async (app: string): Promise<readonly Pod[]> =>
    (await world.list(pods, namespace)).filter(({ metadata }) => metadata.labels?.['app'] === app);
  await world.until('three are ready', async () => (await ready()) === 3);
  const [first] = await of('web');
  const name = first?.metadata.name ?? '';
  await client.delete(pods, { namespace, name }, { gracePeriodSeconds: 0, signal });
  await world.until('two are ready', async () => (await ready()) === 2);
  await world.until('three are ready again', async () => (await ready()) === 3);
  assert.ok((await of('web')).every(({ metadata }) => metadata.name !== name));
  // Their node is made anew: what a controller keeps comes back, a pod alone does not.
  await world.until('all run', async () =>
    [...(await of('rc')), ...(await of('bare'))].every(({ status }) => status?.phase === 'Running'),
  );
  const uids = (await of('rc')).map(({ metadata }) => metadata.uid);
  world.living.delete('n1');
  await client.delete(nodes, { name: 'n1' }, { signal });
  await world.pass(65_000);
  await world.addNode('n1');
  await world.pass(5_000);
  const again = await of('rc');
  assert.equal(again.length, 1);
  assert.ok(!uids.includes(again[0]?.metadata.uid), 'another one');
  assert.equal(await ready(), 3);
  assert.deepEqual(await of('bare'), []);
});

test('a pod that ends slowly counts no more, in Endpoints and in its controller', async (t) => {
  covers('SVC-017');
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  const held = {
    ...template('web'),
    metadata: { labels: { app: 'web' }, finalizers: ['x.y/hold'] },
  };
  await client.create(
    replicationControllers,
    {
      apiVersion: 'v1',
      kind: 'ReplicationController',
      metadata: { namespace, name: 'web' },
      spec: { replicas: 1, selector: { app: 'web' }, template: held },
    },
    { signal },
  );
  await client.create(
    services,
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace, name: 'web' },
      spec: { selector: { app: 'web' }, ports: [{ port: 80 }] },
    },
    { signal },
  );
  const told = async (): Promise<readonly string[]> => {
    const all = await world.list(endpoints, namespace);
    const mine = all.find(({ metadata }) => metadata.name === 'web');
    return (mine?.subsets ?? []).flatMap((one) => one.addresses ?? []).map(({ ip }) => ip);
  };
  await world.until('an address', async () => (await told()).length === 1);
  const [address] = await told();
  const [pod] = await world.list(pods, namespace);
  await client.delete(pods, { namespace, name: pod?.metadata.name ?? '' }, { signal });
  await world.pass(500);
  assert.ok(!(await told()).includes(address ?? ''), 'it gets no more traffic');
  const all = await world.list(pods, namespace);
  assert.equal(all.length, 2, 'the next was made while this one is still there');
  const { status } = await client.get(
    replicationControllers,
    { namespace, name: 'web' },
    { signal },
  );
  assert.equal(status?.replicas, 1);
});

test('the Service of a StatefulSet is an object of its own', async (t) => {
  covers('SVC-045', 'SVC-094');
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  const at = { namespace, name: 'zk' };
  const ports = [{ port: 2888 }, { port: 3888 }];
  const service = (spec: object) => ({ apiVersion: 'v1', kind: 'Service', metadata: at, spec });
  const headless = { clusterIP: 'None', selector: { app: 'zk' } };
  const path = '/api/v1/namespaces/default/services';
  const refused = await world.server.request('POST', path, service({ ...headless, ports }));
  assert.equal(refused.status, 422);
  assert.match(refused.text, /spec\.ports\[0\]\.name: Required value/);
  const named = [
    { port: 2888, name: 'server' },
    { port: 3888, name: 'leader-election' },
  ];
  await client.create(services, service({ ...headless, ports: named }), { signal });
  await client.create(
    statefulSets,
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: at,
      spec: {
        replicas: 1,
        serviceName: 'zk',
        selector: { matchLabels: { app: 'zk' } },
        template: template('zk'),
      },
    },
    { signal },
  );
  const portsOf = async () => {
    const slices = await world.list(endpointSlices, namespace);
    const mine = slices.filter(
      (one) => one.metadata.labels?.['kubernetes.io/service-name'] === 'zk',
    );
    return mine.flatMap((one) => one.ports ?? []).map(({ name, port }) => `${name} ${port}`);
  };
  await world.until('the pod answers', async () => (await portsOf()).length === 2);
  assert.deepEqual((await portsOf()).toSorted(), ['leader-election 3888', 'server 2888']);
  await client.delete(statefulSets, at, { signal });
  await world.until(
    'its pods are gone',
    async () => (await world.list(pods, namespace)).length === 0,
  );
  assert.equal((await client.get(services, at, { signal })).spec?.clusterIP, 'None');
  await client.delete(services, at, { signal });
  await world.pass(1_000);
  assert.deepEqual(
    (await world.list(services, namespace)).map(({ metadata }) => metadata.name),
    ['kubernetes'],
  );
});

test('labels that components write have a prefix', async (t) => {
  covers('API-034');
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  const user = new Set(['app']);
  await client.create(deployments, deployment('web'), { signal });
  const selector = { matchLabels: { app: 'x' } };
  const set = { selector, template: template('x') };
  const of = (apiVersion: string, kind: string, spec: object) => ({
    ...{ apiVersion, kind, metadata: { namespace, name: 'x' }, spec },
  });
  await client.create(
    statefulSets,
    of('apps/v1', 'StatefulSet', { ...set, serviceName: 'x' }) as never,
    { signal },
  );
  await client.create(daemonSets, of('apps/v1', 'DaemonSet', set) as never, { signal });
  const job = { template: template('y', { restartPolicy: 'Never' }) };
  await client.create(jobs, of('batch/v1', 'Job', job) as never, { signal });
  const service = { selector: { app: 'x' }, ports: [{ port: 80 }] };
  await client.create(services, of('v1', 'Service', service) as never, { signal });
  await world.pass(5_000);
  const found = new Set<string>();
  const note = (objects: readonly { readonly metadata: ObjectMeta }[]): void => {
    for (const { metadata } of objects) {
      for (const label of Object.keys(metadata.labels ?? {})) found.add(label);
    }
  };
  note(await world.list(pods));
  note(await world.list(replicaSets));
  note(await world.list(endpointSlices));
  note(await world.list(endpoints));
  note(await world.list(nodes));
  note(await world.list(namespaces));
  note(await world.list(services));
  const bare = [...found].filter((label) => !label.includes('/') && !user.has(label)).toSorted();
  const known = ['component', 'controller-revision-hash', 'controller-uid', 'job-name'];
  const exceptions = [...known, 'pod-template-generation', 'pod-template-hash', 'provider'];
  assert.deepEqual(
    bare.filter((label) => !exceptions.includes(label)),
    [],
  );
  for (const label of ['controller-uid', 'job-name', 'pod-template-hash']) {
    assert.ok(bare.includes(label), label);
  }
  const prefixes = [...found].filter((label) => label.includes('/'));
  for (const label of prefixes) assert.match(label, /^([a-z.]+\.)?kubernetes\.io\//);
});
