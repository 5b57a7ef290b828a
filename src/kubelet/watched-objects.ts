/**
 * The ConfigMaps and Secrets that pods of this node use: each watched alone, as long as a pod
 * needs it.
 *
 * A node must not read other people's Secrets, so there is no informer for all of them. The first
 * question for an object lists it and starts its watch; a change calls back with the owners (pods)
 * that hold it; when the last owner lets go, the watch ends: at once for a Secret, of which nothing
 * stays, and after a while for a ConfigMap, since the next pod of the namespace mostly needs the
 * same. `env.ts` and the volumes ask here.
 */
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import type { Client } from '#client';
import { unlessAborted } from '#kit/aborted.ts';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import { withoutNulls } from './pods/without-nulls.ts';

export interface WatchedObjectsDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Entry {
  readonly owners: Set<string>;
  readonly stop: AbortController;
  readonly first: Promise<void>;
  /** It may be kept for a while when nobody needs it. */
  readonly mayRest: boolean;
  object: KubeObject | undefined;
}

const limits = { retryMs: 1000, restMs: 60_000, restingMax: 50 } as const;

export class WatchedObjects {
  readonly #deps: WatchedObjectsDeps;
  readonly #entries = new Map<string, Entry>();
  /** Of entries that nobody needs, longest resting first: what cancels their end. */
  readonly #resting = new Map<Entry, () => void>();
  readonly #spawn: (task: (signal: AbortSignal) => Promise<void>) => void;
  readonly #onChange: (owners: Iterable<string>) => void;

  constructor(
    deps: WatchedObjectsDeps,
    options: {
      /** Runs a task in the kubelet's scope. */
      readonly spawn: (task: (signal: AbortSignal) => Promise<void>) => void;
      readonly onChange: (owners: Iterable<string>) => void;
    },
  ) {
    this.#deps = deps;
    this.#spawn = options.spawn;
    this.#onChange = options.onChange;
  }

  /** The object as last seen, or undefined when there is none. Throws what the first list threw. */
  async get<T extends KubeObject>(
    kind: KindOf<T>,
    at: { readonly namespace: string; readonly name: string },
    owner: string,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<T | undefined> {
    signal.throwIfAborted();
    const key = `${kind.plural}/${at.namespace}/${at.name}`;
    const entry = this.#entries.get(key) ?? this.#open(key, kind, at);
    entry.owners.add(owner);
    this.#endRest(entry);
    // A pod that is to end waits for no answer.
    await unlessAborted(entry.first, signal);
    // The entry was opened for this kind.
    return entry.object as T | undefined;
  }

  /** The object, if it is known and there. */
  known<T extends KubeObject>(
    kind: KindOf<T>,
    { namespace, name }: { readonly namespace: string; readonly name: string },
  ): T | undefined {
    // The entry was opened for this kind.
    return this.#entries.get(`${kind.plural}/${namespace}/${name}`)?.object as T | undefined;
  }

  release(owner: string): void {
    for (const [key, entry] of this.#entries) {
      if (!entry.owners.delete(owner) || entry.owners.size > 0) continue;
      if (entry.mayRest && entry.object !== undefined) this.#rest(key, entry);
      else this.#close(key, entry);
    }
  }

  #rest(key: string, entry: Entry): void {
    const end = (): void => this.#close(key, entry);
    this.#resting.set(entry, this.#deps.clock.after(limits.restMs, end));
    if (this.#resting.size <= limits.restingMax) return;
    const [longest] = this.#resting.keys();
    for (const [other, each] of this.#entries) if (each === longest) this.#close(other, each);
  }

  #endRest(entry: Entry): void {
    this.#resting.get(entry)?.();
    this.#resting.delete(entry);
  }

  #close(key: string, entry: Entry): void {
    this.#endRest(entry);
    if (this.#entries.get(key) === entry) this.#entries.delete(key);
    entry.stop.abort(new Error('nobody needs the object any more'));
  }

  #open<T extends KubeObject>(
    key: string,
    kind: KindOf<T>,
    at: { readonly namespace: string; readonly name: string },
  ): Entry {
    const stop = new AbortController();
    const listed = this.#list(kind, at, stop.signal);
    const entry: Entry = {
      owners: new Set(),
      stop,
      // Of what is confidential no copy stays.
      mayRest: kind.plural !== 'secrets',
      object: undefined,
      first: listed.then(({ object }) => {
        entry.object = object;
      }),
    };
    this.#entries.set(key, entry);
    this.#spawn(async (signal) => {
      const onAbort = (): void => stop.abort(signal.reason);
      if (signal.aborted) onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      try {
        const { resourceVersion } = await listed;
        await entry.first;
        await this.#follow(key, kind, at, entry, resourceVersion);
      } catch (error) {
        // The asker sees why; the next question tries again.
        if (this.#entries.get(key) === entry) this.#entries.delete(key);
        if (!stop.signal.aborted) this.#deps.log.warn('cannot read an object', { key, error });
      } finally {
        signal.removeEventListener('abort', onAbort);
        this.#endRest(entry);
      }
    });
    return entry;
  }

  async #list<T extends KubeObject>(
    kind: KindOf<T>,
    { namespace, name }: { readonly namespace: string; readonly name: string },
    signal: AbortSignal,
  ): Promise<{ readonly object: T | undefined; readonly resourceVersion: string }> {
    const fieldSelector = `metadata.name=${name}`;
    const list = await this.#deps.client.list(kind, { namespace, fieldSelector, signal });
    return { object: withoutNulls(list.items[0]), resourceVersion: list.resourceVersion };
  }

  /** Watches until nobody needs it; a lost watch begins again with a list. */
  async #follow<T extends KubeObject>(
    key: string,
    kind: KindOf<T>,
    at: { readonly namespace: string; readonly name: string },
    entry: Entry,
    from: string,
  ): Promise<void> {
    const { client, clock, log } = this.#deps;
    const { signal } = entry.stop;
    const fieldSelector = `metadata.name=${at.name}`;
    let resourceVersion = from;
    while (!signal.aborted) {
      try {
        const { namespace } = at;
        const events = client.watch(kind, { namespace, fieldSelector, resourceVersion, signal });
        for await (const event of events) {
          if (event.type === 'BOOKMARK') continue;
          this.#set(entry, event.type === 'DELETED' ? undefined : withoutNulls(event.object));
        }
      } catch (error) {
        if (signal.aborted) return;
        log.debug('watch of an object ended', { name: at.name, error });
      }
      // Not asked for anew by a node that has no pod any more that may read it.
      if (entry.owners.size === 0) return this.#close(key, entry);
      await clock.sleep(limits.retryMs, { signal });
      const listed = await this.#list(kind, at, signal).catch(() => undefined);
      if (listed === undefined) continue;
      resourceVersion = listed.resourceVersion;
      const same = listed.object?.metadata.resourceVersion === versionOf(entry);
      if (!same) this.#set(entry, listed.object);
    }
  }

  #set(entry: Entry, object: KubeObject | undefined): void {
    entry.object = object;
    this.#onChange(entry.owners);
  }
}

function versionOf(entry: Entry): string | undefined {
  return entry.object?.metadata.resourceVersion;
}
