/** Deployments, from a POST to ready pods, through rollouts and back, over a real API server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deployments, events, pods, replicaSets } from '#resources/kinds.ts';
import type { Deployment } from '#resources/types/apps-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { openWorld, type World } from './control-world.ts';

const at = { namespace: 'default', name: 'web' } as const;
const revision = 'deployment.kubernetes.io/revision';

function web(image: string, spec: object = {}): Deployment {
  const labels = { app: 'web' };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: at,
    spec: {
      replicas: 3,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'web', image }] } },
      ...spec,
    },
  };
}

const setImage = (image: string) => ({
  spec: { template: { spec: { containers: [{ name: 'web', image }] } } },
});

async function get(world: World): Promise<Deployment> {
  return world.client.get(deployments, at, { signal: world.signal });
}

async function patch(world: World, change: object): Promise<void> {
  await world.client.patch(deployments, at, change, { type: 'merge', signal: world.signal });
}

/** What `kubectl rollout status` waits for. */
async function rolledOut(world: World): Promise<void> {
  await world.until('the rollout', async () => {
    const { metadata, spec, status } = await get(world);
    const replicas = spec?.replicas ?? 0;
    const { observedGeneration = 0, updatedReplicas = 0, availableReplicas = 0 } = status ?? {};
    return (
      observedGeneration >= (metadata.generation ?? 0) &&
      updatedReplicas === replicas &&
      (status?.replicas ?? 0) === replicas &&
      availableReplicas === replicas
    );
  });
  // What is written behind the last counter: revision and history.
  await world.pass(1_000);
}

async function sizes(world: World): Promise<Record<string, number>> {
  const sets = await world.list(replicaSets, 'default');
  return Object.fromEntries(
    sets.map(({ metadata, spec }) => [metadata.annotations?.[revision] ?? '', spec?.replicas ?? 0]),
  );
}

async function start(context: Parameters<typeof openWorld>[0], deployment: Deployment) {
  const world = await openWorld(context);
  await world.addNode('n1');
  await world.client.create(deployments, deployment, { signal: world.signal });
  await rolledOut(world);
  return world;
}

test('a deployment gets a replica set and pods, with names and labels', async (t) => {
  covers('WRK-043');
  const world = await start(t, web('web:1'));
  const [set] = await world.list(replicaSets, 'default');
  const hash = set?.metadata.labels?.['pod-template-hash'];
  assert.equal(set?.metadata.name, `web-${hash}`);
  assert.equal(set?.spec?.selector.matchLabels?.['pod-template-hash'], hash);
  assert.equal(set?.metadata.ownerReferences?.[0]?.kind, 'Deployment');
  const running = await world.list(pods, 'default');
  assert.equal(running.length, 3);
  for (const { metadata } of running) {
    assert.match(metadata.name ?? '', new RegExp(`^web-${hash}-[a-z0-9]{5}$`));
    assert.equal(metadata.labels?.['pod-template-hash'], hash);
    assert.equal(metadata.ownerReferences?.[0]?.name, set?.metadata.name);
  }
  const deployment = await get(world);
  assert.equal(deployment.metadata.annotations?.[revision], '1');
  const conditions = deployment.status?.conditions?.map(
    ({ type, status, reason }) => `${type}=${status} ${reason}`,
  );
  assert.deepEqual(conditions?.toSorted(), [
    'Available=True MinimumReplicasAvailable',
    'Progressing=True NewReplicaSetAvailable',
  ]);
});

