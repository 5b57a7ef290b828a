/**
 * How the machine is built: which processors share a core, a cache, a socket, a NUMA node, and what
 * memory each node has. Read once from /sys; the only file that knows how the kernel tells it.
 *
 * `take-cpus.ts` chooses processors by it, `memory-map.ts` counts by it, `hints.ts` thinks in its
 * nodes. A kernel without NUMA counts as one node with everything.
 */
import type { Machine } from '../node/machine.ts';
import { ascending, parseNumbers } from './number-set.ts';

export interface Cpu {
  readonly id: number;
  /** The lowest processor of its core, which is unique on the machine. */
  readonly core: number;
  readonly socket: number;
  readonly node: number;
  /** Its third-level cache, where that is smaller than the node; else its socket. */
  readonly cache: number;
}

export interface NumaNode {
  readonly id: number;
  readonly memoryBytes: number;
  /** To each node, in their order; 10 is here. */
  readonly distances: readonly number[];
  /** Bytes by resource: `hugepages-2Mi`. */
  readonly hugepages: ReadonlyMap<string, number>;
}

export interface Topology {
  readonly cpus: readonly Cpu[];
  readonly nodes: readonly NumaNode[];
}

export type Source = Pick<Machine, 'readFile' | 'listFolder'>;

const nodesPath = '/sys/devices/system/node';
const cpusPath = '/sys/devices/system/cpu';

export function readTopology(source: Source): Topology {
  const online = readCpus(source);
  const ids = numbersIn(source, `${nodesPath}/online`);
  const nodeIds = ids.length === 0 ? [0] : ids;
  const nodeOf = new Map<number, number>();
  for (const node of ids) {
    for (const cpu of numbersIn(source, `${nodesPath}/node${node}/cpulist`)) nodeOf.set(cpu, node);
  }
  const sizes = new Map<number, number>();
  for (const cpu of online) {
    const node = nodeOf.get(cpu) ?? 0;
    sizes.set(node, (sizes.get(node) ?? 0) + 1);
  }
  return {
    cpus: online.map((id) => {
      const node = nodeOf.get(id) ?? 0;
      return readCpu(source, id, node, sizes.get(node) ?? 0);
    }),
    nodes: nodeIds.map((id) => readNode(source, id, ids.length > 0)),
  };
}

/** Processors that are switched on; none where the kernel does not say. */
export function readCpus(source: Pick<Source, 'readFile'>): readonly number[] {
  return ascending(parseNumbers(source.readFile(`${cpusPath}/online`)) ?? []);
}

function readCpu(source: Source, id: number, node: number, nodeSize: number): Cpu {
  const folder = `${cpusPath}/cpu${id}`;
  const threads = numbersIn(source, `${folder}/topology/thread_siblings_list`);
  const socket = numberIn(source, `${folder}/topology/physical_package_id`) ?? 0;
  const core = threads[0] ?? id;
  return { id, core, socket, node, cache: readCache(source, folder, nodeSize) ?? socket };
}

/** Undefined where the cache is the whole node's, and so says nothing more than the node. */
function readCache(source: Source, folder: string, nodeSize: number): number | undefined {
  for (const name of source.listFolder(`${folder}/cache`)) {
    const cache = `${folder}/cache/${name}`;
    if (!name.startsWith('index') || numberIn(source, `${cache}/level`) !== 3) continue;
    const sharing = numbersIn(source, `${cache}/shared_cpu_list`);
    if (sharing.length === 0 || sharing.length >= nodeSize) return undefined;
    return numberIn(source, `${cache}/id`) ?? sharing[0];
  }
  return undefined;
}

function readNode(source: Source, id: number, hasNodes: boolean): NumaNode {
  const folder = `${nodesPath}/node${id}`;
  const info = source.readFile(hasNodes ? `${folder}/meminfo` : '/proc/meminfo');
  const kibibytes = Number(/MemTotal:\s+(\d+) kB/.exec(info)?.[1] ?? 0);
  const distances = source.readFile(`${folder}/distance`).trim();
  return {
    id,
    memoryBytes: kibibytes * 1024,
    distances: distances === '' ? [10] : distances.split(/\s+/).map(Number),
    hugepages: readHugepages(source, hasNodes ? `${folder}/hugepages` : hugepagesPath),
  };
}

const hugepagesPath = '/sys/kernel/mm/hugepages';

/** Bytes by resource; sizes that the kernel knows and has none of are listed with 0. */
export function readHugepages(
  source: Source,
  folder: string = hugepagesPath,
): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const name of source.listFolder(folder).toSorted()) {
    const kibibytes = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1] ?? 0);
    if (kibibytes === 0) continue;
    const pages = numberIn(source, `${folder}/${name}/nr_hugepages`) ?? 0;
    found.set(`hugepages-${formatPageSize(kibibytes)}`, pages * kibibytes * 1024);
  }
  return found;
}

/** As in the names of resources: 2048 becomes `2Mi`. */
function formatPageSize(kibibytes: number): string {
  if (kibibytes % (1024 * 1024) === 0) return `${kibibytes / (1024 * 1024)}Gi`;
  if (kibibytes % 1024 === 0) return `${kibibytes / 1024}Mi`;
  return `${kibibytes}Ki`;
}

function numbersIn(source: Source, path: string): readonly number[] {
  return ascending(parseNumbers(source.readFile(path)) ?? []);
}

function numberIn(source: Source, path: string): number | undefined {
  const text = source.readFile(path).trim();
  return /^-?\d+$/.test(text) ? Number(text) : undefined;
}
