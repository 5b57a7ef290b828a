/**
 * Where pods go on a whole cluster, under a virtual clock: the sentences of the documents about
 * requests, selectors, cordons, classes and conditions, one test for each matter.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from '#api/errors.ts';
import {
  daemonSets,
  events,
  limitRanges,
  namespaces,
  nodes,
  pods,
  priorityClasses,
  serviceAccounts,
} from '#resources/kinds.ts';
import type { DaemonSet } from '#resources/types/apps-v1.ts';
import type { Affinity, Pod, PodSpec } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { type NodeOptions, startCluster, type TestCluster } from '#testing';

function open(...list: readonly NodeOptions[]): Promise<TestCluster> {
  const some = list.length === 0 ? [{ name: 'n1' }] : list;
  return startCluster({ clock: 'virtual', seed: 11, nodes: some });
}

function pod(name: string, spec: Partial<PodSpec> = {}, more: Partial<Pod['metadata']> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', ...more },
    spec: { containers: [{ name: 'c', image: 'nginx' }], ...spec },
  };
}

function asking(requests: Readonly<Record<string, string>>): Partial<PodSpec> {
  return { containers: [{ name: 'c', image: 'nginx', resources: { requests } }] };
}

async function create(cluster: TestCluster, made: Pod): Promise<Pod> {
  return await cluster.client.create(pods, made, { signal: cluster.signal });
}

function get({ client, signal }: TestCluster, name: string): Promise<Pod> {
  return client.get(pods, { namespace: 'default', name }, { signal });
}

async function placed(cluster: TestCluster, name: string): Promise<string> {
  const isRunning = async () => (await get(cluster, name)).status?.phase === 'Running';
  await cluster.until(`${name} runs`, isRunning);
  return (await get(cluster, name)).spec?.nodeName ?? '';
}

/** Still pending after ten minutes; the reasons without what preemption came to. */
async function pending(cluster: TestCluster, name: string): Promise<string> {
  await cluster.advance('10m');
  const { status } = await get(cluster, name);
  assert.equal(status?.phase, 'Pending');
  const condition = status?.conditions?.find(({ type }) => type === 'PodScheduled');
  return condition?.message?.replace(/ no new claims to deallocate.*/, '') ?? '';
}

async function patchNode(cluster: TestCluster, name: string, change: object): Promise<void> {
  const { client, signal } = cluster;
  await client.patch(nodes, { name }, change, { type: 'merge', signal });
}

async function table(cluster: TestCluster, path: string): Promise<readonly string[]> {
  const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
  const request = { method: 'GET', path, headers: { accept } };
  const { body } = await cluster.client.transport.send(request, { signal: cluster.signal });
  const parts: Uint8Array[] = [];
  if (body instanceof Uint8Array) parts.push(body);
  else for await (const part of body) parts.push(part);
  const answer = JSON.parse(Buffer.concat(parts).toString('utf8'));
  return answer.rows.map(({ cells }: { readonly cells: readonly unknown[] }) => cells.join(' '));
}

async function refusal(cluster: TestCluster, made: Pod): Promise<string> {
  try {
    await create(cluster, made);
  } catch (error) {
    assert.ok(error instanceof ApiError);
    return error.message;
  }
  assert.fail('accepted');
}

test('a tainted master takes no pods until the taint is gone', async () => {
  covers('SCH-003');
  await using cluster = await open();
  const taints = [{ key: 'node-role.kubernetes.io/master', effect: 'NoSchedule' }];
  await patchNode(cluster, 'n1', { spec: { taints } });
  await create(cluster, pod('web'));
  assert.equal(
    await pending(cluster, 'web'),
    '0/1 nodes are available: 1 node(s) had untolerated taint(s).',
  );
  await patchNode(cluster, 'n1', { spec: { taints: null } });
  assert.equal(await placed(cluster, 'web'), 'n1');
});

test('a soft taint is avoided while there is room elsewhere', async () => {
  covers('SCH-038');
  const capacity = { cpu: '1', memory: '4Gi' };
  await using cluster = await open({ name: 'a', capacity }, { name: 'b', capacity });
  const taint = { key: 'dusty', effect: 'PreferNoSchedule' };
  await patchNode(cluster, 'a', { spec: { taints: [taint] } });
  for (const [name, node] of [
    ['one', 'b'],
    ['two', 'b'],
    ['three', 'a'],
  ] as const) {
    await create(cluster, pod(name, asking({ cpu: '400m' })));
    assert.equal(await placed(cluster, name), node, name);
  }
});

