/**
 * DaemonSets over a real API server: a pod on every node that suits, through joins, labels, taints,
 * rolling updates and back. The stand-in scheduler places each pod on the node that it names.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { controllerRevisions, daemonSets, events, nodes, pods } from '#resources/kinds.ts';
import type { DaemonSet, DaemonSetSpec } from '#resources/types/apps-v1.ts';
import type { Pod, PodSpec } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { openWorld, type World, type WorldOptions } from './control-world.ts';

const namespace = 'default';
const at = { namespace, name: 'agent' } as const;
const labels = { app: 'agent' };

function agent(pod: Partial<PodSpec> = {}, spec: Partial<DaemonSetSpec> = {}): DaemonSet {
  const containers = [{ name: 'agent', image: 'agent:1' }];
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: at,
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers, ...pod } },
      ...spec,
    },
  };
}

const setImage = (image: string) => ({
  spec: { template: { spec: { containers: [{ name: 'agent', image }] } } },
});

async function start(t: TestContext, set: DaemonSet, options: WorldOptions = {}): Promise<World> {
  const world = await openWorld(t, options);
  for (const name of ['n1', 'n2', 'n3']) await world.addNode(name);
  await world.client.create(daemonSets, set, { signal: world.signal });
  await settled(world);
  return world;
}

const get = (world: World): Promise<DaemonSet> =>
  world.client.get(daemonSets, at, { signal: world.signal });

async function patch(world: World, change: object): Promise<void> {
  await world.client.patch(daemonSets, at, change, { type: 'merge', signal: world.signal });
}

/** What `kubectl rollout status` waits for. */
async function settled(world: World): Promise<void> {
  await world.until('the rollout', async () => {
    const { metadata, status } = await get(world);
    const wanted = status?.desiredNumberScheduled ?? 0;
    return (
      (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0) &&
      (status?.updatedNumberScheduled ?? 0) === wanted &&
      (status?.numberAvailable ?? 0) === wanted &&
      (status?.numberMisscheduled ?? 0) === 0
    );
  });
}

async function label(world: World, name: string, change: object): Promise<void> {
  const metadata = { labels: change };
  await world.client.patch(nodes, { name }, { metadata }, { type: 'merge', signal: world.signal });
}

async function taint(world: World, name: string, ...taints: readonly string[]): Promise<void> {
  const spec = { taints: taints.map((effect) => ({ key: 'dedicated', value: 'x', effect })) };
  await world.client.patch(nodes, { name }, { spec }, { type: 'merge', signal: world.signal });
}

/** By node: `n1 agent:1`. */
async function placed(world: World): Promise<readonly string[]> {
  const all = await world.list(pods, namespace);
  return all
    .filter(({ metadata }) => metadata.labels?.['app'] === 'agent')
    .map(({ spec }) => `${spec?.nodeName} ${spec?.containers[0]?.image}`)
    .toSorted();
}

const everywhere = (image: string) => ['n1', 'n2', 'n3'].map((name) => `${name} ${image}`);

async function podOn(world: World, nodeName: string): Promise<Pod | undefined> {
  return (await world.list(pods, namespace)).find(({ spec }) => spec?.nodeName === nodeName);
}

test('every node has its pod, also one that joins; deleting the set ends them', async (t) => {
  covers('WRK-074');
  superseded('WRK-076', {
    by: 'v1.12',
    now: 'the controller pins the pod to its node by affinity and the scheduler binds it',
  });
  const world = await start(t, agent());
  assert.deepEqual(await placed(world), everywhere('agent:1'));
  assert.deepEqual((await get(world)).status, {
    currentNumberScheduled: 3,
    desiredNumberScheduled: 3,
    numberAvailable: 3,
    numberMisscheduled: 0,
    numberReady: 3,
    observedGeneration: 1,
    updatedNumberScheduled: 3,
  });
  const one = await podOn(world, 'n1');
  const required =
    one?.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  assert.deepEqual(required?.nodeSelectorTerms, [
    { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] },
  ]);
  await world.addNode('n4');
  await world.until('a pod on n4', async () => (await placed(world)).includes('n4 agent:1'));
  world.living.delete('n4');
  await world.client.delete(nodes, { name: 'n4' }, { signal: world.signal });
  await world.until('its pod to go', async () => (await placed(world)).length === 3);
  assert.equal((await get(world)).status?.desiredNumberScheduled, 3);
  const told = (await world.list(events, namespace)).filter(
    ({ regarding }) => regarding?.kind === 'DaemonSet',
  );
  assert.ok(
    told.some(({ reason, note }) => {
      return reason === 'SuccessfulCreate' && note === `Created pod: ${one?.metadata.name}`;
    }),
  );
  await world.client.delete(daemonSets, at, { signal: world.signal });
  await world.until('all to go', async () => (await placed(world)).length === 0);
});

