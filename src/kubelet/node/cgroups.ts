/**
 * Cgroups of pods: limits that belong to the whole pod, and removal when the pod is gone.
 *
 * Works on cgroup v1 (one tree per controller), v2 (one tree) and both mounted side by side. The
 * runtime makes and removes the containers' cgroups; their parent is ours. `openCgroups` looks at
 * what is mounted; a machine without writable cgroups gets an object that does nothing.
 */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '#kit/log.ts';
import { type Mount, readMounts } from '#kit/mounts.ts';
import type { CgroupResources } from '../pods/qos.ts';

export interface Cgroups {
  /** Creates the pod's cgroup with its limits; the runtime puts the containers below it. */
  create(path: string, resources: CgroupResources & { readonly pidsMax?: number }): void;
  /** Sets limits of one that exists; an absent limit is taken away. */
  update(path: string, resources: CgroupResources): void;
  /** Removes it everywhere, with empty ones below. True when nothing is left. */
  remove(path: string): boolean;
  /** Names directly below, in any tree. */
  children(path: string): readonly string[];
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
    create: (path, resources) => {
      try {
        if (hasVersion1) createVersion1(treeOf, path, resources);
        else if (unified !== undefined) createVersion2(unified, path, resources);
      } catch (error) {
        // The runtime still applies each container's own limits.
        log.warn('cannot set limits of a pod', { path, error });
      }
    },
    update: (path, resources) => {
      try {
        const { cpuQuota = -1, memoryLimitBytes = -1 } = resources;
        const all = { ...resources, cpuQuota, memoryLimitBytes };
        if (hasVersion1) createVersion1(treeOf, path, all);
        else if (unified !== undefined) createVersion2(unified, path, resources);
      } catch (error) {
        log.warn('cannot change limits of a pod', { path, error });
      }
    },
    remove: (path) =>
      trees.map(({ mountPoint }) => removeTree(join(mountPoint, path))).every(Boolean),
    children: (path) => [
      ...new Set(trees.flatMap(({ mountPoint }) => foldersIn(join(mountPoint, path)))),
    ],
  };
}

function createVersion1(
  treeOf: (controller: string) => string | undefined,
  path: string,
  resources: CgroupResources & { readonly pidsMax?: number },
): void {
  const write = (controller: string, file: string, value: number | undefined): void => {
    const tree = treeOf(controller);
    if (tree === undefined) return;
    mkdirSync(join(tree, path), { recursive: true });
    if (value !== undefined) writeFileSync(join(tree, path, file), String(value));
  };
  write('cpu', 'cpu.shares', resources.cpuShares);
  write('cpu', 'cpu.cfs_period_us', resources.cpuPeriod);
  write('cpu', 'cpu.cfs_quota_us', resources.cpuQuota);
  write('memory', 'memory.limit_in_bytes', resources.memoryLimitBytes);
  write('pids', 'pids.max', resources.pidsMax);
}

/** Those that containers are limited by, where the kernel has them. */
const controllers = ['cpu', 'cpuset', 'memory', 'pids', 'hugetlb'];

function createVersion2(
  tree: string,
  path: string,
  resources: CgroupResources & { readonly pidsMax?: number },
): void {
  const parts = path.split('/').filter((part) => part !== '');
  const known = readFileSync(join(tree, 'cgroup.controllers'), 'utf8').trim().split(/\s+/);
  const wanted = controllers.filter((name) => known.includes(name));
  const switches = wanted.map((name) => `+${name}`).join(' ');
  let folder = tree;
  for (const part of parts) {
    writeFileSync(join(folder, 'cgroup.subtree_control'), switches);
    folder = join(folder, part);
    mkdirSync(folder, { recursive: true });
  }
  const { cpuShares, cpuPeriod, cpuQuota, memoryLimitBytes, pidsMax } = resources;
  // Shares 2 … 262144 become weight 1 … 10000.
  const weight = Math.floor(1 + ((cpuShares - 2) * 9999) / 262142);
  writeFileSync(join(folder, 'cpu.weight'), String(weight));
  writeFileSync(join(folder, 'cpu.max'), `${cpuQuota ?? 'max'} ${cpuPeriod}`);
  writeFileSync(join(folder, 'memory.max'), String(memoryLimitBytes ?? 'max'));
  if (pidsMax !== undefined) writeFileSync(join(folder, 'pids.max'), String(pidsMax));
}

function foldersIn(folder: string): readonly string[] {
  if (statSync(folder, { throwIfNoEntry: false }) === undefined) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
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
