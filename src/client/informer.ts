/**
 * An indexed copy of one kind, kept up to date by list and watch; shared by everybody in the same
 * component who asks for the same selection.
 */
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';

export interface InformerHandler<T> {
  /** Also called for each object already known when the handler is added. */
  onAdd?(object: T): void;
  onUpdate?(object: T, old: T): void;
  /** The last known state of what is gone. */
  onDelete?(object: T): void;
}

/** A read-only, indexed view. Objects are shared and must never be changed. */
export interface Informer<T extends KubeObject> {
  /** By `namespace/name` or `name`. */
  get(key: string): T | undefined;
  list(): Iterable<T>;
  listNamespace(namespace: string): Iterable<T>;
  /** Objects for which the index function of this name gave this value. */
  byIndex(index: string, value: string): Iterable<T>;
  /** Adding the same name twice keeps the first function. */
  addIndex(name: string, values: (object: T) => readonly string[]): void;
  addHandler(handler: InformerHandler<T>): void;
  /** The first list has been delivered to the handlers. */
  readonly hasSynced: boolean;
  synced(options: { readonly signal: AbortSignal }): Promise<void>;
}

export interface InformerOptions {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

export interface Informers {
  /** One informer for one selection, however often it is asked for. Starts when `run` does. */
  of<T extends KubeObject>(kind: KindOf<T>, options?: InformerOptions): Informer<T>;
  /** Lists and watches all of them (also those asked for later) until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}