test('labels of nodes decide, also afterwards', async (t) => {
  covers('WRK-075');
  const world = await start(t, agent({ nodeSelector: { disktype: 'ssd' } }));
  assert.deepEqual(await placed(world), []);
  await label(world, 'n2', { disktype: 'ssd' });
  await world.until('a pod on n2', async () => (await placed(world)).length === 1);
  await label(world, 'n2', { disktype: null });
  await world.until('it to go', async () => (await placed(world)).length === 0);
  const nodeSelectorTerms = [{ matchExpressions: [{ key: 'disktype', operator: 'Exists' }] }];
  const required = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } };
  const affinity = { nodeAffinity: required };
  await patch(world, { spec: { template: { spec: { nodeSelector: null, affinity } } } });
  await label(world, 'n3', { disktype: 'hdd' });
  await world.until('a pod on n3', async () => (await placed(world)).includes('n3 agent:1'));
});

test('taints keep pods away or drive them off; cordoned nodes do not count', async (t) => {
  superseded('WRK-024', {
    by: 'v1.12',
    now: 'the scheduler binds them too, and they bear the taint of a cordoned node',
  });
  superseded('WRK-077', {
    by: 'v1.13',
    now: 'the keys are node.kubernetes.io/not-ready, /unreachable',
  });
  superseded('WRK-078', {
    by: 'v1.13',
    now: 'there is no out-of-disk; PIDs and cordons are borne',
  });
  const world = await openWorld(t);
  for (const name of ['n1', 'n2', 'n3']) await world.addNode(name);
  const cordon = { spec: { unschedulable: true } };
  const merge = { type: 'merge', signal: world.signal } as const;
  await world.client.patch(nodes, { name: 'n1' }, cordon, merge);
  await taint(world, 'n2', 'NoSchedule');
  await world.client.create(daemonSets, agent(), { signal: world.signal });
  await settled(world);
  assert.deepEqual(await placed(world), ['n1 agent:1', 'n3 agent:1']);
  await taint(world, 'n3', 'NoSchedule');
  await world.until(
    'n3 to be misplaced',
    async () => (await get(world)).status?.numberMisscheduled === 1,
  );
  assert.deepEqual(await placed(world), ['n1 agent:1', 'n3 agent:1'], 'it stays');
  await taint(world, 'n3', 'NoExecute');
  await world.until('it to go', async () => (await placed(world)).length === 1);
  const tolerations = [{ key: 'dedicated', operator: 'Exists' }];
  await patch(world, { spec: { template: { spec: { tolerations } } } });
  await world.until('all three', async () => (await placed(world)).length === 3);
  const bears = (await podOn(world, 'n2'))?.spec?.tolerations?.map(
    ({ key, effect, tolerationSeconds = 'for ever' }) => `${key} ${effect} ${tolerationSeconds}`,
  );
  for (const key of ['not-ready', 'unreachable']) {
    assert.ok(bears?.includes(`node.kubernetes.io/${key} NoExecute for ever`), key);
  }
  for (const key of ['disk-pressure', 'memory-pressure', 'pid-pressure', 'unschedulable']) {
    assert.ok(bears?.includes(`node.kubernetes.io/${key} NoSchedule for ever`), key);
  }
});

/** As the documents write them: an old version, and no selector. */
async function createOld(world: World, name: string, spec: PodSpec): Promise<void> {
  const path = '/apis/extensions/v1beta1/namespaces/default/daemonsets';
  const body = {
    apiVersion: 'extensions/v1beta1',
    kind: 'DaemonSet',
    metadata: { name },
    spec: { template: { metadata: { labels }, spec } },
  };
  const answer = await world.server.request('POST', path, body);
  assert.equal(answer.status, 201, answer.text);
}

test('an old manifest for masters runs there alone, bearing their taints', async (t) => {
  covers('WRK-158');
  const world = await openWorld(t);
  for (const name of ['n1', 'n2']) await world.addNode(name);
  const role = 'node-role.kubernetes.io/master';
  const uninitialized = {
    key: 'node.cloudprovider.kubernetes.io/uninitialized',
    value: 'true',
    effect: 'NoSchedule',
  };
  await label(world, 'n2', { [role]: '' });
  const taints = [{ key: role, effect: 'NoSchedule' }, uninitialized];
  const merge = { type: 'merge', signal: world.signal } as const;
  await world.client.patch(nodes, { name: 'n2' }, { spec: { taints } }, merge);
  await createOld(world, 'cloud-controller-manager', {
    containers: [{ name: 'agent', image: 'ccm:1' }],
    tolerations: [uninitialized, { key: role, effect: 'NoSchedule' }],
    nodeSelector: { [role]: '' },
  });
  await world.until('one on the master', async () => (await placed(world)).length === 1);
  await world.pass(2_000);
  assert.deepEqual(await placed(world), ['n2 ccm:1']);
});

