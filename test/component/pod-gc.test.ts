/** Pods that nobody runs are ended by the control plane, and say so before they go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pods } from '#resources/kinds.ts';
import { openWorld } from './control-world.ts';

test('a pod that was never given a node, and that a finalizer holds, has failed', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  const at = { namespace: 'default', name: 'held' };
  const metadata = { ...at, finalizers: ['example.com/hold'] };
  const spec = { containers: [{ name: 'c', image: 'i' }] };
  await client.create(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec }, { signal });
  await client.delete(pods, at, { signal });
  await world.pass(25_000);
  const { status } = await client.get(pods, at, { signal });
  assert.equal(status?.phase, 'Failed');
  const released = { metadata: { finalizers: null } };
  await client.patch(pods, at, released, { type: 'merge', signal });
  assert.deepEqual(await world.list(pods, 'default'), []);
});
