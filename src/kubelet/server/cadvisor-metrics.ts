/**
 * `/metrics/cadvisor`: what containers use, for dashboards, under the names and labels that
 * upstream's kubelet has there. Not there: disk reads and writes by device, open files and sockets.
 * Pure: `counted-pods.ts` reads what the kernel counts.
 */
import type { Pod } from '#resources/types/core-v1.ts';
import type { NodeFigures } from '../node/node-figures.ts';
import type { CgroupFigures } from './cgroup-figures.ts';
import type { CountedContainer, CountedPod } from './counted-pods.ts';
import { formatMetrics, type Metric, type Sample } from './exposition.ts';
import { counter, gauge, podLabelsOf } from './metrics.ts';
import type { Pressures } from './pressure.ts';
import type { PacketFigures } from './stats.ts';

type Of = (counted: CgroupFigures) => number | undefined;

export function cadvisorMetrics(
  node: NodeFigures,
  pods: readonly CountedPod[],
  options: { readonly root: CgroupFigures | undefined; readonly nowMs: number },
): string {
  const { root, nowMs } = options;
  const { memory } = node;
  return formatMetrics([
    gauge('cadvisor_version_info', 'What counts; the value is always 1.', [
      { labels: { cadvisorVersion: '', dockerVersion: '' }, value: 1 },
    ]),
    ...ofRuntime(node, pods),
    ...ofKernel(pods),
    ...ofPressure(root, pods),
    counter('container_network_receive_bytes_total', 'Bytes received.', network(pods, 'rxBytes')),
    counter(
      'container_network_receive_errors_total',
      'Errors on receipt.',
      network(pods, 'rxErrors'),
    ),
    counter('container_network_receive_packets_total', 'Packets received.', packets(pods, 'rx')),
    counter('container_network_receive_packets_dropped_total', 'Packets dropped on receipt.', [
      ...packets(pods, 'rxDropped'),
    ]),
    counter('container_network_transmit_bytes_total', 'Bytes sent.', network(pods, 'txBytes')),
    counter(
      'container_network_transmit_errors_total',
      'Errors on sending.',
      network(pods, 'txErrors'),
    ),
    counter('container_network_transmit_packets_total', 'Packets sent.', packets(pods, 'tx')),
    counter('container_network_transmit_packets_dropped_total', 'Packets dropped on sending.', [
      ...packets(pods, 'txDropped'),
    ]),
    gauge('container_last_seen', 'When it was last seen.', [
      ...each(pods, () => Math.floor(nowMs / 1000)),
    ]),
    gauge('container_scrape_error', '1 where figures could not be had.', [{ value: 0 }]),
    gauge('machine_cpu_cores', 'Processors of the machine.', [{ value: node.cpus }]),
    gauge('machine_memory_bytes', 'Memory of the machine.', [{ value: memory.totalBytes }]),
    gauge('machine_swap_bytes', 'Swap of the machine.', [{ value: memory.swapTotalBytes }]),
  ]);
}

/** Those of the machine as a whole. */
const rootLabels = { container: '', id: '/', image: '', name: '', namespace: '', pod: '' };

/** What the runtime tells of containers, and the kernel of the machine as a whole. */
function ofRuntime(node: NodeFigures, pods: readonly CountedPod[]): readonly Metric[] {
  const { memory } = node;
  const total = { cpu: 'total' };
  return [
    counter('container_cpu_usage_seconds_total', 'Processor time used.', [
      { labels: { ...rootLabels, ...total }, value: node.cpuNanoseconds / 1e9 },
      ...each(pods, ({ cpuNanoseconds }) => cpuNanoseconds / 1e9, total),
    ]),
    gauge('container_memory_working_set_bytes', 'Memory that could not be had back at once.', [
      { labels: rootLabels, value: memory.workingSetBytes },
      ...each(pods, ({ workingSetBytes }) => workingSetBytes),
    ]),
    gauge('container_memory_usage_bytes', 'Memory in use, caches included.', [
      { labels: rootLabels, value: memory.usageBytes },
      ...each(pods, ({ usageBytes }) => usageBytes),
    ]),
    gauge('container_fs_usage_bytes', 'Disk used by the writable layer.', [
      ...each(pods, ({ layerBytes }) => layerBytes),
    ]),
    gauge('container_start_time_seconds', 'When it started.', [
      { labels: rootLabels, value: node.bootedAtMs / 1000 },
      ...each(pods, ({ startedAtMs }) => startedAtMs / 1000),
    ]),
  ];
}

