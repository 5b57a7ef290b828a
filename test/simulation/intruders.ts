/**
 * Canaries: components that are broken in just the way that a checker exists for. A simulation with
 * one of them must fail, else the checker sees nothing and its silence proves nothing.
 */
import { controllerOf, type KubeObject } from '#api/object.ts';
import type { Client, WatchEvent } from '#client';
import { runHollowNodes } from '#hollow';
import { replicaSets } from '#resources/kinds.ts';
import type { ReplicaSet } from '#resources/types/apps-v1.ts';
import type { Intruder } from './world.ts';

/** A node that takes every pod for its own. */
export const greedyNode: Intruder = async (deps, signal) => {
  const client: Client = {
    ...bound(deps.client),
    list: async (kind, options) => {
      const list = await deps.client.list(kind, { ...options, fieldSelector: undefined });
      return { ...list, items: list.items.map(claim) };
    },
    watch: (kind, options) =>
      claimed(deps.client.watch(kind, { ...options, fieldSelector: undefined })),
  };
  await runHollowNodes({ ...deps, client }, { names: ['node-1'], signal });
};

/** Shrinks old replica sets to nothing as soon as there is a newer one. */
export const hastyRollout: Intruder = async ({ client, clock }, signal) => {
  for (;;) {
    await clock.sleep(500, { signal });
    try {
      const { items } = await client.list(replicaSets, { signal });
      for (const old of items.filter((one) => isOutdated(one, items))) {
        const at = { namespace: old.metadata.namespace, name: old.metadata.name ?? '' };
        const patch = { spec: { replicas: 0 } };
        await client.patch(replicaSets, at, patch, { type: 'merge', signal });
      }
    } catch {
      signal.throwIfAborted();
    }
  }
};

function isOutdated(one: ReplicaSet, all: readonly ReplicaSet[]): boolean {
  if ((one.spec?.replicas ?? 0) === 0) return false;
  return all.some(
    (other) =>
      controllerOf(other)?.uid === controllerOf(one)?.uid && revisionOf(other) > revisionOf(one),
  );
}

function revisionOf({ metadata }: ReplicaSet): number {
  return Number(metadata.annotations?.['deployment.kubernetes.io/revision'] ?? 0);
}

/** All calls of a client as an object of their own, to be replaced one by one. */
function bound(client: Client): Client {
  return {
    transport: client.transport,
    get: client.get.bind(client),
    getPath: client.getPath.bind(client),
    list: client.list.bind(client),
    watch: client.watch.bind(client),
    create: client.create.bind(client),
    update: client.update.bind(client),
    patch: client.patch.bind(client),
    patchUnread: client.patchUnread.bind(client),
    delete: client.delete.bind(client),
    createSubresource: client.createSubresource.bind(client),
  };
}

async function* claimed<T extends KubeObject>(
  events: AsyncIterable<WatchEvent<T>>,
): AsyncGenerator<WatchEvent<T>> {
  for await (const event of events) {
    yield event.type === 'BOOKMARK' ? event : { ...event, object: claim(event.object) };
  }
}

function claim<T extends KubeObject>(object: T): T {
  if (object.kind !== 'Pod') return object;
  // The kind says that there is a spec.
  const { spec } = object as T & { readonly spec: object };
  return { ...object, spec: { ...spec, nodeName: 'node-1' } };
}
