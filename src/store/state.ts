/**
 * What is committed: the current entries, and the events that led to them.
 *
 * `apply` takes one committed row and gives the event that it is. The state at an older revision
 * is the current one with later events undone: the first event of a key behind that revision says
 * what the key was then.
 *
 * Example: at 7, a was put at 5, then at 6; b was removed at 7 and had come at 2. The state at 5 is
 * the current one, but a from before event 6 (its value of 5) and b from before event 7.
 *
 * `logged-store.ts` owns it; the watch hub reads its history.
 */
import { assert } from '#kit/assert.ts';
import { History } from './history.ts';
import type { LogRow } from './log.ts';
import { SortedKeys } from './sorted-keys.ts';
import type { Entry, ListOptions, StoreEvent } from './store.ts';
import { Unreadable } from './unreadable.ts';

export interface Page {
  readonly entries: readonly Entry[];
  readonly more: boolean;
}

export class State {
  readonly #keys = new SortedKeys();
  readonly history: History;
  readonly unreadable = new Unreadable();
  /** Keys whose values were not kept, when they were loaded, as they would be today. */
  readonly stale = new Set<string>();
  #revision = 0;

  constructor(options: { readonly historyBytesMax: number; readonly oldest: number }) {
    this.history = new History({ bytesMax: options.historyBytesMax, oldest: options.oldest });
  }

  get revision(): number {
    return this.#revision;
  }

  get size(): number {
    return this.#keys.size;
  }

  get(key: string): Entry | undefined {
    return this.#keys.get(key);
  }

  count(prefix: string): number {
    return this.#keys.count(prefix);
  }

  list(options: ListOptions): Page {
    return this.#keys.list(options);
  }

  apply(row: LogRow): StoreEvent {
    assert(row.revision > this.#revision, 'a revision is never used twice');
    const change = this.#change(row);
    const isSeen = this.#note(row);
    // Of what nobody could read there is nothing to show, and nothing to tell when it goes.
    const event = isSeen ? change : { ...change, previous: undefined };
    if (!isSeen && event.type === 'delete') return event;
    // A loaded row from before the last compaction is state, but no longer an event.
    if (row.revision > this.history.oldest) this.history.append(event);
    return event;
  }

  /** What the row says of how values are kept; false where nobody could read what was there. */
  #note({ key, revision, unreadable, stale }: LogRow): boolean {
    const isSeen = this.unreadable.size === 0 || !this.unreadable.replaced(key, revision);
    if (this.stale.size > 0) this.stale.delete(key);
    if (stale === true) this.stale.add(key);
    if (unreadable !== undefined) this.unreadable.note(key, unreadable);
    return isSeen;
  }

  /** A value that could not be read takes the place of how it was kept; nothing was written. */
  reveal(key: string, read: { readonly value: Uint8Array; readonly stale: boolean }): void {
    const entry = this.#keys.get(key);
    assert(entry !== undefined, 'what is revealed is there');
    this.#keys.set({ ...entry, value: new Uint8Array(read.value) });
    this.unreadable.forget(key);
    if (read.stale) this.stale.add(key);
  }

  /** Revisions up to this one are spent, whether or not something was written with them. */
  skipTo(revision: number): void {
    this.#revision = Math.max(this.#revision, revision);
  }

  /**
   * The state at an older revision. Memory undoes what came after `history.oldest`; what is to be
   * undone from before comes in `undone`, which wins.
   */
  listAt<Older>(
    options: ListOptions & { readonly revision: number },
    undone: ReadonlyMap<string, Older | undefined> = new Map(),
  ): { readonly entries: readonly (Entry | Older)[]; readonly more: boolean } {
    const { prefix, after = '', limit = Number.POSITIVE_INFINITY, revision } = options;
    const then = new Map<string, Entry | Older | undefined>(undone);
    for (const event of this.history.after(Math.max(revision, this.history.oldest))) {
      const { key } = event;
      if (key > after && key.startsWith(prefix) && !then.has(key)) then.set(key, event.previous);
    }
    const current = this.#keys.list({ prefix, after, limit: limit + then.size + 1 });
    const found: [string, Entry | Older][] = [];
    for (const entry of current.entries) if (!then.has(entry.key)) found.push([entry.key, entry]);
    const unchanged = found.length;
    for (const [key, older] of then) if (older !== undefined) found.push([key, older]);
    if (found.length > unchanged) found.sort(([a], [b]) => (a < b ? -1 : 1));
    const more = found.length > limit;
    return { entries: (more ? found.slice(0, limit) : found).map(([, entry]) => entry), more };
  }

  #change(row: LogRow): StoreEvent {
    const { key, value, revision, createRevision } = row;
    this.#revision = revision;
    if (value === undefined) {
      const previous = this.#keys.delete(key);
      return { type: 'delete', key, value, previous, revision };
    }
    const previous = this.#keys.set({ key, value, revision, createRevision });
    return { type: 'put', key, value, previous, revision };
  }
}
