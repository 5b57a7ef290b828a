/**
 * A copy of the database while it is in use: every row up to one revision, and none behind it.
 *
 * Rows are only ever added behind the newest, so reading them in order of revision gives the state
 * of one moment, however many commits happen in between; compaction alone would drop some, and is
 * held back meanwhile (`sqlite-worker.ts`). The copy has a name of its own until it is whole and
 * synced; a file that exists is never overwritten.
 */
import {
  closeSync,
  existsSync,
  fsync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { StoreRefused } from './errors.ts';
import type { Copied } from './log.ts';
import { createFile, numberOf, openExisting } from './sqlite-file.ts';

/** Rows and bytes that are copied in one go, so that a commit does not wait long. */
const rowsPerStep = 100;
const bytesPerStep = 128 * 1024;

export class FileCopy {
  readonly #through: number;
  readonly #to: string;
  readonly #partial: string;
  readonly #target: DatabaseSync;
  readonly #rows: Iterator<unknown>;
  readonly #insert: StatementSync;
  #copied = 0;
  #isOpen = true;

  constructor(source: DatabaseSync, options: { readonly to: string; readonly through: number }) {
    const { to, through } = options;
    if (existsSync(to)) throw new StoreRefused(`${to} exists already`);
    this.#to = to;
    this.#through = through;
    this.#partial = `${to}.partial`;
    rmSync(this.#partial, { force: true });
    this.#target = createFile(this.#partial);
    const rows = source.prepare('select * from log where revision > ? order by revision limit ?');
    rows.setReturnArrays(true);
    this.#rows = rowsBehind(rows, through);
    this.#insert = this.#target.prepare('insert into log values (?, ?, ?, ?, ?, ?, ?)');
    const setNumber = this.#target.prepare('update meta set number = ? where name = ?');
    for (const name of ['reserved', 'compacted']) {
      setNumber.run(numberOf(source, `select number from meta where name = '${name}'`), name);
    }
  }

  /** Copies some rows; false when there are no more. */
  step(): boolean {
    this.#target.exec('begin');
    let bytes = 0;
    for (let count = 0; count < rowsPerStep && bytes < bytesPerStep; count++) {
      const { value, done } = this.#rows.next();
      if (done === true) {
        this.#target.exec('commit');
        return false;
      }
      // The seven columns of `log`, in the order of the table.
      const row = value as Parameters<StatementSync['run']>;
      this.#insert.run(...row);
      this.#copied = Number(row[0]);
      bytes += row[6] instanceof Uint8Array ? row[6].byteLength : 0;
    }
    this.#target.exec('commit');
    return true;
  }

  /** Syncs the copy and gives it its name. */
  finish(done: (error: unknown, copied?: Copied) => void): void {
    this.#close();
    const descriptor = openSync(this.#partial, 'r+');
    fsync(descriptor, (error) => {
      closeSync(descriptor);
      if (error !== null && error !== undefined) {
        done(error);
        return;
      }
      try {
        renameSync(this.#partial, this.#to);
        syncFolder(dirname(this.#to));
        const { size } = statSync(this.#to);
        done(undefined, { revision: Math.max(this.#through, this.#copied), bytes: size });
      } catch (failure) {
        done(failure);
      }
    });
  }

  /** What was begun is removed. */
  discard(): void {
    this.#close();
    rmSync(this.#partial, { force: true });
  }

  #close(): void {
    if (this.#isOpen) this.#target.close();
    this.#isOpen = false;
  }
}

/** Pages of rows, each read whole, so that no statement stays open across a commit. */
function* rowsBehind(page: StatementSync, through: number): Generator<unknown, void> {
  let after = 0;
  for (;;) {
    const rows = page.all(after, rowsPerPage);
    for (const row of rows) {
      // The statement returns arrays; the first column is the revision.
      const [revision] = row as unknown as [number];
      if (revision > through) return;
      after = revision;
      yield row;
    }
    if (rows.length < rowsPerPage) return;
  }
}

/** Few enough that values of the largest size fit in the worker's memory. */
const rowsPerPage = 32;

/** Copies the file of a store that nobody has open, in one go. */
export async function copyFile(options: {
  readonly file: string;
  readonly to: string;
}): Promise<Copied> {
  const source = openExisting(options.file);
  try {
    const through = numberOf(source, 'select max(revision) from log');
    const copy = new FileCopy(source, { to: options.to, through });
    try {
      while (copy.step());
      return await new Promise<Copied>((resolve, reject) => {
        copy.finish((error, copied) => (copied === undefined ? reject(error) : resolve(copied)));
      });
    } catch (error) {
      copy.discard();
      throw error;
    }
  } finally {
    source.close();
  }
}

/** A rename is safe once its folder is. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
