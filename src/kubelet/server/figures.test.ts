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
import { cadvisorMetrics } from './cadvisor-metrics.ts';
import { countNode, readSwaps, withCgroups } from './counted-pods.ts';
import { formatMetrics } from './exposition.ts';
import { kubeletMetrics, resourceMetrics } from './metrics.ts';
import { Rates, readPodFigures } from './stats.ts';
import { type SummaryParts, summaryOf } from './summary.ts';

const { signal } = new AbortController();

const files: Readonly<Record<string, string>> = {
  '/proc/stat': 'cpu  100 0 50 900 10 0 0 0 0 0\ncpu0 50 0 25\ncpu1 50 0 25\nbtime 1000\n',
  '/proc/meminfo': [
    ...['MemTotal: 1000 kB', 'MemFree: 300 kB', 'Buffers: 50 kB', 'Cached: 400 kB'],
    ...['Inactive(file): 300 kB', 'AnonPages: 250 kB'],
  ].join('\n'),
  '/proc/vmstat': 'pgfault 7\npgmajfault 3\n',
  '/proc/loadavg': '0.1 0.2 0.3 2/150 999\n',
  '/proc/sys/kernel/pid_max': '4194304\n',
  '/proc/sys/kernel/threads-max': '32768\n',
  '/proc/self/cgroup': '1:name=systemd:/system.slice/coracle.service\n0::/elsewhere\n',
  '/proc/net/dev': [
    'Inter-|   Receive | Transmit',
    ' face |bytes packets errs drop',
    '    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0',
    '  eth0: 1000 10 2 0 0 0 0 0 500 5 1 0 0 0 0 0',
  ].join('\n'),
  ...linkFiles('tx', { bytes: 70, packets: 7, errors: 1, dropped: 2 }),
  ...linkFiles('rx', { bytes: 30, packets: 3, errors: 4, dropped: 5 }),
};

function linkFiles(direction: string, figures: Readonly<Record<string, number>>) {
  const folder = '/sys/class/net/link-sandbox/statistics';
  return Object.fromEntries(
    Object.entries(figures).map(([name, figure]) => [
      `${folder}/${direction}_${name}`,
      `${figure}\n`,
    ]),
  );
}

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
  growFileSystem: async () => {},
  bindDescriptor: async () => {},
  labelFile: async () => {},
  unmountBelow: async () => {},
  removeFolder: () => {},
  isSameDisk: () => true,
  diskSpace: () => ({ bytes: 1000, freeBytes: 400, inodes: 10, freeInodes: 6 }),
  readFile: (path) => files[path] ?? '',
  listFolder: () => [],
  kernelNews: () => [],
};

const ofPods = '/root/kubepods';
const ofPod = `${ofPods}/besteffort/podu1`;
const pressure =
  'some avg10=1.50 avg60=0.30 avg300=0.01 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n';
/** A machine with cgroups of version 2 alone, of which these files can be read. */
const cgroupFiles: Readonly<Record<string, string>> = {
  '/ cpu.stat': 'usage_usec 9\n',
  '/ cpu.pressure': pressure,
  '/ memory.pressure': pressure,
  '/ io.pressure': pressure,
  [`${ofPods} cpu.stat`]: 'usage_usec 4000\n',
  [`${ofPods} memory.stat`]: 'anon 1000\ninactive_file 100\n',
  [`${ofPods} memory.current`]: '6000\n',
  [`${ofPods} memory.max`]: '10000\n',
  '/system.slice/coracle.service cpu.stat': 'usage_usec 7000\n',
  '/system.slice/coracle.service memory.current': '2000\n',
  [`${ofPod} memory.swap.current`]: '40\n',
  [`${ofPod} memory.swap.max`]: 'max\n',
  [`${ofPod} cpu.stat`]: 'usage_usec 3000\n',
  [`${ofPod} cpu.pressure`]: pressure,
  [`${ofPod} memory.current`]: '5000\n',
  [`${ofPod} memory.stat`]: 'anon 900\ninactive_file 200\npgfault 8\npgmajfault 1\n',
  [`${ofPod}/container-2 cpu.stat`]: 'usage_usec 3000\n',
  [`${ofPod}/container-2 memory.stat`]: 'anon 800\npgfault 6\npgmajfault 1\n',
  [`${ofPod}/container-2 memory.current`]: '4500\n',
  [`${ofPod}/container-2 memory.max`]: '9000\n',
  [`${ofPod}/container-2 memory.swap.current`]: '30\n',
  [`${ofPod}/container-2 memory.swap.max`]: '100\n',
  [`${ofPod}/container-2 cpu.pressure`]: pressure,
  [`${ofPod}/container-2 memory.pressure`]: pressure,
  [`${ofPod}/container-2 io.pressure`]: pressure,
  [`${ofPod}/container-2 cgroup.procs`]: '10\n11\n',
};
const unified: Machine = {
  ...machine,
  cgroups: {
    ...machine.cgroups,
    version: 2,
    read: async (path, _controller, file) => cgroupFiles[`${path} ${file}`] ?? '',
  },
};

