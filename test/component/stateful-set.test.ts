/**
 * StatefulSets over a real API server: order, identity, rolling updates and their brakes,
 * revisions, claims and who keeps them.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  controllerRevisions,
  events,
  persistentVolumeClaims,
  pods,
  services,
  statefulSets,
} from '#resources/kinds.ts';
import type { StatefulSet, StatefulSetSpec } from '#resources/types/apps-v1.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { openWorld, type World, type WorldOptions } from './control-world.ts';

const namespace = 'default';
const at = { namespace, name: 'web' } as const;

function web(spec: Partial<StatefulSetSpec> = {}): StatefulSet {
  const labels = { app: 'nginx' };
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: at,
    spec: {
      serviceName: 'nginx',
      replicas: 3,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'nginx', image: 'web:1' }] } },
      ...spec,
    },
  };
}

const setImage = (image: string) => ({
  spec: { template: { spec: { containers: [{ name: 'nginx', image }] } } },
});

/** The API server fills these in for a set. */
type Shape = Parameters<typeof web>[0];

async function open(t: TestContext, spec: Shape = {}, options: WorldOptions = {}): Promise<World> {
  const world = await openWorld(t, options);
  await world.addNode('n1');
  await world.client.create(statefulSets, web(spec), { signal: world.signal });
  return world;
}

async function start(t: TestContext, spec: Shape = {}): Promise<World> {
  const world = await open(t, spec);
  await settled(world);
  return world;
}

async function createService(world: World): Promise<void> {
  const metadata = { namespace, name: 'nginx' };
  const spec = { clusterIP: 'None', selector: { app: 'nginx' }, ports: [{ port: 80 }] };
  const service = { apiVersion: 'v1', kind: 'Service', metadata, spec };
  await world.client.create(services, service, { signal: world.signal });
}

const get = (world: World): Promise<StatefulSet> =>
  world.client.get(statefulSets, at, { signal: world.signal });

async function patch(world: World, change: object): Promise<void> {
  await world.client.patch(statefulSets, at, change, { type: 'merge', signal: world.signal });
}

async function settled(world: World): Promise<void> {
  await world.until('all ready at one revision', async () => {
    const { metadata, spec, status } = await get(world);
    const wanted = spec?.replicas ?? 0;
    return (
      (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0) &&
      status?.replicas === wanted &&
      (status.availableReplicas ?? 0) === wanted &&
      status.currentRevision === status.updateRevision
    );
  });
}

async function found(world: World): Promise<readonly Pod[]> {
  const all = await world.list(pods, namespace);
  return all.toSorted((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1));
}

const names = async (world: World) => (await found(world)).map(({ metadata }) => metadata.name);
const imageOf = (pod: Pod | undefined) => pod?.spec?.containers[0]?.image;
const images = async (world: World) => (await found(world)).map(imageOf);

async function remove(world: World, name: string): Promise<void> {
  await world.client.delete(pods, { namespace, name }, { signal: world.signal });
}

/** What happens to pods, in order: `+web-0`, `-web-2`. */
async function recorded(world: World, spec: () => Promise<void>): Promise<readonly string[]> {
  const seen: string[] = [];
  const { resourceVersion } = await world.client.list(pods, { namespace, signal: world.signal });
  const ended = new AbortController();
  const signal = AbortSignal.any([ended.signal, world.signal]);
  const watching = (async () => {
    for await (const event of world.client.watch(pods, { namespace, resourceVersion, signal })) {
      if (event.type === 'BOOKMARK') continue;
      const { name, deletionTimestamp } = event.object.metadata;
      if (event.type === 'ADDED') seen.push(`+${name}`);
      if (event.type === 'DELETED') seen.push(`-${name}`);
      const isReady = event.object.status?.phase === 'Running' && deletionTimestamp === undefined;
      if (event.type === 'MODIFIED' && isReady) seen.push(`${name} ready`);
    }
  })().catch(() => undefined);
  await spec();
  await world.pass(500);
  ended.abort();
  await watching;
  return seen.filter((entry, index) => seen.indexOf(entry) === index);
}

