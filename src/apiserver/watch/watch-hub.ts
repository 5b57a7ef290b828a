/**
 * One feed from the store to all watchers.
 *
 * Watchers are kept in buckets by the narrowest thing they ask for (one object, one node, one
 * namespace, or the whole kind), so that an event finds those who may care by looking up a few keys
 * and never by asking each. A watch from an older revision first replays history from the store,
 * subscribed before it reads, and drops what it has already seen.
 *
 * `verbs/watch.ts` subscribes; the store calls `onEvents` after each commit.
 */
import type { Catalog } from '#api/catalog.ts';
import type { KubeObject } from '#api/object.ts';
import type { Clock } from '#kit/clock.ts';
import type { Store, StoreEvent, Watch } from '#store';
import { KeyIndex, registryRoot } from '../registry.ts';
import { HubEvent } from './hub-event.ts';
import { WatchEnds } from './watch-ends.ts';
import { Watcher, type WatcherOptions } from './watcher.ts';

export interface WatchHubDeps {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly clock: Clock;
}

/** How often clients that asked for bookmarks get one. */
const bookmarkIntervalMs = 30_000;

export class WatchHub {
  readonly #deps: WatchHubDeps;
  readonly #keys: KeyIndex;
  readonly #buckets = new Map<string, Set<Watcher>>();
  readonly #watchers = new Set<Watcher>();
  readonly #ends: WatchEnds;
  readonly #observers = new Set<(event: HubEvent) => void>();
  /** Kinds that somebody watches by node. */
  readonly #byNode = new Map<string, number>();
  #feed: Watch | undefined;
  #revision: number;
  #cancelBookmarks: (() => void) | undefined;
  #closed = false;
  /** One for all watchers: each would keep its own. */
  readonly #onClose = (closed: Watcher): void => this.#remove(closed);

  constructor(deps: WatchHubDeps) {
    this.#deps = deps;
    this.#ends = new WatchEnds(deps);
    this.#keys = new KeyIndex(deps.catalog);
    this.#revision = deps.store.revision;
    this.#subscribe();
  }

  get size(): number {
    return this.#watchers.size;
  }

  /** Calls back for each change of any kind, before watchers see it. For indexes of the server. */
  observe(observer: (event: HubEvent) => void): void {
    this.#observers.add(observer);
  }

