/**
 * What the cluster's objects really are: every commit of the store, in its order, and nothing that
 * a component believes. Workload, checkers and the question whether all has settled share it.
 *
 * Events and Leases are left out: nobody's work depends on what they say, and they are many.
 */
import { controllerOf, type KubeObject } from '#api/object.ts';
import type { WorldEvent } from './trace.ts';

export class Truth {
  /** Kind → uid → object. */
  readonly #kinds = new Map<string, Map<string, KubeObject>>();
  readonly #byNamespace = new Map<string, number>();

  /** Gives what was there before. */
  see(event: Extract<WorldEvent, { readonly what: 'put' | 'delete' }>): KubeObject | undefined {
    const { what, object } = event;
    if (object.kind === 'Event' || object.kind === 'Lease') return undefined;
    const { uid = '', namespace = '' } = object.metadata;
    const objects = this.#kinds.get(object.kind) ?? new Map<string, KubeObject>();
    this.#kinds.set(object.kind, objects);
    const before = objects.get(uid);
    if (what === 'put') objects.set(uid, object);
    else objects.delete(uid);
    const more = (what === 'put' ? 1 : 0) - (before === undefined ? 0 : 1);
    this.#byNamespace.set(namespace, (this.#byNamespace.get(namespace) ?? 0) + more);
    return before;
  }

  /** The kind says the type of what the store holds. */
  *of<T extends KubeObject>(kind: T['kind'], namespace?: string): Generator<T> {
    for (const object of this.#kinds.get(kind)?.values() ?? []) {
      if (namespace === undefined || object.metadata.namespace === namespace) yield object as T;
    }
  }

  get<T extends KubeObject>(kind: T['kind'], uid: string | undefined): T | undefined {
    return this.#kinds.get(kind)?.get(uid ?? '') as T | undefined;
  }

  find<T extends KubeObject>(kind: T['kind'], name: string, namespace?: string): T | undefined {
    for (const object of this.of<T>(kind, namespace)) {
      if (object.metadata.name === name) return object;
    }
    return undefined;
  }

  *ownedBy<T extends KubeObject>(kind: T['kind'], owner: string | undefined): Generator<T> {
    for (const object of this.of<T>(kind)) if (controllerOf(object)?.uid === owner) yield object;
  }

  has(uid: string): boolean {
    return this.byUid(uid) !== undefined;
  }

  byUid(uid: string): KubeObject | undefined {
    for (const objects of this.#kinds.values()) {
      const found = objects.get(uid);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  countIn(namespace: string): number {
    return this.#byNamespace.get(namespace) ?? 0;
  }

  *all(): Generator<KubeObject> {
    for (const objects of this.#kinds.values()) yield* objects.values();
  }
}
