/** Autoscalers at work, with a stand-in for the servers of metrics. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quantityMilliValue } from '#api/quantity.ts';
import { formatTime } from '#kit/clock.ts';
import {
  daemonSets,
  deployments,
  events,
  horizontalPodAutoscalers,
  pods,
  replicaSets,
  replicationControllers,
} from '#resources/kinds.ts';
import type { HorizontalPodAutoscaler, MetricSpec } from '#resources/types/autoscaling-v2.ts';
import { covers, superseded } from '#test/covers.ts';
import { openWorld, type World } from './control-world.ts';
import { heading, printed } from './printed.ts';

const namespace = 'default';
const at = { namespace, name: 'php-apache' };
const labels = { run: 'php-apache' };

interface Load {
  /** What all pods use together, of CPU in thousandths; undefined: nobody says. */
  cpuMilli: number | undefined;
  memory: string;
  /** Figures of the other two APIs, by the end of the path. */
  readonly figures: Map<string, string>;
}

async function start(
  t: Parameters<typeof openWorld>[0],
  load: Load,
  resources: object = { requests: { cpu: '200m', memory: '64Mi' } },
): Promise<World> {
  const seen: { world?: World; names: readonly string[] } = { names: [] };
  const world = await openWorld(t, {
    metrics: (path) => {
      const timestamp = formatTime(seen.world?.clock.now() ?? 0);
      const common = { timestamp, window: '15s' };
      if (path.startsWith('/apis/metrics.k8s.io')) {
        const { cpuMilli } = load;
        if (cpuMilli === undefined) return undefined;
        const usage = { cpu: `${Math.round(cpuMilli / seen.names.length)}m`, memory: load.memory };
        return seen.names.map((name) => ({
          ...common,
          metadata: { name },
          containers: [{ name: 'web', usage }],
        }));
      }
      for (const [end, value] of load.figures) {
        if (!path.split('?')[0]?.endsWith(end)) continue;
        if (!path.includes('/pods/*/')) return [{ timestamp, value }];
        return seen.names.map((name) => ({ timestamp, value, describedObject: { name } }));
      }
      return undefined;
    },
  });
  seen.world = world;
  await world.addNode('n1');
  const template = {
    metadata: { labels },
    spec: { containers: [{ name: 'web', image: 'php:1', resources }] },
  };
  await world.client.create(
    deployments,
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: at,
      spec: { replicas: 1, selector: { matchLabels: labels }, template },
    },
    world,
  );
  // The stand-in measures the pods that there are, like the programs on the nodes.
  const measure = async (): Promise<void> => {
    const all = await world.list(pods, namespace);
    seen.names = all.map(({ metadata }) => metadata.name ?? '');
  };
  const pass = world.pass.bind(world);
  world.pass = async (ms) => {
    for (let left = ms; left > 0; left -= 5_000) {
      await measure();
      await pass(Math.min(left, 5_000));
    }
  };
  await world.pass(5_000);
  return world;
}

const quiet = (): Load => ({ cpuMilli: 0, memory: '32Mi', figures: new Map() });

const cpuPercent = (averageUtilization: number): MetricSpec => ({
  type: 'Resource',
  resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization } },
});

const labelled = (app: string) => ({
  metadata: { labels: { app } },
  spec: { containers: [{ name: 'web', image: 'i', resources: { requests: { cpu: '100m' } } }] },
});

async function autoscale(world: World, spec: object): Promise<void> {
  const autoscaler: HorizontalPodAutoscaler = {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: at,
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: at.name },
      minReplicas: 1,
      maxReplicas: 10,
      ...spec,
    },
  };
  await world.client.create(horizontalPodAutoscalers, autoscaler, world);
}

async function replicasOf(world: World): Promise<number | undefined> {
  return (await world.client.get(deployments, at, world)).spec?.replicas;
}

async function statusOf(world: World) {
  return (await world.client.get(horizontalPodAutoscalers, at, world)).status;
}

async function conditionsOf(world: World): Promise<Readonly<Record<string, string>>> {
  const { conditions = [] } = (await statusOf(world)) ?? {};
  return Object.fromEntries(conditions.map((one) => [one.type, `${one.status} ${one.reason}`]));
}

async function told(world: World): Promise<readonly string[]> {
  const all = await world.list(events);
  return all
    .filter(({ regarding }) => regarding?.kind === 'HorizontalPodAutoscaler')
    .map(({ reason, note }) => `${reason}: ${note}`);
}

