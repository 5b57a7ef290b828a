/**
 * Keeps container logs from filling the disk: a log over its limit is renamed and begun anew.
 *
 * `0.log` becomes `0.log.<time>` and the runtime is told to open its file again. Of the older ones
 * the newest few stay, compressed (`.gz`); the youngest is not, so that log collectors can read it
 * to its end. Names and numbers are upstream's. `housekeeping.ts` calls this every ten seconds.
 */
import {
  createReadStream,
  createWriteStream,
  existsSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Runtime } from '#cri';
import type { KubeletParts } from '../parts.ts';
import { type Logged, logFileOf } from './log-files.ts';

export interface RotationDeps extends Pick<KubeletParts, 'clock' | 'log'> {
  readonly paths: Pick<KubeletParts['paths'], 'podLogs'>;
  readonly runtime: Pick<Runtime, 'reopenContainerLog'> & {
    listContainers(...asked: Parameters<Runtime['listContainers']>): Promise<readonly Logged[]>;
  };
}

export interface RotationOptions {
  readonly logBytesMax: number;
  readonly logFilesMax: number;
  readonly signal: AbortSignal;
}

export async function rotateLogs(deps: RotationDeps, options: RotationOptions): Promise<void> {
  const { signal } = options;
  const state = { state: 'CONTAINER_RUNNING' } as const;
  for (const container of await deps.runtime.listContainers({ state }, { signal })) {
    try {
      await rotateLog(deps, container, options);
    } catch (error) {
      if (signal.aborted) throw error;
      // It may just have ended; others are turned over all the same.
      deps.log.warn('cannot rotate a log', { container: container.id, error });
    }
  }
}

async function rotateLog(
  { runtime, paths, clock, log }: RotationDeps,
  container: Logged,
  { logBytesMax, logFilesMax, signal }: RotationOptions,
): Promise<void> {
  const { id } = container;
  const file = logFileOf(paths, container);
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size < logBytesMax) return;
  const [day = '', time = ''] = new Date(clock.now()).toISOString().split(/[T.]/);
  const rotated = `${file}.${day.replaceAll('-', '')}-${time.replaceAll(':', '')}`;
  // Turned over in this very second already: what is there is not to be lost for what comes.
  if (existsSync(rotated) || existsSync(`${rotated}.gz`)) return;
  await makeRoom(file, { filesMax: logFilesMax, signal });
  renameSync(file, rotated);
  try {
    await runtime.reopenContainerLog(id, { signal });
  } catch (error) {
    // Else the runtime would go on writing to a file that nobody reads. Unless it did as it was
    // told, and only its answer was lost.
    if (!existsSync(file)) renameSync(rotated, file);
    throw error;
  }
  log.debug('log rotated', { container: id, size });
}

/** Leaves as many that two more make the most that there may be, all of them compressed. */
export async function makeRoom(
  file: string,
  { filesMax, signal }: { readonly filesMax: number; readonly signal: AbortSignal },
): Promise<void> {
  const folder = dirname(file);
  const all = readdirSync(folder).filter((name) => name.startsWith(`${basename(file)}.`));
  // Left behind by a kubelet that died while it compressed.
  const isUnused = (name: string): boolean =>
    name.endsWith('.tmp') || (!name.endsWith('.gz') && all.includes(`${name}.gz`));
  const used = all.filter((name) => !isUnused(name)).toSorted();
  const kept = used.slice(Math.max(used.length - Math.max(filesMax - 2, 0), 0));
  for (const name of all) if (!kept.includes(name)) rmSync(join(folder, name));
  for (const name of kept) {
    if (!name.endsWith('.gz')) await compress(join(folder, name), signal);
  }
}

async function compress(path: string, signal: AbortSignal): Promise<void> {
  const { mode, atime, mtime } = statSync(path);
  const part = `${path}.tmp`;
  await pipeline(createReadStream(path), createGzip(), createWriteStream(part, { mode }), {
    signal,
  });
  // Whoever follows the log knows it by its time.
  utimesSync(part, atime, mtime);
  renameSync(part, `${path}.gz`);
  rmSync(path);
}
