/**
 * Where the cluster's own log goes: `<data-dir>/logs/coracle.log`, appended, owner only; or, with
 * `--logtostderr`, standard error, which a service manager keeps (systemd in its journal).
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '#kit/clock.ts';
import { type Logger, openLog } from '#kit/log.ts';
import { linesInto, linesTo, type WriteLine } from '#kit/log-lines.ts';
import { prepareDataDir } from './data-dir.ts';
import type { ClusterConfig } from './settings/config.ts';

export function openClusterLog(
  clock: Clock,
  config: Pick<ClusterConfig, 'dataDir' | 'logLevel' | 'logToStderr'>,
): { readonly log: Logger; readonly writeLog: WriteLine } {
  const folder = join(config.dataDir, 'logs');
  prepareDataDir(config.dataDir);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const writeLog = config.logToStderr
    ? linesTo(process.stderr)
    : linesInto(join(folder, 'coracle.log'));
  return {
    log: openLog({ clock, level: config.logLevel, format: 'text', write: writeLog }),
    writeLog,
  };
}
