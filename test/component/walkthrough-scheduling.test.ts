/**
 * The walkthroughs of the documents about placing pods, on a whole cluster under a virtual clock:
 * taints and tolerations, node and pod affinity, priority and preemption, spreading over zones.
 * What today does otherwise than the documents is said where it shows.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import { deployments, events, nodes, pods, priorityClasses, services } from '#resources/kinds.ts';
import type { Deployment } from '#resources/types/apps-v1.ts';
import type { Pod, PodSpec, Taint } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { startCluster, type TestCluster } from '#testing';

const zone = 'topology.kubernetes.io/zone';

function open(zones: Readonly<Record<string, string>> = { node1: 'a' }) {
  const list = Object.entries(zones).map(([name, value]) => ({ name, labels: { [zone]: value } }));
  return startCluster({ clock: 'virtual', seed: 7, nodes: list });
}

function pod(
  name: string,
  spec: Partial<PodSpec> = {},
  labels: Readonly<Record<string, string>> = {},
): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels },
    spec: { containers: [{ name, image: 'gcr.io/google_containers/pause:2.0' }], ...spec },
  };
}

async function create(cluster: TestCluster, made: Pod): Promise<void> {
  await cluster.client.create(pods, made, { signal: cluster.signal });
}

function get({ client, signal }: TestCluster, name: string): Promise<Pod> {
  return client.get(pods, { namespace: 'default', name }, { signal });
}

/** Where the pod runs; waits for it. */
async function placed(cluster: TestCluster, name: string): Promise<string> {
  const isRunning = async () => (await get(cluster, name)).status?.phase === 'Running';
  await cluster.until(`${name} runs`, isRunning);
  return (await get(cluster, name)).spec?.nodeName ?? '';
}

/** Why the pod is pending, without what preemption came to. */
async function pending(cluster: TestCluster, name: string): Promise<string> {
  const said = async (): Promise<string | undefined> =>
    (await get(cluster, name)).status?.conditions?.find(
      ({ type, status }) => type === 'PodScheduled' && status === 'False',
    )?.message;
  await cluster.until(`${name} is said to be pending`, async () => Boolean(await said()));
  return (await said())?.replace(/ no new claims to deallocate.*/, '') ?? '';
}

/** `kubectl taint nodes NAME …` */
async function taint(cluster: TestCluster, name: string, taints: readonly Taint[]): Promise<void> {
  const { client, signal } = cluster;
  await client.patch(nodes, { name }, { spec: { taints } }, { type: 'merge', signal });
}

test('taints and tolerations: who is kept away, who stays, who is evicted and when', async () => {
  covers('SCH-078', 'SCH-039');
  await using cluster = await open();
  // Nobody is kept from anywhere at first.
  await create(cluster, pod('before'));
  assert.equal(await placed(cluster, 'before'), 'node1');
  const tolerations = ['NoSchedule', 'NoExecute'].map((effect) => ({
    ...{ key: 'key1', operator: 'Equal', value: 'value1', effect },
  }));
  await create(cluster, pod('two', { tolerations }));
  await placed(cluster, 'two');
  const forAnHour = [
    {
      key: 'key1',
      operator: 'Equal',
      value: 'value1',
      effect: 'NoExecute',
      tolerationSeconds: 3600,
    },
  ];
  await create(cluster, pod('an-hour', { tolerations: forAnHour }));
  await placed(cluster, 'an-hour');
  await taint(cluster, 'node1', [
    { key: 'key1', value: 'value1', effect: 'NoSchedule' },
    { key: 'key1', value: 'value1', effect: 'NoExecute' },
    { key: 'key2', value: 'value2', effect: 'NoSchedule' },
  ]);
  const isGone = (name: string) => async () =>
    get(cluster, name).then(
      () => false,
      () => true,
    );
  await cluster.until('the pod without tolerations is gone', isGone('before'));
  // Two of three taints are borne: not for a new pod, but enough to stay.
  await create(cluster, pod('late', { tolerations }));
  assert.equal(
    await pending(cluster, 'late'),
    '0/1 nodes are available: 1 node(s) had untolerated taint(s).',
  );
  await cluster.advance('59m');
  assert.equal((await get(cluster, 'two')).status?.phase, 'Running');
  assert.equal((await get(cluster, 'an-hour')).status?.phase, 'Running');
  await cluster.advance('2m');
  await cluster.until('its hour is over', isGone('an-hour'));
  assert.equal((await get(cluster, 'two')).status?.phase, 'Running');
  await taint(cluster, 'node1', []);
  assert.equal(await placed(cluster, 'late'), 'node1');
});

