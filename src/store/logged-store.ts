/**
 * The store: state in memory, a log below it, and the turn that a write takes between the two.
 *
 * put → queue → (no commit under way) decide a batch → log.append → durable: apply to the state,
 * answer the writers, begin the next commit, and only then tell the watches. Everything that comes
 * in while a commit is under way shares the next one. A batch that fails is answered with
 * `StoreUnavailable`; its revisions are spent all the same.
 *
 * Between two awaits everything happens in one synchronous stretch, so there are no locks. The log
 * may be SQLite (`sqlite.ts`), nothing at all (`memory.ts`) or a bad one (`faulty-log.ts`). Next in
 * the walk: `watch-hub.ts`.
 */
import { assert } from '#kit/assert.ts';
import type { Clock } from '#kit/clock.ts';
import { messageOf } from '#kit/error-message.ts';
import type { Logger } from '#kit/log.ts';
import { LogAtRest } from './at-rest.ts';
import type { Deadlines } from './deadlines.ts';
import { StoreRefused, StoreUnavailable, ValueTooLarge, ValueUnwritable } from './errors.ts';
import type { Batch, Copied, Loaded, Log, LogRow } from './log.ts';
import { listOlder, readOlderEvents } from './older.ts';
import type { Retention } from './retention.ts';
import type { Page, State } from './state.ts';
import type {
  AtRest,
  Entry,
  Limits,
  ListOptions,
  ListResult,
  Store,
  StoreHealth,
  Watch,
  WatchListener,
  WatchOptions,
  WriteResult,
} from './store.ts';
import { TransformedLog } from './transformed-log.ts';
import { WatchHub } from './watch-hub.ts';
import { type Decided, holds, type Write, WriteQueue } from './write-queue.ts';

export interface LoggedStoreDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

/** How long after a failed removal of ended keys it is tried again. */
const removalRetryMs = 1000;
/** Ended keys that are removed in one go. */
const removalsMax = 1000;
/** A commit that takes longer is reported; one that is under way when the store closes, left. */
const slowCommitMs = 10_000;
const closeLimitMs = 10_000;
/** How long after a failed commit, when nobody writes, a small one is tried. */
const probeMs = 2000;

type Phase = 'open' | 'closing' | 'closed';

export class LoggedStore implements Store {
  readonly #deps: LoggedStoreDeps;
  readonly #backing: Log;
  readonly #limits: Limits;
  readonly #parts: LoadedState;
  readonly #state: State;
  readonly #hub: WatchHub;
  readonly #queue = new WriteQueue();
  readonly #deadlines: Deadlines;
  readonly #retention: Retention;
  readonly atRest: AtRest | undefined;
  #phase: Phase = 'open';
  /** The last revision given to a write, committed or not. */
  #assigned: number;
  #reserved: number;
  #compacted: number;
  #committing = false;
  #commitStartedMs = 0;
  #isDispatchScheduled = false;
  #failures = 0;
  #failure: unknown;
  #cancelProbe: (() => void) | undefined;
  #cancelDeadline: (() => void) | undefined;
  #cancelTick: (() => void) | undefined;
  #whenIdle: (() => void) | undefined;
  #compaction: Promise<void> = Promise.resolve();

  /** Starts from what the log held; `openLoggedStore` loads it. */
  constructor(
    deps: LoggedStoreDeps,
    options: { backing: Log; limits: Limits; loaded: LoadedState },
  ) {
    const { backing, limits, loaded } = options;
    this.#deps = deps;
    this.#backing = backing;
    this.#limits = limits;
    this.#parts = loaded;
    this.#state = loaded.state;
    this.#retention = loaded.retention;
    this.#reserved = loaded.reserved;
    this.#compacted = loaded.compacted;
    this.#deadlines = loaded.deadlines;
    this.#assigned = this.#state.revision;
    this.atRest =
      backing instanceof TransformedLog
        ? new LogAtRest({ state: this.#state, log: backing, assigned: () => this.#assigned })
        : undefined;
    this.#hub = new WatchHub({
      clock: deps.clock,
      history: this.#state.history,
      revision: () => this.#state.revision,
      oldest: () => this.oldestRevision,
      readOlder: async (range) =>
        backing.reader === undefined ? 'compacted' : await readOlderEvents(range, backing.reader),
    });
    this.#scheduleDeadline();
    this.#scheduleTick();
  }