test('the walkthrough: 305 percent of one pod makes 7; when the load stops, 1 again', async (t) => {
  covers('HPA-006', 'HPA-011', 'HPA-023', 'HPA-026');
  superseded('HPA-019', {
    by: 'v1.18',
    now: 'the same; there is no rolling-update to fall out with',
  });
  superseded('HPA-024', { by: 'v1.6', now: 'the same, but nothing counts generations' });
  superseded('HPA-001', { by: 'v1.22', now: 'figures come by the metrics APIs, from anybody' });
  superseded('HPA-016', { by: 'v1.22', now: 'the metrics APIs alone; Heapster is gone' });
  const load = quiet();
  const world = await start(t, load);
  await autoscale(world, { metrics: [cpuPercent(50)] });
  await world.pass(16_000);
  assert.equal(await replicasOf(world), 1);
  assert.deepEqual((await statusOf(world))?.currentMetrics, [
    {
      type: 'Resource',
      resource: { name: 'cpu', current: { averageUtilization: 0, averageValue: '0' } },
    },
  ]);
  // The documents print `0% / 50%`, and the reference with `/scale`.
  assert.equal(await heading(world, 'hpa'), 'NAME REFERENCE TARGETS MINPODS MAXPODS REPLICAS');
  const line = (targets: string, replicas: number): readonly string[] => [
    `php-apache Deployment/php-apache cpu: ${targets} 1 10 ${replicas}`,
  ];
  assert.deepEqual(await printed(world, 'hpa'), line('0%/50%', 1));
  // The pod's first five minutes are its own affair.
  await world.pass(300_000);
  load.cpuMilli = 610;
  const loadedMs = world.clock.now();
  let most = 0;
  await world.until('seven', async () => {
    const [, percent = '0'] = /cpu: (\d+)%/.exec((await printed(world, 'hpa'))[0] ?? '') ?? [];
    most = Math.max(most, Number(percent));
    await world.pass(1_000);
    return (await replicasOf(world)) === 7;
  });
  assert.ok(world.clock.now() - loadedMs <= 60_000, 'within a minute');
  assert.equal(most, 305);
  await world.pass(30_000);
  assert.equal(await replicasOf(world), 7);
  assert.deepEqual(await printed(world, 'deployments'), ['php-apache 7/7 7 7']);
  assert.deepEqual(await printed(world, 'hpa'), line('43%/50%', 7));
  const status = await statusOf(world);
  assert.deepEqual([status?.currentReplicas, status?.desiredReplicas], [7, 7]);
  assert.equal(status?.observedGeneration, undefined);
  assert.ok(Date.parse(status?.lastScaleTime ?? '') >= loadedMs - 1000);
  assert.deepEqual(await conditionsOf(world), {
    AbleToScale: 'True ReadyForNewScale',
    ScalingActive: 'True ValidMetricFound',
    ScalingLimited: 'False DesiredWithinRange',
  });
  const why = 'reason: cpu resource utilization (percentage of request) above target';
  assert.ok((await told(world)).includes(`SuccessfulRescale: New size: 4; ${why}`));
  assert.ok((await told(world)).includes(`SuccessfulRescale: New size: 7; ${why}`));
  // A rollout and the autoscaler do not mind each other; scaling makes no revision.
  const revision = async () =>
    (await world.client.get(deployments, at, world)).metadata.annotations?.[
      'deployment.kubernetes.io/revision'
    ];
  assert.equal(await revision(), '1');
  const resources = { requests: { cpu: '200m', memory: '64Mi' } };
  const containers = [{ name: 'web', image: 'php:2', resources }];
  const image = { spec: { template: { spec: { containers } } } };
  await world.client.patch(deployments, at, image, { type: 'merge', signal: world.signal });
  load.cpuMilli = 890;
  await world.pass(420_000);
  assert.equal(await replicasOf(world), 9);
  assert.equal(await revision(), '2');
  const sets = await world.list(replicaSets, namespace);
  assert.deepEqual(sets.map(({ spec }) => spec?.replicas).toSorted(), [0, 9]);
  load.cpuMilli = 0;
  const idleMs = world.clock.now();
  await world.until('one', async () => {
    await world.pass(10_000);
    return (await replicasOf(world)) === 1;
  });
  const downMs = world.clock.now() - idleMs;
  await world.pass(20_000);
  assert.deepEqual(await printed(world, 'hpa'), line('0%/50%', 1));
  assert.deepEqual(await printed(world, 'deployments'), ['php-apache 1/1 1 1']);
  assert.ok(downMs >= 280_000 && downMs <= 400_000, `down after ${downMs} ms`);
  const down = 'SuccessfulRescale: New size: 1; reason: All metrics below target';
  assert.ok((await told(world)).includes(down));
  // Capped, and without metrics.
  load.cpuMilli = 9000;
  await world.pass(120_000);
  assert.equal((await conditionsOf(world))['ScalingLimited'], 'True TooManyReplicas');
  load.cpuMilli = undefined;
  await world.pass(16_000);
  assert.equal((await conditionsOf(world))['ScalingActive'], 'False FailedGetResourceMetric');
  assert.match(
    (await told(world)).join('\n'),
    /resource metrics API: the server could not find the requested resource \(get pods\.metrics/,
  );
  assert.equal(await replicasOf(world), 10);
  const merge = { type: 'merge', signal: world.signal } as const;
  await world.client.patch(deployments, at, { spec: { replicas: 0 } }, merge);
  await world.pass(20_000);
  assert.equal((await conditionsOf(world))['ScalingActive'], 'False ScalingDisabled');
  assert.equal(await replicasOf(world), 0);
});

test('the same autoscaler in its first version and as it is today', async (t) => {
  const now = 'autoscaling/v2 has the place of v2beta1';
  superseded('HPA-017', { by: 'v1.25', now });
  superseded('HPA-018', { by: 'v1.25', now });
  const world = await start(t, quiet());
  const path = (version: string, name = ''): string =>
    `/apis/autoscaling/${version}/namespaces/default/horizontalpodautoscalers${name}`;
  const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: at.name };
  const target = { type: 'AverageValue', averageValue: '40Mi' };
  const memory = { type: 'Resource', resource: { name: 'memory', target } };
  const made = await world.server.request('POST', path('v2'), {
    metadata: at,
    spec: { scaleTargetRef, minReplicas: 1, maxReplicas: 10, metrics: [cpuPercent(50), memory] },
  });
  assert.equal(made.status, 201, made.text);
  const first = (await world.server.request('GET', path('v1', '/php-apache'))).body;
  assert.equal(first.spec.targetCPUUtilizationPercentage, 50);
  assert.equal(first.spec.metrics, undefined);
  const kept = JSON.parse(first.metadata.annotations['autoscaling.alpha.kubernetes.io/metrics']);
  const nameOf = (one: { resource: { name: string } }): string => one.resource.name;
  assert.deepEqual(kept.map(nameOf), ['memory']);
  // Written back as it was read, with more replicas allowed: the memory is still minded.
  const larger = { ...first, spec: { ...first.spec, maxReplicas: 12 } };
  const back = await world.server.request('PUT', path('v1', '/php-apache'), larger);
  assert.equal(back.status, 200, back.text);
  const today = (await world.server.request('GET', path('v2', '/php-apache'))).body;
  assert.equal(today.spec.maxReplicas, 12);
  assert.deepEqual(today.spec.metrics.map(nameOf).toSorted(), ['cpu', 'memory']);
  const annotations = Object.keys(today.metadata.annotations ?? {});
  assert.ok(!annotations.includes('autoscaling.alpha.kubernetes.io/metrics'));
});

