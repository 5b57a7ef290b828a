/**
 * Device plugins on real sockets, and a kubelet over a runtime in memory: registration, counts in
 * the node's status, what containers get, and what happens when plugins or the kubelet go away.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { nodes } from '#resources/kinds.ts';
import type { Container, NodeStatus, Pod } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import type { KubeletBench } from '#test/kubelet-bench.ts';
import {
  eventually,
  isReady,
  openBench,
  TestDevicePlugin,
  TestRegistration,
  untilPod,
} from './plugins.contract.ts';

const resource = 'example.com/gpu';

async function nodeStatusOf(bench: KubeletBench): Promise<NodeStatus> {
  const { signal } = bench;
  const node = await bench.while(bench.client.get(nodes, { name: 'node-1' }, { signal }));
  return node.status ?? {};
}

function untilCounted(bench: KubeletBench, capacity: string, allocatable: string): Promise<void> {
  return eventually(bench, async () => {
    const status = await nodeStatusOf(bench);
    return (
      status.capacity?.[resource] === capacity && status.allocatable?.[resource] === allocatable
    );
  });
}

async function openPlugin(
  bench: KubeletBench,
  devices: Readonly<Record<string, 'Healthy' | 'Unhealthy'>>,
): Promise<TestDevicePlugin> {
  const plugin = new TestDevicePlugin(bench.pluginsRoot, resource);
  plugin.devices = devices;
  await plugin.serve();
  return plugin;
}

function withDevices(bench: KubeletBench, count: number, more: Partial<Container> = {}): Container {
  return bench.container({ resources: { limits: { [resource]: String(count) } }, ...more });
}

test('a plugin registers and its healthy devices are what the node has to give', async () => {
  superseded('EXT-016', {
    by: 'v1.10',
    now: 'no gate: the socket, below the folder of the kubelet, is always there',
  });
  covers('EXT-017', 'EXT-019');
  await using bench = await openBench();
  using plugin = await openPlugin(bench, { a: 'Healthy', b: 'Healthy', c: 'Unhealthy' });
  await assert.rejects(plugin.register({ version: 'v1alpha' }), {
    message:
      'requested API version "v1alpha" is not supported by kubelet. Supported version is ["v1beta1"]',
  });
  for (const bad of ['gpu', 'kubernetes.io/gpu', 'requests.example.com/x', 'example.com/']) {
    await assert.rejects(plugin.register({ resourceName: bad }), {
      message: `the ResourceName "${bad}" is invalid`,
    });
  }
  await plugin.register();
  await untilCounted(bench, '3', '2');
  plugin.devices = { a: 'Healthy', b: 'Unhealthy' };
  await untilCounted(bench, '2', '1');

  // A plugin that goes away takes what can be given with it at once, and the rest after a while.
  plugin[Symbol.dispose]();
  await untilCounted(bench, '2', '0');
  await bench.advance(310_000);
  await untilCounted(bench, '0', '0');
});

test('a container gets what the plugin answered', async () => {
  covers('EXT-018');
  await using bench = await openBench();
  using plugin = await openPlugin(bench, { a: 'Healthy', b: 'Healthy', c: 'Healthy' });
  plugin.options = { preStartRequired: true, getPreferredAllocationAvailable: true };
  plugin.preferred = ['c', 'a'];
  plugin.answer = (ids) => ({
    envs: { DEVICES: ids.join(','), MINE: 'of the plugin' },
    mounts: [{ containerPath: '/lib/gpu', hostPath: '/opt/gpu', readOnly: true }],
    devices: [{ containerPath: '/dev/gpu0', hostPath: '/dev/null', permissions: 'rw' }],
    annotations: { 'example.com/gpu': 'yes' },
    cdiDevices: [{ name: 'example.com/gpu=a' }],
  });
  await plugin.register();
  await untilCounted(bench, '3', '3');
  const env = [{ name: 'MINE', value: 'of the pod' }];
  await bench.create('p', { containers: [withDevices(bench, 2, { env })] });
  const pod = await untilPod(bench, 'p', isReady);
  assert.deepEqual(plugin.calls, [
    'GetPreferredAllocation a,b,c of 2',
    'Allocate c,a',
    'PreStartContainer c,a',
  ]);
  const config = bench.runtime.configOf('web');
  const envs = new Map(config.envs?.map(({ key, value }) => [key, String(value)]));
  assert.equal(envs.get('DEVICES'), 'c,a');
  assert.equal(envs.get('MINE'), 'of the pod');
  assert.deepEqual(config.mounts?.[0], {
    ...{ containerPath: '/lib/gpu', hostPath: '/opt/gpu', readonly: true },
  });
  assert.deepEqual(config.devices, [
    { containerPath: '/dev/gpu0', hostPath: '/dev/null', permissions: 'rw' },
  ]);
  assert.equal(config.annotations?.['example.com/gpu'], 'yes');
  assert.deepEqual(config.cdiDevices, [{ name: 'example.com/gpu=a' }]);
  assert.deepEqual(pod.status?.containerStatuses?.[0]?.allocatedResourcesStatus, [
    {
      name: resource,
      resources: [
        { resourceID: 'c', health: 'Healthy' },
        { resourceID: 'a', health: 'Healthy' },
      ],
    },
  ]);

  // What becomes of a device shows in the pods that have it.
  plugin.devices = { a: 'Unhealthy', b: 'Healthy', c: 'Healthy' };
  await untilPod(bench, 'p', ({ status }) => {
    const [health] = status?.containerStatuses?.[0]?.allocatedResourcesStatus ?? [];
    return health?.resources?.some((one) => one.health === 'Unhealthy') === true;
  });
});

test('devices are given once, and are free when their pod has ended', async () => {
  await using bench = await openBench();
  using plugin = await openPlugin(bench, { a: 'Healthy', b: 'Healthy' });
  await plugin.register();
  await untilCounted(bench, '2', '2');
  const init = withDevices(bench, 2, { name: 'init' });
  const restartPolicy = 'Never';
  await bench.create('p', {
    ...{ restartPolicy, initContainers: [init], containers: [withDevices(bench, 2)] },
  });
  await eventually(bench, () => bench.runtime.running().includes('init'));
  bench.runtime.exit('init', 0);
  await untilPod(bench, 'p', isReady);
  assert.deepEqual(plugin.calls, ['Allocate a,b', 'Allocate a,b']);

  await bench.create('q', { containers: [withDevices(bench, 1)] });
  const refused = await untilPod(bench, 'q', ({ status }) => status?.phase === 'Failed');
  assert.equal(refused.status?.reason, 'UnexpectedAdmissionError');
  assert.equal(
    refused.status?.message,
    'Pod was rejected: Allocate failed due to requested number of devices unavailable for ' +
      'example.com/gpu. Requested: 1, Available: 0, which is unexpected',
  );

  bench.runtime.exit('web', 0);
  await untilPod(bench, 'p', ({ status }) => status?.phase === 'Succeeded');
  await bench.create('r', { containers: [withDevices(bench, 1)] });
  await untilPod(bench, 'r', isReady);
});

test('errors of a plugin end up where the user looks', async () => {
  await using bench = await openBench();
  using plugin = await openPlugin(bench, { a: 'Healthy' });
  plugin.answer = () => 'out of order';
  await plugin.register();
  await untilCounted(bench, '1', '1');
  await bench.create('p', { containers: [withDevices(bench, 1)] });
  const refused = await untilPod(bench, 'p', ({ status }) => status?.phase === 'Failed');
  assert.equal(
    refused.status?.message,
    'Pod was rejected: Allocate failed due to rpc error: code = Unknown desc = out of order, ' +
      'which is unexpected',
  );

  plugin[Symbol.dispose]();
  await untilCounted(bench, '1', '0');
  using again = await openPlugin(bench, { a: 'Healthy' });
  again.options = { preStartRequired: true };
  again.preStartError = 'not now';
  await again.register();
  await untilCounted(bench, '1', '1');
  await bench.create('q', { containers: [withDevices(bench, 1)] });
  const waiting = await untilPod(bench, 'q', ({ status }) => {
    return status?.containerStatuses?.[0]?.state?.waiting?.message !== undefined;
  });
  assert.deepEqual(waiting.status?.containerStatuses?.[0]?.state?.waiting, {
    reason: 'CreateContainerConfigError',
    message:
      'device plugin PreStartContainer rpc failed with err: rpc error: code = Unknown desc = not now',
  });
});

test('a kubelet that starts again knows who has what, and waits for plugins to come', async () => {
  covers('EXT-021');
  await using bench = await openBench();
  using plugin = await openPlugin(bench, { a: 'Healthy', b: 'Healthy' });
  await plugin.register();
  await untilCounted(bench, '2', '2');
  await bench.create('p', { containers: [withDevices(bench, 1)] });
  await untilPod(bench, 'p', isReady);
  await bench.stop();
  assert.equal(existsSync(plugin.socket), true);
  bench.start();
  await eventually(bench, () => !existsSync(plugin.socket));
  await untilCounted(bench, '0', '0');

  // The container starts again with the devices that it had, also without the plugin.
  bench.runtime.exit('web', 1);
  const restarted = ({ status }: Pod) => status?.containerStatuses?.[0]?.restartCount === 1;
  await untilPod(bench, 'p', (pod) => restarted(pod) && isReady(pod));
  const envs = bench.runtime.configOf('web').envs ?? [];
  assert.equal(String(envs.find(({ key }) => key === 'DEVICES')?.value), 'a');

  plugin[Symbol.dispose]();
  using again = await openPlugin(bench, { a: 'Healthy', b: 'Healthy' });
  await again.register();
  await untilCounted(bench, '2', '2');
  await bench.create('q', { containers: [withDevices(bench, 1)] });
  await untilPod(bench, 'q', isReady);
  assert.deepEqual(again.calls, ['Allocate b']);
});

test('plugins in the registry are found, and told how it went', async () => {
  await using bench = await openBench();
  using plugin = await openPlugin(bench, { a: 'Healthy' });
  using good = new TestRegistration(bench.pluginsRoot, {
    ...{ type: 'DevicePlugin', name: resource, endpoint: plugin.socket },
    supportedVersions: ['v1beta1'],
  });
  using unknown = new TestRegistration(bench.pluginsRoot, { type: 'Other', name: 'other' });
  await good.serve();
  await unknown.serve();
  await untilCounted(bench, '1', '1');
  await eventually(bench, () => good.told.length > 0 && unknown.told.length > 0);
  assert.deepEqual(good.told, [{ pluginRegistered: true, error: '' }]);
  assert.equal(unknown.told[0]?.pluginRegistered, false);
  assert.match(
    unknown.told[0]?.error ?? '',
    /^RegisterPlugin error -- no handler registered for plugin type: Other at socket /,
  );

  good[Symbol.dispose]();
  await untilCounted(bench, '1', '0');
});
