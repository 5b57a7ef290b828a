/** When pods are looked at again, and which sandboxes are nobody's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Runtime } from '#cri';
import { silentLog } from '#kit/log.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { followRuntime } from './runtime-news.ts';

/** Sandboxes by id with the uid of their pod, as the runtime has them and the API knows them. */
class World {
  readonly clock = new VirtualClock();
  readonly sandboxes = new Map<string, string>();
  readonly known = new Set<string>();
  readonly orphans: (readonly string[])[] = [];
  readonly woken: string[] = [];
  /** Runs between the answers of one list. */
  meanwhile = (): void => {};
  /** Until then a removal lasts. */
  removed: Promise<void> = Promise.resolve();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor() {
    const runtime: Partial<Runtime> = {
      listPodSandboxes: async () =>
        [...this.sandboxes].map(([id, uid]) => ({
          ...{ id, metadata: undefined, state: 'SANDBOX_READY', createdAt: 0 },
          ...{ labels: { 'io.kubernetes.pod.uid': uid }, annotations: {}, runtimeHandler: '' },
        })),
      listContainers: async () => {
        await this.clock.sleep(10, { signal: this.#stop.signal });
        this.meanwhile();
        return [];
      },
      async *events({ signal }) {
        await new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        });
      },
    };
    // Nothing else of it is asked for.
    const deps = { runtime: runtime as Runtime, clock: this.clock, log: silentLog };
    this.#running = followRuntime(
      { ...deps, owners: new Map() },
      {
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
      },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the test is over'));
    await assert.rejects(this.#running.then(() => this.#stop.signal.throwIfAborted()));
  }
}

test('a pod that ends while the runtime is asked leaves nothing that is nobody’s', async () => {
  await using world = new World();
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
  await using world = new World();
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