async function told(world: World): Promise<readonly string[]> {
  const all = await world.list(events, namespace);
  const mine = all.filter(({ regarding }) => regarding?.kind === 'StatefulSet');
  return mine.map(({ reason, note }) => `${reason}: ${note}`);
}

test('pods come one after the other, each with a name and a host name of its own', async (t) => {
  covers('WRK-066', 'WRK-130', 'WRK-178', 'WRK-179');
  const world = await openWorld(t);
  await world.addNode('n1');
  await createService(world);
  const seen = await recorded(world, async () => {
    await world.client.create(statefulSets, web(), { signal: world.signal });
    await settled(world);
  });
  assert.deepEqual(seen, [
    '+web-0',
    'web-0 ready',
    '+web-1',
    'web-1 ready',
    '+web-2',
    'web-2 ready',
  ]);
  assert.equal((await get(world)).spec?.podManagementPolicy, 'OrderedReady');
  const [, one] = await found(world);
  assert.equal(one?.spec?.hostname, 'web-1');
  assert.equal(one?.spec?.subdomain, 'nginx');
  assert.equal(one?.metadata.labels?.['statefulset.kubernetes.io/pod-name'], 'web-1');
  assert.equal(one?.metadata.labels?.['apps.kubernetes.io/pod-index'], '1');
  const { status } = await get(world);
  assert.equal(one?.metadata.labels?.['controller-revision-hash'], status?.currentRevision);
  assert.equal(status?.currentRevision, 'web-774697f486', 'as upstream names it');
  assert.deepEqual(
    { ...status, currentRevision: '', updateRevision: '' },
    {
      observedGeneration: 1,
      replicas: 3,
      readyReplicas: 3,
      currentReplicas: 3,
      updatedReplicas: 3,
      availableReplicas: 3,
      collisionCount: 0,
      currentRevision: '',
      updateRevision: '',
    },
  );
  assert.ok(
    (await told(world)).includes(
      'SuccessfulCreate: Create Pod web-0 in StatefulSet web successful',
    ),
  );
  await remove(world, 'web-1');
  await world.until('web-1 to come back', async () => {
    const [, again] = await found(world);
    return again?.metadata.uid !== one?.metadata.uid && again?.status?.phase === 'Running';
  });
});

test('a pod that does not become ready holds up those behind it', async (t) => {
  const world = await openWorld(t);
  await world.addNode('n1');
  world.becomesReady = ({ metadata }) => metadata.name !== 'web-1';
  await world.client.create(statefulSets, web(), { signal: world.signal });
  await world.pass(20_000);
  assert.deepEqual(await names(world), ['web-0', 'web-1']);
  world.becomesReady = () => true;
  await settled(world);
});

test('with Parallel all are made and deleted at once', async (t) => {
  covers('WRK-070', 'WRK-196', 'WRK-197', 'WRK-205');
  const world = await openWorld(t);
  await world.addNode('n1');
  world.becomesReady = () => false;
  const spec = { podManagementPolicy: 'Parallel', replicas: 5 };
  await world.client.create(statefulSets, web(spec), { signal: world.signal });
  await world.pass(1_000);
  assert.equal((await names(world)).length, 5);
  await patch(world, { spec: { replicas: 1 } });
  await world.until('the four to go', async () => (await names(world)).length === 1);
  await patch(world, { spec: { replicas: 4 } });
  await world.pass(1_000);
  assert.equal((await names(world)).length, 4, 'none of them is ready');
  assert.equal((await get(world)).spec?.podManagementPolicy, 'Parallel');
  world.living.delete('n1');
  await world.client.delete(statefulSets, at, { signal: world.signal });
  await world.pass(1_000);
  const ending = (await found(world)).filter(({ metadata }) => metadata.deletionTimestamp);
  assert.equal(ending.length, 4, 'their kubelet is silent, so they can be seen to end together');
  const plain = await world.client.create(
    statefulSets,
    { ...web(), metadata: { namespace, name: 'plain' } },
    { signal: world.signal },
  );
  assert.equal(plain.spec?.podManagementPolicy, 'OrderedReady');
});

