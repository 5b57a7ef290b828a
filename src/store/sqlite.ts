/**
 * The durable store of one machine: `LoggedStore` over SQLite on a worker thread.
 *
 * Opening reads every current object and the recent history into memory. Loaded by `store.ts` only
 * when such a store is opened, so that nothing else pays for `node:sqlite` and a thread.
 */
import { openLoggedStore } from './load.ts';
import type { LoggedStoreDeps } from './logged-store.ts';
import { SqliteLog } from './sqlite-log.ts';
import type { Limits, Store, ValueTransformer } from './store.ts';
import { TransformedLog } from './transformed-log.ts';

export async function openSqlite(
  deps: LoggedStoreDeps,
  options: {
    readonly file: string;
    readonly limits: Limits;
    readonly transformer: ValueTransformer | undefined;
  },
): Promise<Store> {
  const { file, limits, transformer } = options;
  const log = new SqliteLog(deps, { file, fileBytesMax: limits.fileBytesMax });
  const backing =
    transformer === undefined ? log : new TransformedLog(deps, { inner: log, transformer });
  try {
    return await openLoggedStore(deps, { backing, limits });
  } catch (error) {
    await log.abandon();
    throw error;
  }
}
