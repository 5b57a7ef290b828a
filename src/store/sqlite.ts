/**
 * The durable store of one machine: `LoggedStore` over SQLite on a worker thread.
 *
 * Opening reads every current object and the recent history into memory. Loaded by `store.ts` only
 * when such a store is opened, so that nothing else pays for `node:sqlite` and a thread.
 */
import { openLoggedStore } from './load.ts';
import type { LoggedStoreDeps } from './logged-store.ts';
import { SqliteLog } from './sqlite-log.ts';
import type { Limits, Store } from './store.ts';

export async function openSqlite(
  deps: LoggedStoreDeps,
  options: { readonly file: string; readonly limits: Limits },
): Promise<Store> {
  const { file, limits } = options;
  const backing = new SqliteLog(deps, { file, fileBytesMax: limits.fileBytesMax });
  try {
    return await openLoggedStore(deps, { backing, limits });
  } catch (error) {
    await backing.abandon();
    throw error;
  }
}