test('a cordoned node says so, keeps its pods and takes no new ones', async () => {
  covers('SCH-005', 'SCH-015', 'SCH-083');
  await using cluster = await open();
  await create(cluster, pod('old'));
  await placed(cluster, 'old');
  await patchNode(cluster, 'n1', { spec: { unschedulable: true } });
  const [row] = await table(cluster, '/api/v1/nodes');
  assert.match(row ?? '', /^n1 Ready,SchedulingDisabled /);
  await create(cluster, pod('new'));
  assert.equal(
    await pending(cluster, 'new'),
    '0/1 nodes are available: 1 node(s) were unschedulable.',
  );
  assert.equal((await get(cluster, 'old')).status?.phase, 'Running');
});

test('a selector for another system keeps the pod waiting', async () => {
  covers('SCH-006');
  await using cluster = await open();
  await create(cluster, pod('iis', { nodeSelector: { 'beta.kubernetes.io/os': 'windows' } }));
  assert.equal(
    await pending(cluster, 'iis'),
    "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
  );
});

test('conditions become taints, and only those are looked at', async () => {
  superseded('SCH-014', { by: 'v1.17', now: 'always so; there is no gate' });
  await using cluster = await open({ name: 'n1' }, { name: 'n2' });
  const { client, signal } = cluster;
  const condition = {
    type: 'DiskPressure',
    status: 'True',
    reason: 'KubeletHasDiskPressure',
    message: 'kubelet has disk pressure',
  };
  const status = { conditions: [condition] };
  await client.patch(
    nodes,
    { name: 'n1' },
    { status },
    {
      type: 'strategic',
      subresource: 'status',
      signal,
    },
  );
  const key = 'node.kubernetes.io/disk-pressure';
  await cluster.until('the condition is a taint', async () => {
    const { spec } = await client.get(nodes, { name: 'n1' }, { signal });
    return (spec?.taints ?? []).some((taint) => taint.key === key);
  });
  const nodeSelector = { 'kubernetes.io/hostname': 'n1' };
  await create(cluster, pod('bears', { nodeSelector, tolerations: [{ key, operator: 'Exists' }] }));
  await create(cluster, pod('plain'));
  assert.equal(await placed(cluster, 'bears'), 'n1');
  assert.equal(await placed(cluster, 'plain'), 'n2');
});

test('pod affinity knows four operators and no comparison', async () => {
  covers('SCH-031');
  await using cluster = await open();
  const withOperator = (name: string, operator: string, values?: readonly string[]): Pod => {
    const expression = { key: 'security', operator, ...(values === undefined ? {} : { values }) };
    const term = {
      labelSelector: { matchExpressions: [expression] },
      topologyKey: 'kubernetes.io/hostname',
    };
    const preferred = [{ weight: 1, podAffinityTerm: term }];
    const affinity: Affinity = {
      podAffinity: { preferredDuringSchedulingIgnoredDuringExecution: preferred },
    };
    return pod(name, { affinity });
  };
  for (const [index, operator] of ['In', 'NotIn', 'Exists', 'DoesNotExist'].entries()) {
    const values = index < 2 ? ['S1'] : undefined;
    await create(cluster, withOperator(operator.toLowerCase(), operator, values));
  }
  const refused = await refusal(cluster, withOperator('gt', 'Gt', ['1']));
  assert.match(refused, /operator: Invalid value: "Gt": not a valid selector operator/);
});