test('growing goes up one by one, shrinking down from the highest', async (t) => {
  covers('WRK-068', 'WRK-181', 'WRK-182');
  const world = await start(t);
  const up = await recorded(world, async () => {
    await patch(world, { spec: { replicas: 5 } });
    await settled(world);
  });
  assert.deepEqual(up, ['+web-3', 'web-3 ready', '+web-4', 'web-4 ready']);
  const down = await recorded(world, async () => {
    await patch(world, { spec: { replicas: 2 } });
    await settled(world);
  });
  assert.deepEqual(down, ['-web-4', '-web-3', '-web-2']);
});

test('nothing is added or removed while another pod is not healthy', async (t) => {
  covers('WRK-069', 'WRK-128');
  const world = await start(t);
  const options = { type: 'merge', subresource: 'status', signal: world.signal } as const;
  const broken = { status: { conditions: [{ type: 'Ready', status: 'False' }] } };
  await world.client.patch(pods, { namespace, name: 'web-0' }, broken, options);
  for (const replicas of [5, 1]) {
    await patch(world, { spec: { replicas } });
    await world.pass(10_000);
    assert.deepEqual(await names(world), ['web-0', 'web-1', 'web-2']);
  }
  const healed = { status: { conditions: [{ type: 'Ready', status: 'True' }] } };
  await world.client.patch(pods, { namespace, name: 'web-0' }, healed, options);
  await settled(world);
  assert.deepEqual(await names(world), ['web-0']);
});

test('an update replaces pods from the highest down, one at a time', async (t) => {
  covers('WRK-072', 'WRK-183', 'WRK-184', 'WRK-186');
  const world = await start(t);
  await patch(world, setImage('web:1'));
  await world.pass(2_000);
  const { currentRevision, updateRevision } = (await get(world)).status ?? {};
  assert.equal(currentRevision, updateRevision);
  const seen = await recorded(world, async () => {
    await patch(world, setImage('web:2'));
    await settled(world);
  });
  const step = (name: string) => [`-${name}`, `+${name}`, `${name} ready`];
  assert.deepEqual(seen, [...step('web-2'), ...step('web-1'), ...step('web-0')]);
  assert.deepEqual(await images(world), ['web:2', 'web:2', 'web:2']);
  const resources = { requests: { cpu: '100m' } };
  const metadata = { labels: { app: 'nginx', tier: 'front' }, annotations: { why: 'more' } };
  const containers = [{ name: 'nginx', image: 'web:2', resources }];
  await patch(world, { spec: { template: { metadata, spec: { containers } } } });
  await settled(world);
  for (const pod of await found(world)) {
    assert.equal(pod.metadata.labels?.['tier'], 'front');
    assert.equal(pod.metadata.annotations?.['why'], 'more');
    assert.equal(pod.spec?.containers[0]?.resources?.requests?.['cpu'], '100m');
  }
  const strategy = (type: string) => ({ spec: { updateStrategy: { type, rollingUpdate: null } } });
  await patch(world, strategy('OnDelete'));
  await assert.rejects(patch(world, strategy('Recreate')), /spec\.updateStrategy/);
});

test('the partition keeps what is below it, also when a pod is deleted', async (t) => {
  covers('WRK-073', 'WRK-187', 'WRK-188', 'WRK-189', 'WRK-190');
  const world = await start(t);
  const partition = (to: number) => ({
    spec: { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: to } } },
  });
  await patch(world, partition(4));
  await patch(world, setImage('web:2'));
  for (const to of [4, 3]) {
    await patch(world, partition(to));
    await world.pass(5_000);
    assert.deepEqual(await images(world), ['web:1', 'web:1', 'web:1'], `partition ${to}`);
  }
  await remove(world, 'web-2');
  await world.pass(5_000);
  assert.deepEqual(await images(world), ['web:1', 'web:1', 'web:1']);
  await patch(world, partition(2));
  await world.pass(5_000);
  assert.deepEqual(await images(world), ['web:1', 'web:1', 'web:2']);
  await remove(world, 'web-1');
  await world.pass(5_000);
  assert.deepEqual(await images(world), ['web:1', 'web:1', 'web:2']);
  const { status } = await get(world);
  assert.equal(status?.updatedReplicas, 1);
  assert.equal(status?.currentReplicas, 2);
  assert.notEqual(status?.currentRevision, status?.updateRevision);
  const seen = await recorded(world, async () => {
    await patch(world, partition(0));
    await settled(world);
  });
  assert.deepEqual(seen.slice(0, 4), ['-web-1', '+web-1', 'web-1 ready', '-web-0']);
  assert.deepEqual(await images(world), ['web:2', 'web:2', 'web:2']);
});

