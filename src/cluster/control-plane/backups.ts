/**
 * The copies of its store that a cluster makes of itself, once a day, and how many it keeps.
 *
 * A copy's name says when it was made, so that the next one is due a day later also when the
 * cluster was stopped in between. Copies lie beside the store on the same disk: they help against
 * mistakes, not against the loss of the disk; for that there is `coracle backup`.
 * `control-plane.ts` runs it. Clock-driven, so a test runs a month in no time.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, formatTime } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Store } from '#store';

/** The first copy of a new cluster, the next try after a failed one, and the longest sleep. */
export const limits = { firstMs: 3_600_000, retryMs: 3_600_000, sleepMs: 3_600_000 } as const;

export interface BackupOptions {
  readonly folder: string;
  readonly intervalMs: number;
  /** How many are kept. */
  readonly keep: number;
}

export function storePath(dataDir: string): string {
  return join(dataDir, 'server/db/state.db');
}

export function backupFolder(dataDir: string): string {
  return join(dataDir, 'server/backups');
}

/** `2026-11-21T07:12:30Z` → `state-20261121T071230Z.db` */
export function backupName(nowMs: number): string {
  return `state-${formatTime(nowMs).replace(/[-:]/g, '')}.db`;
}

/** When a copy of this name was made; undefined for other files. */
export function backupTimeMs(name: string): number | undefined {
  const match = /^state-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\.db$/.exec(name);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second] = match.map(Number);
  const at = [year ?? 0, (month ?? 1) - 1, day ?? 1, hour ?? 0, minute ?? 0, second ?? 0] as const;
  return Date.UTC(...at);
}

/** When the next copy is due. A time in the future (a clock that was wrong) counts as now. */
export function planNextBackup(
  names: readonly string[],
  options: { readonly intervalMs: number; readonly startedMs: number; readonly nowMs: number },
): number {
  const { intervalMs, startedMs, nowMs } = options;
  const times = names.flatMap((name) => backupTimeMs(name) ?? []);
  if (times.length === 0) return startedMs + Math.min(limits.firstMs, intervalMs);
  return Math.min(Math.max(...times), nowMs) + intervalMs;
}

/** Which copies are too many: the oldest; and what a crash left half. */
export function planRemoval(names: readonly string[], keep: number): readonly string[] {
  const copies = names.filter((name) => backupTimeMs(name) !== undefined).sort();
  const partial = names.filter((name) => /^state-.*\.partial$/.test(name));
  return [...copies.slice(0, Math.max(0, copies.length - keep)), ...partial];
}

export async function runBackups(
  deps: { readonly clock: Clock; readonly log: Logger; readonly store: Pick<Store, 'backup'> },
  options: BackupOptions,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log, store } = deps;
  const { folder, intervalMs, keep } = options;
  const startedMs = clock.now();
  let notBeforeMs = 0;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (;;) {
    const nowMs = clock.now();
    const plan = { intervalMs, startedMs, nowMs };
    const dueMs = Math.max(planNextBackup(readdirSync(folder), plan), notBeforeMs);
    if (dueMs > nowMs) {
      await clock.sleep(Math.min(dueMs - nowMs, limits.sleepMs), { signal });
      continue;
    }
    const file = join(folder, backupName(nowMs));
    try {
      const { revision, bytes } = await store.backup(file);
      log.info('store copied', { file, revision, bytes });
      for (const name of planRemoval(readdirSync(folder), keep)) rmSync(join(folder, name));
    } catch (error) {
      log.error('store not copied', { file, error });
    }
    notBeforeMs = clock.now() + Math.min(limits.retryMs, intervalMs);
  }
}