test('a request that no node can hold waits for ever, and says what is missing', async () => {
  covers('SCH-022', 'SCH-060');
  superseded('SCH-053', {
    by: 'v1.9',
    now: 'reasons are counted: 0/2 nodes are available: 2 Insufficient memory.',
  });
  superseded('SCH-062', { by: 'v1.9', now: 'reasons are counted over the nodes' });
  const capacity = { cpu: '1', memory: '2Gi' };
  await using cluster = await open({ name: 'n1', capacity }, { name: 'n2', capacity });
  await create(cluster, pod('cpu', asking({ cpu: '1.1' })));
  await create(cluster, pod('memory-demo-3', asking({ memory: '1000Gi' })));
  await create(cluster, pod('fits', asking({ cpu: '0.9', memory: '1Gi' })));
  await placed(cluster, 'fits');
  const cpu = '0/2 nodes are available: 2 Insufficient cpu.';
  assert.equal(await pending(cluster, 'cpu'), cpu);
  assert.equal(
    await pending(cluster, 'memory-demo-3'),
    '0/2 nodes are available: 2 Insufficient memory.',
  );
  const { client, signal } = cluster;
  const { items } = await client.list(events, { namespace: 'default', signal });
  const told = items as readonly { readonly reason?: string; readonly note?: string }[];
  assert.ok(
    told.some(({ reason, note }) => reason === 'FailedScheduling' && note?.startsWith(cpu)),
  );
});

test('room, taints, labels and company decide together; where nothing is left a pod waits', async () => {
  covers('SCH-084');
  const labels = { disk: 'ssd' };
  await using cluster = await open(
    { name: 'small', capacity: { cpu: '300m' }, labels },
    { name: 'tainted', labels },
    { name: 'slow' },
    { name: 'crowded', labels },
    { name: 'right', labels },
  );
  const taints = [{ key: 'team', value: 'other', effect: 'NoSchedule' }];
  await patchNode(cluster, 'tainted', { spec: { taints } });
  const app = { labels: { app: 'web' } };
  const nodeSelector = { 'kubernetes.io/hostname': 'crowded' };
  await create(cluster, pod('first', { nodeSelector }, app));
  assert.equal(await placed(cluster, 'first'), 'crowded');
  const topologyKey = 'kubernetes.io/hostname';
  const term = { labelSelector: { matchLabels: app.labels }, topologyKey };
  const podAntiAffinity = { requiredDuringSchedulingIgnoredDuringExecution: [term] };
  const demanding = (name: string): Pod =>
    pod(
      name,
      { ...asking({ cpu: '400m' }), nodeSelector: labels, affinity: { podAntiAffinity } },
      app,
    );
  await create(cluster, demanding('second'));
  assert.equal(await placed(cluster, 'second'), 'right');
  await create(cluster, demanding('third'));
  assert.equal(
    await pending(cluster, 'third'),
    "0/5 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node " +
      'affinity/selector, 1 node(s) had untolerated taint(s), ' +
      "2 node(s) didn't match pod anti-affinity rules.",
  );
});

test('what add-ons ask for counts on their nodes', async () => {
  covers('SCH-063');
  await using cluster = await open({ name: 'n1', capacity: { cpu: '1' } });
  const { client, signal } = cluster;
  const addon = pod('dns', asking({ cpu: '100m' }), { namespace: 'kube-system' });
  await cluster.until('add-ons have their account', async () => {
    const { items } = await client.list(serviceAccounts, { namespace: 'kube-system', signal });
    return items.some(({ metadata }) => metadata.name === 'default');
  });
  await create(cluster, addon);
  await cluster.until('the add-on runs', async () => {
    const { items } = await client.list(pods, { namespace: 'kube-system', signal });
    return items[0]?.status?.phase === 'Running';
  });
  await create(cluster, pod('whole', asking({ cpu: '1000m' })));
  assert.equal(await pending(cluster, 'whole'), '0/1 nodes are available: 1 Insufficient cpu.');
  await create(cluster, pod('rest', asking({ cpu: '900m' })));
  assert.equal(await placed(cluster, 'rest'), 'n1');
});

test('what a LimitRange asks for in the name of a pod is looked for as well', async () => {
  covers('SCH-065');
  await using cluster = await open({ name: 'n1', capacity: { cpu: '1' } });
  const { client, signal } = cluster;
  const metadata = { namespace: 'default', name: 'quota' };
  const item = { type: 'Container', default: { cpu: '800m' }, defaultRequest: { cpu: '800m' } };
  const range = { apiVersion: 'v1', kind: 'LimitRange', metadata, spec: { limits: [item] } };
  await client.create(limitRanges, range, { signal });
  await create(cluster, pod('first', asking({ cpu: '300m' })));
  await placed(cluster, 'first');
  const made = await create(cluster, pod('plain'));
  assert.equal(made.spec?.containers[0]?.resources?.requests?.['cpu'], '800m');
  assert.equal(await pending(cluster, 'plain'), '0/1 nodes are available: 1 Insufficient cpu.');
});