test('the annotations that once named metrics are only annotations', async (t) => {
  covers('HPA-021');
  const load = quiet();
  const world = await start(t, load);
  await autoscale(world, { metrics: [cpuPercent(50)] });
  const custom = '{"items":[{"name":"qps","value":"1"}]}';
  const annotations = { 'alpha/target.custom-metrics.podautoscaler.kubernetes.io': custom };
  const merge = { type: 'merge', signal: world.signal } as const;
  await world.client.patch(horizontalPodAutoscalers, at, { metadata: { annotations } }, merge);
  load.figures.set('/qps', '1000');
  await world.pass(400_000);
  assert.equal(await replicasOf(world), 1);
  assert.equal((await statusOf(world))?.currentMetrics?.length, 1);
});

test('a pod that requests nothing cannot be scaled by percent', async (t) => {
  covers('HPA-013');
  const world = await start(t, { ...quiet(), cpuMilli: 500 }, {});
  await autoscale(world, { metrics: [cpuPercent(50)] });
  await world.pass(400_000);
  assert.equal(await replicasOf(world), 1);
  assert.deepEqual((await statusOf(world))?.currentMetrics, [{ type: '' }]);
  assert.match(
    (await told(world)).join('\n'),
    /failed to get cpu utilization: missing request for cpu in container web of Pod php-apache-/,
  );
});

