/**
 * The running scheduler against informers filled by hand and a client that notes what it is
 * asked: which pods it takes, what it writes when nothing fits, and what it does when a binding
 * goes wrong.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conflict, notFound } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import type { Client } from '#client';
import { silentLog } from '#kit/log.ts';
import { seededRandom } from '#kit/random.ts';
import { settle, VirtualClock } from '#kit/virtual-clock.ts';
import { nodes, pods } from '#resources/kinds.ts';
import type { Node, Pod, PodSpec } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { FakeInformers } from '#test/fake-informers.ts';
import { runScheduler } from './scheduler.ts';

interface Written {
  readonly verb: 'bind' | 'patch' | 'event';
  readonly name: string;
  readonly body: unknown;
}

type Answer = () => Promise<unknown>;

class World implements AsyncDisposable {
  readonly clock = new VirtualClock();
  readonly informers = new FakeInformers();
  readonly written: Written[] = [];
  /** What the next bindings are answered; then: bound. */
  readonly answers: Answer[] = [];
  /** Patches are answered when this is. */
  patchHolds: Promise<void> | undefined;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(options: { readonly schedulerName?: string } = {}) {
    const deps = {
      client: this.#client(),
      informers: this.informers,
      clock: this.clock,
      random: seededRandom(1),
      log: silentLog,
    };
    this.informers.of(nodes);
    this.informers.of(pods);
    this.informers.finishList();
    this.#running = runScheduler(deps, { ...options, signal: this.#stop.signal });
  }

  add(name: string, spec: Partial<PodSpec> = {}, more: Partial<Pod['metadata']> = {}): Pod {
    const pod: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default', uid: name, ...more },
      spec: { containers: [{ name: 'c', resources: { requests: { cpu: '1' } } }], ...spec },
    };
    this.informers.put(pods, pod);
    return pod;
  }

  node(name: string, spec: Node['spec'] = {}): void {
    const status = { allocatable: { cpu: '2', memory: '8Gi', pods: '110' } };
    this.informers.put(nodes, {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name },
      spec,
      status,
    } as Node);
  }

  get bindings(): readonly string[] {
    return this.written
      .filter(({ verb }) => verb === 'bind')
      .map(({ name, body }) => `${name} → ${(body as { target: { name: string } }).target.name}`);
  }

  get events(): readonly string[] {
    return this.written
      .filter(({ verb }) => verb === 'event')
      .map(({ body }) => body as { reason: string; message: string; source: { component: string } })
      .map(({ reason, message, source }) => `${source.component}: ${reason}: ${message}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const reason = new Error('test is over');
    this.#stop.abort(reason);
    await this.#running.catch((error: unknown) => assert.equal(error, reason));
  }

  /** Only what the scheduler calls; anything else is a fault of the test. */
  #client(): Client {
    const note = (verb: Written['verb'], name: string, body: unknown): void => {
      this.written.push({ verb, name, body });
    };
    const client: Partial<Client> = {
      createSubresource: async (_kind, { name }, subresource, body) => {
        assert.equal(subresource, 'binding');
        note('bind', name, body);
        return (await this.answers.shift()?.()) as never;
      },
      patch: async (_kind, { name }, body) => {
        note('patch', name, body);
        await this.patchHolds;
        return { metadata: { name } } as never;
      },
      create: async <T extends KubeObject>(_kind: unknown, object: T) => {
        note('event', object.metadata.name ?? '', object);
        return object;
      },
    };
    return client as Client;
  }
}

test('a pod without a node is bound, and an event says where', async () => {
  covers('SCH-013', 'SCH-064');
  await using world = new World();
  world.node('n1');
  world.add('web');
  await settle();
  assert.deepEqual(world.bindings, ['web → n1']);
  const [bind] = world.written;
  assert.ok(bind);
  assert.deepEqual((bind.body as { metadata: unknown }).metadata, {
    namespace: 'default',
    name: 'web',
    uid: 'web',
  });
  assert.deepEqual(world.events, [
    'default-scheduler: Scheduled: Successfully assigned default/web to n1',
  ]);
});

test('only pods of this scheduler, without gates, not being deleted', async () => {
  covers('SCH-071', 'SCH-072');
  await using world = new World({ schedulerName: 'mine' });
  world.node('n1');
  world.add('other');
  world.add('gone', { schedulerName: 'mine' }, { deletionTimestamp: '2026-01-01T00:00:00Z' });
  world.add('gated', { schedulerName: 'mine', schedulingGates: [{ name: 'wait' }] });
  world.add('own', { schedulerName: 'mine' });
  await settle();
  assert.deepEqual(world.bindings, ['own → n1']);
  assert.match(world.events[0] ?? '', /^mine: Scheduled/);
  world.add('gated', { schedulerName: 'mine', schedulingGates: [] });
  await settle();
  assert.deepEqual(world.bindings, ['own → n1', 'gated → n1']);
});

test('what fits nowhere says why in condition and event, once, and is bound when room comes', async () => {
  covers('SCH-020', 'SCH-022', 'SCH-059');
  await using world = new World();
  world.node('n1');
  world.add('big', { containers: [{ name: 'c', resources: { requests: { cpu: '3' } } }] });
  const blocking = world.add('a', { nodeName: 'n1' });
  world.add('b', { nodeName: 'n1' });
  const waits = world.add('c');
  await settle();
  assert.deepEqual(world.bindings, []);
  const message =
    '0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 ' +
    'nodes are available: 1 No preemption victims found for incoming pod.';
  const patch = world.written.find(({ verb, name }) => verb === 'patch' && name === 'c');
  const condition = {
    type: 'PodScheduled',
    status: 'False',
    reason: 'Unschedulable',
    message,
    lastTransitionTime: '2026-01-01T00:00:00Z',
    observedGeneration: undefined,
  };
  assert.deepEqual(patch?.body, {
    metadata: { uid: 'c' },
    status: { conditions: [condition] },
  });
  assert.ok(world.events.includes(`default-scheduler: FailedScheduling: ${message}`));

  // The condition is there now; the same outcome again writes nothing.
  const patches = (): number =>
    world.written.filter(({ verb, name }) => verb === 'patch' && name === 'c').length;
  const before = patches();
  world.informers.put(pods, { ...waits, status: { conditions: [condition] } } as Pod);
  await world.clock.advance(6 * 60_000);
  assert.equal(patches(), before);

  world.informers.remove(pods, `default/${blocking.metadata.name}`);
  await world.clock.advance(10_000);
  assert.deepEqual(world.bindings, ['c → n1']);
});

test('a pod is scheduled as soon as its node is uncordoned or its taint is gone', async () => {
  covers('SCH-004', 'SCH-081');
  await using world = new World();
  world.node('n1', { unschedulable: true });
  world.node('n2', { taints: [{ key: 'k', effect: 'NoSchedule' }] });
  world.add('a');
  await settle();
  await world.clock.advance(5_000);
  assert.deepEqual(world.bindings, []);
  world.node('n1', {});
  await settle();
  assert.deepEqual(world.bindings, ['a → n1']);
});

test('of many pods that fit nowhere all conditions are written, a few at a time', async () => {
  await using world = new World();
  const held = Promise.withResolvers<void>();
  world.patchHolds = held.promise;
  for (let index = 0; index < 100; index++) world.add(`p${index}`);
  await settle();
  const patched = (): readonly string[] =>
    world.written.filter(({ verb }) => verb === 'patch').map(({ name }) => name);
  assert.equal(patched().length, 16);
  held.resolve();
  await settle();
  assert.equal(new Set(patched().filter((name) => /^p\d+$/.test(name))).size, 100);
});

test('without any node the pod waits for the first', async () => {
  await using world = new World();
  world.add('a');
  await settle();
  assert.match(world.events[0] ?? '', /FailedScheduling: no nodes available to schedule pods$/);
  await world.clock.advance(1_000);
  world.node('n1');
  await settle();
  assert.deepEqual(world.bindings, ['a → n1']);
});

test('a refused binding gives its place back and is tried again after the back-off', async () => {
  await using world = new World();
  world.node('n1');
  world.answers.push(() => Promise.reject(conflict({ group: '', resource: 'pods' }, 'a', 'taken')));
  world.add('a', { containers: [{ name: 'c', resources: { requests: { cpu: '2' } } }] });
  await settle();
  await world.clock.advance(999);
  assert.equal(world.bindings.length, 1);
  await world.clock.advance(1);
  assert.deepEqual(world.bindings, ['a → n1', 'a → n1']);
});

test('a pod that is gone when it is bound is forgotten', async () => {
  await using world = new World();
  world.node('n1');
  world.answers.push(() => Promise.reject(notFound({ group: '', resource: 'pods' }, 'a')));
  const pod = world.add('a');
  await settle();
  world.informers.remove(pods, `default/${pod.metadata.name}`);
  await world.clock.advance(60_000);
  assert.equal(world.bindings.length, 1);
});

test('a binding without an answer keeps its place until it is known what became of it', async () => {
  await using world = new World();
  const whole = { containers: [{ name: 'c', resources: { requests: { cpu: '2' } } }] };
  world.node('n1');
  world.answers.push(() => Promise.reject(new Error('connection reset')));
  world.add('a', whole);
  await settle();
  // It may have been bound: nobody else gets the place.
  world.add('b', whole);
  await settle();
  assert.deepEqual(world.bindings, ['a → n1']);
  // It was bound indeed, as the informer says: not tried again.
  world.add('a', { ...whole, nodeName: 'n1' });
  await world.clock.advance(20_000);
  assert.deepEqual(world.bindings, ['a → n1']);
});

test('many pods at once fill the nodes exactly, without waiting for each other', async () => {
  covers('SCH-065');
  await using world = new World();
  const held = Promise.withResolvers<void>();
  world.node('n1');
  world.node('n2');
  for (let index = 0; index < 4; index++) world.answers.push(() => held.promise);
  for (let index = 0; index < 5; index++) world.add(`p${index}`);
  await settle();
  assert.deepEqual(world.bindings.map((one) => one.slice(-2)).sort(), ['n1', 'n1', 'n2', 'n2']);
  held.resolve();
});
