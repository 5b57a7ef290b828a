/**
 * The seam below the store: something that keeps batches of rows, in order, durably.
 *
 * `LoggedStore` holds the state and decides every write; a log only remembers. One `append` is
 * under way at a time. SQLite on a worker (`sqlite-log.ts`) is the one of production,
 * `faulty-log.ts` the one of tests and the simulator; the memory store's keeps nothing. Encryption
 * of values at rest is a log around a log: `transformed-log.ts`.
 */

/** One write as it is kept. */
export interface LogRow {
  readonly key: string;
  /** Undefined: the key was removed. */
  readonly value: Uint8Array | undefined;
  readonly revision: number;
  readonly createRevision: number;
  /** Revision of the row that this one replaces; 0 where the key was absent. */
  readonly previousRevision: number;
  /** When the store removes the key by itself, in milliseconds since 1970; 0 for never. */
  readonly expiresMs: number;
  /** When it was written. */
  readonly writtenMs: number;
  /** Of a loaded row: why its value cannot be read. It is then as it was kept. */
  readonly unreadable?: string;
  /** Of a loaded row: it is not kept as it would be today, so a write is worth it. */
  readonly stale?: boolean;
}

export interface Batch {
  readonly rows: readonly LogRow[];
  /**
   * Revisions up to this one may have been given out once the batch is durable. After a crash the
   * numbers go on behind it, so that one lost with its batch is never given to another write.
   */
  readonly reserve: number | undefined;
}

export interface Loaded {
  /** Revisions go on behind this one. A restore only has to raise it. */
  readonly reserved: number;
  /** What was replaced up to this revision is gone. */
  readonly compacted: number;
}

export interface LoadSink {
  onStart(loaded: Loaded): void;
  onRows(rows: readonly LogRow[]): void;
}

export interface Log {
  /** Says where revisions go on, then hands over all rows in order of revision. Called once. */
  load(sink: LoadSink): Promise<void>;
  /**
   * Resolves when the batch is durable. Rejects when it is not there and, once a later append has
   * been durable, never will be; after a crash in between it may be there, wholly.
   */
  append(batch: Batch): Promise<void>;
  /** Drops rows that were replaced up to this revision. May be done in steps and behind appends. */
  compact(revision: number): Promise<void>;
  /** Reading back; a log without it shows no more than memory does. */
  readonly reader?: LogReader | undefined;
  /** A value as it is kept, where that is not how it is given. */
  stored?(revision: number): Promise<Uint8Array | undefined>;
  /** Copies what is durable now to a new file; a log without it has nothing to copy. */
  readonly backup?: ((to: string) => Promise<Copied>) | undefined;
  /** Notes the exact end of the revisions and lets go. No append is under way. */
  close(revision: number): Promise<void>;
}

/** A copy that was made whole. */
export interface Copied {
  /** It has every write up to this revision, and none behind it. */
  readonly revision: number;
  readonly bytes: number;
}

export interface LogReader {
  /** What happened behind a revision, in order, a page at a time. */
  changesAfter(range: ChangeRange): Promise<ChangePage | 'compacted'>;
  /** These rows, in this order: all, or the first of them where all would be too large. */
  rows(revisions: readonly number[]): Promise<readonly LogRow[] | 'compacted'>;
}

export interface ChangeRange {
  readonly prefix: string;
  readonly afterRevision: number;
  readonly throughRevision: number;
}

export interface Change {
  readonly key: string;
  readonly revision: number;
  readonly previousRevision: number;
}

export interface ChangePage {
  readonly changes: readonly Change[];
  /** There are no others up to this revision. */
  readonly through: number;
}