test('OnDelete leaves pods alone until somebody deletes them', async (t) => {
  covers('WRK-191');
  superseded('WRK-071', { by: 'v1.9', now: 'RollingUpdate is the default of apps/v1' });
  assert.equal((await get(await start(t))).spec?.updateStrategy?.type, 'RollingUpdate');
  const world = await start(t, { updateStrategy: { type: 'OnDelete' } });
  await patch(world, setImage('web:2'));
  await world.pass(5_000);
  assert.deepEqual(await images(world), ['web:1', 'web:1', 'web:1']);
  await remove(world, 'web-1');
  await world.pass(5_000);
  assert.deepEqual(await images(world), ['web:1', 'web:2', 'web:1']);
});

test('while it rolls a missing pod comes back new, as there is no partition', async (t) => {
  superseded('WRK-185', {
    by: 'v1.9',
    now: 'only pods below the partition come back at the old revision; its default is 0',
  });
  const world = await start(t);
  world.becomesReady = (pod) => imageOf(pod) !== 'web:2' || pod.metadata.name === 'web-0';
  await patch(world, setImage('web:2'));
  await world.until('web-2 new', async () => imageOf((await found(world))[2]) === 'web:2');
  await remove(world, 'web-0');
  await world.until('web-0 back', async () => imageOf((await found(world))[0]) === 'web:2');
});

test('a broken rollout stops, and stays stuck until its pod is deleted', async (t) => {
  const world = await start(t);
  world.becomesReady = (pod) => imageOf(pod) !== 'web:bad';
  await patch(world, setImage('web:bad'));
  await world.pass(10_000);
  assert.deepEqual(await images(world), ['web:1', 'web:1', 'web:bad']);
  await patch(world, setImage('web:1'));
  await world.pass(10_000);
  assert.deepEqual(await images(world), ['web:1', 'web:1', 'web:bad'], 'as upstream: forced');
  await remove(world, 'web-2');
  await settled(world);
  assert.deepEqual(await images(world), ['web:1', 'web:1', 'web:1']);
});

test('revisions are kept, numbered onwards by a rollback, and limited', async (t) => {
  const world = await start(t, { revisionHistoryLimit: 1 });
  const numbers = async () => {
    const all = await world.list(controllerRevisions, namespace);
    return all.map(({ revision }) => revision).toSorted();
  };
  const [first] = await world.list(controllerRevisions, namespace);
  assert.match(first?.metadata.name ?? '', /^web-[a-z0-9]+$/);
  assert.equal(first?.metadata.ownerReferences?.[0]?.name, 'web');
  assert.equal(first?.metadata.labels?.['app'], 'nginx');
  assert.deepEqual(JSON.parse(JSON.stringify(first?.data)).spec.template.$patch, 'replace');
  await patch(world, setImage('web:2'));
  await settled(world);
  assert.deepEqual(await numbers(), [1, 2]);
  await patch(world, setImage('web:1'));
  await settled(world);
  assert.deepEqual(await numbers(), [2, 3]);
  const { currentRevision } = (await get(world)).status ?? {};
  assert.equal(currentRevision, first?.metadata.name, 'the same revision under a new number');
  await patch(world, setImage('web:3'));
  await settled(world);
  await world.pass(1_000);
  assert.deepEqual(await numbers(), [3, 4], 'one old one is kept');
});

