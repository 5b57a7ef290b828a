/** Objects that own one another in a circle: deletion in the foreground must come to an end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OwnerReference } from '#api/object.ts';
import { configMaps } from '#resources/kinds.ts';
import { openWorld } from './control-world.ts';

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
