/**
 * Hollow nodes against a real API server under a virtual clock: they register, keep their Lease,
 * put their readiness right, and take pods through their lives.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Client, openClient } from '#client';
import { type HollowOptions, runHollowNodes } from '#hollow';
import { type Logger, silentLog } from '#kit/log.ts';
import { seededRandom } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { leases, nodes, pods, serviceAccounts } from '#resources/kinds.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import { openTestServer } from '#test/fixtures.ts';

interface HollowWorld extends AsyncDisposable {
  readonly clock: VirtualClock;
  readonly client: Client;
  readonly signal: AbortSignal;
  restart(): Promise<void>;
}

async function openWorld(
  options: Omit<HollowOptions, 'signal'>,
  log: Logger = silentLog,
): Promise<HollowWorld> {
  const clock = new VirtualClock();
  const server = await openTestServer({ clock });
  const client = openClient({ transport: server.transport, clock });
  const deps = { client, clock, random: seededRandom(1), log };
  const never = new AbortController().signal;
  const begin = (): Scope => {
    const scope = new Scope(never);
    scope.spawn((signal) => runHollowNodes(deps, { ...options, signal }));
    return scope;
  };
  let scope = begin();
  const metadata = { name: 'default', namespace: 'default' };
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata };
  await client.create(serviceAccounts, account, { signal: never });
  await clock.advance(1_000);
  return {
    clock,
    client,
    signal: never,
    restart: async () => {
      await scope[Symbol.asyncDispose]();
      scope = begin();
    },
    [Symbol.asyncDispose]: async () => {
      await scope[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

function readyOf({ status }: Node | Pod): string | undefined {
  return status?.conditions?.find(({ type }) => type === 'Ready')?.status;
}

async function makePod(world: HollowWorld, more: Partial<Pod> = {}): Promise<void> {
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'default', ...more.metadata },
    spec: { nodeName: 'hollow-0', containers: [{ name: 'c', image: 'web:1' }], ...more.spec },
  };
  await world.client.create(pods, pod, { signal: world.signal });
}

const at = { namespace: 'default', name: 'web' };

test('nodes register ready, with addresses and capacity, and renew their leases', async () => {
  await using world = await openWorld({ count: 3, capacity: { cpu: '2' } });
  const { client, clock, signal } = world;
  const { items } = await client.list(nodes, { signal });
  assert.deepEqual(
    items.map((node) => [node.metadata.name, readyOf(node), node.status?.allocatable?.cpu]),
    ['hollow-0', 'hollow-1', 'hollow-2'].map((name) => [name, 'True', '2']),
  );
  const where = { namespace: 'kube-node-lease', name: 'hollow-1' };
  const first = await client.get(leases, where, { signal });
  assert.equal(first.spec?.leaseDurationSeconds, 40);
  await clock.advance(60_000);
  const later = await client.get(leases, where, { signal });
  const renewedMs = Date.parse(later.spec?.renewTime ?? '');
  assert.ok(clock.now() - renewedMs <= 10_000);
});

test('a node that somebody called unready says that it is ready', async () => {
  await using world = await openWorld({});
  const { client, clock, signal } = world;
  const conditions = [{ type: 'Ready', status: 'Unknown' }];
  const options = { type: 'strategic', subresource: 'status', signal } as const;
  await client.patch(nodes, { name: 'hollow-0' }, { status: { conditions } }, options);
  await clock.advance(1_000);
  const node = await client.get(nodes, { name: 'hollow-0' }, { signal });
  assert.equal(readyOf(node), 'True');
});

test('a pod becomes running and ready, and goes when it is deleted', async () => {
  const delays = { startMs: 1_000, readyMs: 2_000, stopMs: 500 };
  await using world = await openWorld({ delays });
  const { client, clock, signal } = world;
  await makePod(world);
  const seen: (string | undefined)[][] = [];
  for (let second = 0; second < 5; second++) {
    const pod = await client.get(pods, at, { signal });
    seen.push([pod.status?.phase, readyOf(pod), pod.status?.podIP]);
    await clock.advance(1_000);
  }
  assert.deepEqual(seen.at(0)?.[0], 'Pending');
  assert.deepEqual(seen.at(2), ['Running', 'False', '10.128.0.2']);
  assert.deepEqual(seen.at(4), ['Running', 'True', '10.128.0.2']);
  // What held a condition back is told no more when it holds.
  const { status } = await client.get(pods, at, { signal });
  const told = status?.conditions?.filter(({ reason, message }) => reason ?? message);
  assert.deepEqual(told, []);
  await client.delete(pods, at, { signal });
  const going = await client.get(pods, at, { signal });
  assert.ok(going.metadata.deletionTimestamp);
  await clock.advance(1_000);
  const { items } = await client.list(pods, { signal });
  assert.deepEqual(items, []);
});

test('a pod ends as its annotations say, and a failing one is started again', async () => {
  await using world = await openWorld({});
  const { client, clock, signal } = world;
  const annotations = {
    'hollow.coracle.dev/run-seconds': '5',
    'hollow.coracle.dev/exit-code': '3',
  };
  const job = { metadata: { name: 'job', annotations }, spec: { restartPolicy: 'Never' } };
  await makePod(world, {
    ...job,
    spec: { containers: [{ name: 'c', image: 'job:1' }], nodeName: 'hollow-0', ...job.spec },
  });
  await makePod(world, { metadata: { ...at, annotations } });
  await clock.advance(7_000);
  const ended = await client.get(pods, { ...at, name: 'job' }, { signal });
  assert.equal(ended.status?.phase, 'Failed');
  assert.equal(ended.status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 3);
  await clock.advance(10_000);
  const again = await client.get(pods, at, { signal });
  assert.equal(again.status?.containerStatuses?.[0]?.restartCount, 1);
});

test('an image that is nowhere holds its pod back for ever', async () => {
  await using world = await openWorld({ failures: { missingImages: ['web:typo'] } });
  const { client, clock, signal } = world;
  const containers = [{ name: 'c', image: 'web:typo' }];
  await makePod(world, { spec: { nodeName: 'hollow-0', containers } });
  await clock.advance(10 * 60_000);
  const { status } = await client.get(pods, at, { signal });
  const waiting = status?.containerStatuses?.[0]?.state?.waiting;
  assert.deepEqual([status?.phase, waiting?.reason], ['Pending', 'ImagePullBackOff']);
  await client.delete(pods, at, { signal });
  await clock.advance(1_000);
  await makePod(world);
  await clock.advance(1_000);
  assert.equal(readyOf(await client.get(pods, at, { signal })), 'True');
});

test('a process that begins anew starts its pods anew', async () => {
  await using world = await openWorld({});
  const { client, clock, signal } = world;
  await makePod(world);
  await clock.advance(1_000);
  await world.restart();
  await clock.advance(1_000);
  const pod = await client.get(pods, at, { signal });
  assert.equal(readyOf(pod), 'True');
  assert.equal(pod.status?.containerStatuses?.[0]?.restartCount, 1);
});

test('a pod that is killed at once stops after a while, and only then frees its address', async () => {
  const messages: string[] = [];
  const log: Logger = { ...silentLog, info: (message) => messages.push(message) };
  const delays = { startMs: 100, readyMs: 0, stopMs: 3_000 };
  await using world = await openWorld({ delays }, log);
  const { client, clock, signal } = world;
  await makePod(world);
  await clock.advance(1_000);
  await client.delete(pods, at, { gracePeriodSeconds: 0, signal });
  await clock.advance(2_000);
  assert.deepEqual(messages.slice(1), ['pod started']);
  await clock.advance(2_000);
  assert.deepEqual(messages.slice(1), ['pod started', 'pod stopped']);
});
