/**
 * Dynamic resources with a driver on real sockets, and a kubelet over a runtime in memory: claims
 * are prepared, retried, shared and given back; slices of drivers that are gone go; who has what
 * is told on the socket of pod resources.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { openGrpcChannel } from '#kit/grpc.ts';
import { events, pods, resourceClaims, resourceSlices } from '#resources/kinds.ts';
import type { Pod, PodSpec } from '#resources/types/core-v1.ts';
import type { OwnerReference } from '#resources/types/meta-v1.ts';
import type { ResourceClaim, ResourceSlice } from '#resources/types/resource-v1.ts';
import type { KubeletBench } from '#test/kubelet-bench.ts';
import { type Call, type MessageName, podResources, type Received, type Sent } from './messages.ts';
import {
  eventually,
  isReady,
  openBench,
  TestClaimDriver,
  TestDevicePlugin,
  TestRegistration,
  untilPod,
} from './plugins.contract.ts';

const driverName = 'gpu.example.com';

async function register(
  bench: KubeletBench,
  driver: TestClaimDriver,
  versions: readonly string[] = ['v1.DRAPlugin'],
): Promise<TestRegistration> {
  const registration = new TestRegistration(bench.pluginsRoot, {
    ...{ type: 'DRAPlugin', name: driverName, endpoint: driver.socket },
    supportedVersions: versions,
  });
  await registration.serve();
  await eventually(bench, () => registration.told.length > 0);
  return registration;
}

function createClaim(
  bench: KubeletBench,
  name: string,
  ownerReferences: readonly OwnerReference[] = [],
): Promise<ResourceClaim> {
  const claim: ResourceClaim = {
    ...{ apiVersion: 'resource.k8s.io/v1', kind: 'ResourceClaim' },
    metadata: { namespace: 'default', name, ownerReferences },
    spec: { devices: { requests: [{ name: 'one', exactly: { deviceClassName: 'gpu' } }] } },
  };
  return bench.while(bench.client.create(resourceClaims, claim, { signal: bench.signal }));
}

async function give(bench: KubeletBench, name: string, users: readonly Pod[]): Promise<void> {
  const { client, signal } = bench;
  const at = { namespace: 'default', name };
  const claim = await bench.while(client.get(resourceClaims, at, { signal }));
  const result = { request: 'one', driver: driverName, pool: 'pool', device: 'd1' };
  const status = {
    allocation: { devices: { results: [result] } },
    reservedFor: users.map(({ metadata }) => {
      return { resource: 'pods', name: metadata.name ?? '', uid: metadata.uid ?? '' };
    }),
  };
  const options = { signal, subresource: 'status' };
  await bench.while(client.update(resourceClaims, { ...claim, status }, options));
}

function createPod(bench: KubeletBench, name: string, claim: string): Promise<Pod> {
  const spec: Partial<PodSpec> = {
    resourceClaims: [{ name: 'mine', resourceClaimName: claim }],
    containers: [bench.container({ resources: { claims: [{ name: 'mine' }] } })],
    terminationGracePeriodSeconds: 1,
  };
  return bench.create(name, spec);
}

async function messagesOf(bench: KubeletBench, reason: string): Promise<readonly string[]> {
  const list = bench.client.list(events, { namespace: 'default', signal: bench.signal });
  const { items } = await bench.while(list);
  return items.filter((event) => event.reason === reason).map(({ note = '' }) => note);
}

async function remove(bench: KubeletBench, name: string): Promise<void> {
  const at = { namespace: 'default', name };
  await bench.while(bench.client.delete(pods, at, { signal: bench.signal }));
}

test('a pod waits for its claim, is given its devices, and gives them back', async () => {
  await using bench = await openBench();
  using driver = new TestClaimDriver(bench.pluginsRoot);
  const d1 = { poolName: 'pool', deviceName: 'd1' };
  driver.health = [{ device: d1, health: 'UNHEALTHY', message: 'too hot' }];
  await createClaim(bench, 'c');
  const created = await createPod(bench, 'p', 'c');
  const said = (text: string) => async () => {
    const all = await messagesOf(bench, 'FailedPrepareDynamicResources');
    return all.some((message) => message.endsWith(text));
  };
  const { uid } = created.metadata;
  await eventually(bench, async () => {
    const [message = ''] = await messagesOf(bench, 'FailedPrepareDynamicResources');
    const start = 'Failed to prepare dynamic resources: prepare dynamic resources: ';
    return message.startsWith(`${start}pod p (${uid}) is not allowed to use ResourceClaim c (`);
  });
  await give(bench, 'c', [created]);
  await eventually(bench, said('DRA driver gpu.example.com is not registered'));
  await driver.serve();
  driver.prepare = () => 'no such device';
  using _ = await register(bench, driver);
  await eventually(bench, said('NodePrepareResources failed for ResourceClaim c: no such device'));
  assert.deepEqual(bench.runtime.running(), []);
  driver.prepare = ({ name }) => [
    { requestNames: ['one'], ...d1, cdiDeviceIds: [`example.com/gpu=${name}`] },
  ];
  // Health comes on a stream of its own.
  const healthOf = ({ status }: Pod) =>
    status?.containerStatuses?.[0]?.allocatedResourcesStatus?.[0]?.resources?.[0]?.health;
  const pod = await untilPod(bench, 'p', (p) => isReady(p) && healthOf(p) === 'Unhealthy');
  assert.deepEqual(bench.runtime.configOf('web').cdiDevices, [{ name: 'example.com/gpu=c' }]);
  assert.deepEqual(pod.status?.containerStatuses?.[0]?.allocatedResourcesStatus, [
    {
      name: 'claim:mine',
      resources: [{ resourceID: 'example.com/gpu=c', health: 'Unhealthy', message: 'too hot' }],
    },
  ]);

  // The pod is not gone before its devices are.
  driver.unprepareError = 'still busy';
  await remove(bench, 'p');
  await eventually(bench, () => driver.calls.filter((call) => call === 'unprepare c').length > 1);
  assert.deepEqual(bench.runtime.running(), []);
  assert.equal((await bench.get('p')).metadata.name, 'p');
  driver.unprepareError = '';
  await eventually(bench, async () => {
    const path = '/api/v1/namespaces/default/pods/p';
    return (await bench.while(bench.server.request('GET', path))).status === 404;
  });
});

test('a claim made from a template is found by the name that its pod was told', async () => {
  await using bench = await openBench();
  const { client, signal } = bench;
  using driver = new TestClaimDriver(bench.pluginsRoot);
  await driver.serve();
  using _ = await register(bench, driver);
  const pod = await bench.create('p', {
    resourceClaims: [{ name: 'mine', resourceClaimTemplateName: 't' }],
    containers: [bench.container({ resources: { claims: [{ name: 'mine', request: 'one' }] } })],
  });
  const said = (text: string) => async () => {
    const all = await messagesOf(bench, 'FailedPrepareDynamicResources');
    return all.some((message) => message.includes(text));
  };
  await eventually(bench, said('pod "default/p": ResourceClaim not created yet'));
  await createClaim(bench, 'p-mine-x', [
    { apiVersion: 'v1', kind: 'Pod', name: 'p', controller: true, uid: 'another' },
  ]);
  await createClaim(bench, 'p-mine-y', [
    { apiVersion: 'v1', kind: 'Pod', name: 'p', controller: true, uid: pod.metadata.uid ?? '' },
  ]);
  const tell = async (resourceClaimName: string): Promise<void> => {
    const status = { resourceClaimStatuses: [{ name: 'mine', resourceClaimName }] };
    const options = { type: 'merge', subresource: 'status', signal } as const;
    const at = { namespace: 'default', name: 'p' };
    await bench.while(client.patch(pods, at, { status }, options));
  };
  await tell('p-mine-x');
  const text =
    'ResourceClaim default/p-mine-x was not created for Pod default/p (Pod is not owner)';
  await eventually(bench, said(text));
  await tell('p-mine-y');
  await give(bench, 'p-mine-y', [pod]);
  const ready = await untilPod(bench, 'p', isReady);
  const [status] = ready.status?.containerStatuses ?? [];
  assert.equal(status?.allocatedResourcesStatus?.[0]?.name, 'claim:mine/one');
  assert.equal(ready.status?.resourceClaimStatuses?.[0]?.resourceClaimName, 'p-mine-y');
});

test('pods share a claim, which is given back with the last of them', async () => {
  await using bench = await openBench();
  using driver = new TestClaimDriver(bench.pluginsRoot);
  await driver.serve('v1beta1.DRAPlugin');
  using _ = await register(bench, driver, ['v1beta1.DRAPlugin']);
  await createClaim(bench, 'c');
  const users = [await createPod(bench, 'p', 'c'), await createPod(bench, 'q', 'c')];
  await give(bench, 'c', users);
  await untilPod(bench, 'p', isReady);
  await untilPod(bench, 'q', isReady);
  await remove(bench, 'p');
  await bench.untilGone('p');
  assert.equal(driver.calls.includes('unprepare c'), false);
  await remove(bench, 'q');
  await eventually(bench, () => driver.calls.includes('unprepare c'));
});

test('claims of a pod that went while the kubelet was away are given back', async () => {
  await using bench = await openBench();
  using driver = new TestClaimDriver(bench.pluginsRoot);
  await driver.serve();
  using _ = await register(bench, driver);
  await createClaim(bench, 'c');
  await give(bench, 'c', [await createPod(bench, 'p', 'c')]);
  await untilPod(bench, 'p', isReady);
  await bench.stop();
  const at = { namespace: 'default', name: 'p' };
  const force = { gracePeriodSeconds: 0, signal: bench.signal };
  await bench.while(bench.client.delete(pods, at, force));
  bench.start();
  await eventually(bench, () => driver.calls.includes('unprepare c'), { stepMs: 1000 });
});

function createSlice(
  bench: KubeletBench,
  name: string,
  { nodeName = 'node-1', driver = driverName } = {},
): Promise<ResourceSlice> {
  const slice = {
    ...{ apiVersion: 'resource.k8s.io/v1', kind: 'ResourceSlice', metadata: { name } },
    spec: { driver, nodeName, pool: { name, generation: 1, resourceSliceCount: 1 } },
  };
  return bench.while(bench.client.create(resourceSlices, slice, { signal: bench.signal }));
}

async function slicesOf(bench: KubeletBench): Promise<string> {
  const list = bench.client.list(resourceSlices, { signal: bench.signal });
  const { items } = await bench.while(list);
  return items.map(({ metadata }) => metadata.name).join();
}

test('slices of a driver that is gone are removed, and all when the kubelet starts', async () => {
  await using bench = await openBench();
  using driver = new TestClaimDriver(bench.pluginsRoot);
  await driver.serve();
  using registration = await register(bench, driver);
  await bench.advance(1000);
  await createSlice(bench, 'mine');
  await createSlice(bench, 'other-driver', { driver: 'other.example.com' });
  await createSlice(bench, 'other-node', { nodeName: 'node-2' });
  await bench.advance(40_000);
  assert.equal(await slicesOf(bench), 'mine,other-driver,other-node');
  registration[Symbol.dispose]();
  const isWiped = async () => (await slicesOf(bench)) === 'other-driver,other-node';
  await eventually(bench, isWiped, { stepMs: 1000 });
  await bench.stop();
  bench.start();
  await eventually(bench, async () => (await slicesOf(bench)) === 'other-node');
});

test('a driver that was killed has half a minute to come back', async () => {
  await using bench = await openBench();
  using driver = new TestClaimDriver(bench.pluginsRoot);
  driver.health = [];
  await driver.serve();
  using _ = await register(bench, driver);
  await eventually(bench, () => driver.watchers === 1);
  await createSlice(bench, 'mine');
  const diedMs = bench.clock.monotonic();
  // Its registration stays behind, its connections end.
  driver[Symbol.dispose]();
  await eventually(bench, () => bench.clock.monotonic() > diedMs + 5000);
  await driver.serve();
  await eventually(bench, () => driver.watchers === 1);
  await bench.advance(60_000);
  assert.equal(await slicesOf(bench), 'mine');
  driver[Symbol.dispose]();
  await eventually(bench, async () => (await slicesOf(bench)) === '', { stepMs: 1000 });
});

async function ask<Q extends MessageName, A extends MessageName>(
  bench: KubeletBench,
  call: Call<Q, A>,
  request: Sent<Q>,
): Promise<Received<A>> {
  const endpoint = `unix://${join(bench.pluginsRoot, 'pod-resources/kubelet.sock')}`;
  using channel = await openGrpcChannel({ clock: systemClock() }, endpoint);
  return await channel.unary(call.client, request, { signal: bench.signal, timeoutMs: 60_000 });
}

test('agents are told which devices and claims each container has', async () => {
  await using bench = await openBench();
  using driver = new TestClaimDriver(bench.pluginsRoot);
  await driver.serve();
  using _ = await register(bench, driver);
  using plugin = new TestDevicePlugin(bench.pluginsRoot, 'example.com/nic');
  plugin.devices = { a: 'Healthy', b: 'Healthy', c: 'Unhealthy' };
  await plugin.serve();
  await plugin.register();
  await createClaim(bench, 'c');
  await eventually(bench, async () => {
    const { devices } = await ask(bench, podResources.allocatable, {});
    return devices.length === 2;
  });
  const created = await bench.create('p', {
    resourceClaims: [{ name: 'mine', resourceClaimName: 'c' }],
    containers: [
      bench.container({
        resources: { claims: [{ name: 'mine' }], limits: { 'example.com/nic': '1' } },
      }),
    ],
  });
  await give(bench, 'c', [created]);
  await untilPod(bench, 'p', isReady);
  const expected = {
    name: 'p',
    namespace: 'default',
    containers: [
      {
        name: 'web',
        devices: [
          {
            resourceName: 'example.com/nic',
            deviceIds: ['a'],
            topology: { nodes: [{ id: 0 }] },
          },
        ],
        cpuIds: [],
        memory: [],
        dynamicResources: [
          {
            claimName: 'c',
            claimNamespace: 'default',
            claimResources: [
              {
                cdiDevices: [{ name: 'cdi/x=c' }],
                driverName,
                poolName: 'pool',
                deviceName: 'd1',
                shareId: '',
              },
            ],
          },
        ],
      },
    ],
  };
  assert.deepEqual(await ask(bench, podResources.list, {}), { podResources: [expected] });
  const address = { podName: 'p', podNamespace: 'default' };
  assert.deepEqual(await ask(bench, podResources.get, address), { podResources: expected });
  const nobody = { podName: 'q', podNamespace: 'default' };
  await assert.rejects(ask(bench, podResources.get, nobody), {
    message: 'pod q in namespace default not found',
  });
});
