/**
 * Rows that need a scheduler and nodes beside the controllers: on whole clusters in the process,
 * under a virtual clock.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openRecorder } from '#client';
import { seededRandom } from '#kit/random.ts';
import { deployments, events, namespaces, nodes, pods, replicaSets } from '#resources/kinds.ts';
import type { Deployment } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { startCluster, type TestCluster } from '#testing';

const namespace = 'default';

const podsOf = async ({ client, signal }: TestCluster, app: string): Promise<readonly Pod[]> =>
  (await client.list(pods, { namespace, labelSelector: `app=${app}`, signal })).items;

test('a Node object without a machine is kept, never Ready, and takes no pods', async () => {
  covers('WRK-017');
  superseded('WRK-018', {
    by: 'v1.14',
    now: 'what counts is a kubelet that posts under that name; nothing is resolved',
  });
  await using cluster = await startCluster({ clock: 'virtual', seed: 5, nodes: 1 });
  const { client, signal } = cluster;
  const name = 'no-such-host.invalid';
  const capacity = { cpu: '64', memory: '256Gi', pods: '110' };
  const status = { capacity, allocatable: capacity };
  const metadata = { name, labels: { 'kubernetes.io/hostname': name } };
  await client.create(nodes, { apiVersion: 'v1', kind: 'Node', metadata, status }, { signal });
  const ready = async () => {
    const { status: of } = await client.get(nodes, { name }, { signal });
    return of?.conditions?.find(({ type }) => type === 'Ready');
  };
  await cluster.advance('90s');
  assert.deepEqual(
    [(await ready())?.status, (await ready())?.reason],
    [...['Unknown', 'NodeStatusNeverUpdated']],
  );
  const wish = (app: string, spec: object): Pod => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name: app, labels: { app } },
    spec: { containers: [{ name: 'c', image: 'web' }], ...spec },
  });
  for (const app of ['a', 'b', 'c']) await client.create(pods, wish(app, {}), { signal });
  const nodeSelector = { 'kubernetes.io/hostname': name };
  await client.create(pods, wish('only', { nodeSelector }), { signal });
  await cluster.advance('10m');
  for (const app of ['a', 'b', 'c']) {
    const [pod] = await podsOf(cluster, app);
    assert.equal(pod?.spec?.nodeName, 'hollow-0');
  }
  const [waiting] = await podsOf(cluster, 'only');
  assert.equal(waiting?.spec?.nodeName, undefined);
  assert.equal((await ready())?.status, 'Unknown', 'it is still there, and looked at');
  // Whoever posts under its name makes it a node.
  const now = cluster.clock.now();
  const time = new Date(now).toISOString();
  const times = { lastHeartbeatTime: time, lastTransitionTime: time };
  const conditions = [{ type: 'Ready', status: 'True', reason: 'KubeletReady', ...times }];
  const options = { type: 'merge', subresource: 'status', signal } as const;
  await client.patch(nodes, { name }, { status: { conditions } }, options);
  await cluster.until('the pod has it', async () => {
    const [pod] = await podsOf(cluster, 'only');
    return pod?.spec?.nodeName === name;
  });
  await client.delete(nodes, { name }, { signal });
  await cluster.advance('2m');
  assert.deepEqual(await podsOf(cluster, 'only'), [], 'its pods go with it');
});

test('replicas keep apart by racks, and by zones', async () => {
  covers('HA-013');
  const racks = ['r1', 'r2', 'r3', 'r1'];
  const options = racks.map((rack, index) => ({
    name: `n${index}`,
    labels: { rack, 'topology.kubernetes.io/zone': index < 2 ? 'a' : 'b' },
  }));
  await using cluster = await startCluster({ clock: 'virtual', seed: 6, nodes: options });
  const { client, signal } = cluster;
  const rackOf = new Map(options.map(({ name, labels }) => [name, labels]));
  const create = async (app: string, replicas: number, spec: object): Promise<void> => {
    const template = {
      metadata: { labels: { app } },
      spec: { containers: [{ name: 'c', image: 'web' }], ...spec },
    };
    const selector = { matchLabels: { app } };
    const of: Deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { namespace, name: app },
      spec: { replicas, selector, template },
    };
    await client.create(deployments, of, { signal });
    await cluster.advance('20s');
  };
  const labelSelector = (app: string) => ({ matchLabels: { app } });
  const term = { topologyKey: 'rack', labelSelector: labelSelector('racks') };
  const podAntiAffinity = { requiredDuringSchedulingIgnoredDuringExecution: [term] };
  await create('racks', 4, { affinity: { podAntiAffinity } });
  const found = await podsOf(cluster, 'racks');
  const placed = found.flatMap(({ spec }) => rackOf.get(spec?.nodeName ?? '')?.rack ?? []);
  assert.deepEqual(placed.toSorted(), ['r1', 'r2', 'r3'], 'and the fourth waits');
  const spread = {
    maxSkew: 1,
    topologyKey: 'topology.kubernetes.io/zone',
    whenUnsatisfiable: 'DoNotSchedule',
    labelSelector: labelSelector('zones'),
  };
  await create('zones', 4, { topologySpreadConstraints: [spread] });
  const zones = (await podsOf(cluster, 'zones')).map(
    ({ spec }) => rackOf.get(spec?.nodeName ?? '')?.['topology.kubernetes.io/zone'],
  );
  assert.deepEqual(zones.toSorted(), ['a', 'a', 'b', 'b']);
});

test('a Deployment out of a file: its pods go where there is room', async () => {
  covers('WRK-206', 'OTH-024', 'OTH-025');
  const sizes = { small: '1', middle: '2', large: '4' };
  const options = Object.entries(sizes).map(([name, cpu]) => ({
    name,
    capacity: { cpu, memory: '8Gi', pods: '110' },
  }));
  await using cluster = await startCluster({ clock: 'virtual', seed: 7, nodes: options });
  const { client, signal } = cluster;
  const file = (replicas: number): string => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
        - { name: web, image: "nginx:1.25", resources: { requests: { cpu: 900m } } }
`;
  const metadata = { name: 'test' };
  await client.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata }, { signal });
  await cluster.advance('2s');
  // The same file in `default`, where applications are if nothing is said, and in another.
  for (const [place, replicas] of [['default', 5] as const, ['test', 1] as const]) {
    const path = `/apis/apps/v1/namespaces/${place}/deployments/web?fieldManager=test`;
    const headers = { 'content-type': 'application/apply-patch+yaml' };
    const body = Buffer.from(file(replicas));
    const { status } = await client.transport.send(
      { method: 'PATCH', path, headers, body },
      { signal },
    );
    assert.equal(status, 201);
    await cluster.until('all run', async () => {
      const { status } = await client.get(
        deployments,
        { namespace: place, name: 'web' },
        { signal },
      );
      return status?.readyReplicas === replicas;
    });
  }
  const all = (await client.list(pods, { signal })).items;
  const counts = Object.keys(sizes).map(
    (name) => all.filter(({ spec }) => spec?.nodeName === name).length,
  );
  // Nothing else runs here: no logging, no monitoring, no balancer.
  assert.equal(all.length, 6);
  for (const [index, cpu] of Object.values(sizes).entries()) {
    assert.ok((counts[index] ?? 0) <= Math.floor(Number(cpu) / 0.9), `${counts}`);
  }
  const sets = (await client.list(replicaSets, { signal })).items;
  assert.deepEqual(sets.map((set) => set.metadata.namespace).toSorted(), ['default', 'test']);
});

test('the same event again raises a count', async () => {
  covers('API-127');
  await using cluster = await startCluster({ clock: 'virtual', seed: 8, nodes: 1 });
  const { client, clock, signal } = cluster;
  const random = seededRandom(1);
  const recorder = openRecorder({ client, clock, random, component: 'kubelet', host: 'hollow-0' });
  const stop = new AbortController();
  const running = recorder.run(stop.signal).catch(() => {});
  const metadata = { namespace, name: 'monkey', uid: 'u1' };
  const about = { apiVersion: 'v1', kind: 'Pod', metadata };
  const message = 'Error syncing pod, skipping';
  const fieldPath = 'spec.containers{monkey}';
  for (let time = 0; time < 7; time++) {
    recorder.record(about, { type: 'Warning', reason: 'FailedSync', message, fieldPath });
    await cluster.advance('10s');
  }
  const { items } = await client.list(events, { namespace, signal });
  const mine = items.filter(({ regarding }) => regarding?.name === 'monkey');
  assert.equal(mine.length, 1);
  const [one] = mine;
  assert.equal(one?.deprecatedCount, 7);
  assert.deepEqual([one?.reason, one?.note], ['FailedSync', message]);
  assert.equal(one?.regarding?.fieldPath, fieldPath);
  assert.deepEqual(one?.deprecatedSource, { component: 'kubelet', host: 'hollow-0' });
  const first = Date.parse(one?.deprecatedFirstTimestamp ?? '');
  const last = Date.parse(one?.deprecatedLastTimestamp ?? '');
  assert.equal(last - first, 60_000);
  stop.abort(new Error('the test is over'));
  await running;
});
