/** When pods are looked at again, and which sandboxes are nobody's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Runtime, RuntimeEvent } from '#cri';
import { GrpcError } from '#cri';
import { silentLog } from '#kit/log.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { followRuntime } from './runtime-news.ts';

/** Sandboxes by id with the uid of their pod, as the runtime has them and the API knows them. */
class World {
  readonly clock = new VirtualClock();
  readonly sandboxes = new Map<string, string>();
  readonly known = new Set<string>();
  /** By id of what a pod knows of: the pod. */
  readonly owned = new Map<string, string>();
  readonly orphans: (readonly string[])[] = [];
  readonly woken: string[] = [];
  lists = 0;
  sandboxState: 'SANDBOX_READY' | 'SANDBOX_NOTREADY' = 'SANDBOX_READY';
  /** Runs between the answers of one list. */
  meanwhile = (): void => {};
  /** Until then a removal lasts. */
  removed: Promise<void> = Promise.resolve();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  /** Without a list of events the runtime does not tell any. */
  constructor({ events }: { readonly events?: readonly RuntimeEvent[] | undefined } = {}) {
    const runtime: Partial<Runtime> = {
      listPodSandboxes: async () => {
        this.lists += 1;
        return [...this.sandboxes].map(([id, uid]) => ({
          ...{ id, metadata: undefined, state: this.sandboxState, createdAt: 0 },
          ...{ labels: { 'io.kubernetes.pod.uid': uid }, annotations: {}, runtimeHandler: '' },
        }));
      },
      containerStatus: async (id) => {
        throw new GrpcError('/status', 'NOT_FOUND', id);
      },
      podSandboxStatus: async (id) => {
        throw new GrpcError('/status', 'NOT_FOUND', id);
      },
      listContainers: async () => {
        await this.clock.sleep(10, { signal: this.#stop.signal });
        this.meanwhile();
        return [];
      },
      async *events({ signal }) {
        if (events === undefined) return;
        yield* events;
        await new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        });
      },
    };
    // Nothing else of it is asked for.
    const deps = { runtime: runtime as Runtime, clock: this.clock, log: silentLog };
    this.#running = followRuntime(deps, {
      ownerOf: (id) => this.owned.get(id),
      onPod: (uid) => this.woken.push(uid),
      isKnown: (uid) => this.known.has(uid),
      hasSeen: () => false,
      isMaking: () => false,
      onOrphans: async (ids) => {
        this.orphans.push(ids);
        await this.removed;
        for (const id of ids) this.sandboxes.delete(id);
      },
      signal: this.#stop.signal,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the test is over'));
    await assert.rejects(this.#running.then(() => this.#stop.signal.throwIfAborted()));
  }
}

test('a pod that ends while the runtime is asked leaves nothing that is nobody’s', async () => {
  await using world = new World({ events: [] });
  await world.clock.advance(1000);
  world.sandboxes.set('s1', 'u1');
  world.known.add('u1');
  world.meanwhile = () => {
    assert.equal(world.sandboxes.size, 1, 'it was on the list');
    world.meanwhile = () => {};
    // As a worker ends: first the sandbox, then who knew of it.
    world.sandboxes.delete('s1');
    world.known.delete('u1');
  };
  await world.clock.advance(6000);
  assert.deepEqual(world.orphans, []);
});

test('what is hard to remove holds up neither news nor what else is nobody’s', async () => {
  await using world = new World({ events: [] });
  const removed = Promise.withResolvers<void>();
  using _removing = { [Symbol.dispose]: removed.resolve };
  world.removed = removed.promise;
  world.sandboxes.set('hard', 'unknown');
  await world.clock.advance(6000);
  world.sandboxes.set('other', 'unknown too');
  world.sandboxes.set('s1', 'u1');
  world.known.add('u1');
  await world.clock.advance(12_000);
  assert.deepEqual(world.orphans, [['hard'], ['other']], 'each once, while it lasts');
  assert.ok(world.woken.includes('u1'));
  removed.resolve();
  await world.clock.advance(6000);
  assert.deepEqual([...world.sandboxes.keys()], ['s1']);
});

test('an event wakes the pod whose container it was, and nobody else', async () => {
  const ids = ['c1', 'of somebody else'];
  await using world = new World({ events: ids.map((id) => ({ type: 'exit', id })) });
  world.owned.set('c1', 'u1');
  world.owned.set('c2', 'u2');
  await world.clock.advance(1000);
  assert.deepEqual(world.woken, ['u1']);
});

test('a runtime without events is listed each second, and wakes nobody without need', async () => {
  await using world = new World();
  world.sandboxes.set('s1', 'u1');
  world.known.add('u1');
  world.owned.set('s1', 'u1');
  await world.clock.advance(1500);
  assert.deepEqual(world.woken.splice(0), ['u1'], 'a kubelet that starts knows nothing of it');
  const before = world.lists;
  await world.clock.advance(10_000);
  assert.deepEqual(world.woken, []);
  assert.ok(world.lists - before >= 9, `${world.lists - before} lists`);
  world.sandboxState = 'SANDBOX_NOTREADY';
  await world.clock.advance(1200);
  assert.deepEqual(world.woken, ['u1']);
});

test('a pod is told that somebody else has removed what it had, until it knows', async () => {
  await using world = new World({ events: [] });
  for (const id of ['s1', 's2']) world.sandboxes.set(id, 'u1');
  world.known.add('u1');
  world.owned.set('s1', 'u1');
  await world.clock.advance(6000);
  assert.deepEqual(world.woken, ['u1']);
  world.woken.length = 0;
  world.sandboxes.clear();
  await world.clock.advance(6000);
  assert.deepEqual(world.woken, ['u1']);
  world.owned.clear();
  await world.clock.advance(12_000);
  assert.deepEqual(world.woken, ['u1']);
});
