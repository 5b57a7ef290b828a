/**
 * The rows of the database, and what can be done with them: append a batch, read everything back,
 * read what changed since, compact. All of it synchronous, on the worker.
 *
 * A batch is one transaction, synced to the disk by `commit`. When one fails, it is rolled back;
 * should the disk have kept it nevertheless (a failed sync says nothing about what was written),
 * the next append removes it first: `discardAfter`.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { assert, present } from '#kit/assert.ts';
import type { ChangePage, ChangeRange, Loaded, LogRow } from './log.ts';
import { packRows, unpackRows } from './packed-rows.ts';
import { FileCopy } from './sqlite-copy.ts';
import { numberOf, openFile } from './sqlite-file.ts';
import type { Requests, WorkerOptions } from './sqlite-messages.ts';

/** Bytes of values that are read in one go. */
const chunkBytes = 1024 * 1024;
const rowsPerChunkMin = 16;
const rowsPerChunkMax = 2048;
/** Rows that are looked at in one go, so that a commit does not wait long. */
const rowsPerStep = 1000;
/**
 * Bytes in the write-ahead log after which they are moved into the file. Commits wait for that some
 * 3 ms; for eight times as much, at an eighth of the occasions, they would wait 40 ms and more.
 */
const checkpointBytes = 1024 * 1024;
/** What a row costs in the write-ahead log beside its value. */
const rowBytes = 256;

interface Statements {
  readonly insert: StatementSync;
  readonly discard: StatementSync;
  readonly setNumber: StatementSync;
  readonly rowsAfter: StatementSync;
  readonly changesAfter: StatementSync;
  readonly row: StatementSync;
}

