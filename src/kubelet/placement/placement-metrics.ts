/**
 * What processors, memory and their alignment do, for `/metrics`; names and labels are
 * upstream's. Pure. `open-placement.ts` hands it to the node's server.
 */
import type { Metric, Sample } from '../server/exposition.ts';
import type { CpuPool } from './cpu-pool.ts';
import type { MemoryPool } from './memory-pool.ts';
import type { Placer } from './placer.ts';

export function placementMetrics({
  cpus,
  memory,
  placer,
}: {
  readonly cpus: CpuPool | undefined;
  readonly memory: MemoryPool | undefined;
  readonly placer: Placer;
}): readonly Metric[] {
  return [
    ...(cpus === undefined ? [] : cpuMetrics(cpus)),
    ...(memory === undefined ? [] : memoryMetrics(memory)),
    ...alignmentMetrics(placer, cpus),
  ];
}

function cpuMetrics(cpus: CpuPool): readonly Metric[] {
  const { requests, errors } = cpus.counts;
  const shared = cpus.shared.intersection(cpus.allocatable).size * 1000;
  const byNode = [...cpus.givenByNode()].map(([node, value]) => {
    return { labels: { numa_node: String(node) }, value };
  });
  const help = 'Processors given to containers alone';
  return [
    counter('cpu_manager_pinning_requests_total', 'Containers that wanted their own.', requests),
    counter('cpu_manager_pinning_errors_total', 'Of them those that got none.', errors),
    gauge('cpu_manager_shared_pool_size_millicores', 'What is shared.', [{ value: shared }]),
    gauge('cpu_manager_exclusive_cpu_allocation_count', `${help}.`, [{ value: cpus.givenCount }]),
    gauge('cpu_manager_allocation_per_numa', `${help}, by NUMA node.`, byNode),
  ];
}

function memoryMetrics(memory: MemoryPool): readonly Metric[] {
  const { requests, errors } = memory.counts;
  return [
    counter('memory_manager_pinning_requests_total', 'Containers that wanted memory.', requests),
    counter('memory_manager_pinning_errors_total', 'Of them those that got none.', errors),
  ];
}

function alignmentMetrics(placer: Placer, cpus: CpuPool | undefined): readonly Metric[] {
  const { requests, errors } = placer.counts;
  const of = (scope: string, boundary: string, value: number): Sample => {
    return { labels: { scope, boundary }, value };
  };
  const numa = (name: 'aligned' | 'misaligned'): readonly Sample[] => {
    if (placer.scope === undefined) return [];
    const value = placer.counts[name];
    const [here, there] = placer.scope === 'pod' ? [0, value] : [value, 0];
    return [of('container', 'numa_node', here), of('pod', 'numa_node', there)];
  };
  const own = (name: 'aligned' | 'misaligned'): readonly Sample[] =>
    cpus === undefined ? [] : [of('container', 'physical_cpu', cpus.counts[name])];
  const cache =
    cpus === undefined ? [] : [of('container', 'uncore_cache', cpus.counts.alignedCache)];
  const name = 'container_aligned_compute_resources';
  return [
    counter('topology_manager_admission_requests_total', 'Pods that were looked at.', requests),
    counter('topology_manager_admission_errors_total', 'Of them those refused.', errors),
    {
      name: 'kubelet_topology_manager_admission_duration_ms',
      help: 'How long that took.',
      type: 'histogram',
      samples: placer.durationsMs.samples(),
    },
    counter(`${name}_count`, 'What was given aligned.', [
      ...own('aligned'),
      ...numa('aligned'),
      ...cache,
    ]),
    counter(`${name}_failure_count`, 'What could not be given aligned.', [
      ...own('misaligned'),
      ...numa('misaligned'),
    ]),
  ];
}

function counter(name: string, help: string, value: number | readonly Sample[]): Metric {
  const samples = typeof value === 'number' ? [{ value }] : value;
  return { name: `kubelet_${name}`, help, type: 'counter', samples };
}

function gauge(name: string, help: string, samples: readonly Sample[]): Metric {
  return { name: `kubelet_${name}`, help, type: 'gauge', samples };
}
