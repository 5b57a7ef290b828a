/**
 * Processors and memory of one's own with a whole kubelet, over a runtime in memory, on machines
 * that do not exist: what the runtime is told, what users and agents see, and what a kubelet that
 * was killed knows when it starts again.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#kit/clock.ts';
import { openGrpcChannel } from '#kit/grpc.ts';
import { nodes, pods } from '#resources/kinds.ts';
import type { Container, Pod, PodSpec } from '#resources/types/core-v1.ts';
import { covers, superseded } from '#test/covers.ts';
import { KubeletBench } from '#test/kubelet-bench.ts';
import { podResources } from '../devices/messages.ts';
import { eventually, TestDevicePlugin } from '../devices/plugins.contract.ts';
import { defaultSettings, type KubeletSettings } from '../settings.ts';
import { type MachinePlan, madeUpMachine } from './machines.contract.ts';

/** Two nodes of two cores, two threads each, and 8 GiB. */
const dual: MachinePlan = { sockets: 2, coresPerNode: 2, threads: 2 };

const pinned: Partial<KubeletSettings> = {
  cpuManagerPolicy: 'static',
  kubeReserved: { cpu: '1', memory: '1Gi' },
  evictionHard: {},
  memoryManagerPolicy: 'Static',
  reservedMemory: [{ numaNode: 0, limits: { memory: '1Gi' } }],
};

function openBench(settings: Partial<KubeletSettings>, plan = dual): Promise<KubeletBench> {
  return KubeletBench.open({ withPlugins: true, settings, ...madeUpMachine(plan) });
}

const at = (name: string) => ({ namespace: 'default', name });

function guaranteed(bench: KubeletBench, cpu: string, more: Partial<Container> = {}): Container {
  const amounts = { cpu, memory: '1Gi' };
  return bench.container({ resources: { requests: amounts, limits: amounts }, ...more });
}

async function failed(bench: KubeletBench, name: string, spec: Partial<PodSpec>): Promise<Pod> {
  await bench.create(name, spec);
  for (let step = 0; step < 100; step++) {
    const pod = await bench.get(name);
    if (pod.status?.phase === 'Failed') return pod;
    await bench.advance(100);
  }
  throw new Error(`${name} did not fail`);
}

