/** How long ConfigMaps and Secrets are watched for the pods of a node. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import type { Client } from '#client';
import { silentLog } from '#kit/log.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { configMaps, secrets } from '#resources/kinds.ts';
import { WatchedObjects } from './watched-objects.ts';

const namespace = 'default';
const minute = 60_000;

test('a ConfigMap is watched on for a minute after its last pod, a Secret is not', async () => {
  const world = new World();
  const settings = { namespace, name: 'settings' };
  await world.objects.get(configMaps, settings, 'pod-1', world);
  world.objects.release('pod-1');
  await world.clock.advance(minute - 1);
  await world.objects.get(configMaps, settings, 'pod-2', world);
  assert.deepEqual(world.lists, ['configmaps settings'], 'the second pod asks nobody');
  await world.clock.advance(2 * minute);
  assert.deepEqual(world.watches, ['configmaps settings'], 'what is used is watched');
  world.objects.release('pod-2');
  await world.clock.advance(minute);
  assert.deepEqual(world.watches, []);
  assert.equal(world.objects.known(configMaps, settings), undefined);
  const password = { namespace, name: 'password' };
  await world.objects.get(secrets, password, 'pod-3', world);
  world.objects.release('pod-3');
  assert.equal(world.objects.known(secrets, password), undefined);
  await world.clock.advance(0);
  assert.deepEqual(world.watches, []);
});

test('of ConfigMaps that no pod uses only so many are watched, the latest ones', async () => {
  const world = new World();
  for (let index = 0; index < 60; index++) {
    await world.objects.get(configMaps, { namespace, name: `map-${index}` }, 'pod', world);
    world.objects.release('pod');
  }
  await world.clock.advance(0);
  assert.equal(world.watches.length, 50);
  assert.equal(world.watches[0], 'configmaps map-10');
});

test('a watch that is lost while no pod needs it is not begun anew', async () => {
  const world = new World();
  await world.objects.get(configMaps, { namespace, name: 'settings' }, 'pod-1', world);
  await world.clock.advance(0);
  world.objects.release('pod-1');
  world.breakWatches();
  await world.clock.advance(10_000);
  assert.deepEqual(world.lists, ['configmaps settings']);
  assert.deepEqual(world.watches, []);
});

test('who gives up waits for no answer, and others get it', async () => {
  const world = new World();
  const answered = Promise.withResolvers<void>();
  world.answered = answered.promise;
  const settings = { namespace, name: 'settings' };
  const stop = new AbortController();
  const first = world.objects.get(configMaps, settings, 'pod-1', { signal: stop.signal });
  const second = world.objects.get(configMaps, settings, 'pod-2', world);
  stop.abort(new Error('the pod is to end'));
  await assert.rejects(first, /the pod is to end/);
  answered.resolve();
  assert.equal((await second)?.metadata.name, 'settings');
  assert.equal(world.lists.length, 1);
});

/** An API that has everything that is asked for, and says what was asked. */
class World {
  readonly signal = new AbortController().signal;
  readonly clock = new VirtualClock();
  readonly lists: string[] = [];
  /** When lists are. */
  answered: Promise<void> = Promise.resolve();
  /** Going on now. */
  readonly watches: string[] = [];
  readonly #breaks: (() => void)[] = [];
  readonly objects: WatchedObjects;

  constructor() {
    const client: Pick<Client, 'list' | 'watch'> = {
      list: async (kind, { fieldSelector = '' }) => {
        const name = fieldSelector.replace('metadata.name=', '');
        this.lists.push(`${kind.plural} ${name}`);
        await this.answered;
        const object: KubeObject = { apiVersion: 'v1', kind: kind.kind, metadata: { name } };
        // Of the kind that was asked for.
        return { items: [object as never], resourceVersion: '1' };
      },
      watch: (kind, { fieldSelector = '', signal }) =>
        this.#watch(`${kind.plural} ${fieldSelector.replace('metadata.name=', '')}`, signal),
    };
    const spawn = (task: (signal: AbortSignal) => Promise<void>): void => {
      task(this.signal).catch(assert.fail);
    };
    this.objects = new WatchedObjects(
      // Nothing else is called.
      { client: client as Client, clock: this.clock, log: silentLog },
      { spawn, onChange: () => {} },
    );
  }

  breakWatches(): void {
    for (const end of this.#breaks.splice(0)) end();
  }

  async *#watch(what: string, signal: AbortSignal): AsyncGenerator<never> {
    this.watches.push(what);
    await new Promise<void>((resolve) => {
      this.#breaks.push(resolve);
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    this.watches.splice(this.watches.indexOf(what), 1);
    signal.throwIfAborted();
  }
}