  get revision(): number {
    return this.#state.revision;
  }

  get oldestRevision(): number {
    if (this.#backing.reader !== undefined) return this.#compacted;
    return Math.max(this.#compacted, this.#state.history.oldest);
  }

  get forgottenBytes(): number {
    return this.#state.history.forgottenBytes;
  }

  get health(): StoreHealth {
    if (this.#phase === 'closed') return { ok: false, reason: 'the store is closed' };
    if (this.#failures > 0) return { ok: false, reason: messageOf(this.#failure) };
    const tookMs = this.#deps.clock.monotonic() - this.#commitStartedMs;
    if (!this.#committing || tookMs < slowCommitMs) return { ok: true };
    return { ok: false, reason: `a commit has not ended after ${slowCommitMs / 1000} s` };
  }

  fresh(): undefined {
    return undefined;
  }

  get(key: string): Entry | undefined {
    const { unreadable } = this.#state;
    if (unreadable.size > 0) unreadable.check(key);
    return this.#state.get(key);
  }

  count(prefix: string): number {
    return this.#state.count(prefix);
  }

  list(options: ListOptions): Extract<ListResult, { ok: true }> {
    return { ok: true, ...this.#readable(this.#state.list(options)), revision: this.revision };
  }

  async listAt(options: ListOptions & { readonly revision: number }): Promise<ListResult> {
    const { revision } = options;
    if (revision > this.#state.revision) {
      return { ok: false, reason: 'future', oldest: this.oldestRevision };
    }
    const page = await this.#pageAt(options);
    if (page === 'compacted') return { ok: false, reason: page, oldest: this.oldestRevision };
    return { ok: true, ...this.#readable(page), revision };
  }

  #readable(page: Page): Page {
    const { unreadable } = this.#state;
    if (unreadable.size > 0) unreadable.checkAll(page.entries);
    return page;
  }

  async #pageAt(options: ListOptions & { readonly revision: number }): Promise<Page | 'compacted'> {
    const { prefix, revision } = options;
    if (revision === this.#state.revision) return this.#state.list(options);
    const { state } = this.#parts;
    if (revision < this.oldestRevision || state.unreadable.wentSince(prefix, revision)) {
      return 'compacted';
    }
    if (revision >= state.history.oldest) return state.listAt<Entry>(options);
    const { reader } = this.#backing;
    assert(reader !== undefined, 'only a log can show what memory has forgotten');
    return await listOlder(options, { state, reader });
  }

  put(write: Parameters<Store['put']>[0]): Promise<WriteResult> {
    const { key, value, expect, ttlMs } = write;
    assert(key.length > 0, 'a key is not empty');
    if (value.byteLength > this.#limits.valueBytesMax) {
      const text = `the value has ${value.byteLength} bytes; ${this.#limits.valueBytesMax} are allowed`;
      return Promise.reject(new ValueTooLarge(text));
    }
    const refusal = this.atRest?.refusal(key);
    if (refusal !== undefined) return Promise.reject(new ValueUnwritable(refusal));
    const expiresMs = ttlMs === undefined ? 0 : this.#deps.clock.now() + ttlMs;
    return this.#write({ key, value: ownBytes(value), expect, expiresMs });
  }

  delete(write: Parameters<Store['delete']>[0]): Promise<WriteResult> {
    return this.#write({ ...write, value: undefined, expiresMs: 0 });
  }

  watch(options: WatchOptions, listener: WatchListener): Watch | undefined {
    const { prefix, afterRevision } = options;
    if (this.#state.unreadable.wentSince(prefix, afterRevision)) return undefined;
    return this.#hub.watch(options, listener);
  }

  async compact(revision: number): Promise<void> {
    const target = Math.min(revision, this.#state.revision);
    if (target <= this.#compacted || this.#phase === 'closed') return;
    this.#compacted = target;
    this.#state.history.dropThrough(target);
    // One at a time; one that failed is made up for by the next.
    const earlier = this.#compaction.catch(() => {});
    this.#compaction = earlier.then(() => this.#backing.compact(target));
    await this.#compaction;
  }

  async backup(file: string): Promise<Copied> {
    if (this.#phase !== 'open') throw new StoreUnavailable('the store is closed');
    if (this.#backing.backup === undefined) {
      throw new StoreRefused('this store keeps nothing on disk, so there is nothing to copy');
    }
    return await this.#backing.backup(file);
  }

  /** Commits what waits, then ends the watches and lets go of the log. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#phase !== 'open') return;
    this.#phase = 'closing';
    this.#cancelDeadline?.();
    this.#cancelTick?.();
    this.#cancelProbe?.();
    await this.#idle();
    this.#phase = 'closed';
    this.#reject(this.#queue.takeAll(), new StoreUnavailable('the store is closed'));
    this.#hub.close();
    await this.#compaction.catch(() => {});
    await this.#backing.close(this.#assigned);
  }

  /** Waits until everything is committed, but not for ever. */
  async #idle(): Promise<void> {
    if (!this.#committing && this.#queue.length === 0) return;
    const { clock, log } = this.#deps;
    await new Promise<void>((resolve) => {
      const cancel = clock.after(closeLimitMs, () => {
        log.error('store closes without its last writes', { waiting: this.#queue.length });
        resolve();
      });
      this.#whenIdle = () => {
        cancel();
        resolve();
      };
    });
  }

  #write(write: Omit<Write, 'resolve' | 'reject'>): Promise<WriteResult> {
    if (this.#phase !== 'open') {
      return Promise.reject(new StoreUnavailable('the store is closed'));
    }
    const current = this.#state.get(write.key);
    if (!this.#queue.hasKey(write.key) && !holds(write, current)) {
      return Promise.resolve({ ok: false, current });
    }
    const { pendingWritesMax, pendingBytesMax } = this.#limits;
    if (this.#queue.length >= pendingWritesMax || this.#queue.bytes >= pendingBytesMax) {
      return Promise.reject(new StoreUnavailable('too many writes wait for their commit'));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ ...write, resolve, reject });
      this.#scheduleDispatch();
    });
  }

  /** Writes of one stretch of code go together. */
  #scheduleDispatch(): void {
    if (this.#committing || this.#isDispatchScheduled) return;
    this.#isDispatchScheduled = true;
    queueMicrotask(() => {
      this.#isDispatchScheduled = false;
      this.#dispatch();
    });
  }

  #dispatch(): void {
    while (!this.#committing && this.#queue.length > 0) {
      const room = this.#reserved - this.#assigned;
      if (room <= 0) {
        this.#append({ rows: [], writes: [] });
        return;
      }
      const decided = this.#queue.takeBatch({
        get: (key) => this.#state.get(key),
        revision: this.#assigned,
        writtenMs: this.#deps.clock.now(),
        rowsMax: Math.min(room, this.#limits.batchWritesMax),
        bytesMax: this.#limits.batchBytesMax,
      });
      if (decided.rows.length > 0) this.#append(decided);
    }
    if (!this.#committing) this.#whenIdle?.();
  }

  #append(decided: Decided): void {
    this.#committing = true;
    this.#commitStartedMs = this.#deps.clock.monotonic();
    this.#assigned += decided.rows.length;
    const ahead = this.#limits.revisionsReserved;
    const isLow = this.#reserved - this.#assigned < ahead / 2;
    // A batch without rows is a probe of the disk, or wants revisions: it writes in both cases.
    const reserve = isLow || decided.rows.length === 0 ? this.#assigned + ahead : undefined;
    const batch = { rows: decided.rows, reserve };
    this.#backing.append(batch).then(
      () => this.#onDurable(batch, decided.writes),
      (error: unknown) => this.#onFailed(error, decided.writes),
    );
  }

  #onDurable(batch: Batch, writes: readonly Write[]): void {
    this.#committing = false;
    if (this.#failures > 0) this.#deps.log.info('store recovered', { failures: this.#failures });
    this.#failures = 0;
    this.#reserved = batch.reserve ?? this.#reserved;
    for (const row of batch.rows) applyRow(this.#parts, row);
    for (const [index, write] of writes.entries()) {
      this.#queue.settle(write);
      const row = batch.rows[index];
      assert(row !== undefined, 'every write of a batch has its row');
      write.resolve({ ok: true, revision: row.revision });
    }
    this.#dispatch();
    if (batch.rows.length > 0) this.#hub.publish();
    this.#scheduleDeadline();
  }

  #onFailed(error: unknown, writes: readonly Write[]): void {
    this.#committing = false;
    if (this.#failures === 0) this.#deps.log.error('store cannot commit', { error });
    this.#failures += 1;
    this.#failure = error;
    this.#scheduleProbe();
    for (const write of writes) this.#queue.settle(write);
    // Without writes of its own it was about revisions, and nothing that waits can go on.
    const refused = writes.length > 0 ? writes : this.#queue.takeAll();
    const text = `the write could not be made durable: ${messageOf(error)}`;
    const unavailable = new StoreUnavailable(text, { cause: error });
    this.#reject(refused, unavailable);
    this.#dispatch();
  }

  /** A store that nobody writes to must still find out that its disk is well again. */
  #scheduleProbe(): void {
    this.#cancelProbe?.();
    if (this.#phase !== 'open') return;
    this.#cancelProbe = this.#deps.clock.after(probeMs, () => {
      if (this.#failures > 0 && !this.#committing) this.#append({ rows: [], writes: [] });
    });
  }

  #reject(writes: readonly Write[], error: StoreUnavailable): void {
    for (const write of writes) write.reject(error);
  }

  #scheduleDeadline(): void {
    if (this.#phase !== 'open') return;
    const nextMs = this.#deadlines.nextMs();
    this.#cancelDeadline?.();
    this.#cancelDeadline = undefined;
    if (nextMs === undefined) return;
    const delayMs = Math.max(0, nextMs - this.#deps.clock.now());
    this.#cancelDeadline = this.#deps.clock.after(delayMs, () => this.#removeEnded());
  }

  #removeEnded(): void {
    const nowMs = this.#deps.clock.now();
    for (const ended of this.#deadlines.takeDue({ nowMs, limit: removalsMax })) {
      const { key, revision } = ended;
      this.#write({ key, value: undefined, expect: { revision }, expiresMs: 0 }).catch(() => {
        // Not durable: the key is still there and still has to go.
        if (this.#state.get(key)?.revision !== revision) return;
        this.#deadlines.set({ key, revision, atMs: this.#deps.clock.now() + removalRetryMs });
        this.#scheduleDeadline();
      });
    }
    this.#scheduleDeadline();
  }

  #scheduleTick(): void {
    this.#cancelTick = this.#deps.clock.after(this.#limits.historyAgeMs / 10, () => {
      this.#scheduleTick();
      this.#reportSlowCommit();
      this.#expireHistory();
    });
  }

  #reportSlowCommit(): void {
    const tookMs = this.#deps.clock.monotonic() - this.#commitStartedMs;
    if (!this.#committing || tookMs < slowCommitMs) return;
    this.#deps.log.warn('store waits for a commit', { tookMs, waiting: this.#queue.length });
  }

  #expireHistory(): void {
    const nowMs = this.#deps.clock.now();
    const expired = this.#retention.takeExpired(nowMs);
    this.#retention.mark({ revision: this.#state.revision, atMs: nowMs });
    if (expired === undefined) return;
    this.compact(expired).catch((error: unknown) => {
      this.#deps.log.warn('history could not be compacted', { revision: expired, error });
    });
  }
}

/** What a log held, made into state. */
export interface LoadedState extends Loaded {
  readonly state: State;
  readonly retention: Retention;
  readonly deadlines: Deadlines;
}

/** Takes a durable row into the state and all that is derived from it. */
export function applyRow(kept: Omit<LoadedState, keyof Loaded>, row: LogRow): void {
  const { key, revision, expiresMs, writtenMs } = row;
  const event = kept.state.apply(row);
  kept.retention.replaced(key.length + (event.previous?.value.byteLength ?? 0));
  if (expiresMs > 0) kept.deadlines.set({ key, revision, atMs: expiresMs });
  else kept.deadlines.delete(key);
  if (kept.retention.isMarkDue(writtenMs)) kept.retention.mark({ revision, atMs: writtenMs });
}

/** A value of its own memory: a view would keep alive the whole buffer that it is cut from. */
function ownBytes(value: Uint8Array): Uint8Array {
  if (value.byteLength === value.buffer.byteLength) return value;
  const own = new Uint8Array(value.byteLength);
  own.set(value);
  return own;
}