test('a container of its own gets whole processors, and the others leave them', async () => {
  await using bench = await openBench(pinned);
  const { runtime } = bench;
  await bench.create('shared', { containers: [bench.container({ name: 'shared' })] });
  await bench.untilReady('shared');
  assert.equal(runtime.configOf('shared').linux?.resources?.cpusetCpus, '0-7');
  await bench.create('own', { containers: [guaranteed(bench, '2', { name: 'own' })] });
  await bench.untilReady('own');
  const resources = runtime.configOf('own').linux?.resources;
  assert.deepEqual([resources?.cpusetCpus, resources?.cpusetMems], ['1,5', '0']);
  assert.equal(resources?.cpuQuota, -1);
  const told = 'updateContainerResources shared cpus 0,2-4,6-7';
  await eventually(bench, () => runtime.calls.includes(told));
  // Whatever somebody else does to it: what has been told is not told again.
  const linux = { cpusetCpus: '0' };
  await runtime.updateContainerResources({ containerId: runtime.idOf('shared'), linux });
  await bench.advance(3 * defaultSettings.cpuManagerReconcilePeriodMs);
  const updates = runtime.calls.filter((call) => call.startsWith('updateContainerResources'));
  assert.deepEqual(updates, [told, 'updateContainerResources shared cpus 0']);
  const now = 'compared as often, with what was told to the runtime last: only changes are told';
  superseded('POD-226', { by: 'v1.22', now });
  const state = (): unknown =>
    JSON.parse(readFileSync(join(bench.pluginsRoot, 'cpu_manager_state'), 'utf8'));
  const { metadata } = await bench.get('own');
  const { checksum: _, ...kept } = state() as Readonly<Record<string, unknown>>;
  assert.deepEqual(kept, {
    policyName: 'static',
    defaultCpuSet: '0,2-4,6-7',
    entries: { [metadata.uid ?? '']: { own: '1,5' } },
  });

  const address = { podName: 'own', podNamespace: 'default' };
  const endpoint = `unix://${join(bench.pluginsRoot, 'pod-resources/kubelet.sock')}`;
  using channel = await openGrpcChannel({ clock: systemClock() }, endpoint);
  const options = { signal: bench.signal, timeoutMs: 60_000 };
  const { podResources: own } = await channel.unary(podResources.get.client, address, options);
  assert.deepEqual(own?.containers[0]?.cpuIds, [1, 5]);
  assert.deepEqual(own?.containers[0]?.memory, [
    { memoryType: 'memory', size: 1024 ** 3, topology: { nodes: [{ id: 0 }] } },
  ]);
  const all = await channel.unary(podResources.allocatable.client, {}, options);
  assert.deepEqual(all.cpuIds, [1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(
    all.memory.map(({ size, topology }) => [size / 1024 ** 3, topology?.nodes[0]?.id]),
    [
      [7, 0],
      [8, 1],
    ],
  );

  // A kubelet that was killed knows who has what; one whose settings were changed does not start.
  await bench.stop();
  const calls = runtime.calls.length;
  bench.start();
  await bench.advance(3000);
  await bench.create('more', { containers: [guaranteed(bench, '2', { name: 'more' })] });
  await bench.untilReady('more');
  assert.equal(runtime.configOf('more').linux?.resources?.cpusetCpus, '2,6');
  assert.ok(!runtime.calls.slice(calls).some((call) => call.startsWith('stopContainer')));

  // What ended pods had is everybody's again.
  await bench.while(bench.client.delete(pods, at('own'), { signal: bench.signal }));
  await bench.untilGone('own');
  await eventually(bench, () =>
    runtime.calls.includes('updateContainerResources shared cpus 0-1,3-5,7'),
  );
});

test('a pod that cannot be aligned fails with the reason, and its neighbours are aligned', async () => {
  const policy = { topologyManagerPolicy: 'single-numa-node' } as const;
  await using bench = await openBench({ ...pinned, ...policy });
  using plugin = new TestDevicePlugin(bench.pluginsRoot, 'example.com/gpu');
  plugin.nodesOf = { b: 1 };
  plugin.devices = { a: 'Healthy', b: 'Healthy' };
  await plugin.serve();
  await plugin.register();
  const withDevices = (cpu: string, devices: string): Container => {
    const amounts = { cpu, memory: '1Gi', 'example.com/gpu': devices };
    return bench.container({ resources: { requests: amounts, limits: amounts } });
  };
  await eventually(bench, async () => {
    const node = await bench.while(bench.client.get(nodes, { name: 'node-1' }, bench));
    return node.status?.allocatable?.['example.com/gpu'] === '2';
  });
  const refused = await failed(bench, 'q', { containers: [withDevices('2', '2')] });
  assert.deepEqual(
    [refused.status?.reason, refused.status?.message],
    [
      'TopologyAffinityError',
      'Pod was rejected: Resources cannot be allocated with Topology locality',
    ],
    'each node has one device',
  );
  // Of node 0 only three processors can be given, so four and a device are on node 1.
  await bench.create('p', { containers: [withDevices('4', '1')] });
  await bench.untilReady('p');
  assert.deepEqual(plugin.calls, ['Allocate b']);
  const resources = bench.runtime.configOf('web').linux?.resources;
  assert.deepEqual([resources?.cpusetCpus, resources?.cpusetMems], ['2-3,6-7', '1']);
});

test('what was given does not change while it runs', async () => {
  await using bench = await openBench(pinned);
  await bench.create('own', { containers: [guaranteed(bench, '2')] });
  await bench.untilReady('own');
  const amounts = { cpu: '3', memory: '1Gi' };
  const containers = [{ name: 'web', resources: { requests: amounts, limits: amounts } }];
  await bench.while(
    bench.client.patch(
      pods,
      at('own'),
      { spec: { containers } },
      { type: 'strategic', subresource: 'resize', signal: bench.signal },
    ),
  );
  const pod = await bench.until('own', (_, { status }) =>
    (status?.conditions ?? []).some(({ type }) => type === 'PodResizePending'),
  );
  const pending = pod.status?.conditions?.find(({ type }) => type === 'PodResizePending');
  assert.deepEqual(
    [pending?.reason, pending?.message],
    [
      'Infeasible',
      'Resize is infeasible for Guaranteed Pods alongside CPU Manager policy "static"',
    ],
  );
});

test('of five sorts of pods only whole processors of Guaranteed ones are given alone', async () => {
  covers('POD-229');
  await using bench = await openBench(pinned);
  const samples = {
    plain: undefined,
    memory: { limits: { memory: '200Mi' }, requests: { memory: '100Mi' } },
    burst: { limits: { memory: '200Mi', cpu: '2' }, requests: { memory: '100Mi', cpu: '1' } },
    whole: { limits: { memory: '200Mi', cpu: '2' }, requests: { memory: '200Mi', cpu: '2' } },
    part: {
      limits: { memory: '200Mi', cpu: '1500m' },
      requests: { memory: '200Mi', cpu: '1500m' },
    },
  } as const;
  const found: string[] = [];
  for (const [name, resources] of Object.entries(samples)) {
    await bench.create(name, { containers: [bench.container({ name, resources })] });
    await bench.untilReady(name);
    found.push(`${name} ${bench.runtime.configOf(name).linux?.resources?.cpusetCpus}`);
  }
  assert.deepEqual(found, [
    ...['plain 0-7', 'memory 0-7', 'burst 0-7'],
    ...['whole 1,5', 'part 0,2-4,6-7'],
  ]);
});

test('without anything reserved the static policy does not start', async () => {
  covers('POD-231');
  await using bench = await openBench({});
  await bench.advance(1000);
  await bench.stop();
  bench.settings = { cpuManagerPolicy: 'static' };
  assert.equal(
    await bench.startFailure(),
    '[cpumanager] the static policy requires systemreserved.cpu + kubereserved.cpu to be ' +
      'greater than zero',
  );
});

test('a policy that was taken back keeps the kubelet from starting', async () => {
  await using bench = await openBench(pinned);
  await bench.advance(1000);
  await bench.stop();
  bench.settings = {};
  const problem = await bench.startFailure();
  assert.match(
    problem,
    /^could not restore state from checkpoint: configured policy "none" differs from state checkpoint policy "static", please drain this node and delete the CPU manager checkpoint file /,
  );
});
