/**
 * Keeps container logs from filling the disk: a log over its limit is renamed and begun anew.
 *
 * `0.log` becomes `0.log.<time>`, the runtime is told to open its file again, and of the old ones
 * the newest few stay. They are not compressed: the reader of logs and log collectors take them as
 * they are.
 */
import { readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { KubeletParts } from '../parts.ts';
import { podLabels } from '../pods/pod-facts.ts';

export async function rotateLogs(
  { runtime, paths, clock, log }: Pick<KubeletParts, 'runtime' | 'paths' | 'clock' | 'log'>,
  options: {
    readonly logBytesMax: number;
    readonly logFilesMax: number;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { logBytesMax, logFilesMax, signal } = options;
  const state = { state: 'CONTAINER_RUNNING' } as const;
  for (const container of await runtime.listContainers({ state }, { signal })) {
    const { labels, annotations } = container;
    const pod = [podLabels.podNamespace, podLabels.podName, podLabels.podUid];
    const folder = pod.map((label) => labels[label] ?? '').join('_');
    const attempt = annotations['io.kubernetes.container.restartCount'] ?? '0';
    const name = labels[podLabels.containerName] ?? '';
    const file = join(paths.podLogs, folder, name, `${attempt}.log`);
    const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
    if (size <= logBytesMax) continue;
    const stamp = new Date(clock.now()).toISOString().replace(/[-:]|\.\d+Z/g, '');
    renameSync(file, `${file}.${stamp}`);
    await runtime.reopenContainerLog(container.id, { signal });
    log.debug('log rotated', { container: container.id, size });
    removeOldLogs(file, logFilesMax);
  }
}

export function removeOldLogs(file: string, filesMax: number): void {
  const old = readdirSync(dirname(file))
    .filter((name) => name.startsWith(`${basename(file)}.`))
    .toSorted();
  // One of the files is the current one.
  for (const name of old.slice(0, Math.max(old.length - (filesMax - 1), 0))) {
    rmSync(join(dirname(file), name));
  }
}