  /** Ends after `limitMs`. Undefined when history from there is gone. */
  watch(options: WatcherOptions, { limitMs }: { readonly limitMs: number }): Watcher | undefined {
    const watcher = new Watcher(options, { onClose: this.#onClose });
    if (this.#closed) {
      watcher.end();
      return watcher;
    }
    if (options.afterRevision < this.#revision) {
      if (!this.#replay(watcher)) return undefined;
    } else {
      this.#add(watcher);
    }
    if (!watcher.ended) this.#ends.add(watcher, limitMs);
    return watcher;
  }

  close(): void {
    this.#closed = true;
    this.#feed?.cancel();
    this.#cancelBookmarks?.();
    this.#ends.close();
    for (const watcher of [...this.#watchers]) watcher.end();
  }

  #subscribe(): void {
    const { store } = this.#deps;
    this.#feed = store.watch(
      { prefix: registryRoot, afterRevision: this.#revision },
      {
        onEvents: (events) => this.#deliver(events),
        onProgress: (revision) => {
          this.#revision = Math.max(this.#revision, revision);
        },
        onEnd: (reason) => this.#onEnd(reason),
      },
    );
    if (this.#feed === undefined) this.#onEnd('compacted');
  }

  /** The store lost its history (all clients list again) or is closing (all watches end). */
  #onEnd(reason: 'closed' | 'compacted'): void {
    if (this.#closed) return;
    if (reason === 'closed') {
      this.close();
      return;
    }
    for (const watcher of [...this.#watchers]) watcher.expire();
    this.#revision = this.#deps.store.revision;
    this.#subscribe();
  }

  #deliver(events: readonly StoreEvent[]): void {
    const touched = new Set<Watcher>();
    for (const source of events) {
      this.#revision = Math.max(this.#revision, source.revision);
      const resource = this.#keys.resourceOf(source.key);
      if (resource === undefined) continue;
      const event = new HubEvent(resource, source);
      for (const observer of this.#observers) observer(event);
      if (this.#buckets.size === 0) continue;
      for (const bucket of this.#bucketsFor(event)) {
        for (const watcher of bucket) if (watcher.offer(event)) touched.add(watcher);
      }
    }
    for (const watcher of touched) watcher.wake();
  }

  *#bucketsFor(event: HubEvent): Iterable<Set<Watcher>> {
    const { plural } = event.resource;
    const kind = event.resource.storagePrefix;
    const all = this.#buckets.get(kind);
    if (all !== undefined) yield all;
    if (this.#buckets.size === (all === undefined ? 0 : 1)) return;
    const inNamespace = this.#buckets.get(`${kind}|${event.namespace}`);
    if (inNamespace !== undefined) yield inNamespace;
    const one = this.#buckets.get(`${kind}|${event.namespace}/${event.name}`);
    if (one !== undefined) yield one;
    // Of a cluster-scoped or named watch across namespaces, the namespace is not known.
    const named = event.namespace === '' ? undefined : this.#buckets.get(`${kind}|/${event.name}`);
    if (named !== undefined) yield named;
    if (!this.#byNode.has(kind) || plural !== 'pods') return;
    const nodes = new Set([nodeNameOf(event.previous()), nodeNameOf(event.next())]);
    for (const node of nodes) {
      const onNode = this.#buckets.get(`${kind}|@${node}`);
      if (onNode !== undefined) yield onNode;
    }
  }

  #bucketKey({ options: { selection } }: Watcher): string {
    const kind = selection.resource.storagePrefix;
    if (selection.name !== '') return `${kind}|${selection.namespace}/${selection.name}`;
    if (selection.nodeName !== '' && selection.resource.plural === 'pods') {
      return `${kind}|@${selection.nodeName}`;
    }
    return selection.namespace === '' ? kind : `${kind}|${selection.namespace}`;
  }

  #add(watcher: Watcher): void {
    const key = this.#bucketKey(watcher);
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      bucket = new Set();
      this.#buckets.set(key, bucket);
    }
    bucket.add(watcher);
    this.#watchers.add(watcher);
    this.#countNode(watcher, 1);
    if (watcher.options.bookmarks) this.#scheduleBookmarks();
  }

  #remove(watcher: Watcher): void {
    if (!this.#watchers.delete(watcher)) return;
    this.#ends.delete(watcher);
    const key = this.#bucketKey(watcher);
    const bucket = this.#buckets.get(key);
    if (bucket?.delete(watcher)) this.#countNode(watcher, -1);
    if (bucket?.size === 0) this.#buckets.delete(key);
  }

  #countNode({ options: { selection } }: Watcher, change: number): void {
    if (selection.nodeName === '') return;
    const kind = selection.resource.storagePrefix;
    const count = (this.#byNode.get(kind) ?? 0) + change;
    if (count === 0) this.#byNode.delete(kind);
    else this.#byNode.set(kind, count);
  }

  /**
   * Joins the feed, then reads history up to the moment of joining. History may arrive at once or
   * later; until it is complete, new events wait behind it in the store's own subscription.
   */
  #replay(watcher: Watcher): boolean {
    const { store } = this.#deps;
    const { selection } = watcher.options;
    const prefix = `${registryRoot}${selection.resource.storagePrefix}/`;
    let history: Watch | undefined;
    let done = false;
    // Until it has caught up the watcher lives on its own subscription, which has no gap.
    const catchUp = (revision: number): void => {
      if (done || revision < this.#revision) return;
      done = true;
      if (!watcher.ended) this.#add(watcher);
      history?.cancel();
    };
    history = store.watch(
      { prefix, afterRevision: watcher.afterRevision },
      {
        onEvents: (events) => {
          for (const source of events) {
            const resource = done ? undefined : this.#keys.resourceOf(source.key);
            if (resource !== selection.resource) continue;
            const event = new HubEvent(resource, source);
            if (this.#selects(watcher, event)) watcher.offer(event);
          }
          watcher.wake();
          const last = events.at(-1);
          if (last !== undefined) catchUp(last.revision);
          if (watcher.ended) history?.cancel();
        },
        onProgress: catchUp,
        onEnd: (reason) => {
          if (done) return;
          if (reason === 'compacted') watcher.expire();
          else watcher.end();
        },
      },
    );
    if (history === undefined) return false;
    if (done) history.cancel();
    // While it replays it is in no bucket, but must still end when the hub closes.
    if (!watcher.ended) this.#watchers.add(watcher);
    return true;
  }

  #selects(watcher: Watcher, event: HubEvent): boolean {
    const { namespace, name } = watcher.options.selection;
    return (
      (namespace === '' || namespace === event.namespace) && (name === '' || name === event.name)
    );
  }

  #scheduleBookmarks(): void {
    this.#cancelBookmarks ??= this.#deps.clock.after(bookmarkIntervalMs, () => {
      this.#cancelBookmarks = undefined;
      let wanted = false;
      // Only watchers in a bucket have seen everything up to the hub's revision.
      for (const bucket of this.#buckets.values()) {
        for (const watcher of bucket) {
          if (!watcher.options.bookmarks) continue;
          wanted = true;
          watcher.bookmark(this.#revision);
        }
      }
      if (wanted) this.#scheduleBookmarks();
    });
  }
}

function nodeNameOf(pod: KubeObject | undefined): string {
  if (pod === undefined) return '';
  // Stored pods have this shape; other kinds do not come here.
  const { spec } = pod as KubeObject & { readonly spec?: { readonly nodeName?: string } };
  return spec?.nodeName ?? '';
}