test('an old manifest without a selector runs on the host of every node', async (t) => {
  covers('WRK-148');
  const world = await openWorld(t);
  for (const name of ['n1', 'n2', 'n3']) await world.addNode(name);
  const volumeMounts = [{ name: 'log', mountPath: '/log' }];
  await createOld(world, 'node-problem-detector', {
    hostNetwork: true,
    volumes: [{ name: 'log', hostPath: { path: '/var/log/' } }],
    containers: [
      { name: 'npd', image: 'npd:1', securityContext: { privileged: true }, volumeMounts },
    ],
  });
  await world.until('three', async () => (await placed(world)).length === 3);
  assert.deepEqual(await placed(world), everywhere('npd:1'));
  const one = await podOn(world, 'n1');
  assert.equal(one?.spec?.hostNetwork, true);
  assert.ok(one.spec.volumes?.some(({ hostPath }) => hostPath?.path === '/var/log/'));
  const { items } = await world.client.list(daemonSets, { namespace, signal: world.signal });
  assert.deepEqual(items[0]?.spec?.selector, { matchLabels: labels });
  assert.equal(one?.spec?.containers[0]?.securityContext?.privileged, true);
  assert.ok(one?.spec?.tolerations?.some(({ key }) => key?.endsWith('/network-unavailable')));
});

test('a rolling update goes node by node; a bad one stops, and a good one frees it', async (t) => {
  covers('WRK-082', 'WRK-149', 'WRK-160', 'WRK-162');
  const world = await start(t, agent());
  const strategy = (await get(world)).spec?.updateStrategy;
  assert.deepEqual(strategy, {
    type: 'RollingUpdate',
    rollingUpdate: { maxUnavailable: 1, maxSurge: 0 },
  });
  assert.equal((await get(world)).spec?.minReadySeconds ?? 0, 0);
  let fewest = 3;
  await patch(world, setImage('agent:2'));
  for (let turn = 0; turn < 100; turn++) {
    await world.pass(50);
    const all = await world.list(pods, namespace);
    const up = all.filter(({ metadata, status }) => {
      return metadata.deletionTimestamp === undefined && status?.phase === 'Running';
    });
    fewest = Math.min(fewest, up.length);
  }
  await settled(world);
  assert.equal(fewest, 2);
  assert.deepEqual(await placed(world), everywhere('agent:2'));
  world.becomesReady = ({ spec }) => spec?.containers[0]?.image !== 'agent:bad';
  await patch(world, setImage('agent:bad'));
  await world.pass(20_000);
  const stuck = await placed(world);
  assert.equal(stuck.filter((text) => text.endsWith('agent:bad')).length, 1);
  await patch(world, setImage('agent:3'));
  await settled(world);
  assert.deepEqual(await placed(world), everywhere('agent:3'));
});

test('a surge puts the new pod beside the old one', async (t) => {
  const rollingUpdate = { maxSurge: 1, maxUnavailable: 0 };
  const world = await start(
    t,
    agent({}, { updateStrategy: { type: 'RollingUpdate', rollingUpdate } }),
  );
  // Of two pods on a node the older counts, and times are in seconds.
  await world.pass(2_000);
  world.becomesReady = () => false;
  await patch(world, setImage('agent:2'));
  await world.pass(5_000);
  assert.equal((await placed(world)).length, 4);
  assert.equal((await get(world)).status?.numberAvailable, 3);
  world.becomesReady = () => true;
  await settled(world);
  await world.pass(2_000);
  assert.deepEqual(await placed(world), everywhere('agent:2'));
});

test('OnDelete replaces what somebody deletes', async (t) => {
  superseded('WRK-159', { by: 'v1.9', now: 'RollingUpdate is the default of apps/v1' });
  const world = await start(t, agent({}, { updateStrategy: { type: 'OnDelete' } }));
  await patch(world, setImage('agent:2'));
  await world.pass(5_000);
  assert.deepEqual(await placed(world), everywhere('agent:1'));
  const name = (await podOn(world, 'n2'))?.metadata.name ?? '';
  await world.client.delete(pods, { namespace, name }, { signal: world.signal });
  await world.until('a new one on n2', async () => (await placed(world)).includes('n2 agent:2'));
  assert.deepEqual(await placed(world), ['n1 agent:1', 'n2 agent:2', 'n3 agent:1']);
  const { status } = await get(world);
  assert.equal(status?.updatedNumberScheduled, 1);
});