const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: 'default', name: 'web', uid: 'u1' },
  spec: { containers: [{ name: 'main', image: 'example.com/app:1' }] },
  status: { phase: 'Running', startTime: '2026-01-01T00:00:00Z' },
};

async function openParts(): Promise<SummaryParts> {
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
    machine: unified,
    // Nothing else of it is asked.
    node: { cgroupRoot: '/root' } as SummaryParts['node'],
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
  assert.equal(first.containers[0].memory.workingSetBytes, 4096);
  assert.equal(first.containers[0].name, 'main');
  assert.deepEqual([first.network.rxBytes, first.network.txBytes], [70, 30]);
  assert.deepEqual([first.network.rxErrors, first.network.txErrors], [1, 4]);
});

test('a link that goes while it is read tells nothing, rather than zeros', async () => {
  const parts = await openParts();
  const files = (gone: string) => ({
    ...parts,
    machine: {
      ...machine,
      readFile: (path: string) => (path.endsWith(gone) ? '' : machine.readFile(path)),
    },
  });
  const [whole] = await readPodFigures(files('none'), [pod], { signal });
  assert.deepEqual(whole?.packets, { rx: 7, rxDropped: 2, tx: 3, txDropped: 5 });
  const [cut] = await readPodFigures(files('rx_errors'), [pod], { signal });
  assert.deepEqual([cut?.network, cut?.packets], [undefined, whole.packets]);
  const [late] = await readPodFigures(files('rx_dropped'), [pod], { signal });
  assert.deepEqual([late?.network?.rxBytes, late?.packets], [70, undefined]);
});

test('cgroups tell of memory, swap and pressure, of a pod with its sandbox, and of all pods', async () => {
  const parts = await openParts();
  const options = { nodeName: 'n1', pods: [pod], rates: new Rates(), signal };
  const summary = JSON.parse(JSON.stringify(await summaryOf(parts, options)));
  const [first] = summary.pods;
  const [main] = first.containers;
  const psi = {
    full: { total: 7, avg10: 0, avg60: 0, avg300: 0 },
    some: { total: 2_500_000, avg10: 1.5, avg60: 0.3, avg300: 0.01 },
  };
  const { time, ...memory } = main.memory;
  assert.ok(time);
  assert.deepEqual(memory, {
    ...{ usageBytes: 4096, workingSetBytes: 4096, availableBytes: 4500, rssBytes: 800 },
    ...{ pageFaults: 6, majorPageFaults: 1, psi },
  });
  assert.deepEqual([main.swap.swapUsageBytes, main.swap.swapAvailableBytes], [30, 70]);
  assert.deepEqual([main.cpu.psi, main.io.psi], [psi, psi]);
  assert.deepEqual([first.memory.usageBytes, first.memory.workingSetBytes], [5000, 4800]);
  assert.equal('availableBytes' in first.memory, false, 'there is no limit');
  assert.deepEqual(first.cpu.psi, psi);
  assert.deepEqual(first.process_stats, { process_count: 2 });
  const { node } = summary;
  assert.deepEqual([node.cpu.psi, node.memory.psi, node.io.psi], [psi, psi, psi]);
  const [kubelet, pods] = node.systemContainers;
  assert.deepEqual([kubelet.name, kubelet.cpu.usageCoreNanoSeconds], ['kubelet', 7_000_000]);
  assert.equal(kubelet.memory.usageBytes, 2000);
  assert.deepEqual([pods.name, pods.cpu.usageCoreNanoSeconds], ['pods', 4_000_000]);
  assert.deepEqual([pods.memory.workingSetBytes, pods.memory.availableBytes], [5900, 4100]);
  assert.equal('psi' in pods.memory, false, 'the kernel does not tell');
  const counted = await withCgroups(parts, await readPodFigures(parts, [pod], { signal }));
  const { root } = await countNode(parts);
  const text = cadvisorMetrics(readNodeFigures(machine, '/'), counted, { root, nowMs: 1000 });
  assert.match(text, /^container_pressure_cpu_waiting_seconds_total\{.*pod="web"\} 2\.5 /m);
  assert.match(text, /^container_pressure_io_stalled_seconds_total\{.*id="\/",.*\} 0\.000007$/m);
});

