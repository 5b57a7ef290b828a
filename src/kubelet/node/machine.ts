/**
 * What the kubelet does to the machine besides files: mounts and cgroups. Behind an interface, so
 * that tests without root run the same code over a stand-in.
 */
import { readdirSync, readFileSync, statfsSync, statSync } from 'node:fs';
import type { Runtime } from '#cri';
import type { Clock } from '#kit/clock.ts';
import { DescriptorBinds } from '#kit/descriptor-binds.ts';
import { KernelLog } from '#kit/kernel-log.ts';
import type { Logger } from '#kit/log.ts';
import {
  growFileSystem,
  isMountPoint,
  mountDevice,
  mountHugepages,
  mountTmpfs,
  removeFolder,
  unmountBelow,
} from '#kit/mounts.ts';
import { labelFile } from '#kit/selinux.ts';
import { defaultSettings, type KubeletSettings } from '../settings.ts';
import { type CgroupDriver, type Cgroups, openCgroups } from './cgroups.ts';

export interface DiskSpace {
  readonly bytes: number;
  /** To those who are not root. */
  readonly freeBytes: number;
  readonly inodes: number;
  readonly freeInodes: number;
}

export interface Machine {
  readonly cgroups: Cgroups;
  isMounted(folder: string): boolean;
  /** Not to go to swap, where the kernel knows how. */
  mountTmpfs(
    folder: string,
    options: { readonly sizeBytes?: number | undefined; readonly signal: AbortSignal },
  ): Promise<void>;
  /** A folder of which the files are in huge pages of this size: `2Mi`. */
  mountHugepages(
    folder: string,
    options: { readonly pageSize: string; readonly signal: AbortSignal },
  ): Promise<void>;
  /** The file system on a device, made if there is nothing on it. */
  mountDevice(
    device: string,
    folder: string,
    options: {
      readonly fsType: string;
      readonly mountOptions: readonly string[];
      readonly signal: AbortSignal;
    },
  ): Promise<void>;
  /** Up to the size of its device; it stays mounted. */
  growFileSystem(
    device: string,
    folder: string,
    options: { readonly signal: AbortSignal },
  ): Promise<void>;
  /** What is open as this descriptor, at a file or an empty folder. */
  bindDescriptor(descriptor: number, target: string): Promise<void>;
  /** The label of SELinux: `user:role:type:level`. */
  labelFile(path: string, label: string, options: { readonly signal: AbortSignal }): Promise<void>;
  unmountBelow(folder: string, options: { readonly signal: AbortSignal }): Promise<void>;
  /** With all that is in it; refuses where something is still mounted. */
  removeFolder(folder: string): void;
  isSameDisk(path: string, other: string): boolean;
  /** Of the file system that a path is on. */
  diskSpace(path: string): DiskSpace;
  /**
   * The text of a file that describes the machine, as `/etc/resolv.conf`; empty when absent, or
   * when what it tells of goes away while it is read.
   */
  readFile(path: string): string;
  /** Names in a folder that describes the machine, as those of `/sys`; none when absent. */
  listFolder(path: string): readonly string[];
  /** What the kernel has said since it was asked last. */
  kernelNews(): readonly string[];
}

const limits = { runtimeMs: 10_000, lookMs: 50 } as const;

interface MachineDeps {
  readonly runtime: Pick<Runtime, 'cgroupDriver' | 'version'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The one that we run on. Who makes its cgroups is asked of the runtime, which makes some. */
export async function openMachine(
  deps: MachineDeps,
  options: { readonly settings?: KubeletSettings | undefined; readonly signal: AbortSignal },
): Promise<Machine> {
  const { log } = deps;
  const { settings = defaultSettings } = options;
  const { told, runtimeName } = await askRuntime(deps, options);
  const files = openCgroups(deps);
  if ((told ?? settings.cgroupDriver) === 'cgroupfs') return linuxMachine(files);
  const scopePrefix = runtimeName === 'cri-o' ? 'crio' : 'cri-containerd';
  const { openSystemdCgroups } = await import('./systemd-cgroups.ts');
  const { SystemdUnits } = await import('./systemd-units.ts');
  log.info('systemd makes the cgroups of pods', { told });
  const units = new SystemdUnits(deps, { userId: process.geteuid?.() ?? 0 });
  const { signal } = options;
  return linuxMachine(openSystemdCgroups({ files, units, log, scopePrefix, signal }));
}

/** One that has just been started takes connections before it can answer. */
async function askRuntime(
  { runtime, clock }: MachineDeps,
  options: { readonly signal: AbortSignal },
): Promise<{ readonly told: CgroupDriver | undefined; readonly runtimeName: string }> {
  const untilMs = clock.monotonic() + limits.runtimeMs;
  for (;;) {
    try {
      const { runtimeName } = await runtime.version(options);
      return { told: await runtime.cgroupDriver(options), runtimeName };
    } catch (error) {
      if (options.signal.aborted || clock.monotonic() > untilMs) throw error;
    }
    await clock.sleep(limits.lookMs, options);
  }
}

function linuxMachine(cgroups: Cgroups): Machine {
  const kernelLog = new KernelLog();
  const binds = new DescriptorBinds();
  let canKeepFromSwap = true;
  return {
    cgroups,
    isMounted: isMountPoint,
    mountTmpfs: async (folder, options) => {
      try {
        return await mountTmpfs(folder, { ...options, noSwap: canKeepFromSwap });
      } catch (error) {
        if (!canKeepFromSwap) throw error;
      }
      await mountTmpfs(folder, options);
      canKeepFromSwap = false;
    },
    mountHugepages,
    mountDevice,
    growFileSystem,
    bindDescriptor: (descriptor, target) => binds.bind(descriptor, target),
    labelFile,
    unmountBelow,
    removeFolder,
    isSameDisk: (path, other) => statSync(path).dev === statSync(other).dev,
    diskSpace: (path) => {
      const { blocks, bavail, bsize, files, ffree } = statfsSync(path);
      return {
        bytes: blocks * bsize,
        freeBytes: bavail * bsize,
        inodes: files,
        freeInodes: ffree,
      };
    },
    readFile: (path) => unlessAbsent(() => readFileSync(path, 'utf8'), ''),
    listFolder: (path) => unlessAbsent(() => readdirSync(path), []),
    kernelNews: () => kernelLog.news(),
  };
}

/** Of the three later ones: figures of a network link, a cgroup, a process that is just removed. */
const absent: readonly unknown[] = ['ENOENT', 'EINVAL', 'ENODEV', 'ESRCH'];

function unlessAbsent<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error && 'code' in error && absent.includes(error.code)) return otherwise;
    throw error;
  }
}
