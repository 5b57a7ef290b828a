/**
 * Where the cluster's own log goes: `<data-dir>/logs/coracle.log`, appended, owner only.
 */
import { mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '#kit/clock.ts';
import { type Logger, openLog } from '#kit/log.ts';
import { prepareDataDir } from './data-dir.ts';
import type { ClusterConfig } from './settings/config.ts';

export function openClusterLog(
  clock: Clock,
  config: Pick<ClusterConfig, 'dataDir' | 'logLevel'>,
): { readonly log: Logger; readonly writeLog: (line: string) => void } {
  const folder = join(config.dataDir, 'logs');
  prepareDataDir(config.dataDir);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = openSync(join(folder, 'coracle.log'), 'a', 0o600);
  const writeLog = (line: string): void => {
    writeSync(file, line);
  };
  return {
    log: openLog({ clock, level: config.logLevel, format: 'text', write: writeLog }),
    writeLog,
  };
}