test('version 1 tells no pressure', async () => {
  const parts = { ...(await openParts()), machine };
  const options = { nodeName: 'n1', pods: [pod], rates: new Rates(), signal };
  const text = JSON.stringify(await summaryOf(parts, options));
  assert.doesNotMatch(text, /psi|"io"/);
  // Without cgroups a pod's memory is the sum of its containers'.
  assert.equal(JSON.parse(text).pods[0].memory.workingSetBytes, 4096);
  const counted = await withCgroups(parts, await readPodFigures(parts, [pod], { signal }));
  const { root } = await countNode(parts);
  assert.equal(root, undefined);
  const figures = cadvisorMetrics(readNodeFigures(machine, '/'), counted, { root, nowMs: 1 });
  assert.doesNotMatch(figures, /pressure/);
});

test('swap of pods and containers is told as their cgroups have it, and none where there is none', async () => {
  const parts = await openParts();
  const pods = await readPodFigures(parts, [pod], { signal });
  const node = readNodeFigures(machine, '/');
  const told = async (of: SummaryParts, swapTotalBytes: number): Promise<readonly string[]> => {
    const swaps = await readSwaps(of, pods, { swapTotalBytes });
    const text = resourceMetrics(node, pods, { swaps, nowMs: 1000 });
    return text.split('\n').filter((line) => /^(pod|container)_swap/.test(line));
  };
  const all = 'container="main",namespace="default",pod="web"';
  assert.deepEqual(await told(parts, 4096), [
    `container_swap_limit_bytes{${all}} 100 1767225600000`,
    `container_swap_usage_bytes{${all}} 30 1767225600000`,
    'pod_swap_usage_bytes{namespace="default",pod="web"} 40 1000',
  ]);
  assert.deepEqual(await told(parts, 0), [
    `container_swap_limit_bytes{${all}} 0 1767225600000`,
    `container_swap_usage_bytes{${all}} 0 1767225600000`,
    'pod_swap_usage_bytes{namespace="default",pod="web"} 0 1000',
  ]);
  // Nothing is known of cgroups of version 1 that are not there.
  assert.deepEqual(await told({ ...parts, machine }, 4096), []);
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
  const resource = resourceMetrics(node, pods, { swaps: new Map(), nowMs: 1000 });
  assert.match(
    resource,
    /^container_memory_working_set_bytes\{container="main",namespace="default",pod="web"\} 4096 /m,
  );
  assert.match(resource, /^node_cpu_usage_seconds_total 1\.5 1000$/m);
  assert.match(
    resource,
    /^pod_memory_working_set_bytes\{namespace="default",pod="web"\} 4096 1000$/m,
  );
  const cadvisor = cadvisorMetrics(node, await withCgroups({ ...parts, machine }, pods), {
    root: undefined,
    nowMs: 1000,
  });
  assert.match(cadvisor, /^machine_cpu_cores 2$/m);
  assert.match(
    cadvisor,
    /^container_network_receive_bytes_total\{namespace="default",pod="web",interface="eth0"\} 70$/m,
  );
  const resizing = (type: string, reason: string) => {
    const status = { conditions: [{ type, status: 'True', reason }] };
    return { ...pod, status };
  };
  const some = [
    pod,
    resizing('PodResizePending', 'Deferred'),
    resizing('PodResizePending', 'Infeasible'),
    resizing('PodResizePending', 'Deferred'),
    resizing('PodResizeInProgress', ''),
  ];
  const own = kubeletMetrics({
    ...{ nodeName: 'n1', version: 'v1.36.0', cgroupVersion: 2, pods: some },
    containers: new Map([['running', 1]]),
    process: { cpuSeconds: 1, residentBytes: 2, startedAtMs: 3000 },
  });
  assert.match(own, /^kubelet_cgroup_version 2$/m);
  assert.match(own, /^kubelet_running_pods 1$/m);
  assert.match(own, /^kubelet_pod_pending_resizes\{reason="deferred"\} 2$/m);
  assert.match(own, /^kubelet_pod_pending_resizes\{reason="infeasible"\} 1$/m);
  assert.match(own, /^kubelet_pod_in_progress_resizes 1$/m);
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
