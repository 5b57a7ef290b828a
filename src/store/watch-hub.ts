/**
 * Who watches, and how far each has come.
 *
 * A watch is nothing but a prefix and a revision up to which it has been served. After each commit,
 * and once after it was opened, it is given what history has behind that revision: so there is no
 * difference between old and new events, and no gap or overlap where the two meet. What memory no
 * longer has is read from the log page by page, until memory reaches.
 *
 * Calls to listeners come from a microtask of their own: after the writer whose commit it was, and
 * never inside `watch`. Nothing is buffered for a listener; one that is slow (a connection) buffers
 * by itself and gives up by itself. Next in the walk: `client/informer.ts`, at the other end.
 */
import type { Clock } from '#kit/clock.ts';
import type { History } from './history.ts';
import type { ChangeRange } from './log.ts';
import type { StoreEvent, Watch, WatchListener, WatchOptions } from './store.ts';

/** Events looked at in one go for one watch. */
const eventsPerTurn = 8192;

export interface WatchHubDeps {
  readonly clock: Clock;
  readonly history: History;
  /** Newest committed revision. */
  readonly revision: () => number;
  /** Oldest revision that can be watched from, in memory or in the log. */
  readonly oldest: () => number;
  /** A page of older events from the log, and the revision up to which there are no others. */
  readonly readOlder: (range: ChangeRange) => Promise<OlderPage | 'compacted'>;
}

export interface OlderPage {
  readonly events: readonly StoreEvent[];
  readonly through: number;
}

class Watcher implements Watch {
  readonly prefix: string;
  readonly listener: WatchListener;
  /** Served up to this revision. */
  served: number;
  /** A later turn, or an answer of the log, goes on with it; commits pass it by. */
  busy = true;
  readonly #watchers: Set<Watcher>;

  constructor(watchers: Set<Watcher>, options: WatchOptions, listener: WatchListener) {
    this.#watchers = watchers;
    this.prefix = options.prefix;
    this.served = options.afterRevision;
    this.listener = listener;
    watchers.add(this);
  }

  get live(): boolean {
    return this.#watchers.has(this);
  }

  cancel(): void {
    this.#watchers.delete(this);
  }

  end(reason: 'closed' | 'compacted'): void {
    if (this.#watchers.delete(this)) this.listener.onEnd(reason);
  }
}

export class WatchHub {
  readonly #deps: WatchHubDeps;
  readonly #watchers = new Set<Watcher>();
  #scheduled = false;
  #isClosed = false;

  constructor(deps: WatchHubDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#watchers.size;
  }

  watch(options: WatchOptions, listener: WatchListener): Watch | undefined {
    if (options.afterRevision < this.#deps.oldest()) return undefined;
    const watcher = new Watcher(this.#watchers, options, listener);
    queueMicrotask(() => {
      if (this.#isClosed) watcher.end('closed');
      else this.#serve(watcher);
    });
    return watcher;
  }

  /** Something was committed: serves every watch, soon. */
  publish(): void {
    if (this.#scheduled || this.#watchers.size === 0) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      for (const watcher of [...this.#watchers]) {
        if (!watcher.busy) this.#serve(watcher);
      }
    });
  }

  close(): void {
    this.#isClosed = true;
    for (const watcher of [...this.#watchers]) watcher.end('closed');
  }

  #serve(watcher: Watcher): void {
    if (!watcher.live) return;
    const { clock, history, oldest, revision } = this.#deps;
    if (watcher.served < history.oldest) {
      if (watcher.served < oldest()) watcher.end('compacted');
      else this.#serveOlder(watcher);
      return;
    }
    const events = history.after(watcher.served, eventsPerTurn);
    const last = events.length < eventsPerTurn ? undefined : events.at(-1)?.revision;
    const target = last ?? Math.max(watcher.served, revision());
    watcher.busy = target < revision();
    this.#deliver(watcher, events, target);
    if (watcher.busy) clock.after(0, () => this.#serve(watcher));
  }

  #serveOlder(watcher: Watcher): void {
    watcher.busy = true;
    const range = {
      prefix: watcher.prefix,
      afterRevision: watcher.served,
      throughRevision: this.#deps.history.oldest,
    };
    this.#deps.readOlder(range).then(
      (page) => {
        if (!watcher.live) return;
        if (page === 'compacted') {
          watcher.end('compacted');
          return;
        }
        this.#deliver(watcher, page.events, page.through);
        this.#serve(watcher);
      },
      // The log cannot be read: to the watcher the same as if that history were gone.
      () => watcher.end('compacted'),
    );
  }

  #deliver(watcher: Watcher, events: readonly StoreEvent[], target: number): void {
    watcher.served = target;
    const wanted = underPrefix(events, watcher.prefix);
    if (wanted.length > 0) watcher.listener.onEvents(wanted);
    if (watcher.live) watcher.listener.onProgress?.(target);
  }
}

/** The same array where all of it matches, which is the rule for a watch of everything. */
function underPrefix(events: readonly StoreEvent[], prefix: string): readonly StoreEvent[] {
  if (events.every((event) => event.key.startsWith(prefix))) return events;
  return events.filter((event) => event.key.startsWith(prefix));
}
