/**
 * Keeps the logs of our own processes from filling the disk, as logrotate would: one that is over
 * its limit is copied to `LOG.1`, what was `LOG.1` to `LOG.2` and so on, and then emptied.
 *
 * Emptied, not renamed: three programs write (the cluster, its node, containerd), all of them at
 * the end of what they opened once, and only one of them could be told to open it anew. A line
 * that is written between copy and end of the copied file is lost. `cluster.ts` and `node/agent.ts`
 * run it; logs of containers are the kubelet's business.
 */
import { constants } from 'node:fs';
import { copyFile, readdir, rename, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';

/** How long a log may be, how many older parts of it are kept, and between two looks. */
export const limits = { ownLogBytesMax: 50 * 1024 ** 2, ownLogsKept: 3, lookMs: 60_000 } as const;

interface Deps {
  readonly clock: Clock;
  readonly log: Logger;
}

/** Runs until the signal aborts. */
export async function keepLogsSmall(
  { clock, log }: Deps,
  { dataDir, signal }: { readonly dataDir: string; readonly signal: AbortSignal },
): Promise<void> {
  const folders = [join(dataDir, 'logs'), join(dataDir, 'agent/containerd')];
  for (;;) {
    await clock.sleep(limits.lookMs, { signal });
    for (const folder of folders) {
      for (const name of await readdir(folder).catch(() => [])) {
        if (!name.endsWith('.log')) continue;
        const file = join(folder, name);
        try {
          if ((await stat(file)).size > limits.ownLogBytesMax) await turnOver(file);
        } catch (error) {
          log.warn('log not rotated', { file, error });
        }
      }
    }
  }
}

/** The oldest goes first, so that a full disk has room for the copy. */
async function turnOver(file: string): Promise<void> {
  const older = (n: number): string => `${file}.${n}`;
  await rm(older(limits.ownLogsKept), { force: true });
  for (let n = limits.ownLogsKept - 1; n >= 1; n--) {
    await rename(older(n), older(n + 1)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
  try {
    await copyFile(file, older(1), constants.COPYFILE_FICLONE);
  } catch (error) {
    // No room: better without its beginning than a full disk.
    await rm(older(1), { force: true });
    await truncate(file);
    throw error;
  }
  await truncate(file);
}
