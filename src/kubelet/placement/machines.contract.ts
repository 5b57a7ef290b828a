/**
 * Machines that do not exist, for the tests of placement: as the kernel would show them in /sys,
 * and as `topology.ts` reads them.
 *
 * Processors are numbered as on most machines: first one thread of each core, node by node, then
 * the second threads in the same order.
 */
import type { Container, Pod } from '#resources/types/core-v1.ts';
import type { Source, Topology } from './topology.ts';
import { readTopology } from './topology.ts';

export interface MachinePlan {
  readonly sockets?: number;
  readonly nodesPerSocket?: number;
  readonly coresPerNode: number;
  readonly threads?: number;
  readonly cachesPerNode?: number;
  readonly memoryBytesPerNode?: number;
  /** Pages of 2 MiB. */
  readonly hugepagesPerNode?: number;
}

export interface MadeUp {
  readonly files: Readonly<Record<string, string>>;
  readonly folders: Readonly<Record<string, readonly string[]>>;
}

const gibibyte = 1024 ** 3;

export function madeUpMachine(plan: MachinePlan): MadeUp {
  const { sockets = 1, nodesPerSocket = 1, coresPerNode, threads = 1, cachesPerNode = 1 } = plan;
  const { memoryBytesPerNode = 8 * gibibyte, hugepagesPerNode = 0 } = plan;
  const nodes = sockets * nodesPerSocket;
  const cores = nodes * coresPerNode;
  const files: Record<string, string> = {};
  const folders: Record<string, readonly string[]> = {};
  const system = '/sys/devices/system';
  files[`${system}/cpu/online`] = `0-${cores * threads - 1}\n`;
  files[`${system}/node/online`] = nodes === 1 ? '0\n' : `0-${nodes - 1}\n`;
  const threadsOf = (core: number): readonly number[] =>
    Array.from({ length: threads }, (_, thread) => core + thread * cores);
  const coresOf = (first: number, count: number): readonly number[] =>
    Array.from({ length: count }, (_, at) => first + at);
  for (let node = 0; node < nodes; node++) {
    const own = coresOf(node * coresPerNode, coresPerNode);
    const path = `${system}/node/node${node}`;
    files[`${path}/cpulist`] = own.flatMap(threadsOf).join(',');
    files[`${path}/meminfo`] = `Node ${node} MemTotal:  ${memoryBytesPerNode / 1024} kB\n`;
    const distances = coresOf(0, nodes).map((other) => (other === node ? 10 : 20));
    files[`${path}/distance`] = `${distances.join(' ')}\n`;
    folders[`${path}/hugepages`] = ['hugepages-2048kB'];
    files[`${path}/hugepages/hugepages-2048kB/nr_hugepages`] = String(hugepagesPerNode);
    const perCache = coresPerNode / cachesPerNode;
    for (const core of own) {
      const cache = Math.floor((core - node * coresPerNode) / perCache);
      const sharing = coresOf(node * coresPerNode + cache * perCache, perCache);
      for (const cpu of threadsOf(core)) {
        const folder = `${system}/cpu/cpu${cpu}`;
        files[`${folder}/topology/thread_siblings_list`] = threadsOf(core).join(',');
        files[`${folder}/topology/physical_package_id`] = String(Math.floor(node / nodesPerSocket));
        folders[`${folder}/cache`] = ['index0', 'index3', 'uevent'];
        files[`${folder}/cache/index0/level`] = '1';
        files[`${folder}/cache/index3/level`] = '3';
        files[`${folder}/cache/index3/id`] = String(node * cachesPerNode + cache);
        files[`${folder}/cache/index3/shared_cpu_list`] = sharing.flatMap(threadsOf).join(',');
      }
    }
  }
  return { files, folders };
}

export function sourceOf({ files, folders }: MadeUp): Source {
  return {
    readFile: (path) => files[path] ?? '',
    listFolder: (path) => folders[path] ?? [],
  };
}

export function madeUpTopology(plan: MachinePlan): Topology {
  return readTopology(sourceOf(madeUpMachine(plan)));
}

/** Of a Guaranteed pod: what it asks for is its limit. */
export function guaranteed(
  name: string,
  amounts: Readonly<Record<string, string>>,
  more: Partial<Container> = {},
): Container {
  return { name, image: 'i', resources: { requests: amounts, limits: amounts }, ...more };
}

export function podOf(
  uid: string,
  containers: readonly Container[],
  initContainers: readonly Container[] = [],
): Pod {
  return {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: uid, uid } },
    spec: { containers, initContainers },
  };
}