const storage = {
  volumeClaimTemplates: [
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'www' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    },
  ],
};

async function owners(world: World): Promise<Record<string, string[]>> {
  const all = await world.list(persistentVolumeClaims, namespace);
  const entries = all.map(({ metadata }): [string, string[]] => [
    metadata.name ?? '',
    (metadata.ownerReferences ?? []).map(({ kind, name }) => `${kind}/${name}`),
  ]);
  return Object.fromEntries(entries.toSorted());
}

test('each pod has claims of its own, which outlive it and the set', async (t) => {
  covers('WRK-195', 'VOL-134', 'VOL-135', 'VOL-120');
  const world = await start(t, storage);
  await createService(world);
  const [zero] = await found(world);
  assert.equal(
    zero?.spec?.volumes?.find(({ name }) => name === 'www')?.persistentVolumeClaim?.claimName,
    'www-web-0',
  );
  const [claim] = await world.list(persistentVolumeClaims, namespace);
  assert.equal(claim?.metadata.labels?.['app'], 'nginx');
  const kept = { 'www-web-0': [], 'www-web-1': [], 'www-web-2': [] };
  assert.deepEqual(await owners(world), kept);
  assert.ok(
    (await told(world)).includes(
      'SuccessfulCreate: Create Claim www-web-0 Pod web-0 in StatefulSet web success',
    ),
  );
  await patch(world, { spec: { replicas: 1 } });
  await settled(world);
  await world.client.delete(statefulSets, at, { signal: world.signal });
  await world.until('the pods to go', async () => (await found(world)).length === 0);
  await world.pass(5_000);
  assert.deepEqual(await owners(world), kept);
  assert.ok(
    (await world.list(services, namespace)).some(({ metadata }) => metadata.name === 'nginx'),
  );
});

test('claims stay when the set shrinks, and serve the same ordinal again', async (t) => {
  const world = await start(t, storage);
  const { client, signal } = world;
  const uids = async (): Promise<Record<string, string | undefined>> => {
    const all = await world.list(persistentVolumeClaims, namespace);
    return Object.fromEntries(all.map(({ metadata }) => [metadata.name, metadata.uid]));
  };
  const before = await uids();
  assert.deepEqual(Object.keys(before).toSorted(), ['www-web-0', 'www-web-1', 'www-web-2']);
  await patch(world, { spec: { replicas: 1 } });
  await settled(world);
  assert.deepEqual(await names(world), ['web-0']);
  assert.deepEqual(await uids(), before);
  await patch(world, { spec: { replicas: 3 } });
  await settled(world);
  assert.deepEqual(await uids(), before);
  covers('VOL-138');
  // Whoever deletes the claim and the pod gets an ordinal that begins with nothing.
  const claim = { namespace, name: 'www-web-2' };
  await client.delete(persistentVolumeClaims, claim, { signal });
  await remove(world, 'web-2');
  await world.pass(5_000);
  await settled(world);
  const after = await uids();
  assert.deepEqual(Object.keys(after).toSorted(), Object.keys(before).toSorted());
  assert.notEqual(after['www-web-2'], before['www-web-2']);
  assert.equal(after['www-web-1'], before['www-web-1']);
});

test('the retention policy gives claims to the set, or to the pod that goes', async (t) => {
  const world = await start(t, {
    ...storage,
    persistentVolumeClaimRetentionPolicy: { whenScaled: 'Delete', whenDeleted: 'Delete' },
  });
  const set = ['StatefulSet/web'];
  await world.until('the set to own all', async () =>
    Object.values(await owners(world)).every(([owner]) => owner === set[0]),
  );
  await patch(world, { spec: { replicas: 1 } });
  await settled(world);
  await world.until('two claims to go', async () => Object.keys(await owners(world)).length === 1);
  assert.deepEqual(await owners(world), { 'www-web-0': set });
  await patch(world, {
    spec: { persistentVolumeClaimRetentionPolicy: { whenScaled: 'Retain', whenDeleted: 'Retain' } },
  });
  await world.until('nobody to own it', async () =>
    Object.values(await owners(world)).every((list) => list.length === 0),
  );
});

