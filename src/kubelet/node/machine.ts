/**
 * What the kubelet does to the machine besides files: mounts and cgroups. Behind an interface, so
 * that tests without root run the same code over a stand-in.
 */
import { readdirSync, readFileSync, statfsSync, statSync } from 'node:fs';
import type { Logger } from '#kit/log.ts';
import { mountHugepages, mountTmpfs, readMounts, unmountBelow } from '#kit/mounts.ts';
import { type Cgroups, openCgroups } from './cgroups.ts';

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
  mountTmpfs(
    folder: string,
    options: { readonly sizeBytes?: number | undefined; readonly signal: AbortSignal },
  ): Promise<void>;
  /** A folder of which the files are in huge pages of this size: `2Mi`. */
  mountHugepages(
    folder: string,
    options: { readonly pageSize: string; readonly signal: AbortSignal },
  ): Promise<void>;
  unmountBelow(folder: string, options: { readonly signal: AbortSignal }): Promise<void>;
  isSameDisk(path: string, other: string): boolean;
  /** Of the file system that a path is on. */
  diskSpace(path: string): DiskSpace;
  /** The text of a file that describes the machine, as `/etc/resolv.conf`; empty when absent. */
  readFile(path: string): string;
  /** Names in a folder that describes the machine, as those of `/sys`; none when absent. */
  listFolder(path: string): readonly string[];
}

export function linuxMachine(deps: { readonly log: Logger }): Machine {
  return {
    cgroups: openCgroups(deps),
    isMounted: (folder) => readMounts().some(({ mountPoint }) => mountPoint === folder),
    mountTmpfs,
    mountHugepages,
    unmountBelow,
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
  };
}

function unlessAbsent<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return otherwise;
    throw error;
  }
}