test('a set that is adopted keeps its labels and pods', async (t) => {
  superseded('WRK-045', { by: 'v1.11', now: 'what is adopted is not labelled' });
  const world = await openWorld(t);
  await world.addNode('n1');
  const { spec } = web('web:1');
  const { replicas = 0, selector, template } = spec ?? {};
  const path = '/apis/apps/v1/namespaces/default/replicasets';
  const set = {
    metadata: { name: 'mine', labels: template?.metadata?.labels },
    spec: { replicas, selector, template },
  };
  const made = await world.server.request('POST', path, set);
  assert.equal(made.status, 201, made.text);
  await world.until('its pods', async () => (await podNames(world)).length === replicas);
  const before = await podNames(world);
  await create(world, web('web:1'));
  await rolledOut(world);
  const sets = await world.list(replicaSets, 'default');
  assert.deepEqual(
    sets.map((one) => [one.metadata.name, one.metadata.ownerReferences?.[0]?.name]),
    [['mine', 'web']],
  );
  assert.deepEqual(await podNames(world), before);
  const adopted = [...sets, ...(await world.list(pods, 'default'))];
  for (const one of adopted) assert.equal(one.metadata.labels?.['pod-template-hash'], undefined);
  assert.equal(sets[0]?.spec?.selector.matchLabels?.['pod-template-hash'], undefined);
  // Its own sets bear the label, and so does all that comes of them.
  await patch(world, setImage('web:2'));
  await rolledOut(world);
  for (const { metadata: of } of await world.list(pods, 'default')) {
    assert.match(of.labels?.['pod-template-hash'] ?? '', /^[a-z0-9]+$/);
  }
});

test('a rollout keeps between floor and ceiling, and undo goes back', async (t) => {
  covers('WRK-047', 'WRK-147');
  const world = await start(t, web('web:1', { replicas: 4 }));
  await patch(world, setImage('web:2'));
  let done = false;
  for (let turn = 0; turn < 200 && !done; turn++) {
    await world.pass(50);
    const all = await world.list(pods, 'default');
    const ready = all.filter(
      ({ metadata, status }) =>
        metadata.deletionTimestamp === undefined && status?.conditions?.[0]?.status === 'True',
    );
    const alive = all.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    assert.ok(ready.length >= 3, `${ready.length} ready pods are below the floor`);
    assert.ok(alive.length <= 5, `${alive.length} pods are above the ceiling`);
    const { status } = await get(world);
    done = status?.updatedReplicas === 4 && status.replicas === 4;
  }
  await rolledOut(world);
  assert.deepEqual(await sizes(world), { 1: 0, 2: 4 });
  await patch(world, setImage('web:1'));
  await rolledOut(world);
  assert.deepEqual(await sizes(world), { 2: 0, 3: 4 });
  const sets = await world.list(replicaSets, 'default');
  assert.equal(sets.length, 2, 'the old set is used again');
  const back = sets.find(({ metadata }) => metadata.annotations?.[revision] === '3');
  assert.equal(back?.metadata.annotations?.['deployment.kubernetes.io/revision-history'], '1');
});

test('scaling changes the number of pods and nothing else', async (t) => {
  covers('WRK-046', 'WRK-169', 'WRK-175');
  const world = await start(t, web('web:1'));
  const before = (await world.list(pods, 'default')).map(({ metadata }) => metadata.name);
  await patch(world, { spec: { replicas: 5 } });
  await rolledOut(world);
  const after = (await world.list(pods, 'default')).map(({ metadata }) => metadata.name);
  assert.equal(after.length, 5);
  for (const name of before) assert.ok(after.includes(name));
  assert.deepEqual(await sizes(world), { 1: 5 });
  await patch(world, { spec: { minReadySeconds: 1 } });
  await rolledOut(world);
  assert.deepEqual(await sizes(world), { 1: 5 }, 'nothing but the template asks for a new set');
  assert.equal((await get(world)).metadata.annotations?.[revision], '1');
  await patch(world, setImage('web:2'));
  await rolledOut(world);
  assert.deepEqual(await sizes(world), { 1: 0, 2: 5 });
  await patch(world, { spec: { replicas: 0 } });
  await rolledOut(world);
  await world.until('an empty list', async () => (await world.list(pods, 'default')).length === 0);
});

