/**
 * The store's contract: revisioned keys and bytes, in memory, over a durable log.
 *
 * All newest values live in memory, so `get`, `list` and `count` of the newest state are plain
 * synchronous calls. A write resolves after its commit and is visible to readers and watchers only
 * then. Every write has a revision of its own; a revision is never used twice, also after a failed
 * commit, a crash or a restore. The store knows keys, bytes and revisions; it does not know
 * Kubernetes. `sqlite.ts` opens the durable one, `memory.ts` the one for tests; both satisfy
 * `store.contract.ts`. Next in the walk: `logged-store.ts`.
 */
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import type { FaultRates, FaultyDisk } from './faulty-log.ts';
import { openLoggedStore } from './load.ts';
import type { Copied, Log } from './log.ts';
import { openMemory } from './memory.ts';

export {
  StoreRefused,
  StoreUnavailable,
  ValueTooLarge,
  ValueUnreadable,
  ValueUnwritable,
} from './errors.ts';
export type { FaultRates, FaultyDisk } from './faulty-log.ts';
export type { Copied } from './log.ts';

export interface Entry {
  readonly key: string;
  /** Never changed after it was stored; callers must not change it either. */
  readonly value: Uint8Array;
  /** Revision of the write that made this value. */
  readonly revision: number;
  /** Revision of the write that made the key. */
  readonly createRevision: number;
}

export interface StoreEvent {
  readonly type: 'put' | 'delete';
  readonly key: string;
  /** The value written; of a delete, undefined. */
  readonly value: Uint8Array | undefined;
  /** What was there before, or undefined when the key is new. */
  readonly previous: Entry | undefined;
  readonly revision: number;
}

/**
 * What a write expects to find: any state, no such key, or exactly this revision.
 * A compare that meets a write of the same key still committing waits for its outcome.
 */
export type Expectation = 'any' | 'absent' | { readonly revision: number };

export type WriteResult =
  | { readonly ok: true; readonly revision: number }
  /** The expectation did not hold; `current` is what is there. */
  | { readonly ok: false; readonly current: Entry | undefined };

export type ListResult =
  | {
      readonly ok: true;
      readonly entries: readonly Entry[];
      /** The revision that the list shows. */
      readonly revision: number;
      /** Whether keys remain behind the last entry. */
      readonly more: boolean;
    }
  | { readonly ok: false; readonly reason: 'compacted' | 'future'; readonly oldest: number };

export interface ListOptions {
  /** Keys that start with this. */
  readonly prefix: string;
  /** Only keys greater than this one (exclusive). */
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
}

export interface WatchOptions {
  readonly prefix: string;
  /** Events with a revision greater than this are delivered, history first. */
  readonly afterRevision: number;
}

export interface WatchListener {
  /** A batch in order of revision, with no gap and no repeat. Must not throw and must not block. */
  onEvents(events: readonly StoreEvent[]): void;
  /** All events up to this revision have been delivered. Called after each commit. */
  onProgress?(revision: number): void;
  /** The watch is over: the store was closed, or its history was lost. */
  onEnd(reason: 'closed' | 'compacted'): void;
}

export interface Watch {
  cancel(): void;
}

/** Whether writes can be made durable at the moment, and if not, why. */
export type StoreHealth = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/** How values are kept, where that is not as they are given: encryption at rest. */
export interface ValueTransformer {
  /** False where every value is kept as it is given. */
  readonly encrypts: boolean;
  /** Names the form in which the value of a key is kept. Equal names, equal forms and keys. */
  formOf(key: string): string;
  toStorage(key: string, value: Uint8Array): Uint8Array;
  fromStorage(key: string, stored: Uint8Array): FromStorage;
  /** Why no value of this key can be written at the moment. */
  refusal?(key: string): string | undefined;
  /** Fetches what it takes to read these; what that was not had for, `fromStorage` says so of. */
  prepare?(stored: readonly StoredValue[]): Promise<void>;
}

export interface StoredValue {
  readonly key: string;
  readonly value: Uint8Array;
}

export type FromStorage =
  /** Stale: it would be kept in another form today. */
  | { readonly ok: true; readonly value: Uint8Array; readonly stale: boolean }
  | { readonly ok: false; readonly why: string };

/** What can be asked of a store whose values pass through a transformer. */
export interface AtRest {
  /** Keys whose values cannot be read. */
  readonly unreadable: readonly string[];
  why(key: string): string | undefined;
  /** Throws `ValueUnreadable`, as a list would, where something below a prefix cannot be read. */
  checkReadable(prefix: string): void;
  /** Whether writing the value again, as it is, would keep it in another form. */
  isStale(key: string): boolean;
  /** The value as it is kept. */
  stored(key: string): Promise<Uint8Array | undefined>;
  /** Why no value of this key can be written at the moment. */
  refusal(key: string): string | undefined;
  /** What is written from now on is kept by this one; what it can read becomes readable. */
  use(transformer: ValueTransformer): Promise<void>;
  /** Tries once more to read what could not be read. */
  retry(): Promise<void>;
}

