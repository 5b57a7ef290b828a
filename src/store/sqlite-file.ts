/**
 * The database file: whose it is, which format it has, and how it is opened.
 *
 * Format 2, of today: `log` has one row per write, in order of revision; a row with value null
 * removed its key. Rows that were replaced stay until they are compacted, and are the history of
 * watches. `meta` has `reserved` (revisions go on behind it) and `compacted`.
 * Format 1 had only what is current, in one table by key, and no history.
 *
 * A file of an older format is copied beside itself, then changed in one transaction. A newer one,
 * another program's and one that is in use are refused without being touched. Runs on the worker.
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { NotADatabase, StoreRefused } from './errors.ts';

/** "Cora" in ASCII, where SQLite keeps the name of a file's owner. */
export const applicationId = 0x436f7261;
export const formatVersion = 2;

const pageBytes = 4096;
/** What the write-ahead log is cut back to when it had to grow. */
const journalBytesMax = 32 * 1024 * 1024;
/** SQLite's codes for "another has it locked" and "this is no database". */
const busyCode = 5;
const notDatabaseCode = 26;
/** How long a process that is just ending is waited for. */
const lockWaitMs = 500;

const schema = `
  create table log (
    revision integer primary key,
    key text not null,
    create_revision integer not null,
    previous_revision integer not null,
    expires_ms integer not null,
    written_ms integer not null,
    value blob
  );
  create table meta (name text primary key, number integer not null) without rowid;
  insert into meta values ('reserved', 0), ('compacted', 0);
  pragma application_id = ${applicationId};
  pragma user_version = ${formatVersion};
`;

/** From the format of the index to the next one, inside a transaction. */
const migrations: Readonly<Record<number, string>> = {
  1: `
    alter table meta rename to meta_1;
    ${schema}
    insert into log
      select revision, key, create_revision, 0, expires_ms, 0, value from entries
      order by revision;
    update meta set number = (select number from meta_1 where name = 'revision');
    drop table entries;
    drop table meta_1;
  `,
};

export function openFile(options: {
  readonly file: string;
  readonly fileBytesMax: number;
}): DatabaseSync {
  const { file, fileBytesMax } = options;
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  // SQLite gives its other files the mode of the first.
  if (!existsSync(file)) closeSync(openSync(file, 'a', 0o600));
  chmodSync(file, 0o600);
  const database = new DatabaseSync(file, { timeout: lockWaitMs });
  try {
    // Held until the file is closed, and no file of shared memory beside it.
    database.exec('pragma locking_mode = exclusive');
    prepareFormat(database, file);
    database.exec(`
      pragma journal_mode = wal;
      pragma synchronous = full;
      pragma wal_autocheckpoint = 0;
      pragma journal_size_limit = ${journalBytesMax};
      pragma max_page_count = ${Math.ceil(fileBytesMax / pageBytes)};
      begin immediate;
      commit;
    `);
    return database;
  } catch (error) {
    database.close();
    throw refusal(error, file);
  }
}

/** A new file of today's format to be filled in one go; it is not synced before it is closed. */
export function createFile(file: string): DatabaseSync {
  closeSync(openSync(file, 'wx', 0o600));
  const database = new DatabaseSync(file);
  database.exec(`pragma journal_mode = off; pragma synchronous = off; ${schema}`);
  return database;
}

/** Opens a file that must be one of ours, as it is, for reading it once while nobody has it. */
export function openExisting(file: string): DatabaseSync {
  if (!existsSync(file)) throw new StoreRefused(`there is no store at ${file}`);
  const database = new DatabaseSync(file, { timeout: lockWaitMs });
  try {
    database.exec('pragma locking_mode = exclusive; begin immediate; commit');
    const [owner, version] = [numberOf(database, 'pragma application_id'), versionOf(database)];
    if (owner !== applicationId) throw new StoreRefused(`${file} is not one of Coracle's stores`);
    if (version !== formatVersion) {
      throw new StoreRefused(`${file} has format ${version}; start this version on it once first`);
    }
    return database;
  } catch (error) {
    database.close();
    throw refusal(error, file);
  }
}

function prepareFormat(database: DatabaseSync, file: string): void {
  if (numberOf(database, 'pragma page_count') === 0) {
    database.exec(`begin exclusive; ${schema} commit;`);
    return;
  }
  if (numberOf(database, 'pragma application_id') !== applicationId) {
    throw new StoreRefused(`${file} is a database, but not one of Coracle's stores`);
  }
  const found = versionOf(database);
  if (found > formatVersion) {
    throw new StoreRefused(
      `${file} has format ${found}; this version of Coracle reads formats up to ` +
        `${formatVersion}. Use the version that wrote it, or a newer one`,
    );
  }
  for (let version = found; version < formatVersion; version++) {
    const migration = migrations[version];
    if (migration === undefined) {
      throw new StoreRefused(
        `${file} has format ${version}, from which there is no way to format ${formatVersion}`,
      );
    }
    keepCopy(database, `${file}.format-${version}`);
    database.exec(`begin exclusive; ${migration} commit;`);
  }
}

/** A whole copy, or none: it gets its name when it is complete. */
function keepCopy(database: DatabaseSync, copy: string): void {
  const partial = `${copy}.partial`;
  rmSync(partial, { force: true });
  closeSync(openSync(partial, 'a', 0o600));
  database.prepare('vacuum into ?').run(partial);
  const descriptor = openSync(partial, 'r');
  fsyncSync(descriptor);
  closeSync(descriptor);
  renameSync(partial, copy);
}

function refusal(error: unknown, file: string): unknown {
  if (!(error instanceof Error) || !('errcode' in error)) return error;
  // Extended codes have the general one in their lowest byte.
  const code = Number(error.errcode) & 0xff;
  if (code === busyCode) {
    return new StoreRefused(`${file} is in use by another process`, { cause: error });
  }
  if (code === notDatabaseCode) {
    return new NotADatabase(`${file} is not a database`, { cause: error });
  }
  return error;
}

function versionOf(database: DatabaseSync): number {
  return numberOf(database, 'pragma user_version');
}

export function numberOf(database: DatabaseSync, sql: string): number {
  const row = database.prepare(sql).get();
  return Number(Object.values(row ?? {})[0] ?? 0);
}
