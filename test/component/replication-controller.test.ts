/** ReplicationControllers over a real API server: the older words for what ReplicaSets do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { events, pods, replicationControllers } from '#resources/kinds.ts';
import type { Pod, ReplicationController } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { openWorld, type World } from './control-world.ts';

const namespace = 'default';
const at = { namespace, name: 'nginx' };

/** As `replication.yaml` of the documents, here without a selector. */
const nginx: ReplicationController = {
  apiVersion: 'v1',
  kind: 'ReplicationController',
  metadata: at,
  spec: {
    replicas: 3,
    template: {
      metadata: { labels: { app: 'nginx' } },
      spec: { containers: [{ name: 'nginx', image: 'nginx', ports: [{ containerPort: 80 }] }] },
    },
  },
};

async function start(t: Parameters<typeof openWorld>[0]): Promise<World> {
  const world = await openWorld(t);
  await world.addNode('n1');
  await world.client.create(replicationControllers, nginx, { signal: world.signal });
  await ready(world, 3);
  return world;
}

const get = (world: World) =>
  world.client.get(replicationControllers, at, { signal: world.signal });

async function ready(world: World, count: number): Promise<void> {
  await world.until(`${count} ready pods`, async () => {
    const { status } = await get(world);
    return status?.replicas === count && (status.readyReplicas ?? 0) === count;
  });
}

async function mine(world: World): Promise<readonly Pod[]> {
  const { uid } = (await get(world)).metadata;
  const all = await world.list(pods, namespace);
  return all.filter(({ metadata }) => metadata.ownerReferences?.[0]?.uid === uid);
}

test('three pods are kept, by the labels of the template', async (t) => {
  covers('WRK-004', 'WRK-131');
  const world = await start(t);
  const { spec, status } = await get(world);
  assert.deepEqual(spec?.selector, { app: 'nginx' });
  assert.deepEqual(status, {
    replicas: 3,
    fullyLabeledReplicas: 3,
    readyReplicas: 3,
    availableReplicas: 3,
    observedGeneration: 1,
  });
  const [first] = await mine(world);
  assert.match(first?.metadata.name ?? '', /^nginx-[a-z0-9]{5}$/);
  assert.equal(first?.metadata.ownerReferences?.[0]?.kind, 'ReplicationController');
  const name = first?.metadata.name ?? '';
  await world.client.delete(pods, { namespace, name }, { signal: world.signal });
  await world.until('another in its place', async () => {
    const names = (await mine(world)).map(({ metadata }) => metadata.name);
    return names.length === 3 && !names.includes(name);
  });
  const told = (await world.list(events, namespace)).filter(
    ({ regarding }) => regarding?.kind === 'ReplicationController',
  );
  const created = told.filter(({ reason }) => reason === 'SuccessfulCreate');
  assert.equal(created.length, 4);
  assert.equal(created[0]?.reportingController, 'replication-controller');
});

test('a pod too many is ended, one too few made, and an ended one does not count', async (t) => {
  covers('WRK-039');
  const world = await start(t);
  const extra: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name: 'extra', labels: { app: 'nginx' } },
    spec: { containers: [{ name: 'c', image: 'other:9' }] },
  };
  world.becomesReady = ({ metadata }) => metadata.name !== 'extra';
  await world.client.create(pods, extra, { signal: world.signal });
  await world.until('the newcomer to go', async () => {
    const names = (await world.list(pods, namespace)).map(({ metadata }) => metadata.name);
    return names.length === 3 && !names.includes('extra');
  });
  const [first] = await mine(world);
  const name = first?.metadata.name ?? '';
  const options = { type: 'merge', subresource: 'status', signal: world.signal } as const;
  await world.client.patch(pods, { namespace, name }, { status: { phase: 'Failed' } }, options);
  await world.until('a replacement', async () => (await mine(world)).length === 4);
  await ready(world, 3);
  // What matches counts, whatever its template, and whether it works or not.
  const other = await openWorld(t);
  await other.addNode('n1');
  other.becomesReady = world.becomesReady;
  const { uid } = (await other.client.create(pods, extra, { signal: other.signal })).metadata;
  await other.client.create(replicationControllers, nginx, { signal: other.signal });
  const adopted = async () => (await mine(other)).map(({ metadata }) => metadata.uid);
  await other.until('it is one of three', async () => (await adopted()).length === 3);
  await other.pass(600_000);
  assert.equal((await adopted()).length, 3);
  assert.ok((await adopted()).includes(uid));
  assert.equal((await get(other)).status?.readyReplicas, 2);
});

