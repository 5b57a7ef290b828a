/**
 * Cgroups of pods: limits that belong to the whole pod, and removal when the pod is gone.
 *
 * Works on cgroup v1 (one tree per controller), v2 (one tree) and both mounted side by side. The
 * runtime makes and removes the containers' cgroups; their parent is ours. `openCgroups` looks at
 * what is mounted; a machine without writable cgroups gets an object that does nothing.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '#kit/log.ts';
import { type Mount, readMounts } from '#kit/mounts.ts';
import type { CgroupResources } from '../pods/qos.ts';
import { weightOf } from './slices.ts';

/** Who makes them: the kubelet and the runtime, or systemd for both. */
export type CgroupDriver = 'cgroupfs' | 'systemd';

export interface Cgroups {
  readonly driver: CgroupDriver;
  /** Where one is in every tree: `/kubepods/podA`, or folders of slices. For the runtime too. */
  pathOf(path: string): string;
  /** The same of a container in it. */
  containerPath(path: string, containerId: string): string;
  /** Creates the pod's cgroup with its limits; the runtime puts the containers below it. */
  create(path: string, resources: CgroupResources & { readonly pidsMax?: number }): Promise<void>;
  /** Sets limits of one that exists; an absent limit is taken away. */
  update(path: string, resources: CgroupResources): Promise<void>;
  /** Ends what runs in it, and removes it everywhere with those below. True: nothing is left. */
  remove(path: string): Promise<boolean>;
  /** In any tree. */
  isThere(path: string): boolean;
  /** Names directly below, in any tree. */
  children(path: string): readonly string[];
  /** What there is not of it: folders in trees of limits, or controllers (version 2). */
  missing(path: string): readonly string[];
  /** Sets what is given, making it where it is not there; throws where the kernel refuses. */
  limit(path: string, limits: CgroupLimits): Promise<void>;
  /** What its processes use and could not give back at once; undefined where it is not there. */
  workingSetBytes(path: string): number | undefined;
  readonly version: 1 | 2;
  /** Text of a file, where `pathOf` and `containerPath` say; empty where there is none. */
  read(path: string, controller: string, file: string): Promise<string>;
}

export interface CgroupLimits {
  readonly cpuShares?: number | undefined;
  readonly memoryLimitBytes?: number | undefined;
  readonly pidsMax?: number | undefined;
  /** Bytes by size of page, as the kernel writes it: `2MB`. */
  readonly hugepages?: Readonly<Record<string, number>> | undefined;
}

