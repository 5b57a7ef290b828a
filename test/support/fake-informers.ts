/**
 * Informers that a test fills by hand: `put` and `remove` tell the handlers at once, as a watch
 * would. For components that only read the API (proxy, DNS).
 */
import type { KindOf } from '#api/kind-of.ts';
import { type KubeObject, objectKey } from '#api/object.ts';
import type { Informer, InformerHandler, Informers } from '#client';

export class FakeInformers implements Informers {
  readonly #byPlural = new Map<string, FakeInformer<KubeObject>>();
  #finished = false;

  of<T extends KubeObject>(kind: KindOf<T>): Informer<T> {
    // Each plural is only asked for with its own type.
    return this.#informer(kind.plural) as unknown as Informer<T>;
  }

  put<T extends KubeObject>(kind: Pick<KindOf<T>, 'plural'>, object: T): void {
    this.#informer(kind.plural).put(object);
  }

  remove(kind: { readonly plural: string }, key: string): void {
    this.#informer(kind.plural).remove(key);
  }

  /** From now on the first list counts as delivered, also of kinds that are asked for later. */
  finishList(): void {
    this.#finished = true;
    for (const informer of this.#byPlural.values()) informer.finishList();
  }

  run(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
  }

  #informer(plural: string): FakeInformer<KubeObject> {
    const known = this.#byPlural.get(plural);
    if (known !== undefined) return known;
    const fresh = new FakeInformer();
    if (this.#finished) fresh.finishList();
    this.#byPlural.set(plural, fresh);
    return fresh;
  }
}

class FakeInformer<T extends KubeObject> implements Informer<T> {
  readonly #objects = new Map<string, T>();
  readonly #handlers: InformerHandler<T>[] = [];
  readonly #indexes = new Map<string, FakeIndex<T>>();
  readonly #synced = Promise.withResolvers<void>();
  hasSynced = false;

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  list(): Iterable<T> {
    return this.#objects.values();
  }

  *listNamespace(namespace: string): Iterable<T> {
    for (const object of this.#objects.values()) {
      if (object.metadata.namespace === namespace) yield object;
    }
  }

  byIndex(index: string, value: string): Iterable<T> {
    const found = this.#indexes.get(index);
    if (found === undefined) throw new Error(`there is no index ${index}`);
    return found.byValue.get(value) ?? [];
  }

  addIndex(name: string, values: (object: T) => readonly string[]): void {
    if (this.#indexes.has(name)) return;
    const index: FakeIndex<T> = { values, byValue: new Map() };
    this.#indexes.set(name, index);
    for (const object of this.#objects.values()) enter(index, object);
  }

  addHandler(handler: InformerHandler<T>): void {
    this.#handlers.push(handler);
    for (const object of this.#objects.values()) handler.onAdd?.(object);
  }

  synced(): Promise<void> {
    return this.#synced.promise;
  }

  finishList(): void {
    this.hasSynced = true;
    this.#synced.resolve();
  }

  put(object: T): void {
    const key = objectKey(object);
    const old = this.#objects.get(key);
    this.#objects.set(key, object);
    for (const index of this.#indexes.values()) {
      if (old !== undefined) leave(index, old);
      enter(index, object);
    }
    for (const handler of this.#handlers) {
      if (old === undefined) handler.onAdd?.(object);
      else handler.onUpdate?.(object, old);
    }
  }

  remove(key: string): void {
    const old = this.#objects.get(key);
    if (old === undefined) return;
    this.#objects.delete(key);
    for (const index of this.#indexes.values()) leave(index, old);
    for (const handler of this.#handlers) handler.onDelete?.(old);
  }
}

interface FakeIndex<T> {
  readonly values: (object: T) => readonly string[];
  readonly byValue: Map<string, Set<T>>;
}

function enter<T>({ values, byValue }: FakeIndex<T>, object: T): void {
  for (const value of values(object)) {
    const same = byValue.get(value) ?? new Set();
    same.add(object);
    byValue.set(value, same);
  }
}

function leave<T>({ values, byValue }: FakeIndex<T>, object: T): void {
  for (const value of values(object)) byValue.get(value)?.delete(object);
}