test('a changed template is for new pods only; a changed label sets a pod free', async (t) => {
  covers('WRK-036', 'WRK-037');
  superseded('WRK-025', {
    by: 'v1.9',
    now: 'of ReplicationControllers, ReplicaSets and Jobs; a DaemonSet rolls its updates out by default',
  });
  const world = await start(t);
  const containers = [{ name: 'nginx', image: 'nginx:2' }];
  const change = { spec: { template: { spec: { containers } }, replicas: 4 } };
  const merge = { type: 'merge', signal: world.signal } as const;
  await world.client.patch(replicationControllers, at, change, merge);
  await ready(world, 4);
  const images = async () =>
    (await mine(world)).map(({ spec }) => spec?.containers[0]?.image).toSorted();
  assert.deepEqual(await images(), ['nginx', 'nginx', 'nginx', 'nginx:2']);
  const old = (await mine(world)).find(({ spec }) => spec?.containers[0]?.image === 'nginx');
  const name = old?.metadata.name ?? '';
  const label = { metadata: { labels: { app: 'debug' } } };
  await world.client.patch(pods, { namespace, name }, label, merge);
  await world.until('a replacement', async () => (await images())[2] === 'nginx:2');
  const freed = await world.client.get(pods, { namespace, name }, { signal: world.signal });
  assert.deepEqual(freed.metadata.ownerReferences ?? [], []);
  // The same of a ReplicaSet.
  const labels = { app: 'set' };
  const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'c:1' }] } };
  const spec = { replicas: 2, selector: { matchLabels: labels }, template };
  const path = '/apis/apps/v1/namespaces/default/replicasets';
  const made = await world.server.request('POST', path, { metadata: { name: 'set' }, spec });
  assert.equal(made.status, 201, made.text);
  const ofSet = async (): Promise<readonly (string | undefined)[]> => {
    const all = await world.list(pods, namespace);
    const own = all.filter(({ metadata }) => metadata.labels?.['app'] === 'set');
    return own.map((pod) => pod.spec?.containers[0]?.image).toSorted();
  };
  await world.until('two pods', async () => (await ofSet()).length === 2);
  const second = { ...template, spec: { containers: [{ name: 'c', image: 'c:2' }] } };
  const wider = { spec: { replicas: 3, template: second } };
  const patched = await world.server.request('PATCH', `${path}/set`, wider);
  assert.equal(patched.status, 200, patched.text);
  await world.until('three pods', async () => (await ofSet()).length === 3);
  await world.pass(5_000);
  assert.deepEqual(await ofSet(), ['c:1', 'c:1', 'c:2']);
});

test('replication.yaml: equality alone, short name, defaults from the template', async (t) => {
  covers('WRK-038', 'WRK-040', 'WRK-177');
  const world = await openWorld(t);
  await world.addNode('n1');
  const path = '/api/v1/namespaces/default/replicationcontrollers';
  const labels = { app: 'nginx' };
  const containers = [{ name: 'nginx', image: 'nginx', ports: [{ containerPort: 80 }] }];
  const template = { metadata: { name: 'nginx', labels }, spec: { containers } };
  const post = (name: string, spec: object) =>
    world.server.request('POST', path, {
      apiVersion: 'v1',
      kind: 'ReplicationController',
      metadata: { name },
      spec,
    });
  const whole = await post('nginx', { replicas: 3, selector: labels, template });
  assert.equal(whole.status, 201, whole.text);
  await ready(world, 3);
  const minimal = await post('minimal', { template });
  const { metadata, spec } = minimal.body;
  assert.deepEqual([metadata.labels, spec.selector, spec.replicas], [labels, labels, 1]);
  const other = await post('other', { selector: { app: 'other' }, template });
  assert.equal(other.status, 422);
  assert.match(other.body.message, /`selector` does not match template `labels`/);
  const matchExpressions = [{ key: 'app', operator: 'Exists' }];
  const sets = await post('sets', { selector: { matchExpressions }, template });
  assert.equal(sets.status, 400);
  const discovery = await world.server.request('GET', '/api/v1');
  const resources: { name: string; shortNames?: string[] }[] = discovery.body.resources;
  const found = resources.find(({ name }) => name === 'replicationcontrollers');
  assert.deepEqual(found?.shortNames, ['rc']);
});