test('orphans are adopted, the missing made first, and the surplus goes', async (t) => {
  covers('WRK-127', 'WRK-192', 'WRK-193');
  const world = await start(t);
  const before = await found(world);
  const options = { propagationPolicy: 'Orphan', signal: world.signal } as const;
  await world.client.delete(statefulSets, at, options);
  await world.pass(2_000);
  await remove(world, 'web-0');
  await world.pass(5_000);
  assert.deepEqual(await names(world), ['web-1', 'web-2'], 'nobody brings it back');
  const seen = await recorded(world, async () => {
    await world.client.create(statefulSets, web({ replicas: 2 }), { signal: world.signal });
    await settled(world);
  });
  assert.deepEqual(
    seen.filter((entry) => !entry.endsWith('ready')),
    ['+web-0', '-web-2'],
  );
  const [, one] = await found(world);
  assert.equal(one?.metadata.uid, before[1]?.metadata.uid, 'web-1 was not touched');
  const { uid } = (await get(world)).metadata;
  assert.equal(one?.metadata.ownerReferences?.[0]?.uid, uid);
});

test('no second pod of one name is made before the first is gone', async (t) => {
  covers('WRK-031', 'WRK-125', 'WRK-199');
  const world = await start(t);
  await world.addNode('n2');
  world.living.delete('n1');
  const [, one] = await found(world);
  assert.equal(one?.spec?.nodeName, 'n1');
  await remove(world, 'web-1');
  await world.pass(30_000);
  const [, still] = await found(world);
  assert.equal(still?.metadata.uid, one?.metadata.uid, 'its kubelet is silent, so it stays');
  const options = { gracePeriodSeconds: 0, signal: world.signal };
  await world.client.delete(pods, { namespace, name: 'web-1' }, options);
  await world.until('a new web-1', async () => {
    const [, again] = await found(world);
    return again?.spec?.nodeName === 'n2';
  });
});

test('pods can start at another ordinal, and ended ones are made anew', async (t) => {
  const world = await start(t, { ordinals: { start: 5 }, replicas: 2 });
  assert.deepEqual(await names(world), ['web-5', 'web-6']);
  const [five] = await found(world);
  const options = { type: 'merge', subresource: 'status', signal: world.signal } as const;
  const ended = { status: { phase: 'Succeeded' } };
  await world.client.patch(pods, { namespace, name: 'web-5' }, ended, options);
  await world.until('a new web-5', async () => {
    const [again] = await found(world);
    return again?.metadata.uid !== five?.metadata.uid && again?.status?.phase === 'Running';
  });
  await patch(world, { spec: { ordinals: { start: 6 } } });
  await world.until('the range to move', async () => {
    const all = await names(world);
    return all.length === 2 && all[0] === 'web-6' && all[1] === 'web-7';
  });
});

test('minReadySeconds delays each step; a lost label is put back', async (t) => {
  const world = await open(t, { minReadySeconds: 20, replicas: 2 });
  await world.pass(15_000);
  assert.deepEqual(await names(world), ['web-0']);
  const early = (await get(world)).status;
  assert.deepEqual([early?.readyReplicas, early?.availableReplicas], [1, 0]);
  await settled(world);
  const labels = { 'statefulset.kubernetes.io/pod-name': null };
  const options = { type: 'merge', signal: world.signal } as const;
  await world.client.patch(pods, { namespace, name: 'web-0' }, { metadata: { labels } }, options);
  await world.until('the label', async () => {
    const [zero] = await found(world);
    return zero?.metadata.labels?.['statefulset.kubernetes.io/pod-name'] === 'web-0';
  });
});

test('maxUnavailable pods are updated at a time', async (t) => {
  const rollingUpdate = { maxUnavailable: 2 };
  const world = await start(t, {
    replicas: 4,
    updateStrategy: { type: 'RollingUpdate', rollingUpdate },
  });
  world.becomesReady = (pod) => imageOf(pod) === 'web:1';
  await patch(world, setImage('web:2'));
  await world.pass(10_000);
  assert.deepEqual(await names(world), ['web-0', 'web-1', 'web-2'], 'made anew in order');
  assert.deepEqual(await images(world), ['web:1', 'web:1', 'web:2']);
  world.becomesReady = () => true;
  await settled(world);
});