test('raw values, memory, and the metrics of pods, objects and elsewhere', async (t) => {
  covers('HPA-012', 'HPA-014', 'HPA-015', 'HPA-020', 'HPA-025');
  const load = quiet();
  load.cpuMilli = 300;
  const world = await start(t, load);
  const averageValue = (name: string, value: string): MetricSpec => ({
    type: 'Resource',
    resource: { name, target: { type: 'AverageValue', averageValue: value } },
  });
  await autoscale(world, { metrics: [averageValue('cpu', '100m')] });
  await world.pass(400_000);
  assert.equal(await replicasOf(world), 3, 'raw CPU');
  const merge = { type: 'merge', signal: world.signal } as const;
  const rule = async (
    metrics: readonly MetricSpec[],
    until: 'changed' | 'settled' = 'settled',
  ): Promise<number | undefined> => {
    const before = await replicasOf(world);
    await world.client.patch(horizontalPodAutoscalers, at, { spec: { metrics } }, merge);
    if (until === 'settled') await world.pass(400_000);
    while (until === 'changed' && (await replicasOf(world)) === before) await world.pass(1_000);
    return replicasOf(world);
  };
  load.cpuMilli = 0;
  const utilization = { type: 'Utilization', averageUtilization: 50 };
  load.memory = '48Mi';
  const memory: MetricSpec = {
    type: 'Resource',
    resource: { name: 'memory', target: utilization },
  };
  assert.equal(
    await rule([memory], 'changed'),
    5,
    'three pods with 75 percent where 50 are wanted',
  );
  load.memory = '1Mi';
  assert.equal(await rule([memory]), 1);
  const container: MetricSpec = {
    type: 'ContainerResource',
    containerResource: { name: 'cpu', container: 'web', target: utilization },
  };
  load.cpuMilli = 200;
  assert.equal(await rule([container]), 2);
  load.cpuMilli = 0;
  // 3k packets per second on each pod, where 1k is wanted.
  load.figures.set('/pods/*/packets-per-second', '2k');
  const packets: MetricSpec = {
    type: 'Pods',
    pods: {
      metric: { name: 'packets-per-second' },
      target: { type: 'AverageValue', averageValue: '1k' },
    },
  };
  assert.equal(await rule([packets], 'changed'), 4);
  load.figures.set('/pods/*/packets-per-second', '1k');
  const path = '/namespaces/default/ingresses.networking.k8s.io/main-route/requests-per-second';
  load.figures.set(path, '3k');
  const route: MetricSpec = {
    type: 'Object',
    object: {
      describedObject: { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', name: 'main-route' },
      metric: { name: 'requests-per-second' },
      target: { type: 'Value', value: '2k' },
    },
  };
  // A metric of pods is an average and nothing else.
  for (const target of [
    { type: 'Value', value: '1k' },
    { type: 'Utilization', averageUtilization: 50 },
  ]) {
    const other: MetricSpec = { type: 'Pods', pods: { metric: { name: 'packets' }, target } };
    await assert.rejects(
      world.client.patch(horizontalPodAutoscalers, at, { spec: { metrics: [other] } }, merge),
      /pods\.target\.averageValue: Required value: must specify a positive target averageValue/,
    );
  }
  // Two metrics: 4 pods are right for one, the other wants half as many again.
  assert.equal(await rule([packets, route], 'changed'), 6);
  const [, object] = (await statusOf(world))?.currentMetrics ?? [];
  assert.equal(quantityMilliValue(object?.object?.current.value ?? '0'), 3_000_000);
  load.figures.set(path, '1');
  load.figures.set('/external.metrics.k8s.io/v1beta1/namespaces/default/queue', '90');
  const queue: MetricSpec = {
    type: 'External',
    external: { metric: { name: 'queue' }, target: { type: 'AverageValue', averageValue: '10' } },
  };
  assert.equal(await rule([queue], 'changed'), 9);
  // One that nobody measures keeps its place, so that the other is shown in its own.
  load.figures.delete(path);
  await rule([route, queue]);
  const places = (await statusOf(world))?.currentMetrics ?? [];
  assert.deepEqual(
    places.map(({ type }) => type),
    ['', 'External'],
  );
  assert.match(
    (await told(world)).join('\n'),
    /unable to get metric requests-per-second: Ingress on default main-route\/unable to fetch/,
  );
});

test('bounds hold whatever is measured, and a ReplicaSet is scaled alike', async (t) => {
  covers('HPA-004', 'HPA-009');
  const load = { ...quiet(), cpuMilli: 10 };
  const world = await start(t, load);
  const { client, signal } = world;
  const template = {
    metadata: { labels: { app: 'front' } },
    spec: {
      containers: [{ name: 'web', image: 'i', resources: { requests: { cpu: '100m' } } }],
    },
  };
  const metadata = { namespace, name: 'frontend' };
  const selector = { matchLabels: { app: 'front' } };
  await client.create(
    replicaSets,
    {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata,
      spec: { replicas: 1, selector, template },
    },
    { signal },
  );
  const v1 = {
    apiVersion: 'autoscaling/v1',
    kind: 'HorizontalPodAutoscaler',
    metadata: { namespace, name: 'frontend-scaler' },
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'frontend' },
      minReplicas: 3,
      maxReplicas: 10,
      targetCPUUtilizationPercentage: 50,
    },
  };
  const url = '/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers';
  const { status } = await world.server.request('POST', url, v1);
  assert.equal(status, 201);
  const replicas = async () => (await client.get(replicaSets, metadata, { signal })).spec?.replicas;
  await world.pass(40_000);
  assert.equal(await replicas(), 3);
  await world.pass(300_000);
  load.cpuMilli = 100_000;
  await world.pass(120_000);
  assert.equal(await replicas(), 10);
  const rc = { namespace, name: 'old' };
  await client.create(
    replicationControllers,
    {
      apiVersion: 'v1',
      kind: 'ReplicationController',
      metadata: rc,
      spec: { replicas: 1, selector: { app: 'old' }, template: labelled('old') },
    },
    { signal },
  );
  const daemons = { namespace, name: 'daemons' };
  await client.create(
    daemonSets,
    {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: daemons,
      spec: { selector: { matchLabels: { app: 'daemons' } }, template: labelled('daemons') },
    },
    { signal },
  );
  for (const [kind, apiVersion, name] of [
    ['ReplicationController', 'v1', 'old'],
    ['DaemonSet', 'apps/v1', 'daemons'],
  ] as const) {
    const metadata = { namespace, name: `${name}-scaler` };
    const spec = { ...v1.spec, scaleTargetRef: { apiVersion, kind, name } };
    assert.equal((await world.server.request('POST', url, { ...v1, metadata, spec })).status, 201);
  }
  await world.pass(20_000);
  assert.equal((await client.get(replicationControllers, rc, { signal })).spec?.replicas, 3);
  const refused = await client.get(
    horizontalPodAutoscalers,
    { namespace, name: 'daemons-scaler' },
    { signal },
  );
  assert.equal(refused.status?.conditions?.[0]?.reason, 'FailedGetScale');
  const reason = 'Current number of replicas below Spec.MinReplicas';
  assert.ok((await told(world)).includes(`SuccessfulRescale: New size: 3; reason: ${reason}`));
});

test('a target that is not there, and two autoscalers for the same pods', async (t) => {
  const load = { ...quiet(), cpuMilli: 610 };
  const world = await start(t, load);
  await autoscale(world, {
    metrics: [cpuPercent(50)],
    scaleTargetRef: { apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'd' },
  });
  await world.pass(20_000);
  assert.equal((await conditionsOf(world))['AbleToScale'], 'False FailedGetScale');
  const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: at.name };
  const merge = { type: 'merge', signal: world.signal } as const;
  const back = { spec: { scaleTargetRef } };
  await world.client.patch(horizontalPodAutoscalers, at, back, merge);
  const second = await world.client.get(horizontalPodAutoscalers, at, world);
  const metadata = { namespace, name: 'rival' };
  const { spec, apiVersion, kind } = second;
  await world.client.create(horizontalPodAutoscalers, { apiVersion, kind, metadata, spec }, world);
  await world.pass(40_000);
  assert.match(
    (await told(world)).join('\n'),
    /AmbiguousSelector: pods by selector run=php-apache are controlled by multiple HPAs: \[/,
  );
});
