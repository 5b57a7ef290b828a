/**
 * What pods use of the node: memory and writable layers as the runtime counts them, folders by
 * walking them. Walking costs, so it is done for those volumes and logs that a limit or a shortage
 * asks about.
 *
 * `eviction/eviction.ts` asks every few seconds. Next: `eviction/plan.ts`.
 */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Received, Runtime } from '#cri';
import type { Pod } from '#resources/types/core-v1.ts';
import { podLabels } from '../pods/pod-facts.ts';
import { type KubeletPaths, podPaths } from '../pods/pod-paths.ts';
import type { ContainerUse, PodUse } from './plan.ts';

export interface FolderUse {
  readonly bytes: number;
  readonly inodes: number;
}

const limits = {
  /** Entries looked at in one folder; what is beyond counts as nothing. */
  entriesMax: 200_000,
} as const;

/** What is allocated on the disk, so that a sparse file counts for what it holds. */
async function folderUse(
  folder: string,
  { signal }: { readonly signal: AbortSignal },
): Promise<FolderUse> {
  let bytes = 0;
  let inodes = 0;
  const open = [folder];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    signal.throwIfAborted();
    const entries = await readdir(next, { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      if (inodes >= limits.entriesMax) return { bytes, inodes };
      const path = join(next, entry.name);
      const found = await lstat(path).catch(() => undefined);
      if (found === undefined) continue;
      inodes += 1;
      bytes += found.blocks * 512;
      if (entry.isDirectory()) open.push(path);
    }
  }
  return { bytes, inodes };
}

export async function podUses(
  { runtime, paths }: { readonly runtime: Runtime; readonly paths: KubeletPaths },
  pods: readonly Pod[],
  options: {
    /** Look at every folder, not only at those with a limit. */
    readonly isDiskShort: boolean;
    readonly signal: AbortSignal;
  },
): Promise<readonly PodUse[]> {
  const stats = statsByPod(await runtime.listContainerStats(options));
  const uses: PodUse[] = [];
  for (const pod of pods) {
    uses.push(await podUse(paths, pod, stats.get(pod.metadata.uid ?? '') ?? [], options));
  }
  return uses;
}

/** By uid; those of containers that are nobody's by the empty text. */
export function statsByPod(
  stats: readonly Received<'ContainerStats'>[],
): ReadonlyMap<string, readonly Received<'ContainerStats'>[]> {
  return Map.groupBy(stats, ({ attributes }) => attributes?.labels[podLabels.podUid] ?? '');
}

async function podUse(
  paths: KubeletPaths,
  pod: Pod,
  own: readonly Received<'ContainerStats'>[],
  { isDiskShort, signal }: { readonly isDiskShort: boolean; readonly signal: AbortSignal },
): Promise<PodUse> {
  const { logs, emptyDirs: folders } = podPaths(paths, pod);
  const needsDisk = isDiskShort || hasStorageLimit(pod);
  const emptyDirs = new Map<string, number>();
  const none: FolderUse = { bytes: 0, inodes: 0 };
  let inVolumes = none;
  for (const { name, emptyDir } of pod.spec?.volumes ?? []) {
    // Those in memory count as memory, and are bounded by their mount.
    if (emptyDir === undefined || emptyDir.medium === 'Memory') continue;
    if (!needsDisk && emptyDir.sizeLimit === undefined) continue;
    const use = await folderUse(join(folders, name), { signal });
    emptyDirs.set(name, use.bytes);
    inVolumes = { bytes: inVolumes.bytes + use.bytes, inodes: inVolumes.inodes + use.inodes };
  }
  let layerBytes = 0;
  const containers: ContainerUse[] = [];
  for (const each of own) {
    const name = each.attributes?.labels[podLabels.containerName] ?? '';
    const layer = each.writableLayer?.usedBytes?.value ?? 0;
    layerBytes += layer;
    const inLogs = needsDisk ? await folderUse(join(logs, name), { signal }) : none;
    containers.push({
      name,
      memoryBytes: each.memory?.workingSetBytes?.value,
      ...(needsDisk ? { diskBytes: layer + inLogs.bytes } : {}),
    });
  }
  const inodes = own.reduce((sum, each) => sum + (each.writableLayer?.inodesUsed?.value ?? 0), 0);
  return {
    pod,
    containers,
    emptyDirs,
    ...(own.length === 0 ? {} : { memoryBytes: total(containers, 'memoryBytes') }),
    ...(needsDisk
      ? {
          diskBytes: total(containers, 'diskBytes') + inVolumes.bytes,
          layerBytes,
          inodes: inodes + inVolumes.inodes,
        }
      : {}),
  };
}

function total(containers: readonly ContainerUse[], field: 'memoryBytes' | 'diskBytes'): number {
  return containers.reduce((sum, container) => sum + (container[field] ?? 0), 0);
}

export function hasStorageLimit({ spec }: Pod): boolean {
  return (spec?.containers ?? []).some(
    ({ resources }) => resources?.limits?.['ephemeral-storage'] !== undefined,
  );
}