export class SqliteRows {
  readonly #options: WorkerOptions;
  #opened: { readonly database: DatabaseSync; readonly statements: Statements } | undefined;
  #loadedThrough = 0;
  #isLoaded = false;
  #rowsPerChunk = rowsPerChunkMin;
  #compacted = 0;
  #unmovedBytes = 0;

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  open(): Loaded {
    const database = openFile(this.#options);
    this.#opened = { database, statements: prepare(database) };
    const number = (name: string): number =>
      numberOf(database, `select number from meta where name = '${name}'`);
    this.#compacted = number('compacted');
    return { reserved: number('reserved'), compacted: this.#compacted };
  }

  /** The next piece of all rows; undefined behind the last. */
  next(): Uint8Array | undefined {
    if (this.#isLoaded) return undefined;
    const { rowsAfter } = this.#use().statements;
    const rows = rowsAfter.all(this.#loadedThrough, this.#rowsPerChunk).map(readRow);
    // Values differ much in size; the next piece is as long as suits the size of these.
    const bytes = rows.reduce((sum, row) => sum + (row.value?.byteLength ?? 0), 1);
    const suitable = Math.floor((rows.length * chunkBytes) / bytes);
    this.#rowsPerChunk = Math.min(Math.max(suitable, rowsPerChunkMin), rowsPerChunkMax);
    this.#loadedThrough = rows.at(-1)?.revision ?? this.#loadedThrough;
    this.#isLoaded = rows.length === 0;
    return this.#isLoaded ? undefined : packRows(rows);
  }

  append(batch: Requests['append']['ask']): void {
    const { statements } = this.#use();
    const { packed, reserve, discardAfter } = batch;
    this.#transaction(() => {
      if (discardAfter !== undefined) statements.discard.run(discardAfter);
      for (const row of unpackRows(packed, { values: 'views' })) {
        const { revision, key, createRevision, previousRevision } = row;
        const { expiresMs, writtenMs, value = null } = row;
        statements.insert.run(
          revision,
          key,
          createRevision,
          previousRevision,
          expiresMs,
          writtenMs,
          value,
        );
        this.#unmovedBytes += rowBytes + (value?.byteLength ?? 0);
      }
      if (reserve !== undefined) statements.setNumber.run(reserve, 'reserved');
    });
    this.#unmovedBytes += 2 * rowBytes;
  }

  /** Called after the answer, so that no writer waits for it. */
  checkpointWhenDue(): void {
    if (this.#unmovedBytes < checkpointBytes) return;
    try {
      this.#use().database.exec('pragma wal_checkpoint(passive)');
      this.#unmovedBytes = 0;
    } catch {
      // Everything is safe where it is, so this can wait; the next append tries again, and when the
      // disk is full or broken that append says so.
    }
  }

  changesAfter(range: ChangeRange): ChangePage | 'compacted' {
    if (range.afterRevision < this.#compacted) return 'compacted';
    const { changesAfter } = this.#use().statements;
    const changes: { key: string; revision: number; previousRevision: number }[] = [];
    const { prefix, afterRevision, throughRevision } = range;
    let seen = 0;
    let through = afterRevision;
    for (const row of changesAfter.iterate(afterRevision, throughRevision, rowsPerStep)) {
      // The columns of the statement.
      const { key, revision, previousRevision } = row as unknown as (typeof changes)[number];
      if (key.startsWith(prefix)) changes.push({ key, revision, previousRevision });
      through = revision;
      seen += 1;
    }
    return { changes, through: seen < rowsPerStep ? throughRevision : through };
  }

  /** As many as fit into a chunk, at least one; undefined when one is gone. */
  rowsOf(revisions: readonly number[]): Uint8Array | undefined {
    const { row } = this.#use().statements;
    const found: LogRow[] = [];
    let bytes = 0;
    for (const revision of revisions) {
      const record = row.get(revision);
      if (record === undefined) return undefined;
      const read = readRow(record);
      found.push(read);
      bytes += read.value?.byteLength ?? 0;
      if (bytes >= chunkBytes) break;
    }
    return packRows(found);
  }

  /** Drops some of what was replaced up to the revision; false when nothing is left to drop. */
  compactStep(target: number): boolean {
    if (this.#compacted >= target) return false;
    const { database } = this.#use();
    const from = this.#compacted;
    const behind = `select revision from log where revision > ${from} and revision <= ${target}`;
    const last = numberOf(
      database,
      `select max(revision) from (${behind} order by revision limit ${rowsPerStep})`,
    );
    const count = numberOf(database, `select count(*) from (${behind} limit ${rowsPerStep})`);
    const through = count < rowsPerStep ? target : last;
    const range = `revision > ${from} and revision <= ${through}`;
    this.#transaction(() => {
      database.exec(`
        delete from log where revision in
          (select previous_revision from log where ${range} and previous_revision > 0);
        delete from log where ${range} and value is null;
        update meta set number = ${through} where name = 'compacted';
      `);
    });
    this.#compacted = through;
    return through < target;
  }

  /** A copy of everything up to a revision, to be made step by step. */
  copyTo(target: Requests['backup']['ask']): FileCopy {
    return new FileCopy(this.#use().database, target);
  }

  close(reserve: number | undefined): void {
    const { database, statements } = this.#use();
    this.#opened = undefined;
    try {
      if (reserve !== undefined) statements.setNumber.run(reserve, 'reserved');
    } finally {
      database.close();
    }
  }

  #use(): { readonly database: DatabaseSync; readonly statements: Statements } {
    return present(this.#opened, 'the file is open');
  }

  #transaction(action: () => void): void {
    const { database } = this.#use();
    database.exec('begin immediate');
    try {
      action();
      database.exec('commit');
    } catch (error) {
      if (database.isTransaction) database.exec('rollback');
      throw error;
    }
  }
}

function prepare(database: DatabaseSync): Statements {
  const columns =
    'revision, key, create_revision, previous_revision, expires_ms, written_ms, value';
  const reading = (condition: string): StatementSync => {
    const statement = database.prepare(`select ${columns} from log where ${condition}`);
    statement.setReturnArrays(true);
    return statement;
  };
  return {
    insert: database.prepare('insert into log values (?, ?, ?, ?, ?, ?, ?)'),
    discard: database.prepare('delete from log where revision > ?'),
    setNumber: database.prepare('update meta set number = ? where name = ?'),
    rowsAfter: reading('revision > ? order by revision limit ?'),
    row: reading('revision = ?'),
    changesAfter: database.prepare(
      `select key, revision, previous_revision as previousRevision from log
        where revision > ? and revision <= ? order by revision limit ?`,
    ),
  };
}

/** A record of `columns`, in that order; checked where a damaged file could surprise. */
function readRow(record: unknown): LogRow {
  // The statements return arrays, and the columns have no other types.
  const [revision, key, createRevision, previousRevision, expiresMs, writtenMs, value] = record as [
    number,
    string,
    number,
    number,
    number,
    number,
    Uint8Array | null,
  ];
  assert(typeof key === 'string' && revision > 0, 'a row of the log has a key and a revision');
  return {
    key,
    value: value ?? undefined,
    revision,
    createRevision,
    previousRevision,
    expiresMs,
    writtenMs,
  };
}