export function openCgroups(
  { log }: { readonly log: Logger },
  mounts: readonly Mount[] = readMounts(),
): Cgroups {
  const trees = mounts.filter(({ type }) => type === 'cgroup' || type === 'cgroup2');
  const treeOf = (controller: string): string | undefined =>
    trees.find(({ type, options }) => type === 'cgroup' && options.includes(controller))
      ?.mountPoint;
  const unified = trees.find(({ type }) => type === 'cgroup2')?.mountPoint;
  const hasVersion1 = trees.some(({ type }) => type === 'cgroup');
  return {
    driver: 'cgroupfs',
    pathOf: (path) => path,
    containerPath: (path, containerId) => `${path}/${containerId}`,
    isThere: (path) => trees.some(({ mountPoint }) => existsSync(join(mountPoint, path))),
    create: async (path, resources) => {
      try {
        if (hasVersion1) createVersion1(treeOf, path, resources);
        else if (unified !== undefined) createVersion2(unified, path, resources);
      } catch (error) {
        // The runtime still applies each container's own limits.
        log.warn('cannot set limits of a pod', { path, error });
      }
    },
    update: async (path, resources) => {
      try {
        const { cpuQuota = -1, memoryLimitBytes = -1 } = resources;
        const all = { ...resources, cpuQuota, memoryLimitBytes };
        if (hasVersion1) createVersion1(treeOf, path, all);
        else if (unified !== undefined) createVersion2(unified, path, resources);
      } catch (error) {
        log.warn('cannot change limits of a pod', { path, error });
      }
    },
    remove: async (path) => {
      const folders = trees.map(({ mountPoint }) => join(mountPoint, path));
      const pids = endProcessesBelow(folders);
      if (pids.length > 0) log.warn('processes of a pod that is gone were ended', { path, pids });
      return folders.map(removeTree).every(Boolean);
    },
    children: (path) => [
      ...new Set(trees.flatMap(({ mountPoint }) => foldersIn(join(mountPoint, path)))),
    ],
    missing: (path) => {
      if (!hasVersion1) return unified === undefined ? [] : missingControllers(unified, path);
      const all = new Set(controllers.flatMap((controller) => treeOf(controller) ?? []));
      return [...all].map((tree) => join(tree, path)).filter((each) => !existsSync(each));
    },
    limit: async (path, limits) => {
      if (hasVersion1) limitVersion1(treeOf, path, limits);
      else if (unified !== undefined) limitVersion2(unified, path, limits);
    },
    version: hasVersion1 ? 1 : 2,
    read: async (path, controller, file) => {
      const tree = hasVersion1 ? treeOf(controller) : unified;
      if (tree === undefined) return '';
      return readFile(join(tree, path, file), 'utf8').catch(() => '');
    },
    workingSetBytes: (path) => {
      const [file, inactive, tree] = hasVersion1
        ? ['memory.usage_in_bytes', 'total_inactive_file', treeOf('memory')]
        : ['memory.current', 'inactive_file', unified];
      const folder = join(tree ?? '', path);
      if (tree === undefined || !existsSync(join(folder, file))) return undefined;
      const stat = readFileSync(join(folder, 'memory.stat'), 'utf8');
      const idle = Number(new RegExp(`^${inactive} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0);
      return Math.max(Number(readFileSync(join(folder, file), 'utf8')) - idle, 0);
    },
  };
}

type Trees = (controller: string) => string | undefined;

function createVersion1(
  treeOf: Trees,
  path: string,
  resources: CgroupResources & { readonly pidsMax?: number },
): void {
  limitVersion1(treeOf, path, resources);
  const cpu = treeOf('cpu');
  const { cpuPeriod, cpuQuota } = resources;
  if (cpu !== undefined) {
    const folder = join(cpu, path);
    writeFileSync(join(folder, 'cpu.cfs_period_us'), String(cpuPeriod));
    if (cpuQuota !== undefined) writeFileSync(join(folder, 'cpu.cfs_quota_us'), String(cpuQuota));
  }
}

/** Pages that are in use, and those that are only asked for, where the kernel counts them. */
function limitPages(
  folder: string,
  hugepages: Readonly<Record<string, number>>,
  ending: 'limit_in_bytes' | 'max',
): void {
  for (const [size, bytes] of Object.entries(hugepages)) {
    writeFileSync(join(folder, `hugetlb.${size}.${ending}`), String(bytes));
    const reserved = join(folder, `hugetlb.${size}.rsvd.${ending}`);
    if (existsSync(reserved)) writeFileSync(reserved, String(bytes));
  }
}

function limitVersion1(treeOf: Trees, path: string, limits: CgroupLimits): void {
  const write = (controller: string, file: string, value: number | undefined): void => {
    const tree = treeOf(controller);
    if (tree === undefined) return;
    mkdirSync(join(tree, path), { recursive: true });
    if (value !== undefined) writeFileSync(join(tree, path, file), String(value));
  };
  write('cpu', 'cpu.shares', limits.cpuShares);
  write('memory', 'memory.limit_in_bytes', limits.memoryLimitBytes);
  write('pids', 'pids.max', limits.pidsMax);
  const [pages, { hugepages = {} }] = [treeOf('hugetlb'), limits];
  if (pages === undefined || Object.keys(hugepages).length === 0) return;
  mkdirSync(join(pages, path), { recursive: true });
  limitPages(join(pages, path), hugepages, 'limit_in_bytes');
}

/** Those that containers are limited by, where the kernel has them. */
const controllers = ['cpu', 'cpuset', 'memory', 'pids', 'hugetlb'];

function createVersion2(
  tree: string,
  path: string,
  resources: CgroupResources & { readonly pidsMax?: number },
): void {
  limitVersion2(tree, path, resources);
  const folder = join(tree, path);
  const { cpuPeriod, cpuQuota, memoryLimitBytes } = resources;
  writeFileSync(join(folder, 'cpu.max'), `${cpuQuota ?? 'max'} ${cpuPeriod}`);
  if (memoryLimitBytes === undefined) writeFileSync(join(folder, 'memory.max'), 'max');
}

function limitVersion2(tree: string, path: string, limits: CgroupLimits): void {
  const parts = path.split('/').filter((part) => part !== '');
  const known = controllersIn(tree);
  let folder = tree;
  for (const part of parts) {
    switchOn(folder, known);
    folder = join(folder, part);
    mkdirSync(folder, { recursive: true });
  }
  const { cpuShares, memoryLimitBytes, pidsMax, hugepages = {} } = limits;
  const write = (file: string, value: number | undefined): void => {
    if (value !== undefined) writeFileSync(join(folder, file), String(value));
  };
  write('cpu.weight', cpuShares === undefined ? undefined : weightOf(cpuShares));
  write('memory.max', memoryLimitBytes);
  // As systemd, which takes no zero: one process is what is there anyway.
  write('pids.max', pidsMax === 0 ? 1 : pidsMax);
  if (known.includes('hugetlb')) limitPages(folder, hugepages, 'max');
}

/** Of those that the kernel has, and that limits are set with. */
function missingControllers(tree: string, path: string): readonly string[] {
  const folder = join(tree, path);
  const has = existsSync(folder) ? controllersIn(folder) : [];
  const wanted = controllersIn(tree).filter((name) => controllers.includes(name));
  return wanted.filter((name) => !has.includes(name)).sort();
}

function controllersIn(folder: string): readonly string[] {
  const text = readFileSync(join(folder, 'cgroup.controllers'), 'utf8').trim();
  return text === '' ? [] : text.split(/\s+/);
}

/**
 * For the cgroups below: all that there are, as the runtime does. One that cannot be (one of its
 * processes is in the way, or another program has it) does not take the others with it; its
 * limit, where one is wanted, is then refused by itself.
 */
function switchOn(folder: string, names: readonly string[]): void {
  const file = join(folder, 'cgroup.subtree_control');
  const write = (wanted: readonly string[]): boolean => {
    try {
      writeFileSync(file, wanted.map((name) => `+${name}`).join(' '));
      return true;
    } catch (error) {
      if (error instanceof Error) return false;
      throw error;
    }
  };
  if (write(names)) return;
  for (const name of names) write([name]);
}

function foldersIn(folder: string): readonly string[] {
  if (statSync(folder, { throwIfNoEntry: false }) === undefined) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
}

/** Of a runtime that died while it started one, and has lost it. */
function endProcessesBelow(folders: readonly string[]): readonly number[] {
  const pids = [...new Set(folders.flatMap(processesBelow))];
  for (const pid of pids) endProcess(pid);
  return pids;
}

function processesBelow(folder: string): readonly number[] {
  const below = foldersIn(folder).flatMap((name) => processesBelow(join(folder, name)));
  try {
    const pids = readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n').map(Number);
    // Zero: one outside this machine's processes.
    return [...below, ...pids.filter((pid) => pid > 1 && pid !== process.pid)];
  } catch (error) {
    // It is not there, or was removed meanwhile.
    if (error instanceof Error) return below;
    throw error;
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // It was about to end by itself.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** A cgroup folder is removed by rmdir, files and all, once it has no processes and no children. */
function removeTree(folder: string): boolean {
  if (statSync(folder, { throwIfNoEntry: false }) === undefined) return true;
  for (const name of foldersIn(folder)) removeTree(join(folder, name));
  try {
    rmdirSync(folder);
    return true;
  } catch (error) {
    // Busy while its last process is being reaped; housekeeping comes again.
    if (error instanceof Error) return false;
    throw error;
  }
}