test('dedicated nodes: a taint keeps others away, affinity keeps its own pods there', async () => {
  await using cluster = await open({ node1: 'a', node2: 'a' });
  await taint(cluster, 'node1', [{ key: 'dedicated', value: 'groupName', effect: 'NoSchedule' }]);
  await cluster.client.patch(
    nodes,
    { name: 'node1' },
    { metadata: { labels: { dedicated: 'groupName' } } },
    { type: 'merge', signal: cluster.signal },
  );
  const tolerations = [
    { key: 'dedicated', operator: 'Equal', value: 'groupName', effect: 'NoSchedule' },
  ];
  await create(cluster, pod('own', { tolerations, nodeSelector: { dedicated: 'groupName' } }));
  await create(cluster, pod('other'));
  assert.equal(await placed(cluster, 'own'), 'node1');
  assert.equal(await placed(cluster, 'other'), 'node2');
});

test('with-node-affinity: one of two zones, and the preferred label where there is a choice', async () => {
  covers('SCH-025', 'SCH-026');
  await using cluster = await open({ node1: 'a', node2: 'a', node3: 'a' });
  const label = async (name: string, labels: object): Promise<void> => {
    const { client, signal } = cluster;
    await client.patch(nodes, { name }, { metadata: { labels } }, { type: 'merge', signal });
  };
  const key = 'kubernetes.io/e2e-az-name';
  const expression = { key, operator: 'In', values: ['e2e-az1', 'e2e-az2'] };
  const preference = {
    matchExpressions: [
      { key: 'another-node-label-key', operator: 'In', values: ['another-node-label-value'] },
    ],
  };
  const nodeAffinity = {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchExpressions: [expression] }],
    },
    preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, preference }],
  };
  await create(cluster, pod('with-node-affinity', { affinity: { nodeAffinity } }));
  assert.equal(
    await pending(cluster, 'with-node-affinity'),
    "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
  );
  await label('node2', { [key]: 'e2e-az1', 'another-node-label-key': 'another-node-label-value' });
  assert.equal(await placed(cluster, 'with-node-affinity'), 'node2');
  await label('node3', { [key]: 'e2e-az2' });
  await create(cluster, pod('second', { affinity: { nodeAffinity } }));
  assert.equal(await placed(cluster, 'second'), 'node2');
  // The label is asked for when the pod is placed, not afterwards.
  await label('node2', { [key]: null });
  await cluster.advance('10m');
  assert.equal((await get(cluster, 'second')).status?.phase, 'Running');
});

test('with-pod-affinity: in the zone of S1, rather not on the host of S2', async () => {
  await using cluster = await open({ a1: 'a', a2: 'a', b1: 'b' });
  const on = (nodeName: string) => ({ nodeSelector: { 'kubernetes.io/hostname': nodeName } });
  await create(cluster, pod('s1', on('a1'), { security: 'S1' }));
  await create(cluster, pod('s2', on('a1'), { security: 'S2' }));
  await placed(cluster, 's1');
  await placed(cluster, 's2');
  const term = (value: string, topologyKey: string) => ({
    labelSelector: { matchExpressions: [{ key: 'security', operator: 'In', values: [value] }] },
    topologyKey,
  });
  const affinity = {
    podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term('S1', zone)] },
    podAntiAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [
        { weight: 100, podAffinityTerm: term('S2', 'kubernetes.io/hostname') },
      ],
    },
  };
  await create(cluster, pod('with-pod-affinity', { affinity }));
  assert.equal(await placed(cluster, 'with-pod-affinity'), 'a2');
});

