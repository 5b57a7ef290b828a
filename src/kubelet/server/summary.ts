/**
 * `/stats/summary`: the node, its pods and their containers in the form that metrics collectors
 * have always asked for. Fields are those of upstream's `stats/v1alpha1`.
 *
 * The server asks. Figures come from `stats.ts` (the runtime), `counted-pods.ts` (the kernel, by
 * cgroup) and `node-figures.ts` (the machine); what nobody counts is left out.
 */
import { formatTime } from '#kit/clock.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { type NodeFigures, readNodeFigures } from '../node/node-figures.ts';
import type { KubeletParts } from '../parts.ts';
import type { CgroupFigures } from './cgroup-figures.ts';
import {
  type CountedContainer,
  type CountedNode,
  type CountedPod,
  countNode,
  withCgroups,
} from './counted-pods.ts';
import type { Pressure, Waited } from './pressure.ts';
import { type Rates, readPodFigures, type StatsParts } from './stats.ts';

export interface SummaryParts extends StatsParts, Pick<KubeletParts, 'node'> {}

export async function summaryOf(
  parts: SummaryParts,
  options: {
    readonly nodeName: string;
    readonly pods: readonly Pod[];
    readonly rates: Rates;
    readonly signal: AbortSignal;
  },
): Promise<unknown> {
  const { nodeName, rates } = options;
  const figures = await readPodFigures(parts, options.pods, options);
  const [pods, counted] = await Promise.all([withCgroups(parts, figures), countNode(parts)]);
  const nowMs = parts.clock.now();
  const time = formatTime(nowMs);
  const node = readNodeFigures(parts.machine, parts.paths.root);
  const rateOf = (id: string, nanoseconds: number): number => rates.of(id, nanoseconds, nowMs) ?? 0;
  const startedAtMs = nowMs - process.uptime() * 1000;
  const nodeRate = rateOf('node', node.cpuNanoseconds);
  const summary = {
    node: {
      nodeName,
      systemContainers: systemContainers(node, counted, { rateOf, time, startedAtMs }),
      ...nodeSummary(node, { counted: counted.root, rate: nodeRate, time }),
    },
    pods: pods.map((each) => podSummary(each, rates, time)),
  };
  const ids = pods.flatMap(({ containers }) => containers.map(({ id }) => id));
  rates.keep(new Set(['node', 'kubelet', 'pods', ...ids]));
  return summary;
}

/** The kubelet, and all pods as a whole: who watches what they may use together asks for it. */
function systemContainers(
  { bootedAtMs }: NodeFigures,
  { kubelet, pods }: CountedNode,
  options: {
    readonly rateOf: (id: string, nanoseconds: number) => number;
    readonly time: string;
    readonly startedAtMs: number;
  },
): readonly object[] {
  const { rateOf, time, startedAtMs } = options;
  const container = (name: string, counted: CgroupFigures | undefined, sinceMs: number) => {
    if (counted === undefined) return [];
    const { cpuNanoseconds } = counted;
    return {
      name,
      startTime: formatTime(sinceMs),
      cpu: {
        time,
        usageNanoCores: rateOf(name, cpuNanoseconds),
        usageCoreNanoSeconds: cpuNanoseconds,
        ...psi(counted, 'cpu'),
      },
      memory: memorySummary(counted, time),
      ...swap(counted, time),
    };
  };
  return [container('kubelet', kubelet, startedAtMs), container('pods', pods, bootedAtMs)].flat();
}

function nodeSummary(
  node: NodeFigures,
  more: {
    readonly counted: CgroupFigures | undefined;
    readonly rate: number;
    readonly time: string;
  },
): object {
  const { memory, disk, interfaces, processes } = node;
  const { counted, rate, time } = more;
  const space = {
    time,
    availableBytes: disk.freeBytes,
    capacityBytes: disk.bytes,
    usedBytes: disk.bytes - disk.freeBytes,
    inodesFree: disk.freeInodes,
    inodes: disk.inodes,
    inodesUsed: disk.inodes - disk.freeInodes,
  };
  const [first] = interfaces;
  return {
    startTime: formatTime(node.bootedAtMs),
    cpu: {
      ...{ time, usageNanoCores: rate, usageCoreNanoSeconds: node.cpuNanoseconds },
      ...psi(counted, 'cpu'),
    },
    memory: {
      time,
      availableBytes: memory.availableBytes,
      usageBytes: memory.usageBytes,
      workingSetBytes: memory.workingSetBytes,
      rssBytes: memory.rssBytes,
      pageFaults: memory.pageFaults,
      majorPageFaults: memory.majorPageFaults,
      ...psi(counted, 'memory'),
    },
    ...waits(counted, time),
    ...(first === undefined ? {} : { network: { time, ...first, interfaces } }),
    fs: space,
    runtime: { imageFs: space, containerFs: space },
    rlimit: { time, maxpid: processes.most, curproc: processes.running },
    swap: {
      time,
      swapAvailableBytes: memory.swapFreeBytes,
      swapUsageBytes: memory.swapTotalBytes - memory.swapFreeBytes,
    },
  };
}