test('revisions hold the templates; a rollback renumbers the old one', async (t) => {
  covers('WRK-165');
  const world = await start(t, agent({}, { revisionHistoryLimit: 1 }));
  const numbers = async () =>
    (await world.list(controllerRevisions, namespace)).map(({ revision }) => revision).toSorted();
  const [first] = await world.list(controllerRevisions, namespace);
  const hash = (await podOn(world, 'n1'))?.metadata.labels?.['controller-revision-hash'];
  assert.equal(first?.metadata.name, `agent-${hash}`);
  // Upstream compares the bytes: keys in order, defaults filled in.
  const opening =
    '{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"app":"agent"}},"spec":';
  const containers =
    '{"containers":[{"image":"agent:1","imagePullPolicy":"IfNotPresent","name":"agent",';
  assert.ok(JSON.stringify(first?.data).startsWith(opening + containers));
  await patch(world, setImage('agent:2'));
  await settled(world);
  assert.deepEqual(await numbers(), [1, 2]);
  await patch(world, setImage('agent:1'));
  await settled(world);
  assert.deepEqual(await numbers(), [2, 3]);
  const again = (await world.list(controllerRevisions, namespace)).find(
    ({ revision }) => revision === 3,
  );
  assert.equal(again?.metadata.name, first?.metadata.name);
  await patch(world, setImage('agent:3'));
  await settled(world);
  await world.pass(1_000);
  assert.deepEqual(await numbers(), [3, 4]);
});

test('a failed pod is deleted, ever more slowly, and told', async (t) => {
  const world = await start(t, agent());
  world.becomesReady = ({ status }) => status?.phase !== 'Failed';
  const fail = async (): Promise<string> => {
    const name = (await podOn(world, 'n1'))?.metadata.name ?? '';
    const options = { type: 'merge', subresource: 'status', signal: world.signal } as const;
    await world.client.patch(pods, { namespace, name }, { status: { phase: 'Failed' } }, options);
    return name;
  };
  const waits: number[] = [];
  for (let turn = 0; turn < 3; turn++) {
    const name = await fail();
    const since = world.clock.now();
    await world.until('another pod', async () => {
      const now = (await podOn(world, 'n1'))?.status?.phase === 'Running';
      return now && (await podOn(world, 'n1'))?.metadata.name !== name;
    });
    waits.push(Math.round((world.clock.now() - since) / 1_000));
  }
  assert.ok((waits[2] ?? 0) > (waits[1] ?? 0), `${waits}`);
  const told = await world.list(events, namespace);
  const found = told.find(({ reason }) => reason === 'FailedDaemonPod');
  assert.match(found?.note ?? '', /^Found failed daemon pod default\/agent-\w+ on node n1, will/);
});

test('orphans are adopted unchanged; pods changed by hand come back as the template says', async (t) => {
  covers('WRK-080', 'WRK-081');
  const world = await start(t, agent());
  const uids = async () =>
    (await world.list(pods, namespace)).map(({ metadata }) => metadata.uid).toSorted();
  const before = await uids();
  const options = { propagationPolicy: 'Orphan', signal: world.signal } as const;
  await world.client.delete(daemonSets, at, options);
  await world.pass(3_000);
  assert.deepEqual(await uids(), before);
  await world.client.create(daemonSets, agent(), { signal: world.signal });
  await settled(world);
  assert.deepEqual(await uids(), before);
  const name = (await podOn(world, 'n2'))?.metadata.name ?? '';
  const byHand = { spec: { containers: [{ name: 'agent', image: 'by-hand:1' }] } };
  const strategic = { type: 'strategic', signal: world.signal } as const;
  await world.client.patch(pods, { namespace, name }, byHand, strategic);
  await world.pass(3_000);
  assert.ok((await placed(world)).includes('n2 by-hand:1'));
  world.living.delete('n2');
  await world.client.delete(nodes, { name: 'n2' }, { signal: world.signal });
  await world.until('its pod to go', async () => (await placed(world)).length === 2);
  await world.addNode('n2');
  await world.until('the template again', async () => (await placed(world)).includes('n2 agent:1'));
});

test('a late cache puts no second pod on a node', async (t) => {
  const world = await openWorld(t, { podDelayMs: 2_000 });
  for (const name of ['n1', 'n2', 'n3']) await world.addNode(name);
  await world.client.create(daemonSets, agent(), { signal: world.signal });
  let most = 0;
  for (let turn = 0; turn < 100; turn++) {
    await world.pass(100);
    most = Math.max(most, (await placed(world)).length);
  }
  assert.equal(most, 3);
});
