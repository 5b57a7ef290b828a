/**
 * The node's figures for Prometheus: `/metrics` about the kubelet, `/metrics/resource` for the
 * autoscalers' collector. Names and labels are upstream's. Pure. `cadvisor-metrics.ts` has those
 * for dashboards.
 */
import type { Pod } from '#resources/types/core-v1.ts';
import type { NodeFigures } from '../node/node-figures.ts';
import { isMirror, isStatic } from '../static-pods/static-pod.ts';
import type { SwapFigures } from './cgroup-figures.ts';
import type { Swaps } from './counted-pods.ts';
import { formatMetrics, type Metric, type Sample } from './exposition.ts';
import type { ContainerFigures, PodFigures } from './stats.ts';

const nanosecondsPerSecond = 1e9;

export function kubeletMetrics(facts: {
  readonly nodeName: string;
  readonly version: string;
  readonly pods: readonly Pod[];
  /** What others have to tell. */
  readonly more?: readonly Metric[] | undefined;
  readonly cgroupVersion: 1 | 2;
  /** Containers by state: `running`, `exited`, `created`. */
  readonly containers: ReadonlyMap<string, number>;
  readonly process: {
    readonly cpuSeconds: number;
    readonly residentBytes: number;
    readonly startedAtMs: number;
  };
}): string {
  const { nodeName, version, pods, containers, process } = facts;
  const statics = pods.filter(isStatic).length;
  return formatMetrics([
    gauge('kubelet_node_name', "The node's name; the value is always 1.", [
      { labels: { node: nodeName }, value: 1 },
    ]),
    gauge('kubernetes_build_info', 'What is running; the value is always 1.', [
      { labels: { git_version: version, platform: 'linux' }, value: 1 },
    ]),
    gauge('kubelet_cgroup_version', 'Version of the cgroups that pods are in.', [
      { value: facts.cgroupVersion },
    ]),
    gauge('kubelet_running_pods', 'Pods that have a running sandbox.', [
      { value: pods.filter(({ status }) => status?.phase === 'Running').length },
    ]),
    gauge(
      'kubelet_running_containers',
      'Containers by state.',
      [...containers].map(([state, value]) => ({ labels: { container_state: state }, value })),
    ),
    gauge('kubelet_active_pods', 'Pods that the kubelet looks after, by origin.', [
      { labels: { static: 'true' }, value: statics },
      { labels: { static: '' }, value: pods.length - statics },
    ]),
    gauge('kubelet_mirror_pods', 'Static pods that show in the API.', [
      { value: pods.filter(isMirror).length },
    ]),
    ...resizesOf(pods),
    counter('process_cpu_seconds_total', 'Processor time of this process.', [
      { value: process.cpuSeconds },
    ]),
    gauge('process_resident_memory_bytes', 'Resident memory of this process.', [
      { value: process.residentBytes },
    ]),
    gauge('process_start_time_seconds', 'When this process started.', [
      { value: process.startedAtMs / 1000 },
    ]),
    ...(facts.more ?? []),
  ]);
}

/** As the pods' conditions tell. */
function resizesOf(pods: readonly Pod[]): readonly Metric[] {
  const conditions = pods.flatMap(({ status }) => status?.conditions ?? []);
  const pending = new Map<string, number>();
  for (const { type, reason = '' } of conditions) {
    if (type !== 'PodResizePending') continue;
    pending.set(reason, (pending.get(reason) ?? 0) + 1);
  }
  return [
    gauge(
      'kubelet_pod_pending_resizes',
      'Pods that wait for other resources, by reason.',
      [...pending].map(([reason, value]) => ({ labels: { reason: reason.toLowerCase() }, value })),
    ),
    gauge('kubelet_pod_in_progress_resizes', 'Pods that are being given other resources.', [
      { value: conditions.filter(({ type }) => type === 'PodResizeInProgress').length },
    ]),
  ];
}

