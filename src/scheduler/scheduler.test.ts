/**
 * The running scheduler against informers filled by hand and a client that notes what it is
 * asked: which pods it takes, what it writes when nothing fits, and what it does when a binding
 * goes wrong.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { badRequest, conflict, internalError, notFound, timeout } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import type { Client } from '#client';
import { aborted } from '#kit/aborted.ts';
import { silentLog } from '#kit/log.ts';
import { seededRandom } from '#kit/random.ts';
import { settle, VirtualClock } from '#kit/virtual-clock.ts';
import { deviceClasses, nodes, pods, resourceClaims, resourceSlices } from '#resources/kinds.ts';
import type { Node, Pod, PodSpec } from '#resources/types/core-v1.ts';
import type { DeviceClass, ResourceClaim, ResourceSlice } from '#resources/types/resource-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { FakeInformers } from '#test/fake-informers.ts';
import type { Post } from './extender.ts';
import type { Placement } from './extension.ts';
import {
  readConfiguration,
  runScheduler,
  SchedulerMetrics,
  type SchedulerOptions,
} from './scheduler.ts';

interface Written {
  readonly verb: 'bind' | 'patch' | 'event' | 'delete';
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
  /** As the API server has them, by name; the informers are told by the test. */
  readonly claims = new Map<string, ResourceClaim>();
  readonly pods = new Map<string, Pod>();
  /** Claims are written when this is. */
  claimHolds: Promise<void> | undefined;
  /** Patches are answered when this is. */
  patchHolds: Promise<void> | undefined;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(
    options: Partial<SchedulerOptions> & {
      readonly post?: Post;
      readonly metrics?: SchedulerMetrics;
    } = {},
  ) {
    const deps = {
      metrics: options.metrics,
      post: options.post,
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

  /** Names of pods deleted. */
  get deleted(): readonly string[] {
    return this.written.filter(({ verb }) => verb === 'delete').map(({ name }) => name);
  }

  get events(): readonly string[] {
    return this.written
      .filter(({ verb }) => verb === 'event')
      .map(({ body }) => body as { reason: string; note: string; reportingController: string })
      .map((event) => `${event.reportingController}: ${event.reason}: ${event.note}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const reason = new Error('test is over');
    this.#stop.abort(reason);
    await this.#running.catch((error: unknown) => assert.equal(error, reason));
  }

  /** The pod as the API server has it from now on. */
  #change(pod: Pod): Pod {
    const resourceVersion = String(Number(pod.metadata.resourceVersion ?? 1) + 1);
    const next = { ...pod, metadata: { ...pod.metadata, resourceVersion } };
    this.pods.set(pod.metadata.name ?? '', next);
    return next;
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
      patch: async ({ plural }, { name }, body) => {
        note('patch', name, body);
        await this.patchHolds;
        const known = plural === 'pods' ? this.pods.get(name) : undefined;
        if (known === undefined) return { metadata: { name } } as never;
        const { status } = body as Pick<Pod, 'status'>;
        return this.#change({ ...known, status: { ...known.status, ...status } }) as never;
      },
      delete: async (_kind, { name }, { gracePeriodSeconds }) => {
        note('delete', name, { gracePeriodSeconds });
      },
      create: async <T extends KubeObject>({ plural }: { plural: string }, object: T) => {
        if (plural === 'resourceclaims') {
          const name = `${object.metadata.generateName}x`;
          const made = { ...object, metadata: { ...object.metadata, name, uid: name } };
          this.claims.set(name, made as unknown as ResourceClaim);
          return made;
        }
        note('event', object.metadata.name ?? '', object);
        return object;
      },
      get: async ({ plural }, { name }) => {
        const found = plural === 'pods' ? this.pods.get(name) : this.claims.get(name);
        if (found === undefined) throw notFound({ group: '', resource: plural }, name);
        return found as never;
      },
      update: async <T extends KubeObject>(_kind: unknown, object: T) => {
        await this.claimHolds;
        this.claims.set(object.metadata.name ?? '', object as unknown as ResourceClaim);
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
  covers('SCH-020', 'SCH-059');
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
  const counts = world.written.map(({ body }) => Object(body).series?.count ?? 0);
  assert.ok(
    counts.some((count) => count > 1),
    'the event counts',
  );

  world.informers.remove(pods, `default/${blocking.metadata.name}`);
  await world.clock.advance(10_000);
  assert.deepEqual(world.bindings, ['c → n1']);
});

test('a pod is scheduled as soon as its node is uncordoned or its taint is gone', async () => {
  covers('SCH-081');
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
  world.node('n1', { unschedulable: true });
  world.add('b');
  await settle();
  await world.clock.advance(5_000);
  assert.deepEqual(world.bindings, ['a → n1']);
  world.node('n2', {});
  await settle();
  assert.deepEqual(world.bindings, ['a → n1', 'b → n2']);
});

test('what a resize gives up is free once the node has it back, and what cannot be is not kept', async () => {
  await using world = new World();
  world.node('n1');
  const tell = (generation: number, cpu: string, has: string, reason = ''): void => {
    const conditions = [{ type: 'PodResizePending', status: 'True', reason }];
    const status = { resources: { requests: { cpu: has } }, allocatedResources: { cpu: has } };
    world.informers.put(pods, {
      ...{ apiVersion: 'v1', kind: 'Pod', status: { ...status, conditions } },
      metadata: { name: 'a', namespace: 'default', uid: 'a', generation },
      spec: { nodeName: 'n1', containers: [{ name: 'c' }], resources: { requests: { cpu } } },
    });
  };
  const later = async () => {
    await settle();
    await world.clock.advance(5_000);
  };
  tell(1, '2', '2');
  world.add('b');
  await later();
  tell(2, '500m', '2');
  await later();
  assert.deepEqual(world.bindings, []);
  tell(2, '500m', '500m');
  await later();
  assert.deepEqual(world.bindings, ['b → n1']);
  tell(3, '9', '500m', 'Deferred');
  world.add('c', { containers: [{ name: 'c', resources: { requests: { cpu: '500m' } } }] });
  await later();
  assert.deepEqual(world.bindings, ['b → n1']);
  tell(3, '9', '500m', 'Infeasible');
  await later();
  assert.deepEqual(world.bindings, ['b → n1', 'c → n1']);
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
  world.pods.set(
    'a',
    world.add('a', { containers: [{ name: 'c', resources: { requests: { cpu: '2' } } }] }),
  );
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

test('after a late answer the place is told to be free when the pod goes elsewhere', async () => {
  await using world = new World();
  world.node('n1');
  world.answers.push(() => Promise.reject(new Error('connection reset')));
  const picky = world.add('a', whole);
  world.add('b', whole);
  await settle();
  assert.deepEqual(world.bindings, ['a → n1']);
  world.informers.put(pods, { ...picky, spec: { ...whole, nodeSelector: { disk: 'ssd' } } });
  await world.clock.advance(2_000);
  assert.deepEqual(world.bindings, ['a → n1', 'b → n1']);
});

test('a binding that is refused because it has happened leaves the pod its place', async () => {
  for (const [nodeName, expected] of [
    // As where our own request arrives twice.
    ['n1', ['a → n1']],
    // Somebody else was quicker.
    ['n2', ['a → n1', 'b → n1']],
    // It is on its way out.
    [undefined, ['a → n1', 'b → n1']],
  ] as const) {
    await using world = new World();
    world.node('n1');
    const refused = conflict({ group: '', resource: 'pods' }, 'a', 'already assigned');
    world.answers.push(() => Promise.reject(refused));
    const a = world.add('a', whole);
    world.pods.set('a', { ...a, spec: { ...whole, ...(nodeName && { nodeName }) } });
    world.add('b', whole);
    await settle();
    assert.deepEqual(world.bindings, expected, `${nodeName}`);
    // Nor is it tried again, whatever older news comes.
    const status = { conditions: [{ type: 'PodScheduled', status: 'False' }] };
    if (nodeName === 'n1') world.informers.put(pods, { ...a, status });
    await world.clock.advance(60_000);
    assert.deepEqual(world.bindings.slice(0, 2), expected, `${nodeName}`);
  }
});

test('what a server that failed has done with a binding is read', async () => {
  const failures = [internalError('disk is full'), timeout('no answer in time', 1)];
  for (const failure of failures) {
    for (const nodeName of ['n1', undefined]) {
      await using world = new World();
      world.node('n1');
      world.answers.push(() => Promise.reject(failure));
      const a = world.add('a', whole);
      world.pods.set('a', { ...a, spec: { ...whole, ...(nodeName && { nodeName }) } });
      world.add('b', whole);
      await settle();
      // Bound after all, or it still may be: nobody else gets the place.
      const isFree = nodeName === undefined && failure === failures[0];
      const expected = isFree ? ['a → n1', 'b → n1'] : ['a → n1'];
      assert.deepEqual(world.bindings, expected, `${nodeName} ${failure.message}`);
      await world.clock.advance(60_000);
      if (nodeName !== undefined) assert.deepEqual(world.bindings, expected);
      else assert.equal(world.bindings.length, 2);
    }
  }
});

test('a pod that is bound is not tried again when older news of it comes', async () => {
  await using world = new World();
  world.node('n1');
  const a = world.add('a', whole);
  world.add('b', whole);
  await settle();
  const status = { conditions: [{ type: 'PodScheduled', status: 'False' }] };
  world.informers.put(pods, { ...a, status });
  await world.clock.advance(60_000);
  assert.deepEqual(world.bindings, ['a → n1']);
  world.add('a', { ...whole, nodeName: 'n1' });
  world.informers.put(pods, { ...a, status });
  await world.clock.advance(60_000);
  assert.deepEqual(world.bindings, ['a → n1']);
});

/** One device on one node, and a claim for each of two pods. */
function withDevices(world: World): (name: string) => Partial<PodSpec> {
  const { informers } = world;
  const apiVersion = 'resource.k8s.io/v1';
  const metadata = { name: 'gpu' };
  const gpu: DeviceClass = { apiVersion, kind: 'DeviceClass', metadata, spec: {} };
  informers.put(deviceClasses, gpu);
  const pool = { name: 'n1', generation: 1, resourceSliceCount: 1 };
  const offer = { driver: 'd.example.com', nodeName: 'n1', pool, devices: [{ name: 'gpu-0' }] };
  const slice: ResourceSlice = { apiVersion, kind: 'ResourceSlice', metadata, spec: offer };
  informers.put(resourceSlices, slice);
  for (const name of ['a', 'b']) {
    const requests = [{ name: 'one', exactly: { deviceClassName: 'gpu' } }];
    const at = { namespace: 'default', name: `claim-${name}`, uid: `claim-${name}` };
    const spec = { devices: { requests } };
    const metadata = { ...at, resourceVersion: '7' };
    const claim = { apiVersion, kind: 'ResourceClaim', metadata, spec };
    world.claims.set(at.name, claim);
    informers.put(resourceClaims, claim);
  }
  world.node('n1');
  return (name) => ({ resourceClaims: [{ name: 'x', resourceClaimName: `claim-${name}` }] });
}

test('a device whose claim could not be written is had at once by who waits for it', async () => {
  await using world = new World();
  const wants = withDevices(world);
  const holds = Promise.withResolvers<void>();
  world.claimHolds = holds.promise;
  world.add('a', wants('a'));
  world.add('b', wants('b'));
  await settle();
  assert.deepEqual(world.bindings, []);
  world.claimHolds = undefined;
  holds.reject(badRequest('not now'));
  await settle();
  assert.deepEqual(world.bindings, ['b → n1']);
});

test('a pod that is deleted while it waits to be bound gives its place up at once', async () => {
  const waits = {
    name: 'Gate',
    permit: ({ pod: { uid } }: Placement, { signal }: { readonly signal: AbortSignal }) =>
      uid === 'a'
        ? aborted(signal).then(() => Promise.reject(signal.reason))
        : Promise.resolve({ do: 'allow' } as const),
  };
  const deletionTimestamp = '2026-01-01T00:00:00Z';
  for (const finalizers of [[], ['example.com/mine']]) {
    await using world = new World({ extensions: [waits] });
    const wants = withDevices(world);
    const a = world.add('a', wants('a'));
    world.add('b', wants('b'));
    await settle();
    assert.deepEqual(world.bindings, []);
    if (finalizers.length === 0) world.informers.remove(pods, 'default/a');
    else world.informers.put(pods, { ...a, metadata: { ...a.metadata, deletionTimestamp } });
    await settle();
    assert.deepEqual(world.bindings, ['b → n1']);
    assert.ok(!world.events.some((event) => event.includes('pod is deleted')));
  }
});

test('what is being written for a pod that is deleted is carried through before it is undone', async () => {
  await using world = new World();
  const wants = withDevices(world);
  const holds = Promise.withResolvers<void>();
  world.claimHolds = holds.promise;
  world.add('a', wants('a'));
  await settle();
  world.informers.remove(pods, 'default/a');
  world.add('b', wants('b'));
  await world.clock.advance(2_000);
  assert.deepEqual(world.bindings, []);
  world.claimHolds = undefined;
  holds.resolve();
  await world.clock.advance(2_000);
  // The claim has the device, though nobody has seen it yet.
  const written = world.claims.get('claim-a');
  assert.ok(written?.status?.allocation !== undefined);
  assert.deepEqual(world.bindings, []);
  world.informers.put(resourceClaims, written);
  await world.clock.advance(2_000);
  const undone = world.claims.get('claim-a');
  assert.deepEqual(undone?.status, {});
  assert.deepEqual(world.bindings, []);
  world.informers.put(resourceClaims, undone);
  await world.clock.advance(2_000);
  assert.deepEqual(world.bindings, ['b → n1']);
});

test('what was promised to a pod that was bound and went at once is promised to others later', async () => {
  for (const isHeard of [true, false]) {
    await using world = new World();
    const wants = withDevices(world);
    const a = world.add('a', wants('a'));
    // The answer comes, or it is lost and what comes instead is that the pod is bound already.
    world.answers.push(async () => {
      world.pods.set('a', { ...a, spec: { containers: [], nodeName: 'n1' } });
      world.informers.remove(pods, 'default/a');
      if (!isHeard) throw conflict({ group: '', resource: 'pods' }, 'a', 'already assigned');
    });
    world.add('b', wants('b'));
    await settle();
    assert.deepEqual(world.bindings, ['a → n1'], 'its claim may still be seen');
    await world.clock.advance(10_000);
    assert.deepEqual(world.bindings, ['a → n1', 'b → n1'], `${isHeard}`);
  }
});

test('a pod that was told of its claim is bound only as long as it names it', async () => {
  const gpu = 'example.com/gpu';
  const limits = { [gpu]: '1' };
  const spec = { containers: [{ name: 'c', resources: { limits, requests: limits } }] };
  const refused = () => Promise.reject(conflict({ group: '', resource: 'pods' }, 'a', 'changed'));
  for (const isStill of [true, false]) {
    await using world = new World();
    withDevices(world);
    world.informers.put(deviceClasses, {
      apiVersion: 'resource.k8s.io/v1',
      kind: 'DeviceClass',
      metadata: { name: 'gpu' },
      spec: { extendedResourceName: gpu },
    });
    world.answers.push(() => {
      const pod = world.pods.get('a');
      const extendedResourceClaimStatus = { requestMappings: [], resourceClaimName: 'another' };
      const status = isStill ? pod?.status : { extendedResourceClaimStatus };
      world.pods.set('a', {
        ...world.add('a', spec),
        metadata: { ...pod?.metadata, resourceVersion: '9' },
        status,
      });
      return refused();
    });
    world.pods.set('a', world.add('a', spec));
    await settle();
    const versions = world.written
      .filter(({ verb }) => verb === 'bind')
      .map(({ body }) => (body as KubeObject).metadata.resourceVersion);
    const [first, ...next] = versions;
    assert.ok(first !== undefined && first !== '9');
    assert.deepEqual(next, isStill ? ['9'] : []);
  }
});

test('claims that could not be given back let the pod try again after its back-off', async () => {
  await using world = new World();
  withDevices(world);
  const { informers } = world;
  const gpu = 'example.com/gpu';
  informers.put(deviceClasses, {
    apiVersion: 'resource.k8s.io/v1',
    kind: 'DeviceClass',
    metadata: { name: 'gpu' },
    spec: { extendedResourceName: gpu },
  });
  const owner = { apiVersion: 'v1', kind: 'Pod', name: 'a', uid: 'a', controller: true };
  const annotations = { 'resource.kubernetes.io/extended-resource-claim': 'true' };
  const claim: ResourceClaim = {
    apiVersion: 'resource.k8s.io/v1',
    kind: 'ResourceClaim',
    metadata: {
      name: 'left',
      namespace: 'default',
      uid: 'left',
      annotations,
      ownerReferences: [owner],
    },
    spec: {},
  };
  world.claims.set('left', claim);
  informers.put(resourceClaims, claim);
  world.claimHolds = Promise.reject(badRequest('not now'));
  const limits = { [gpu]: '1' };
  world.add('a', { containers: [{ name: 'c', resources: { limits, requests: limits } }] });
  await settle();
  assert.deepEqual(world.deleted, []);
  world.claimHolds = undefined;
  await world.clock.advance(2_000);
  assert.deepEqual(world.deleted, ['left']);
});

test('devices of a pod that was not bound look free to nobody before they are given back', async () => {
  await using world = new World();
  const { informers, clock } = world;
  const wants = withDevices(world);
  world.answers.push(() => Promise.reject(badRequest('not now')));
  world.add('a', wants('a'));
  await settle();
  world.add('b', wants('b'));
  await settle();
  assert.deepEqual(world.bindings, ['a → n1']);
  const written = world.claims.get('claim-a');
  assert.ok(written?.status?.allocation !== undefined);
  await clock.advance(1_000);
  assert.equal(world.claims.get('claim-a'), written, 'the informers do not show the claim yet');
  informers.put(resourceClaims, written);
  await clock.advance(1_000);
  const released = world.claims.get('claim-a');
  assert.deepEqual(released?.status, {});
  assert.deepEqual(world.bindings, ['a → n1']);
  informers.put(resourceClaims, released);
  await clock.advance(2_000);
  assert.deepEqual(world.bindings, ['a → n1', 'b → n1']);
});

test('many pods at once fill the nodes exactly, without waiting for each other', async () => {
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

const whole = { containers: [{ name: 'c', resources: { requests: { cpu: '2' } } }] };

test('a pod of higher priority makes room: victims are told and deleted, then it is bound', async () => {
  covers('SCH-046');
  await using world = new World();
  world.node('n1');
  const low = world.add('low', { ...whole, nodeName: 'n1', priority: 1 });
  world.add('high', { ...whole, priority: 10 });
  await settle();
  assert.deepEqual(world.deleted, ['low']);
  const end = world.written.find(({ verb }) => verb === 'delete');
  assert.deepEqual(end?.body, { gracePeriodSeconds: undefined }, 'in the time that it asks for');
  const patches = world.written.filter(({ verb }) => verb === 'patch');
  const told = patches.find(({ name }) => name === 'low')?.body as {
    status: { conditions: readonly Record<string, unknown>[] };
  };
  assert.deepEqual(told.status.conditions, [
    {
      type: 'DisruptionTarget',
      status: 'True',
      reason: 'PreemptionByScheduler',
      message: 'default-scheduler: preempting to accommodate a higher priority pod',
      lastTransitionTime: '2026-01-01T00:00:00Z',
      observedGeneration: undefined,
    },
  ]);
  const nominated = patches.find(({ name }) => name === 'high')?.body as {
    status: { nominatedNodeName: string; conditions: readonly { message: string }[] };
  };
  assert.equal(nominated.status.nominatedNodeName, 'n1');
  const [condition] = nominated.status.conditions;
  assert.equal(condition?.message, '0/1 nodes are available: 1 Insufficient cpu.');
  assert.ok(
    world.events.includes('default-scheduler: Preempted: Preempted by pod high on node n1'),
  );
  assert.deepEqual(world.bindings, []);
  world.informers.remove(pods, `default/${low.metadata.name}`);
  await settle();
  assert.deepEqual(world.bindings, ['high → n1']);
});

test('while the victims end in peace nobody of lower rank takes the room, others are scheduled', async () => {
  covers('SCH-047');
  superseded('SCH-048', {
    by: 'v1.9',
    now: 'the room is kept for the pod by its nomination; only higher priority may take it',
  });
  await using world = new World();
  world.node('n1');
  world.node('n2', { taints: [{ key: 'k', effect: 'NoSchedule' }] });
  const low = world.add('low', { ...whole, nodeName: 'n1', priority: 1 });
  world.add('high', { ...whole, priority: 10 });
  await settle();
  // The victim takes its time.
  const deletionTimestamp = '2026-01-01T00:00:30Z';
  world.informers.put(pods, { ...low, metadata: { ...low.metadata, deletionTimestamp } });
  const tolerations = [{ operator: 'Exists' }];
  world.add('small', { containers: [{ name: 'c' }], priority: 1 });
  world.add('other', { containers: [{ name: 'c' }], priority: 1, tolerations });
  await settle();
  assert.deepEqual(world.bindings, ['small → n1', 'other → n2']);
  world.add('greedy', { ...whole, priority: 5 });
  await settle();
  world.informers.remove(pods, 'default/low');
  await world.clock.advance(20_000);
  assert.ok(world.bindings.includes('high → n1'));
  assert.ok(!world.bindings.includes('greedy → n1'));
});

test('several schedulers side by side: each profile takes its own pods by its own rules', async () => {
  const { profiles } = await readConfiguration(`
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- schedulerName: default-scheduler
- schedulerName: my-scheduler
  plugins:
    filter:
      disabled:
      - name: NodeUnschedulable
`);
  await using world = new World({ profiles });
  world.node('n1', { unschedulable: true });
  world.add('usual');
  world.add('own', { schedulerName: 'my-scheduler' });
  world.add('nobodys', { schedulerName: 'else' });
  await settle();
  assert.deepEqual(world.bindings, ['own → n1']);
  assert.ok(world.events.some((event) => event.startsWith('my-scheduler: Scheduled')));
  assert.ok(world.events.some((event) => event.startsWith('default-scheduler: FailedScheduling')));
});

test('an extender takes nodes away, gives points, and binds', async () => {
  const asked: string[] = [];
  const post: Post = async (_extender, verb, body) => {
    asked.push(verb);
    const { NodeNames } = body as { readonly NodeNames?: readonly string[] };
    if (verb === 'filter') {
      const kept = NodeNames?.filter((name) => name !== 'n1') ?? [];
      return { NodeNames: kept, FailedNodes: { n1: 'not this one' } };
    }
    if (verb === 'prioritize') return [{ Host: 'n3', Score: 10 }];
    return { Error: '' };
  };
  const source = `
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
extenders:
- urlPrefix: http://localhost
  filterVerb: filter
  prioritizeVerb: prioritize
  bindVerb: bind
  weight: 10
  nodeCacheCapable: true
`;
  const { extenders } = await readConfiguration(source);
  await using world = new World({ post, extenders });
  for (const name of ['n1', 'n2', 'n3']) world.node(name);
  world.add('web');
  await settle();
  assert.deepEqual(asked, ['filter', 'prioritize', 'bind']);
  assert.ok(world.events.some((event) => event.endsWith('assigned default/web to n3')));
  assert.deepEqual(world.bindings, []);
});

test('an extender that fails keeps pods waiting, unless it may be ignored', async () => {
  const source = (ignorable: boolean): string => `
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
extenders:
- {urlPrefix: "http://localhost", filterVerb: filter, ignorable: ${ignorable}}
`;
  const post: Post = () => Promise.reject(new Error('connection refused'));
  for (const ignorable of [true, false]) {
    const { extenders } = await readConfiguration(source(ignorable));
    await using world = new World({ post, extenders });
    world.node('n1');
    world.add('web');
    await settle();
    assert.deepEqual(world.bindings, ignorable ? ['web → n1'] : []);
    if (ignorable) continue;
    assert.deepEqual(world.events, ['default-scheduler: FailedScheduling: connection refused']);
  }
});

test('a pod that goes while extenders are asked again leaves its place to who waits for it', async () => {
  let holds: Promise<void> | undefined;
  const post: Post = async (_extender, _verb, body) => {
    await holds;
    const { NodeNames } = body as { readonly NodeNames?: readonly string[] };
    return { NodeNames };
  };
  const source = `
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
extenders:
- {urlPrefix: "http://localhost", filterVerb: filter, nodeCacheCapable: true}
`;
  const { extenders } = await readConfiguration(source);
  await using world = new World({ post, extenders });
  world.node('n1');
  world.answers.push(() => Promise.reject(new Error('connection reset')));
  world.add('a', whole);
  world.add('b', whole);
  await settle();
  assert.deepEqual(world.bindings, ['a → n1']);
  const answered = Promise.withResolvers<void>();
  holds = answered.promise;
  await world.clock.advance(2_000);
  world.informers.remove(pods, 'default/a');
  answered.resolve();
  await world.clock.advance(2_000);
  assert.deepEqual(world.bindings, ['a → n1', 'b → n1']);
});

test('a permit may hold a pod back, let it go, or refuse it', async () => {
  const allowed = Promise.withResolvers<void>();
  const noted: string[] = [];
  const extension = {
    name: 'Gate',
    reserve: ({ pod }: { readonly pod: { readonly key: string } }) => {
      noted.push(`reserve ${pod.key}`);
      return undefined;
    },
    unreserve: ({ pod }: { readonly pod: { readonly key: string } }) => {
      noted.push(`unreserve ${pod.key}`);
    },
    permit: async ({ pod }: { readonly pod: { readonly uid: string } }) => {
      if (pod.uid === 'refused') return { do: 'reject', message: 'not today' } as const;
      await allowed.promise;
      return { do: 'allow' } as const;
    },
    postBind: ({ pod }: { readonly pod: { readonly key: string } }) => {
      noted.push(`bound ${pod.key}`);
    },
  };
  await using world = new World({ extensions: [extension] });
  world.node('n1');
  world.add('waits', whole);
  world.add('next', whole);
  await settle();
  // The place is taken while the pod waits.
  assert.deepEqual(world.bindings, []);
  allowed.resolve();
  await settle();
  assert.deepEqual(world.bindings, ['waits → n1']);
  world.node('n2');
  world.add('refused', { priority: 5 });
  await settle();
  // The event is of a series that has begun with other words; the condition says these.
  const patches = world.written.filter(({ verb, name }) => verb === 'patch' && name === 'refused');
  const messages = patches.map(({ body }) => {
    const { status } = body as { status: { conditions?: readonly { message: string }[] } };
    return status.conditions?.[0]?.message;
  });
  assert.ok(messages.includes('0/1 nodes are available: 1 not today.'), `${messages}`);
  assert.deepEqual(
    noted.filter((note) => note.endsWith('/refused')),
    ['reserve default/refused', 'unreserve default/refused'],
  );
  assert.ok(noted.includes('bound default/waits'));
});

test('what happened is counted under the names that people watch', async () => {
  const metrics = new SchedulerMetrics();
  await using world = new World({ metrics });
  world.node('n1');
  world.add('fits');
  world.add('big', { containers: [{ name: 'c', resources: { requests: { cpu: '3' } } }] });
  world.add('gated', { schedulingGates: [{ name: 'g' }] });
  await settle();
  const lines = metrics.format().split('\n');
  const profile = 'profile="default-scheduler"';
  for (const line of [
    `scheduler_schedule_attempts_total{result="scheduled",${profile}} 1`,
    `scheduler_schedule_attempts_total{result="unschedulable",${profile}} 1`,
    `scheduler_scheduling_attempt_duration_seconds_count{result="scheduled",${profile}} 1`,
    'scheduler_pending_pods{queue="active"} 0',
    'scheduler_pending_pods{queue="unschedulable"} 1',
    'scheduler_pending_pods{queue="gated"} 1',
    'scheduler_pod_scheduling_attempts_bucket{le="1"} 1',
    'scheduler_pod_scheduling_sli_duration_seconds_count{attempts="1"} 1',
    'scheduler_preemption_attempts_total 1',
    'scheduler_queue_incoming_pods_total{queue="active",event="UnschedulablePodAdd"} 2',
    'scheduler_queue_incoming_pods_total{queue="unschedulable",event="UnschedulablePodAdd"} 1',
    'scheduler_queue_incoming_pods_total{queue="unschedulable",event="ScheduleAttemptFailure"} 1',
    'scheduler_event_handling_duration_seconds_count{event="NodeAdd"} 1',
    'scheduler_event_handling_duration_seconds_count{event="UnschedulablePodAdd"} 3',
    `scheduler_plugin_evaluation_total{plugin="NodeResourcesFit",extension_point="Filter",${profile}} 2`,
    `scheduler_plugin_evaluation_total{plugin="NodeResourcesFit",extension_point="PreFilter",${profile}} 2`,
    'scheduler_plugin_execution_duration_seconds_count{plugin="DefaultBinder",extension_point="Bind",status="Success"} 1',
    'scheduler_plugin_execution_duration_seconds_count{plugin="NodeResourcesFit",extension_point="Filter",status="Success"} 1',
    `scheduler_unschedulable_pods{plugin="SchedulingGates",${profile}} 1`,
    'scheduler_cache_size{type="nodes"} 1',
    `scheduler_unschedulable_pods{plugin="NodeResourcesFit",${profile}} 1`,
  ]) {
    assert.ok(lines.includes(line), `${line}\n${metrics.format()}`);
  }
  // A node that is written again as it was is no news.
  world.node('n1');
  assert.doesNotMatch(metrics.format(), /event="NodeUpdate/);
});

test('each extension point is timed', async () => {
  const metrics = new SchedulerMetrics();
  await using world = new World({ metrics });
  world.node('n1');
  world.node('n2');
  world.add('fits');
  await settle();
  world.add('big', { containers: [{ name: 'c', resources: { requests: { cpu: '3' } } }] });
  await settle();
  const family = 'scheduler_framework_extension_point_duration_seconds_count';
  const counted = metrics
    .format()
    .split('\n')
    .filter((line) => line.startsWith(family))
    .map((line) =>
      /extension_point="(\w+)",status="(\w+)".* (\d+)$/.exec(line)?.slice(1).join(' '),
    );
  assert.deepEqual(counted.sort(), [
    'Bind Success 1',
    'Filter Success 2',
    'Permit Success 1',
    'PostBind Success 1',
    'PostFilter Unschedulable 1',
    'PreBind Success 1',
    'PreEnqueue Success 2',
    'PreFilter Success 2',
    'PreScore Success 1',
    'Reserve Success 1',
    'Score Success 1',
  ]);
});

test('names, sorts and labels are those of upstream', () => {
  const families = [...new SchedulerMetrics().format().matchAll(/^# TYPE (\w+) (\w+)$/gm)];
  // What kube-scheduler v1.36 serves, without what has nothing in its place here: batches, hints
  // for nodes, and the time that each rule takes to judge a change.
  assert.deepEqual(families.map(([, name, type]) => `${name} ${type}`).sort(), [
    'leader_election_master_status gauge',
    'scheduler_cache_size gauge',
    'scheduler_event_handling_duration_seconds histogram',
    'scheduler_framework_extension_point_duration_seconds histogram',
    'scheduler_goroutines gauge',
    'scheduler_inflight_events gauge',
    'scheduler_pending_pods gauge',
    'scheduler_permit_wait_duration_seconds histogram',
    'scheduler_plugin_evaluation_total counter',
    'scheduler_plugin_execution_duration_seconds histogram',
    'scheduler_pod_scheduled_after_flush_total counter',
    'scheduler_pod_scheduling_attempts histogram',
    'scheduler_pod_scheduling_sli_duration_seconds histogram',
    'scheduler_preemption_attempts_total counter',
    'scheduler_preemption_goroutines_duration_seconds histogram',
    'scheduler_preemption_goroutines_execution_total counter',
    'scheduler_preemption_victims histogram',
    'scheduler_queue_incoming_pods_total counter',
    'scheduler_resourceclaim_creates_total counter',
    'scheduler_schedule_attempts_total counter',
    'scheduler_scheduling_algorithm_duration_seconds histogram',
    'scheduler_scheduling_attempt_duration_seconds histogram',
    'scheduler_unschedulable_pods gauge',
  ]);
});