test('devices by count: limits alone, whole ones, and the sum of the containers', async () => {
  covers('SCH-075');
  const name = 'nvidia.com/gpu';
  await using cluster = await open({ name: 'small', capacity: { [name]: '4' } });
  const using = (...counts: readonly string[]): Partial<PodSpec> => ({
    containers: counts.map((count, index) => ({
      name: `c${index}`,
      image: 'cuda',
      resources: { limits: { [name]: count } },
    })),
  });
  const made = await create(cluster, pod('five', using('2', '3')));
  assert.deepEqual(made.spec?.containers[0]?.resources?.requests, { [name]: '2' });
  assert.equal(
    await pending(cluster, 'five'),
    '0/1 nodes are available: 1 Insufficient nvidia.com/gpu.',
  );
  await create(cluster, pod('four', using('2', '2')));
  assert.equal(await placed(cluster, 'four'), 'small');
  await create(cluster, pod('one', using('1')));
  assert.equal(
    await pending(cluster, 'one'),
    '0/1 nodes are available: 1 Insufficient nvidia.com/gpu.',
  );
  assert.match(await refusal(cluster, pod('half', using('500m'))), /must be an integer/);
  const resources = { requests: { [name]: '1' } };
  const requested = { containers: [{ name: 'c', image: 'cuda', resources }] };
  assert.match(await refusal(cluster, pod('requested', requested)), /Limit must be set/);
});

test('classes: a default for new pods only, and a deleted one for none', async () => {
  covers('SCH-044', 'SCH-045');
  superseded('SCH-043', { by: 'v1.14', now: 'the feature cannot be switched off' });
  await using cluster = await open();
  const { client, signal } = cluster;
  const priorityClass = (name: string, value: number, globalDefault: boolean) => ({
    apiVersion: 'scheduling.k8s.io/v1',
    kind: 'PriorityClass',
    metadata: { name },
    value,
    globalDefault,
  });
  assert.equal((await create(cluster, pod('before'))).spec?.priority, 0);
  await client.create(priorityClasses, priorityClass('usual', 100, true), { signal });
  await client.create(priorityClasses, priorityClass('high', 1000, false), { signal });
  assert.equal((await create(cluster, pod('after'))).spec?.priority, 100);
  const priorityClassName = 'high';
  assert.equal((await create(cluster, pod('high', { priorityClassName }))).spec?.priority, 1000);
  assert.equal((await get(cluster, 'before')).spec?.priority, 0);
  await client.delete(priorityClasses, { name: 'high' }, { signal });
  assert.equal((await get(cluster, 'high')).spec?.priority, 1000);
  assert.match(
    await refusal(cluster, pod('late', { priorityClassName })),
    /no PriorityClass with name high was found/,
  );
});

test('a DaemonSet with a selector waits for the label of its nodes', async () => {
  covers('SCH-058');
  await using cluster = await open();
  const { client, signal } = cluster;
  const labels = { app: 'fluentd' };
  const nodeSelector = { 'beta.kubernetes.io/fluentd-ds-ready': 'true' };
  const daemonSet: DaemonSet = {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'fluentd', namespace: 'default' },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { containers: [{ name: 'c', image: 'fluentd' }], nodeSelector },
      },
    },
  };
  await client.create(daemonSets, daemonSet, { signal });
  await cluster.advance('1m');
  const agents = async (): Promise<readonly Pod[]> =>
    (await client.list(pods, { namespace: 'default', signal })).items;
  assert.deepEqual(await agents(), []);
  await patchNode(cluster, 'n1', { metadata: { labels: nodeSelector } });
  await cluster.until('the agent runs', async () => {
    return (await agents())[0]?.status?.phase === 'Running';
  });
  const [row] = await table(cluster, '/apis/apps/v1/namespaces/default/daemonsets');
  assert.match(row ?? '', /^fluentd 1 1 1 1 1 beta\.kubernetes\.io\/fluentd-ds-ready=true /);
});