/** `get`, `list` and `listAt` throw `ValueUnreadable` for what nobody can read. */
export interface Store extends AsyncDisposable {
  /** Undefined where values are kept as they are given. */
  readonly atRest: AtRest | undefined;
  /** As the last commit found it; while that failed, small ones are tried until one succeeds. */
  readonly health: StoreHealth;
  /** Revision of the newest committed write. */
  readonly revision: number;
  /** Oldest revision that `listAt` and `watch` can still show. */
  readonly oldestRevision: number;
  /** How much of what was replaced, and of its history, memory has held and given up so far. */
  readonly forgottenBytes: number;
  /**
   * Makes the copy in memory at least as new as the moment of the call. Undefined where it always
   * is (a store of one process), so that readers need not wait.
   */
  fresh(): Promise<void> | undefined;
  get(key: string): Entry | undefined;
  count(prefix: string): number;
  /** The newest state, in order of key. */
  list(options: ListOptions): Extract<ListResult, { ok: true }>;
  /** The state at an older revision. */
  listAt(options: ListOptions & { readonly revision: number }): Promise<ListResult>;
  /**
   * Stores a value. `ttlMs` removes the key after that time; a put without it keeps the key for
   * good. Rejects with `StoreUnavailable`, `ValueTooLarge` or `ValueUnwritable`.
   */
  put(write: {
    readonly key: string;
    readonly value: Uint8Array;
    readonly expect: Expectation;
    readonly ttlMs?: number | undefined;
  }): Promise<WriteResult>;
  /** Removes a key. Deleting an absent key with `any` gives `{ ok: false, current: undefined }`. */
  delete(write: { readonly key: string; readonly expect: Expectation }): Promise<WriteResult>;
  /** Undefined when history from there is gone (the caller answers 410 Expired). */
  watch(options: WatchOptions, listener: WatchListener): Watch | undefined;
  /** Forgets what was replaced before this revision. */
  compact(revision: number): Promise<void>;
  /**
   * Copies the newest durable state, with its history, to a new file that a store can be restored
   * from; writes go on meanwhile. Rejects with `StoreRefused` where nothing is kept on disk.
   */
  backup(file: string): Promise<Copied>;
}

export const limits = {
  /** Bytes of replaced values and event history kept in memory. */
  historyBytesMax: 64 * 1024 * 1024,
  /** Age after which replaced values may be forgotten. */
  historyAgeMs: 5 * 60 * 1000,
  /** Bytes of replaced values kept in a durable log; once reached, what is younger goes too. */
  logHistoryBytesMax: 256 * 1024 * 1024,
  /** Size of a durable log's file; when it is full, writes fail until history was compacted. */
  fileBytesMax: 16 * 1024 * 1024 * 1024,
  /** Largest value. */
  valueBytesMax: 3 * 1024 * 1024,
  /** Writes waiting for their commit; more are refused. */
  pendingWritesMax: 100_000,
  /** Bytes of the writes waiting for their commit. */
  pendingBytesMax: 256 * 1024 * 1024,
  /** Writes and bytes that share one commit. */
  batchWritesMax: 4096,
  batchBytesMax: 8 * 1024 * 1024,
  /** Revisions set aside at a time; as many at most are skipped after a crash. */
  revisionsReserved: 10_000,
} as const;

export type Limits = { readonly [Name in keyof typeof limits]: number };

export interface Restored {
  /** Newest revision of the copy, and the one that the store goes on behind. */
  readonly revision: number;
  readonly goesOnBehind: number;
  /** What was replaced; undefined when there was nothing. */
  readonly kept: string | undefined;
}

export interface StoreDeps {
  readonly clock: Clock;
  readonly log?: Logger | undefined;
}

/** A store that keeps nothing beyond its process. */
export function openMemoryStore(deps: StoreDeps, options: Partial<Limits> = {}): Store {
  return openMemory(deps, { ...limits, ...options });
}

/** A store in a file of SQLite. Rejects with `StoreRefused` when the file must not be opened. */
export async function openSqliteStore(
  deps: StoreDeps & { readonly log: Logger },
  options: Partial<Limits> & {
    readonly file: string;
    readonly transformer?: ValueTransformer | undefined;
  },
): Promise<Store> {
  const { openSqlite } = await import('./sqlite.ts');
  const { file, transformer, ...chosen } = options;
  return await openSqlite(deps, { file, transformer, limits: { ...limits, ...chosen } });
}

/** A value as it lies in the file of a store that nobody has open; undefined: no such key. */
export async function storedInSqliteFile(options: {
  readonly file: string;
  readonly key: string;
}): Promise<Uint8Array | undefined> {
  const { storedValue } = await import('./sqlite-stored.ts');
  return storedValue(options);
}

/** Copies the file of a store that nobody has open. */
export async function backupSqliteFile(options: {
  readonly file: string;
  readonly to: string;
}): Promise<Copied> {
  const { copyFile } = await import('./sqlite-copy.ts');
  return await copyFile(options);
}

/**
 * Puts a copy in the place of a store's file that nobody has open, and keeps what was there.
 * Revisions go on far behind all that either file has given out.
 */
export async function restoreSqliteFile(options: {
  readonly from: string;
  readonly file: string;
  /** Where the replaced file is kept. */
  readonly keepAs: string;
}): Promise<Restored> {
  const { restoreFile } = await import('./sqlite-restore.ts');
  return restoreFile(options);
}

/** A store over any log: what a simulator opens, again and again, over its faulty disk. */
export async function openStoreOver(
  deps: StoreDeps & { readonly log: Logger },
  options: Partial<Limits> & { readonly backing: Log },
): Promise<Store> {
  const { backing, ...chosen } = options;
  return await openLoggedStore(deps, { backing, limits: { ...limits, ...chosen } });
}

/** A disk with faults by seed, for simulators and tests. */
export async function openFaultyDisk(
  deps: { readonly clock: Clock; readonly random: Random },
  rates: FaultRates,
): Promise<FaultyDisk> {
  const { FaultyDisk } = await import('./faulty-log.ts');
  return new FaultyDisk(deps, rates);
}
