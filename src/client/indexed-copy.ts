/**
 * The copy that an informer keeps: objects by key, found by index, with handlers told of each
 * change.
 *
 * Changes come in one at a time from `reflector.ts`; handlers are called synchronously, in order,
 * after the copy and its indexes show the change. Indexes hold keys, not objects, and follow only
 * those values that really changed.
 */
import { type KubeObject, objectKey } from '#api/object.ts';
import type { Informer, InformerHandler } from './informer.ts';

type IndexFunction<T> = (object: T) => readonly string[];

const namespaceIndex = 'namespace';

class Index<T extends KubeObject> {
  readonly values: IndexFunction<T>;
  readonly #keys = new Map<string, Set<string>>();

  constructor(values: IndexFunction<T>) {
    this.values = values;
  }

  keysOf(value: string): Iterable<string> {
    return this.#keys.get(value) ?? [];
  }

  replace(key: string, old: T | undefined, next: T | undefined): void {
    const before = old === undefined ? [] : this.values(old);
    const after = next === undefined ? [] : this.values(next);
    if (before.length === 1 && after.length === 1 && before[0] === after[0]) return;
    for (const value of before) {
      if (after.includes(value)) continue;
      const keys = this.#keys.get(value);
      keys?.delete(key);
      if (keys?.size === 0) this.#keys.delete(value);
    }
    for (const value of after) {
      const keys = this.#keys.get(value);
      if (keys === undefined) this.#keys.set(value, new Set([key]));
      else keys.add(key);
    }
  }
}

export class IndexedCopy<T extends KubeObject> implements Informer<T> {
  readonly #objects = new Map<string, T>();
  readonly #indexes = new Map<string, Index<T>>();
  readonly #handlers: InformerHandler<T>[] = [];
  /** Sees to it that `tell` is called so often. */
  onResync: (resyncMs: number, tell: () => void) => void = () => {};
  #synced = false;
  #whenSynced: (() => void)[] = [];

  get hasSynced(): boolean {
    return this.#synced;
  }

  get size(): number {
    return this.#objects.size;
  }

  synced({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    if (this.#synced) return Promise.resolve();
    if (signal.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      this.#whenSynced.push(() => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      });
    });
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  list(): Iterable<T> {
    return this.#objects.values();
  }

  listNamespace(namespace: string): Iterable<T> {
    this.addIndex(namespaceIndex, (object) => [object.metadata.namespace ?? '']);
    return this.byIndex(namespaceIndex, namespace);
  }

  *byIndex(index: string, value: string): Iterable<T> {
    const found = this.#indexes.get(index);
    if (found === undefined) throw new TypeError(`there is no index called ${index}`);
    for (const key of found.keysOf(value)) {
      const object = this.#objects.get(key);
      if (object !== undefined) yield object;
    }
  }

  addIndex(name: string, values: IndexFunction<T>): void {
    if (this.#indexes.has(name)) return;
    const index = new Index(values);
    for (const [key, object] of this.#objects) index.replace(key, undefined, object);
    this.#indexes.set(name, index);
  }

  addHandler(handler: InformerHandler<T>): void {
    this.#handlers.push(handler);
    for (const object of this.#objects.values()) handler.onAdd?.(object);
    const { resyncMs } = handler;
    if (resyncMs === undefined) return;
    this.onResync(resyncMs, () => {
      for (const object of [...this.#objects.values()]) handler.onUpdate?.(object, object);
    });
  }

  /** The object is there, new or changed. A new uid under an old name is another object. */
  put(object: T): void {
    const key = objectKey(object);
    const old = this.#objects.get(key);
    if (old !== undefined) {
      if (old.metadata.resourceVersion === object.metadata.resourceVersion) return;
      if (old.metadata.uid !== object.metadata.uid) {
        this.drop(key);
        this.put(object);
        return;
      }
    }
    this.#set(key, old, object);
    for (const handler of this.#handlers) {
      if (old === undefined) handler.onAdd?.(object);
      else handler.onUpdate?.(object, old);
    }
  }

  /** The object is gone; `last` is its last state where the server told it. */
  drop(key: string, last?: T): void {
    const old = this.#objects.get(key);
    if (old === undefined) return;
    this.#set(key, old, undefined);
    for (const handler of this.#handlers) handler.onDelete?.(last ?? old);
  }

  /** Exactly these are there: what is missing was deleted while nobody watched. */
  replaceAll(objects: readonly T[]): void {
    const listed = new Set(objects.map(objectKey));
    for (const key of [...this.#objects.keys()]) if (!listed.has(key)) this.drop(key);
    for (const object of objects) this.put(object);
    if (this.#synced) return;
    this.#synced = true;
    const waiting = this.#whenSynced;
    this.#whenSynced = [];
    for (const resolve of waiting) resolve();
  }

  #set(key: string, old: T | undefined, next: T | undefined): void {
    if (next === undefined) this.#objects.delete(key);
    else this.#objects.set(key, next);
    for (const index of this.#indexes.values()) index.replace(key, old, next);
  }
}
