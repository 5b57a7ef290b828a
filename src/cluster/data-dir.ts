/**
 * Makes the folder in which a cluster or node keeps everything, and tries whether it can be written
 * before anything is started there: a disk that is full or read-only is told of in one line that
 * names the flag. Called by `cluster-log.ts`, which is the first to write there.
 */
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '#kit/error-message.ts';
import { ConfigError } from './settings/config.ts';

/** About what a cluster writes at its first start. */
const freeMiBMin = 4;

const words: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left on this disk',
  EDQUOT: 'the quota of this disk is used up',
  EROFS: 'the file system is read-only',
  EACCES: 'it may not be written',
  EPERM: 'it may not be written',
  ENOTDIR: 'a part of the path is not a folder',
  EEXIST: 'it is not a folder',
  EIO: 'the disk fails',
};

export function prepareDataDir(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const probe = join(dataDir, '.writable');
    writeFileSync(probe, 'yes', { mode: 0o600 });
    rmSync(probe);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const why = words[code] ?? messageOf(error);
    throw new ConfigError(`--data-dir ${dataDir}: ${why}`, { cause: error });
  }
  const { bavail, bsize } = statfsSync(dataDir);
  const freeMiB = (bavail * bsize) / 1024 ** 2;
  if (freeMiB >= freeMiBMin) return;
  throw new ConfigError(
    `--data-dir ${dataDir}: ${freeMiB.toFixed(1)} MiB of disk are free, ${freeMiBMin} are needed`,
  );
}