test('priority: the class gives the number, the pod pushes lower ones out and runs', async () => {
  superseded('SCH-041', {
    by: 'v1.14',
    now: 'priority and preemption are always on, in scheduling.k8s.io/v1',
  });
  await using cluster = await open();
  const { client, signal } = cluster;
  const metadata = { name: 'high-priority' };
  const apiVersion = 'scheduling.k8s.io/v1';
  const description = 'This priority class should be used for XYZ service pods only.';
  await client.create(
    priorityClasses,
    { apiVersion, kind: 'PriorityClass', metadata, value: 1_000_000, description },
    { signal },
  );
  const node = await client.get(nodes, { name: 'node1' }, { signal });
  const cpu = Number(node.status?.allocatable?.['cpu']);
  const asking = (amount: string): Partial<PodSpec> => ({
    containers: [{ name: 'c', image: 'nginx', resources: { requests: { cpu: amount } } }],
  });
  await create(cluster, pod('low-1', asking(`${cpu / 2}`)));
  await create(cluster, pod('low-2', asking(`${cpu / 2}`)));
  await placed(cluster, 'low-1');
  await placed(cluster, 'low-2');
  await create(cluster, pod('nginx', { ...asking('1'), priorityClassName: 'high-priority' }));
  assert.equal(await placed(cluster, 'nginx'), 'node1');
  assert.equal((await get(cluster, 'nginx')).spec?.priority, 1_000_000);
  const left = (await client.list(pods, { namespace: 'default', signal })).items;
  assert.deepEqual(left.map(({ metadata: { name } }) => name?.replace(/-\d$/, '')).sort(), [
    'low',
    'nginx',
  ]);
  await cluster.advance('5s');
  const { items } = await client.list(events, { namespace: 'default', signal });
  const told = (items as readonly (KubeObject & { reason?: string; note?: string })[]).filter(
    ({ reason }) => reason === 'Preempted',
  );
  const { uid } = (await get(cluster, 'nginx')).metadata;
  assert.deepEqual(
    told.map(({ note }) => note),
    [`Preempted by pod ${uid} on node node1`],
  );
});

function deployment(name: string, replicas: number, spec: Partial<PodSpec> = {}): Deployment {
  const labels = { app: name };
  const containers = [{ name: 'c', image: 'guestbook:1' }];
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers, ...spec } },
    },
  };
}

async function nodesOf(cluster: TestCluster, app: string, count: number) {
  const { client, signal } = cluster;
  const list = async (): Promise<readonly Pod[]> =>
    (await client.list(pods, { namespace: 'default', labelSelector: `app=${app}`, signal })).items;
  await cluster.until(`${count} pods of ${app} have a node`, async () => {
    return (await list()).filter(({ spec }) => spec?.nodeName).length === count;
  });
  return (await list()).flatMap(({ spec }) => spec?.nodeName || []).sort();
}

test('the guestbook in three zones: one pod in each, also without a word about it', async () => {
  await using cluster = await open({ a1: 'a', a2: 'a', b1: 'b', b2: 'b', c1: 'c', c2: 'c' });
  const { client, signal } = cluster;
  const ports = [{ port: 3000 }];
  const selector = { app: 'guestbook' };
  const metadata = { name: 'guestbook', namespace: 'default' };
  await client.create(
    services,
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { selector, ports } },
    { signal },
  );
  await client.create(deployments, deployment('guestbook', 3), { signal });
  const found = await nodesOf(cluster, 'guestbook', 3);
  assert.deepEqual(
    found.map((name) => name[0]),
    ['a', 'b', 'c'],
  );
});

test('a hard spread keeps what has no place waiting until there is one', async () => {
  await using cluster = await open({ a1: 'a', b1: 'b' });
  const { client, signal } = cluster;
  const labelSelector = { matchLabels: { app: 'even' } };
  const whenUnsatisfiable = 'DoNotSchedule';
  const constraint = { topologyKey: zone, maxSkew: 1, whenUnsatisfiable, labelSelector };
  const spec = { topologySpreadConstraints: [constraint] };
  await client.patch(
    nodes,
    { name: 'b1' },
    { spec: { unschedulable: true } },
    {
      type: 'merge',
      signal,
    },
  );
  await client.create(deployments, deployment('even', 4, spec), { signal });
  assert.deepEqual(await nodesOf(cluster, 'even', 1), ['a1']);
  await cluster.advance('1m');
  assert.deepEqual(await nodesOf(cluster, 'even', 1), ['a1']);
  await client.patch(
    nodes,
    { name: 'b1' },
    { spec: { unschedulable: false } },
    {
      type: 'merge',
      signal,
    },
  );
  assert.deepEqual(await nodesOf(cluster, 'even', 4), ['a1', 'a1', 'b1', 'b1']);
});
