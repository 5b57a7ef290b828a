/** What a node's server says of the machine, its pods and itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '#kit/log.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { covers } from '#test/covers.ts';
import { FakeRuntime } from '#test/fake-runtime.ts';
import type { Machine } from '../node/machine.ts';
import { parseInterfaces, readNodeFigures } from '../node/node-figures.ts';
import { podLabels } from '../pods/pod-facts.ts';
import { kubeletPaths } from '../pods/pod-paths.ts';
import { cadvisorMetrics, withCgroups } from './cadvisor-metrics.ts';
import { formatMetrics } from './exposition.ts';
import { kubeletMetrics, resourceMetrics } from './metrics.ts';
import { Rates, readPodFigures, type StatsParts, summaryOf } from './stats.ts';

const { signal } = new AbortController();

const files: Readonly<Record<string, string>> = {
  '/proc/stat': 'cpu  100 0 50 900 10 0 0 0 0 0\ncpu0 50 0 25\ncpu1 50 0 25\nbtime 1000\n',
  '/proc/meminfo': [
    ...['MemTotal: 1000 kB', 'MemFree: 300 kB', 'Buffers: 50 kB', 'Cached: 400 kB'],
    ...['Inactive(file): 300 kB', 'AnonPages: 250 kB'],
  ].join('\n'),
  '/proc/vmstat': 'pgfault 7\npgmajfault 3\n',
  '/proc/loadavg': '0.1 0.2 0.3 2/150 999\n',
  '/proc/sys/kernel/pid_max': '32768\n',
  '/proc/net/dev': [
    'Inter-|   Receive | Transmit',
    ' face |bytes packets errs drop',
    '    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0',
    '  eth0: 1000 10 2 0 0 0 0 0 500 5 1 0 0 0 0 0',
  ].join('\n'),
  '/sys/class/net/link-sandbox/statistics/tx_bytes': '70\n',
  '/sys/class/net/link-sandbox/statistics/rx_bytes': '30\n',
};

const machine: Machine = {
  cgroups: {
    driver: 'cgroupfs' as const,
    pathOf: (path: string) => path,
    containerPath: (path: string, id: string) => `${path}/${id}`,
    isThere: () => true,
    create: async () => {},
    update: async () => {},
    remove: async () => true,
    children: () => [],
    missing: () => [],
    limit: async () => {},
    workingSetBytes: () => undefined,
    version: 1,
    read: async () => '',
  },
  isMounted: () => true,
  mountTmpfs: async () => {},
  mountHugepages: async () => {},
  mountDevice: async () => {},
  unmountBelow: async () => {},
  isSameDisk: () => true,
  diskSpace: () => ({ bytes: 1000, freeBytes: 400, inodes: 10, freeInodes: 6 }),
  readFile: (path) => files[path] ?? '',
  listFolder: () => [],
};

const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: 'default', name: 'web', uid: 'u1' },
  spec: { containers: [{ name: 'main', image: 'example.com/app:1' }] },
  status: { phase: 'Running', startTime: '2026-01-01T00:00:00Z' },
};

async function openParts(): Promise<StatsParts> {
  const clock = new VirtualClock();
  const runtime = new FakeRuntime({ clock });
  const sandbox = await runtime.runPodSandbox({ config: { metadata: { name: 'web' } } });
  const containerId = await runtime.createContainer({
    podSandboxId: sandbox,
    config: {
      metadata: { name: 'main' },
      labels: { [podLabels.podUid]: 'u1', [podLabels.containerName]: 'main' },
    },
  });
  await runtime.startContainer(containerId);
  runtime.memoryUse.set('main', 4096);
  return {
    runtime,
    clock,
    log: silentLog,
    machine,
    paths: kubeletPaths('/data'),
    linkOf: () => 'link-sandbox',
  };
}

test('the machine as a whole is read from the kernel', () => {
  const figures = readNodeFigures(machine, '/');
  assert.equal(figures.cpuNanoseconds, 1_500_000_000);
  assert.equal(figures.cpus, 2);
  assert.equal(figures.memory.workingSetBytes, 400 * 1024);
  assert.equal(figures.memory.usageBytes, 700 * 1024);
  assert.deepEqual(figures.processes, { running: 150, most: 32_768 });
  assert.deepEqual(parseInterfaces(files['/proc/net/dev'] ?? ''), [
    { name: 'eth0', rxBytes: 1000, rxErrors: 2, txBytes: 500, txErrors: 1 },
  ]);
});

test('the summary has the node, its disks, and each pod with its containers', async () => {
  covers('MON-021');
  const parts = await openParts();
  const options = { nodeName: 'n1', pods: [pod], rates: new Rates(), signal };
  // Read as a collector reads it.
  const summary = JSON.parse(JSON.stringify(await summaryOf(parts, options)));
  const { node } = summary;
  assert.equal(node.nodeName, 'n1');
  assert.equal(node.memory.workingSetBytes, 400 * 1024);
  assert.deepEqual([node.fs.availableBytes, node.fs.inodesFree], [400, 6]);
  assert.deepEqual(
    [node.runtime.imageFs.availableBytes, node.runtime.imageFs.inodesFree],
    [400, 6],
  );
  const [first] = summary.pods;
  assert.deepEqual(first.podRef, { name: 'web', namespace: 'default', uid: 'u1' });
  assert.equal(first.memory.workingSetBytes, 4096);
  assert.equal(first.containers[0].name, 'main');
  assert.deepEqual([first.network.rxBytes, first.network.txBytes], [70, 30]);
});

test('use per second comes from two looks', () => {
  const rates = new Rates();
  assert.equal(rates.of('a', 1_000_000, 1000), undefined);
  assert.equal(rates.of('a', 501_000_000, 3000), 250_000_000);
  assert.equal(rates.of('a', 100, 4000), undefined, 'a counter that begins anew says nothing');
  rates.keep(new Set());
  assert.equal(rates.of('a', 200, 5000), undefined);
});

test('the figures for autoscalers and dashboards have upstream’s names and labels', async () => {
  const parts = await openParts();
  const pods = await readPodFigures(parts, [pod], { signal });
  const node = readNodeFigures(machine, '/');
  const resource = resourceMetrics(node, pods, 1000);
  assert.match(
    resource,
    /^container_memory_working_set_bytes\{container="main",namespace="default",pod="web"\} 4096 /m,
  );
  assert.match(resource, /^node_cpu_usage_seconds_total 1\.5 1000$/m);
  assert.match(
    resource,
    /^pod_memory_working_set_bytes\{namespace="default",pod="web"\} 4096 1000$/m,
  );
  const ofNode = { cgroupRoot: '/root' } as never;
  const cadvisor = cadvisorMetrics(node, await withCgroups({ machine, node: ofNode }, pods), 1000);
  assert.match(cadvisor, /^machine_cpu_cores 2$/m);
  assert.match(
    cadvisor,
    /^container_network_receive_bytes_total\{namespace="default",pod="web",interface="eth0"\} 70$/m,
  );
  const own = kubeletMetrics({
    nodeName: 'n1',
    version: 'v1.36.0',
    pods: [pod],
    containers: new Map([['running', 1]]),
    process: { cpuSeconds: 1, residentBytes: 2, startedAtMs: 3000 },
  });
  assert.match(own, /^kubelet_running_pods 1$/m);
  assert.match(own, /^kubelet_running_containers\{container_state="running"\} 1$/m);
  assert.match(own, /^process_start_time_seconds 3$/m);
});

test('labels are escaped, and what has no samples is not mentioned', () => {
  const text = formatMetrics([
    { name: 'a', help: 'h', type: 'gauge', samples: [{ labels: { x: 'q"\\\n' }, value: 1 }] },
    { name: 'b', help: 'h', type: 'gauge', samples: [] },
  ]);
  assert.equal(text, '# HELP a h\n# TYPE a gauge\na{x="q\\"\\\\\\n"} 1\n');
});
