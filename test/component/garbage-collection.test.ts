/** What depends on owners that are gone, wrong, in a circle, or not to be waited for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OwnerReference } from '#api/object.ts';
import {
  configMaps,
  events,
  namespaces,
  pods,
  priorityClasses,
  replicaSets,
} from '#resources/kinds.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { openWorld, type World } from './control-world.ts';

test('a circle of owners is deleted in the foreground, each of them', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  const names = ['first', 'second', 'third'];
  const owners: OwnerReference[] = [];
  for (const name of names) {
    const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: 'default', name } };
    const { metadata } = await client.create(configMaps, map, { signal });
    const owner = { apiVersion: 'v1', kind: 'ConfigMap', name, uid: metadata.uid ?? '' };
    owners.push({ ...owner, controller: true, blockOwnerDeletion: true });
  }
  for (const [index, name] of names.entries()) {
    const ownerReferences = owners.slice(index - 1).slice(0, 1);
    const patch = { metadata: { ownerReferences } };
    await client.patch(configMaps, { namespace: 'default', name }, patch, {
      type: 'merge',
      signal,
    });
  }
  await world.pass(500);
  const first = { namespace: 'default', name: 'first' };
  await client.delete(configMaps, first, { propagationPolicy: 'Foreground', signal });
  await world.pass(2_000);
  const left = await world.list(configMaps, 'default');
  assert.deepEqual(
    left.map(({ metadata }) => metadata.name).filter((name = '') => names.includes(name)),
    [],
  );
});

async function create(
  world: World,
  at: { readonly namespace: string; readonly name: string },
  ownerReferences: readonly OwnerReference[] = [],
): Promise<OwnerReference> {
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { ...at, ownerReferences } };
  const { metadata } = await world.client.create(configMaps, map, { signal: world.signal });
  const { name = '', uid = '' } = metadata;
  return { apiVersion: 'v1', kind: 'ConfigMap', name, uid };
}

async function names(world: World, namespace: string): Promise<readonly (string | undefined)[]> {
  const all = await world.list(configMaps, namespace);
  return all.map(({ metadata }) => metadata.name).filter((name) => name !== 'kube-root-ca.crt');
}

async function told(world: World): Promise<readonly string[]> {
  const all = await world.list(events);
  const wrong = all.filter(({ reason }) => reason === 'OwnerRefInvalidNamespace');
  return wrong.map(({ note = '' }) => note);
}

test('an owner in another namespace owns nothing: the object goes, and the event says why', async (t) => {
  const world = await openWorld(t);
  const metadata = { name: 'other' };
  const other = { apiVersion: 'v1', kind: 'Namespace', metadata };
  await world.client.create(namespaces, other, { signal: world.signal });
  const owner = await create(world, { namespace: 'other', name: 'owner' });
  await world.pass(500);
  await create(world, { namespace: 'default', name: 'child' }, [owner]);
  await world.until('it to go', async () => (await names(world, 'default')).length === 0);
  assert.deepEqual(await names(world, 'other'), ['owner']);
  await world.pass(500);
  assert.deepEqual(await told(world), [
    `ownerRef [v1/ConfigMap, namespace: default, name: owner, uid: ${owner.uid}] does not exist in namespace "default"`,
  ]);
});

test("a cluster's object that names an owner in a namespace stays", async (t) => {
  const world = await openWorld(t);
  const owner = await create(world, { namespace: 'default', name: 'owner' });
  const metadata = { name: 'high', ownerReferences: [owner] };
  const high = { apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata, value: 7 };
  await world.client.create(priorityClasses, high, { signal: world.signal });
  await world.pass(2_000);
  assert.equal((await told(world)).length, 1);
  const at = { namespace: 'default', name: 'owner' };
  await world.client.delete(configMaps, at, { signal: world.signal });
  await world.pass(2_000);
  await world.client.get(priorityClasses, { name: 'high' }, { signal: world.signal });
});

test('a reference with the wrong name does not speak for those with the right one', async (t) => {
  const world = await openWorld(t);
  const owner = await create(world, { namespace: 'default', name: 'owner' });
  await create(world, { namespace: 'default', name: 'bad' }, [{ ...owner, name: 'typo' }]);
  await create(world, { namespace: 'default', name: 'good' }, [owner]);
  await world.pass(2_000);
  assert.deepEqual(await names(world, 'default'), ['good', 'owner']);
});

test('who makes or adopts pods is their owner, and a user may name one as well', async (t) => {
  covers('WRK-084');
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1');
  const kinds = ['ReplicationController', 'ReplicaSet', 'StatefulSet', 'DaemonSet', 'Deployment'];
  const containers = [{ name: 'c', image: 'c:1' }];
  const owned = async (app: string): Promise<readonly (string | undefined)[]> =>
    (await world.list(pods, 'default'))
      .filter(({ metadata }) => metadata.labels?.['app'] === app)
      .map(({ metadata }) => metadata.ownerReferences?.find(({ controller }) => controller)?.kind);
  for (const kind of kinds) {
    const name = kind.toLowerCase();
    const labels = { app: name };
    // A set adopts only pods of its names; a Deployment leaves that to its ReplicaSet.
    const orphan = { namespace: 'default', name: `${name}-0`, labels };
    const spec = kind === 'DaemonSet' ? { nodeName: 'n1', containers } : { containers };
    const adopts = kind !== 'Deployment';
    const pod: Pod = { apiVersion: 'v1', kind: 'Pod', metadata: orphan, spec };
    if (adopts) await client.create(pods, pod, { signal });
    const selector = kind === 'ReplicationController' ? labels : { matchLabels: labels };
    const template = { metadata: { labels }, spec: { containers } };
    const replicas = kind === 'DaemonSet' ? {} : { replicas: 2 };
    const group = kind === 'ReplicationController' ? 'api/v1' : 'apis/apps/v1';
    const body = { metadata: { name }, spec: { ...replicas, selector, template } };
    const path = `/${group}/namespaces/default/${name}s`;
    assert.equal((await world.server.request('POST', path, body)).status, 201);
    await world.pass(5_000);
    const by = kind === 'Deployment' ? 'ReplicaSet' : kind;
    assert.deepEqual(await owned(name), kind === 'DaemonSet' ? [by] : [by, by], kind);
  }
  const [set] = (await world.list(replicaSets, 'default')).filter(
    ({ metadata }) => metadata.labels?.['app'] === 'deployment',
  );
  assert.equal(set?.metadata.ownerReferences?.[0]?.kind, 'Deployment');
  const at = { namespace: 'default', name: 'by-hand' };
  const made = await client.create(
    pods,
    { apiVersion: 'v1', kind: 'Pod', metadata: at, spec: { containers } },
    { signal },
  );
  const owner = { apiVersion: 'v1', kind: 'Pod', name: 'by-hand', uid: made.metadata.uid ?? '' };
  await create(world, { namespace: 'default', name: 'of-a-user' }, [owner]);
  assert.deepEqual(await names(world, 'default'), ['of-a-user']);
  await client.delete(pods, at, { signal });
  await world.until('the map to go', async () => (await names(world, 'default')).length === 0);
});

test('what a pod owns goes with it; dependants that do not block are not waited for', async (t) => {
  covers('WRK-083', 'WRK-086');
  const world = await openWorld(t);
  await world.addNode('n1');
  const at = { namespace: 'default', name: 'owner' };
  const containers = [{ name: 'c', image: 'c:1' }];
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: at, spec: { containers } };
  const { metadata } = await world.client.create(pods, pod, { signal: world.signal });
  const owner = { apiVersion: 'v1', kind: 'Pod', name: 'owner', uid: metadata.uid ?? '' };
  await create(world, { namespace: 'default', name: 'child' }, [owner]);
  await world.pass(1_000);
  await world.client.delete(pods, at, { propagationPolicy: 'Background', signal: world.signal });
  await world.until('the pod to go', async () => (await world.list(pods, 'default')).length === 0);
  await world.until('its child to go', async () => (await names(world, 'default')).length === 0);
  const head = await create(world, { namespace: 'default', name: 'head' });
  const held = { namespace: 'default', name: 'held' };
  await create(world, held, [{ ...head, blockOwnerDeletion: false }]);
  const merge = { type: 'merge', signal: world.signal } as const;
  const keep = { metadata: { finalizers: ['example.com/keep'] } };
  await world.client.patch(configMaps, held, keep, merge);
  await world.pass(500);
  const foreground = { propagationPolicy: 'Foreground', signal: world.signal } as const;
  await world.client.delete(configMaps, { namespace: 'default', name: 'head' }, foreground);
  await world.until('the head to go', async () => {
    return (await names(world, 'default')).join() === 'held';
  });
  await world.until('the other to be deleted as well', async () => {
    const map = await world.client.get(configMaps, held, { signal: world.signal });
    return map.metadata.deletionTimestamp !== undefined;
  });
});