test('affinity in an annotation is kept and has no effect', async () => {
  superseded('SCH-076', { by: 'v1.6', now: 'the field spec.affinity; the annotation is ignored' });
  await using cluster = await open();
  const terms = [{ matchExpressions: [{ key: 'none', operator: 'In', values: ['x'] }] }];
  const value = JSON.stringify({
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms },
    },
  });
  const annotations = { 'scheduler.alpha.kubernetes.io/affinity': value };
  await create(cluster, pod('old', {}, { annotations }));
  assert.equal(await placed(cluster, 'old'), 'n1');
});

test('the scheduler knows nothing of profiles on nodes: labels say where they are', async () => {
  covers('SCH-082');
  await using cluster = await open({ name: 'n1' }, { name: 'n2', labels: { apparmor: 'loaded' } });
  const appArmorProfile = { type: 'Localhost', localhostProfile: 'k8s-deny-write' };
  const securityContext = { appArmorProfile };
  await patchNode(cluster, 'n2', { spec: { unschedulable: true } });
  await create(cluster, pod('anywhere', { securityContext }));
  assert.equal(await placed(cluster, 'anywhere'), 'n1');
  await create(cluster, pod('chosen', { securityContext, nodeSelector: { apparmor: 'loaded' } }));
  assert.match(await pending(cluster, 'chosen'), /^0\/2 nodes are available/);
  await patchNode(cluster, 'n2', { spec: { unschedulable: false } });
  assert.equal(await placed(cluster, 'chosen'), 'n2');
});

test('one scheduler serves all namespaces', async () => {
  await using cluster = await open();
  const { client, signal } = cluster;
  const metadata = { name: 'team' };
  await client.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata }, { signal });
  await cluster.until('its account is there', async () => {
    const { items } = await client.list(serviceAccounts, { namespace: 'team', signal });
    return items.length > 0;
  });
  await create(cluster, pod('web', {}, { namespace: 'team' }));
  await cluster.until('it runs', async () => {
    const [found] = (await client.list(pods, { namespace: 'team', signal })).items;
    return found?.status?.phase === 'Running';
  });
});

test('a key of topology is needed wherever pods are to be near or apart', async () => {
  superseded('SCH-032', { by: 'v1.8', now: 'it may be empty nowhere, not even in preferences' });
  await using cluster = await open();
  const labelSelector = { matchLabels: { app: 'web' } };
  const term = (topologyKey: string) => ({ labelSelector, topologyKey });
  const required = (topologyKey: string) => ({
    requiredDuringSchedulingIgnoredDuringExecution: [term(topologyKey)],
  });
  const preferred = (topologyKey: string) => ({
    preferredDuringSchedulingIgnoredDuringExecution: [
      { weight: 1, podAffinityTerm: term(topologyKey) },
    ],
  });
  const variants = (topologyKey: string): readonly Affinity[] => [
    { podAffinity: required(topologyKey) },
    { podAffinity: preferred(topologyKey) },
    { podAntiAffinity: required(topologyKey) },
    { podAntiAffinity: preferred(topologyKey) },
  ];
  for (const [index, affinity] of variants('').entries()) {
    const refused = await refusal(cluster, pod(`none-${index}`, { affinity }));
    assert.match(refused, /topologyKey: Required value: can not be empty/);
  }
  for (const [index, affinity] of variants('zone').entries()) {
    await create(cluster, pod(`some-${index}`, { affinity }));
  }
});

test('nodes of a team: their taint keeps others out, their label keeps the team in', async () => {
  covers('SCH-040');
  await using cluster = await open({ name: 'shared' }, { name: 'dedicated' });
  const [key, value] = ['dedicated', 'team'];
  await patchNode(cluster, 'dedicated', {
    metadata: { labels: { [key]: value } },
    spec: { taints: [{ key, value, effect: 'NoSchedule' }] },
  });
  const nodeSelectorTerms = [{ matchExpressions: [{ key, operator: 'In', values: [value] }] }];
  const affinity: Affinity = {
    nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } },
  };
  const tolerations = [{ key, operator: 'Equal', value, effect: 'NoSchedule' }];
  // What an admission controller of one's own would put into the pods of the team.
  for (const name of ['team-1', 'team-2']) {
    await create(cluster, pod(name, { tolerations, affinity }));
    assert.equal(await placed(cluster, name), 'dedicated');
  }
  for (const name of ['other-1', 'other-2']) {
    await create(cluster, pod(name));
    assert.equal(await placed(cluster, name), 'shared');
  }
  // Without the toleration the label alone leads nowhere.
  await create(cluster, pod('stranger', { affinity }));
  assert.match(await pending(cluster, 'stranger'), /1 node\(s\) had untolerated taint\(s\)/);
});

