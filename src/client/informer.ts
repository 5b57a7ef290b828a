/**
 * An indexed copy of one kind, kept up to date by list and watch; shared by everybody in the same
 * component who asks for the same selection.
 *
 * `indexed-copy.ts` is the copy, `reflector.ts` what keeps it true. Copies carry no managedFields,
 * and only metadata where that was asked for. Handlers put keys on a queue (`#kit/work-queue.ts`),
 * and the loop in `controllers/controller.ts`, next in the walk, takes them from there.
 */

import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import { aborted } from '#kit/aborted.ts';
import { Scope } from '#kit/scope.ts';
import { IndexedCopy } from './indexed-copy.ts';
import { Reflector, type ReflectorDeps } from './reflector.ts';

export interface InformerHandler<T> {
  /** Also called for each object already known when the handler is added. */
  onAdd?(object: T): void;
  onUpdate?(object: T, old: T): void;
  /** The last known state of what is gone. */
  onDelete?(object: T): void;
  /** So often everything that is known is told again as updated, for what depends on time. */
  readonly resyncMs?: number | undefined;
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
  /**
   * Keeps what owners and namespaces are about (name, uid, labels, finalizers, owner references)
   * and nothing else. Where the whole kind is kept anyway, that copy is given.
   */
  readonly metadataOnly?: boolean | undefined;
}

export interface Informers {
  /** One informer for one selection, however often it is asked for. Starts when `run` does. */
  of<T extends KubeObject>(kind: KindOf<T>, options?: InformerOptions): Informer<T>;
  /** Lists and watches all of them (also those asked for later) until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

export type InformersDeps = ReflectorDeps;

export function openInformers(
  deps: InformersDeps,
  /** `freeze` makes every object deeply read-only, so that a test finds who changes one. */
  options: { readonly freeze?: boolean } = {},
): Informers {
  return new SharedInformers(deps, options.freeze ?? false);
}

interface Running {
  readonly copy: IndexedCopy<KubeObject>;
  readonly run: (signal: AbortSignal) => Promise<never>;
}

class SharedInformers implements Informers {
  readonly #deps: InformersDeps;
  readonly #freeze: boolean;
  readonly #bySelection = new Map<string, Running>();
  #scope: Scope | undefined;
  /** Of handlers that were added before everything began to run. */
  #resyncs: ((signal: AbortSignal) => Promise<void>)[] = [];

  constructor(deps: InformersDeps, freeze: boolean) {
    this.#deps = deps;
    this.#freeze = freeze;
  }

  of<T extends KubeObject>(kind: KindOf<T>, options: InformerOptions = {}): Informer<T> {
    const { namespace = '', labelSelector = '', fieldSelector = '', metadataOnly } = options;
    const name = `${kind.group}/${kind.plural}?${namespace}&${labelSelector}&${fieldSelector}`;
    const whole = this.#bySelection.get(name);
    const key = metadataOnly && whole === undefined ? `${name}&metadata` : name;
    let found = this.#bySelection.get(key);
    if (found === undefined) {
      found = this.#make(kind, options);
      this.#bySelection.set(key, found);
      this.#scope?.spawn(found.run);
    }
    // The key names the kind, and each kind constant carries its own type.
    return found.copy as Informer<KubeObject> as Informer<T>;
  }

  async run(signal: AbortSignal): Promise<void> {
    const scope = new Scope(signal);
    this.#scope = scope;
    for (const { run } of this.#bySelection.values()) scope.spawn(run);
    for (const again of this.#resyncs.splice(0)) scope.spawn(again);
    await aborted(scope.signal);
    await scope.join();
  }

  #make(kind: KindOf<KubeObject>, options: InformerOptions): Running {
    const copy = new IndexedCopy<KubeObject>();
    const only = options.metadataOnly ? metadataOnly : withoutManagedFields;
    const shrink = this.#freeze ? (object: KubeObject) => deeplyFrozen(only(object)) : only;
    const reflector = new Reflector(this.#deps, kind, options, { copy, shrink });
    copy.onResync = (resyncMs, tell) => {
      const again = async (signal: AbortSignal): Promise<void> => {
        for (;;) {
          await this.#deps.clock.sleep(resyncMs, { signal });
          tell();
        }
      };
      if (this.#scope === undefined) this.#resyncs.push(again);
      else this.#scope.spawn(again);
    };
    return { copy, run: (signal) => reflector.run(signal) };
  }
}

function withoutManagedFields(object: KubeObject): KubeObject {
  if (object.metadata.managedFields === undefined) return object;
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}

function metadataOnly({ apiVersion, kind, metadata }: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, labels } = metadata;
  const { deletionTimestamp, finalizers, ownerReferences } = metadata;
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      namespace,
      uid,
      resourceVersion,
      labels,
      deletionTimestamp,
      finalizers,
      ownerReferences,
    },
  };
}

function deeplyFrozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) deeplyFrozen(inner);
  return Object.freeze(value);
}