test('a late cache makes nothing twice and never updates two at a time', async (t) => {
  const world = await open(t, {}, { podDelayMs: 2_000 });
  await settled(world);
  let fewest = 3;
  await patch(world, setImage('web:2'));
  for (let turn = 0; turn < 400; turn++) {
    await world.pass(100);
    const ready = (await found(world)).filter(({ status }) => status?.phase === 'Running').length;
    fewest = Math.min(fewest, ready);
  }
  await settled(world);
  assert.equal(fewest, 2);
  const failures = (await told(world)).filter((text) => text.startsWith('Failed'));
  assert.deepEqual(failures, []);
});

test('pods are found by label; deleted all at once they come back in order', async (t) => {
  covers('WRK-180');
  superseded('WRK-067', {
    by: 'v1.9',
    now: 'nothing checks that the Service is there, and serviceName may be left out',
  });
  const world = await start(t, { serviceName: '' });
  const options = { namespace, labelSelector: 'app=nginx', signal: world.signal };
  const { items } = await world.client.list(pods, options);
  assert.equal(items.length, 3);
  const seen = await recorded(world, async () => {
    const path = '/api/v1/namespaces/default/pods?labelSelector=app%3Dnginx';
    assert.equal((await world.server.request('DELETE', path)).status, 200);
    await world.until('others of the same names', async () => {
      const again = await found(world);
      const old = new Set(items.map(({ metadata }) => metadata.uid));
      const isNew = again.every(({ metadata }) => !old.has(metadata.uid));
      return isNew && again.filter(({ status }) => status?.phase === 'Running').length === 3;
    });
  });
  const added = seen.filter((entry) => entry.startsWith('+') || entry.endsWith('ready'));
  const step = (name: string) => [`+${name}`, `${name} ready`];
  assert.deepEqual(added, [...step('web-0'), ...step('web-1'), ...step('web-2')]);
});

test('also with Parallel a change of resources takes one pod at a time', async (t) => {
  covers('WRK-203', 'WRK-204');
  const world = await openWorld(t);
  await world.addNode('n1');
  const made = await recorded(world, async () => {
    const set = web({ podManagementPolicy: 'Parallel' });
    await world.client.create(statefulSets, set, { signal: world.signal });
    await settled(world);
  });
  assert.deepEqual(made.slice(0, 3).toSorted(), ['+web-0', '+web-1', '+web-2'], 'all at once');
  const change = [
    {
      op: 'add',
      path: '/spec/template/spec/containers/0/resources',
      value: { requests: { cpu: '300m' } },
    },
  ];
  await world.client.patch(statefulSets, at, change, { type: 'json', signal: world.signal });
  let fewest = 3;
  await world.until('the rollout', async () => {
    const all = await found(world);
    const up = all.filter(({ metadata, status }) => {
      return metadata.deletionTimestamp === undefined && status?.phase === 'Running';
    });
    fewest = Math.min(fewest, up.length);
    const isNew = all.filter(({ spec }) => spec?.containers[0]?.resources?.requests?.['cpu']);
    return isNew.length === 3 && up.length === 3;
  });
  await settled(world);
  assert.equal(fewest, 2);
});

test('in the foreground the set stays until its pods and revisions are gone', async (t) => {
  const world = await start(t);
  const options = { propagationPolicy: 'Foreground', signal: world.signal } as const;
  await world.client.delete(statefulSets, at, options);
  await world.pass(50);
  assert.ok((await get(world)).metadata.deletionTimestamp !== undefined);
  await world.until('all to go', async () => {
    const sets = await world.list(statefulSets, namespace);
    return sets.length + (await found(world)).length === 0;
  });
  await world.pass(5_000);
  assert.deepEqual(await world.list(controllerRevisions, namespace), []);
});