test('what a node has so many of: whole ones, in any writing, until they are used up', async () => {
  const now = 'extended resources such as example.com/dongle';
  superseded('SCH-054', { by: 'v1.9', now });
  superseded('SCH-066', { by: 'v1.9', now });
  superseded('SCH-067', { by: 'v1.9', now });
  const dongle = 'example.com/dongle';
  await using cluster = await open({ name: 'n1', capacity: { [dongle]: '4' } });
  const { client, signal } = cluster;
  const asks = (count: string): Partial<PodSpec> => {
    const resources = { requests: { [dongle]: count }, limits: { [dongle]: count } };
    return { containers: [{ name: 'c', image: 'nginx', resources }] };
  };
  await create(cluster, pod('oir-demo', asks('3')));
  assert.equal(await placed(cluster, 'oir-demo'), 'n1');
  await create(cluster, pod('oir-demo-2', asks('2')));
  const missing = '0/1 nodes are available: 1 Insufficient example.com/dongle.';
  assert.equal(await pending(cluster, 'oir-demo-2'), missing);
  await create(cluster, pod('too-many', asks('5')));
  assert.equal(await pending(cluster, 'too-many'), missing);

  const advertise = async (amount: string): Promise<string | undefined> => {
    const change = { status: { capacity: { 'example.com/special-storage': amount } } };
    const options = { type: 'merge', subresource: 'status', signal } as const;
    const { status } = await client.patch(nodes, { name: 'n1' }, change, options);
    return status?.capacity?.['example.com/special-storage'];
  };
  assert.equal(await advertise('8'), '8');
  assert.equal(await advertise('800Gi'), '800Gi');
  await assert.rejects(advertise('4.5'), /must be an integer/);
});

test('a node under pressure takes no new pods that do not bear it', async () => {
  superseded('SCH-068', {
    by: 'v1.17',
    now: 'taints of the conditions keep every pod away that does not tolerate them',
  });
  await using cluster = await open();
  const { client, signal } = cluster;
  for (const [type, taint] of [
    ['MemoryPressure', 'memory-pressure'],
    ['DiskPressure', 'disk-pressure'],
  ] as const) {
    const press = async (status: 'True' | 'False'): Promise<void> => {
      const condition = { type, status, reason: 'Test', message: 'pressed by a test' };
      const change = { status: { conditions: [condition] } };
      const options = { type: 'strategic', subresource: 'status', signal } as const;
      await client.patch(nodes, { name: 'n1' }, change, options);
    };
    const key = `node.kubernetes.io/${taint}`;
    await press('True');
    await cluster.until('the condition is a taint', async () => {
      const { spec } = await client.get(nodes, { name: 'n1' }, { signal });
      return (spec?.taints ?? []).some((one) => one.key === key);
    });
    // One of the lowest class, and one above it.
    const held = [`${taint}-plain`, `${taint}-asks`];
    const bears = `${taint}-bears`;
    await create(cluster, pod(bears, { tolerations: [{ key, operator: 'Exists' }] }));
    await create(cluster, pod(`${taint}-plain`));
    await create(cluster, pod(`${taint}-asks`, asking({ cpu: '100m', memory: '1Mi' })));
    assert.equal(await placed(cluster, bears), 'n1');
    for (const name of held) {
      const { status } = await get(cluster, name);
      const condition = status?.conditions?.find((one) => one.type === 'PodScheduled');
      assert.match(condition?.message ?? '', /1 node\(s\) had untolerated taint\(s\)/, name);
    }
    await press('False');
    for (const name of held) assert.equal(await placed(cluster, name), 'n1');
  }
});