function podSummary(
  { pod, containers, network, counted }: CountedPod,
  rates: Rates,
  time: string,
): object {
  const { name, namespace, uid } = pod.metadata;
  const each = containers.map((container) => ({
    container,
    rate: rates.of(container.id, container.cpuNanoseconds, container.atMs),
  }));
  const sum = (of: (figures: CountedContainer) => number): number =>
    containers.reduce((total, container) => total + of(container), 0);
  const summed = {
    time,
    usageBytes: sum(({ usageBytes }) => usageBytes),
    workingSetBytes: sum(({ workingSetBytes }) => workingSetBytes),
  };
  return {
    podRef: { name, namespace, uid },
    startTime: pod.status?.startTime,
    containers: each.map(({ container, rate }) => containerSummary(container, rate)),
    cpu: {
      time,
      usageNanoCores: each.reduce((total, { rate = 0 }) => total + rate, 0),
      usageCoreNanoSeconds: sum(({ cpuNanoseconds }) => cpuNanoseconds),
      ...psi(counted, 'cpu'),
    },
    memory: counted === undefined ? summed : memorySummary(counted, time),
    ...swap(counted, time),
    ...waits(counted, time),
    ...(network === undefined ? {} : { network: { time, ...network, interfaces: [network] } }),
    'ephemeral-storage': {
      time,
      usedBytes: sum(({ layerBytes }) => layerBytes),
      inodesUsed: sum(({ layerInodes }) => layerInodes),
    },
    process_stats: { process_count: sum((container) => container.counted?.processes ?? 0) },
  };
}

function containerSummary(container: CountedContainer, rate: number | undefined): object {
  const { name, startedAtMs, atMs, cpuNanoseconds, layerBytes, layerInodes, counted } = container;
  const time = formatTime(atMs);
  const { usageBytes, workingSetBytes } = container;
  return {
    name,
    startTime: formatTime(startedAtMs),
    cpu: {
      ...{ time, usageNanoCores: rate ?? 0, usageCoreNanoSeconds: cpuNanoseconds },
      ...psi(counted, 'cpu'),
    },
    memory: {
      ...(counted === undefined ? { time } : memorySummary(counted, time)),
      ...{ usageBytes, workingSetBytes },
    },
    ...swap(counted, time),
    ...waits(counted, time),
    rootfs: { time, usedBytes: layerBytes, inodesUsed: layerInodes },
  };
}

/** What is available is told where there is a limit. */
function memorySummary(counted: CgroupFigures, time: string): object {
  const { memoryLimitBytes: limit, usageBytes, workingSetBytes } = counted;
  return {
    time,
    ...(limit === 0 ? {} : { availableBytes: Math.max(limit - workingSetBytes, 0) }),
    usageBytes,
    workingSetBytes,
    rssBytes: counted.rssBytes,
    pageFaults: counted.pageFaults,
    majorPageFaults: counted.majorPageFaults,
    ...psi(counted, 'memory'),
  };
}

function swap(counted: CgroupFigures | undefined, time: string): object {
  if (counted === undefined) return {};
  const { swapBytes, swapLimitBytes: limit } = counted;
  const available = limit === undefined ? {} : { swapAvailableBytes: limit - swapBytes };
  return { swap: { time, ...available, swapUsageBytes: swapBytes } };
}

function waits(counted: CgroupFigures | undefined, time: string): object {
  return counted?.pressures === undefined ? {} : { io: { time, ...psi(counted, 'io') } };
}

function psi(counted: CgroupFigures | undefined, what: 'cpu' | 'memory' | 'io'): object {
  const pressure: Pressure | undefined = counted?.pressures?.[what];
  if (pressure === undefined) return {};
  // Microseconds, as upstream passes them on, whatever its type says.
  const data = ({ totalMicroseconds: total, ...averages }: Waited): object => ({
    total,
    ...averages,
  });
  return { psi: { full: data(pressure.full), some: data(pressure.some) } };
}
