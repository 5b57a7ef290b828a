/**
 * Where secrets and tokens of pods are kept: in memory, never on the disk. Where the kernel cannot
 * keep that from its swap, an event of the node says so. `kubelet.ts` calls it at its start.
 */
import { mkdirSync } from 'node:fs';
import { parseMountInfo } from '#kit/mounts.ts';
import type { KubeletParts } from '../parts.ts';
import type { Machine } from './machine.ts';

type Parts = Pick<KubeletParts, 'machine' | 'paths' | 'recorder' | 'node'>;

export async function openMemoryFolder(parts: Parts, signal: AbortSignal): Promise<void> {
  const { machine, paths, node, recorder } = parts;
  mkdirSync(paths.memory, { recursive: true });
  if (!machine.isMounted(paths.memory)) await machine.mountTmpfs(paths.memory, { signal });
  if (!mayGoToSwap(machine, paths.memory)) return;
  const message =
    'The tmpfs noswap option is not supported. Memory-backed volumes (e.g. secrets, emptyDirs, ' +
    'etc.) might be swapped to disk and should no longer be considered secure.';
  const reason = 'PossibleMemoryBackedVolumesOnDisk';
  recorder.record(node.object(), { type: 'Warning', reason, message });
}

/** The node has swap, and what is mounted there may go to it. */
function mayGoToSwap({ readFile }: Pick<Machine, 'readFile'>, folder: string): boolean {
  // Below one line of names.
  const [, ...swaps] = readFile('/proc/swaps').trim().split('\n');
  if (swaps.length === 0) return false;
  const mounts = parseMountInfo(readFile('/proc/self/mountinfo'));
  const last = mounts.findLast(({ mountPoint }) => mountPoint === folder);
  return last?.options.includes('noswap') === false;
}