test('of the bounds in percent one is rounded down, the other up', async (t) => {
  covers('WRK-065');
  const strategy = (maxUnavailable: string | number, maxSurge: string | number) => ({
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable, maxSurge } },
  });
  const world = await start(t, web('web:1', { replicas: 10, ...strategy('25%', '25%') }));
  world.becomesReady = (pod) => pod.spec?.containers[0]?.image === 'web:1';
  await patch(world, setImage('web:2'));
  await world.pass(30_000);
  assert.deepEqual(await sizes(world), { 1: 8, 2: 5 }, '2 of 10 may be away, 3 may be above');
  await patch(world, { spec: strategy(3, 4) });
  await world.pass(30_000);
  assert.deepEqual(await sizes(world), { 1: 7, 2: 7 }, 'as numbers they are what they say');
  const refused = patch(world, { spec: strategy(0, 0) });
  await assert.rejects(refused, /maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge`/);
});

test('a bad rollout stops by itself, is told as failed, and can be taken back', async (t) => {
  const rollingUpdate = { maxSurge: 3, maxUnavailable: 2 };
  const strategy = { type: 'RollingUpdate', rollingUpdate };
  const spec = { replicas: 10, strategy, progressDeadlineSeconds: 30 };
  const world = await start(t, web('web:1', spec));
  world.becomesReady = (pod) => pod.spec?.containers[0]?.image !== 'web:bad';
  await patch(world, setImage('web:bad'));
  await world.until('the stop', async () => (await sizes(world))['2'] === 5);
  await world.pass(2_000);
  assert.deepEqual(await sizes(world), { 1: 8, 2: 5 });
  await patch(world, { spec: { replicas: 15 } });
  await world.pass(2_000);
  assert.deepEqual(await sizes(world), { 1: 11, 2: 7 });
  await world.pass(45_000);
  const { status } = await get(world);
  const progressing = status?.conditions?.find(({ type }) => type === 'Progressing');
  assert.deepEqual(
    [progressing?.status, progressing?.reason],
    ['False', 'ProgressDeadlineExceeded'],
  );
  await patch(world, setImage('web:1'));
  await rolledOut(world);
  assert.deepEqual(await sizes(world), { 2: 0, 3: 15 });
});

test('Recreate stops all old pods before it starts a new one', async (t) => {
  covers('WRK-064', 'WRK-198');
  const world = await start(t, web('web:1', { strategy: { type: 'Recreate' } }));
  await patch(world, setImage('web:2'));
  for (let turn = 0; turn < 60; turn++) {
    await world.pass(50);
    const images = (await world.list(pods, 'default')).map(
      ({ spec }) => spec?.containers[0]?.image,
    );
    assert.ok(new Set(images).size <= 1, `old and new run together: ${images}`);
  }
  await rolledOut(world);
  assert.deepEqual(await sizes(world), { 1: 0, 2: 3 });
  const plain = await start(t, web('web:1'));
  assert.equal((await get(plain)).spec?.strategy?.type, 'RollingUpdate', 'the default');
});

test('a paused deployment rolls nothing out until it is resumed', async (t) => {
  covers('WRK-056');
  const world = await start(t, web('web:1'));
  await patch(world, { spec: { paused: true } });
  await patch(world, setImage('web:2'));
  await world.pass(5_000);
  assert.deepEqual(await sizes(world), { 1: 3 });
  const paused = (await get(world)).status?.conditions?.find(({ type }) => type === 'Progressing');
  assert.equal(paused?.reason, 'DeploymentPaused');
  await patch(world, { spec: { paused: null } });
  await rolledOut(world);
  assert.deepEqual(await sizes(world), { 1: 0, 2: 3 });
});

test('only as much history is kept as the limit says', async (t) => {
  superseded('WRK-063', { by: 'v1.9', now: 'apps/v1 keeps ten old ReplicaSets by default' });
  const world = await start(t, web('web:1', { revisionHistoryLimit: 1 }));
  for (const image of ['web:2', 'web:3', 'web:4']) {
    await patch(world, setImage(image));
    await rolledOut(world);
  }
  await world.pass(5_000);
  assert.deepEqual(await sizes(world), { 3: 0, 4: 3 });
  await patch(world, { spec: { revisionHistoryLimit: 0 } });
  await world.until('no history', async () => Object.keys(await sizes(world)).join() === '4');
  const wish = { 'deprecated.deployment.rollback.to': '3' };
  await patch(world, { metadata: { annotations: wish } });
  await world.pass(2_000);
  const notes = (await world.list(events, 'default')).map(({ note }) => note);
  assert.ok(notes.includes('Unable to find the revision to rollback to.'));
  assert.deepEqual(await sizes(world), { 4: 3 });
  assert.equal((await get(await start(t, web('web:1')))).spec?.revisionHistoryLimit, 10);
});

test('an update in the middle of a rollout starts over at once', async (t) => {
  covers('WRK-049');
  const world = await start(t, web('web:1', { replicas: 5 }));
  world.becomesReady = (pod) => pod.spec?.containers[0]?.image !== 'web:2';
  await patch(world, setImage('web:2'));
  await world.until('the second set', async () => ((await sizes(world))['2'] ?? 0) > 0);
  await patch(world, setImage('web:3'));
  await rolledOut(world);
  assert.deepEqual(await sizes(world), { 1: 0, 2: 0, 3: 5 });
});

test('events tell each step of a rollout', async (t) => {
  covers('WRK-048');
  const world = await start(t, web('web:1'));
  await patch(world, setImage('web:2'));
  await rolledOut(world);
  const [old, next] = (await world.list(replicaSets, 'default')).toSorted(
    (a, b) =>
      Number(a.metadata.annotations?.[revision]) - Number(b.metadata.annotations?.[revision]),
  );
  const told = (await world.list(events, 'default'))
    .filter(({ reason }) => reason === 'ScalingReplicaSet')
    .toSorted((x, y) => Number(x.metadata.resourceVersion) - Number(y.metadata.resourceVersion))
    .map(({ note }) => note);
  const [a, b] = [old?.metadata.name, next?.metadata.name];
  assert.deepEqual(told, [
    `Scaled up replica set ${a} from 0 to 3`,
    `Scaled up replica set ${b} from 0 to 1`,
    `Scaled down replica set ${a} from 3 to 2`,
    `Scaled up replica set ${b} from 1 to 2`,
    `Scaled down replica set ${a} from 2 to 1`,
    `Scaled up replica set ${b} from 2 to 3`,
    `Scaled down replica set ${a} from 1 to 0`,
  ]);
  const created = (await world.list(events, 'default')).filter(
    ({ reason, regarding }) => reason === 'SuccessfulCreate' && regarding?.name === b,
  );
  assert.equal(created.length, 3);
});

test('an old client goes back by the annotation, and the event says so', async (t) => {
  covers('WRK-052', 'WRK-054');
  const world = await start(t, web('web:1'));
  await patch(world, { metadata: { annotations: { 'kubernetes.io/change-cause': 'first' } } });
  await world.pass(1_000);
  const second = { 'kubernetes.io/change-cause': 'second' };
  await patch(world, { metadata: { annotations: second }, ...setImage('web:2') });
  await rolledOut(world);
  await patch(world, { spec: { replicas: 5 } });
  await rolledOut(world);
  const wish = 'deprecated.deployment.rollback.to';
  await patch(world, { metadata: { annotations: { [wish]: '1' } } });
  await world.until('the wish to be granted', async () => {
    return (await get(world)).metadata.annotations?.[wish] === undefined;
  });
  await rolledOut(world);
  const { metadata, spec } = await get(world);
  assert.equal(spec?.template?.spec?.containers[0]?.image, 'web:1');
  assert.equal(spec?.template?.metadata?.labels?.['pod-template-hash'], undefined);
  assert.equal(spec?.replicas, 5);
  assert.equal(metadata.annotations?.['kubernetes.io/change-cause'], 'first');
  assert.deepEqual(await sizes(world), { 2: 0, 3: 5 });
  await patch(world, { metadata: { annotations: { [wish]: '9' } } });
  await world.pass(2_000);
  const told = (await world.list(events, 'default')).filter(
    ({ reason }) => reason?.startsWith('DeploymentRollback') ?? false,
  );
  assert.deepEqual(told.map(({ note }) => note).toSorted(), [
    'Rolled back deployment "web" to revision 1',
    'Unable to find the revision to rollback to.',
  ]);
});

test('the first API version asks for a rollback in its spec', async (t) => {
  const world = await start(t, web('web:1'));
  await patch(world, setImage('web:2'));
  await rolledOut(world);
  const path = '/apis/extensions/v1beta1/namespaces/default/deployments/web';
  const { body } = await world.server.request('GET', path);
  const spec = { ...body.spec, rollbackTo: { revision: 0 } };
  const answer = await world.server.request('PUT', path, { ...body, spec });
  assert.equal(answer.status, 200, answer.text);
  await world.until('the old image', async () => {
    return (await get(world)).spec?.template?.spec?.containers[0]?.image === 'web:1';
  });
  await rolledOut(world);
  assert.deepEqual(await sizes(world), { 2: 0, 3: 3 });
});

async function create(world: World, deployment: Deployment): Promise<void> {
  await world.client.create(deployments, deployment, { signal: world.signal });
}

const podNames = async (world: World) =>
  (await world.list(pods, 'default')).map(({ metadata }) => metadata.name).toSorted();

test('what a removed deployment left is adopted; an old set that matches is emptied', async (t) => {
  covers('WRK-042', 'WRK-050');
  const world = await start(t, web('web:1'));
  await patch(world, setImage('web:2'));
  await rolledOut(world);
  const before = await podNames(world);
  const orphan = { propagationPolicy: 'Orphan', signal: world.signal } as const;
  await world.client.delete(deployments, at, orphan);
  await world.pass(3_000);
  assert.deepEqual(await podNames(world), before);
  const [old] = (await world.list(replicaSets, 'default')).filter(
    ({ spec }) => spec?.template?.spec?.containers[0]?.image === 'web:1',
  );
  const grown = { spec: { replicas: 2 } };
  const where = { namespace: 'default', name: old?.metadata.name ?? '' };
  const merge = { type: 'merge', signal: world.signal } as const;
  await world.client.patch(replicaSets, where, grown, merge);
  await world.until('its pods', async () => (await podNames(world)).length === 5);
  await create(world, web('web:2'));
  await rolledOut(world);
  await world.until('the old ones to go', async () => (await podNames(world)).length === 3);
  assert.deepEqual(await podNames(world), before, 'not one of them was touched');
  assert.deepEqual(Object.values(await sizes(world)).toSorted(), [0, 3]);
});

test('deletion ends the sets and pods, through old versions as well', async (t) => {
  superseded('WRK-087', {
    by: 'v1.9',
    now: 'dependants are deleted in the background unless told otherwise',
  });
  for (const version of ['apps/v1', 'extensions/v1beta1']) {
    const world = await start(t, web('web:1'));
    const path = `/apis/${version}/namespaces/default/deployments/web`;
    assert.equal((await world.server.request('DELETE', path)).status, 200);
    await world.until('all to go', async () => {
      const sets = await world.list(replicaSets, 'default');
      return (await podNames(world)).length + sets.length === 0;
    });
  }
});

for (const size of [1, 2]) {
  test(`a set is not made from counts older than a set of ${size}`, async (t) => {
    const world = await openWorld(t, { replicaSetDelayMs: 400 });
    await world.addNode('n1');
    const strategy = { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } };
    const deployment = web('web:1', { replicas: 4, strategy });
    await world.client.create(deployments, deployment, { signal: world.signal });
    await rolledOut(world);
    await patch(world, setImage('web:2'));
    const wanted = async (): Promise<number> =>
      (await world.list(replicaSets, 'default')).reduce(
        (sum, { spec }) => sum + (spec?.replicas ?? 0),
        0,
      );
    // The controller knows that the new set was made or has grown; its cache does not yet.
    await world.until('a step of the rollout', async () => (await sizes(world))['2'] === size);
    await patch(world, setImage('web:3'));
    for (let turn = 0; turn < 100; turn++) {
      await world.pass(50);
      const sum = await wanted();
      assert.ok(sum <= 5, `the sets want ${sum} pods together`);
    }
    await rolledOut(world);
  });
}