export function resourceMetrics(
  node: NodeFigures,
  pods: readonly PodFigures[],
  { swaps, nowMs }: { readonly swaps: Swaps; readonly nowMs: number },
): string {
  const swapOf = (of: (swap: SwapFigures) => number | undefined): readonly Sample[] =>
    pods.flatMap(({ pod, containers }) =>
      containers.flatMap(({ id, name, atMs }) => {
        const swap = swaps.get(id);
        const value = swap === undefined ? undefined : of(swap);
        const labels = { container: name, ...podLabelsOf(pod) };
        return value === undefined ? [] : [{ labels, value, atMs }];
      }),
    );
  const perPod = (of: (container: ContainerFigures) => number): readonly Sample[] =>
    pods.map(({ pod, containers }) => ({
      labels: podLabelsOf(pod),
      value: containers.reduce((sum, container) => sum + of(container), 0),
      atMs: nowMs,
    }));
  const perContainer = (of: (container: ContainerFigures) => number): readonly Sample[] =>
    pods.flatMap(({ pod, containers }) =>
      containers.map((container) => ({
        labels: { container: container.name, ...podLabelsOf(pod) },
        value: of(container),
        atMs: container.atMs,
      })),
    );
  const cpu = ({ cpuNanoseconds }: ContainerFigures): number =>
    cpuNanoseconds / nanosecondsPerSecond;
  const memory = ({ workingSetBytes }: ContainerFigures): number => workingSetBytes;
  return formatMetrics([
    counter('container_cpu_usage_seconds_total', 'Processor time of a container.', [
      ...perContainer(cpu),
    ]),
    gauge('container_memory_working_set_bytes', 'Memory that a container needs.', [
      ...perContainer(memory),
    ]),
    gauge('container_swap_limit_bytes', 'Swap that a container may use.', [
      ...swapOf(({ limitBytes }) => limitBytes),
    ]),
    gauge('container_swap_usage_bytes', 'Swap that a container uses.', [
      ...swapOf(({ usageBytes }) => usageBytes),
    ]),
    gauge('container_start_time_seconds', 'When a container started.', [
      ...perContainer(({ startedAtMs }) => startedAtMs / 1000),
    ]),
    counter('node_cpu_usage_seconds_total', 'Processor time of the node.', [
      { value: node.cpuNanoseconds / nanosecondsPerSecond, atMs: nowMs },
    ]),
    gauge('node_memory_working_set_bytes', 'Memory that is in use on the node.', [
      { value: node.memory.workingSetBytes, atMs: nowMs },
    ]),
    gauge('node_swap_usage_bytes', 'Swap in use on the node.', [
      { value: node.memory.swapTotalBytes - node.memory.swapFreeBytes, atMs: nowMs },
    ]),
    counter('pod_cpu_usage_seconds_total', 'Processor time of a pod.', perPod(cpu)),
    gauge('pod_memory_working_set_bytes', 'Memory that a pod needs.', perPod(memory)),
    gauge('pod_swap_usage_bytes', 'Swap that a pod uses.', [
      ...pods.flatMap(({ pod }) => {
        const swap = swaps.get(pod.metadata.uid ?? '');
        return swap === undefined
          ? []
          : [{ labels: podLabelsOf(pod), value: swap.usageBytes, atMs: nowMs }];
      }),
    ]),
    gauge('resource_scrape_error', '1 where figures could not be had.', [{ value: 0 }]),
  ]);
}

export function counter(name: string, help: string, samples: readonly Sample[]): Metric {
  return { name, help, type: 'counter', samples };
}

export function gauge(name: string, help: string, samples: readonly Sample[]): Metric {
  return { name, help, type: 'gauge', samples };
}

export function podLabelsOf({ metadata }: Pod): {
  readonly namespace: string;
  readonly pod: string;
} {
  return { namespace: metadata.namespace ?? '', pod: metadata.name ?? '' };
}
