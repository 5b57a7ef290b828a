/**
 * A copy takes the place of a store's file.
 *
 * What happened between the copy and now is gone, so nobody may go on from a revision of that time:
 * revisions go on 10^9 behind all that either file has given out, and history before that point is
 * forgotten. A watch from before the restore is answered with 410 and lists again, and a write with
 * an old resourceVersion conflicts.
 *
 * The copy is checked and prepared under another name first; the exchange is one rename, so that a
 * crash leaves the one file or the other.
 */
import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { NotADatabase, StoreRefused } from './errors.ts';
import { syncFolder } from './sqlite-copy.ts';
import { numberOf, openFile } from './sqlite-file.ts';
import type { Restored } from './store.ts';

/** Nothing is refused for its size here; the store that opens the file has a limit of its own. */
const fileBytesMax = 2 ** 40;

/** How far a restore raises the revision: more than were ever given out since the copy. */
const revisionsSkipped = 1e9;

export function restoreFile(options: {
  readonly from: string;
  readonly file: string;
  readonly keepAs: string;
}): Restored {
  const { from, file, keepAs } = options;
  if (!existsSync(from)) throw new StoreRefused(`there is no file ${from}`);
  if (existsSync(keepAs)) throw new StoreRefused(`${keepAs} exists already`);
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const given = existsSync(file) ? revisionsGiven(file) : 0;
  const prepared = `${file}.restoring`;
  try {
    const numbers = prepare(from, prepared, given);
    const kept = existsSync(file) ? keepAs : undefined;
    if (kept !== undefined) {
      // A write-ahead log is left only by a file that cannot be opened any more; it goes with it.
      if (existsSync(`${file}-wal`)) renameSync(`${file}-wal`, `${kept}-wal`);
      linkSync(file, kept);
    }
    renameSync(prepared, file);
    syncFolder(dirname(file));
    return { ...numbers, kept };
  } finally {
    for (const end of ['', '-wal', '-journal', '.format-1']) {
      rmSync(`${prepared}${end}`, { force: true });
    }
  }
}

/** Behind which revision the file's store would go on. A file that is damaged cannot say. */
function revisionsGiven(file: string): number {
  try {
    return withFile(file, (database) =>
      Math.max(reservedIn(database), numberOf(database, 'select max(revision) from log')),
    );
  } catch (error) {
    // In use, another program's or a newer version's: not ours to replace. What is damaged is.
    if (error instanceof StoreRefused && !(error instanceof NotADatabase)) throw error;
    return 0;
  }
}

function prepare(
  from: string,
  prepared: string,
  given: number,
): { readonly revision: number; readonly goesOnBehind: number } {
  rmSync(prepared, { force: true });
  copyFileSync(from, prepared, constants.COPYFILE_EXCL);
  const numbers = withFile(prepared, (database) => {
    const damage = String(Object.values(database.prepare('pragma integrity_check').get() ?? {})[0]);
    if (damage !== 'ok') throw new StoreRefused(`${from} is damaged: ${damage}`);
    const revision = numberOf(database, 'select max(revision) from log');
    const goesOnBehind = Math.max(given, revision, reservedIn(database)) + revisionsSkipped;
    database.exec(`
      begin exclusive;
      delete from log where revision in
        (select previous_revision from log where previous_revision > 0);
      delete from log where value is null;
      update meta set number = ${goesOnBehind};
      commit;
      pragma wal_checkpoint(truncate);
    `);
    return { revision, goesOnBehind };
  });
  const descriptor = openSync(prepared, 'r+');
  fsyncSync(descriptor);
  closeSync(descriptor);
  return numbers;
}

function reservedIn(database: DatabaseSync): number {
  return numberOf(database, "select number from meta where name = 'reserved'");
}

/** Opened as a store opens it: whose it is and its format are checked, older formats migrated. */
function withFile<Result>(file: string, action: (database: DatabaseSync) => Result): Result {
  const database = openFile({ file, fileBytesMax });
  try {
    return action(database);
  } finally {
    database.close();
  }
}