function ofKernel(pods: readonly CountedPod[]): readonly Metric[] {
  const counters: readonly (readonly [string, string, Of])[] = [
    ['cpu_user_seconds_total', 'Processor time of its own.', (of) => of.userSeconds],
    ['cpu_system_seconds_total', 'Processor time of the kernel for it.', (of) => of.systemSeconds],
    ['cpu_cfs_periods_total', 'Periods in which it ran.', (of) => of.periods],
    ['cpu_cfs_throttled_periods_total', 'Periods cut short.', (of) => of.throttledPeriods],
    ['cpu_cfs_throttled_seconds_total', 'Time held back.', (of) => of.throttledSeconds],
    ['memory_failcnt', 'How often the limit was hit.', (of) => of.failures],
    ['oom_events_total', 'How often it was killed for memory.', (of) => of.outOfMemory],
  ];
  const gauges: readonly (readonly [string, string, Of])[] = [
    ['memory_cache', 'Bytes of files in memory.', (of) => of.cacheBytes],
    ['memory_rss', 'Bytes of its own.', (of) => of.rssBytes],
    ['memory_swap', 'Bytes in swap.', (of) => of.swapBytes],
    ['memory_mapped_file', 'Bytes of mapped files.', (of) => of.mappedBytes],
    ['memory_max_usage_bytes', 'The most that it used.', (of) => of.maxUsageBytes],
    ['memory_total_active_file_bytes', 'Files used lately.', (of) => of.activeFileBytes],
    ['memory_total_inactive_file_bytes', 'Files not used lately.', (of) => of.inactiveFileBytes],
    ['processes', 'Processes in it.', (of) => of.processes],
    ['threads', 'Threads in it.', (of) => of.threads],
    ['spec_cpu_period', 'Period of its quota, in microseconds.', (of) => of.cpuPeriodUs],
    ['spec_cpu_quota', 'Its quota, in microseconds.', (of) => of.cpuQuotaUs],
    ['spec_cpu_shares', 'Its share of the processors.', (of) => of.cpuShares],
    ['spec_memory_limit_bytes', 'Its limit; 0 is none.', (of) => of.memoryLimitBytes],
  ];
  const counted =
    (of: Of) =>
    ({ counted: figures }: CountedContainer): number | undefined =>
      figures === undefined ? undefined : of(figures);
  const faults = (failure_type: string, of: Of): readonly Sample[] => [
    ...each(pods, counted(of), { failure_type, scope: 'container' }),
    ...each(pods, counted(of), { failure_type, scope: 'hierarchy' }),
  ];
  return [
    ...counters.map(([name, help, of]) =>
      counter(`container_${name}`, help, each(pods, counted(of))),
    ),
    ...gauges.map(([name, help, of]) => gauge(`container_${name}`, help, each(pods, counted(of)))),
    counter('container_memory_failures_total', 'Faults of memory.', [
      ...faults('pgfault', ({ pageFaults }) => pageFaults),
      ...faults('pgmajfault', ({ majorPageFaults }) => majorPageFaults),
    ]),
  ];
}

/** How long they waited; only where cgroups of version 2 tell it. */
function ofPressure(
  whole: CgroupFigures | undefined,
  pods: readonly CountedPod[],
): readonly Metric[] {
  const of = (
    what: keyof Pressures,
    sort: 'some' | 'full',
  ): ((counted: CgroupFigures | undefined) => number | undefined) => {
    return (counted) => {
      const pressure = counted?.pressures?.[what][sort];
      return pressure === undefined ? undefined : pressure.totalMicroseconds / 1e6;
    };
  };
  return (['cpu', 'memory', 'io'] as const).flatMap((what) =>
    (['full', 'some'] as const).map((sort) => {
      const [word, help] =
        sort === 'full'
          ? ['stalled', `Time in which nothing in it could go on for want of ${what}.`]
          : ['waiting', `Time in which something in it waited for ${what}.`];
      const value = of(what, sort);
      const ofAll = value(whole);
      return counter(`container_pressure_${what}_${word}_seconds_total`, help, [
        ...(ofAll === undefined ? [] : [{ labels: rootLabels, value: ofAll }]),
        ...each(pods, ({ counted }) => value(counted)),
      ]);
    }),
  );
}

function each(
  pods: readonly CountedPod[],
  of: (container: CountedContainer) => number | undefined,
  more: Readonly<Record<string, string>> = {},
): readonly Sample[] {
  return pods.flatMap(({ pod, containers }) =>
    containers.flatMap((container): Sample[] => {
      const value = of(container);
      if (value === undefined) return [];
      return [{ labels: { ...labelsOf(pod, container), ...more }, value, atMs: container.atMs }];
    }),
  );
}

function labelsOf(
  pod: Pod,
  { id, name, path }: CountedContainer,
): Readonly<Record<string, string>> {
  const all = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  const image = all.find((container) => container.name === name)?.image ?? '';
  return { container: name, id: path, image, name: id, ...podLabelsOf(pod) };
}

function network(
  pods: readonly CountedPod[],
  name: 'rxBytes' | 'rxErrors' | 'txBytes' | 'txErrors',
): readonly Sample[] {
  return pods.flatMap(({ pod, network: link }) =>
    link === undefined
      ? []
      : [{ labels: { ...podLabelsOf(pod), interface: link.name }, value: link[name] }],
  );
}

function packets(pods: readonly CountedPod[], name: keyof PacketFigures): readonly Sample[] {
  return pods.flatMap(({ pod, network: link, packets: counts }) =>
    link === undefined || counts === undefined
      ? []
      : [{ labels: { ...podLabelsOf(pod), interface: link.name }, value: counts[name] }],
  );
}
