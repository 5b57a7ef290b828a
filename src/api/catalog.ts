/**
 * The kinds that a server serves, looked up by path or by kind; the only registry of descriptors.
 * Kinds can be added and removed while the server runs, as custom resources are.
 */
import type { GroupVersion } from './object.ts';
import type { Resource, ResourceView } from './resource.ts';
import type { Definitions, Schema } from './schema.ts';

export interface Served {
  readonly resource: Resource;
  readonly view: ResourceView;
}

export class Catalog implements Definitions {
  readonly #definitions: Definitions;
  readonly #resources = new Set<Resource>();
  readonly #byPath = new Map<string, Served>();
  readonly #byKind = new Map<string, Served>();
  #generation = 0;

  constructor(resources: readonly Resource[], definitions: Definitions) {
    this.#definitions = definitions;
    for (const resource of resources) this.add(resource);
  }

  /** Grows with each change, so that derived documents know when they are stale. */
  get generation(): number {
    return this.#generation;
  }

  get resources(): Iterable<Resource> {
    return this.#resources;
  }

  get(name: string): Schema | undefined {
    return this.#definitions.get(name);
  }

  add(resource: Resource): void {
    this.#resources.add(resource);
    for (const view of resource.views) {
      const prefix = `${view.group}/${view.version}/`;
      this.#byPath.set(prefix + resource.plural, { resource, view });
      this.#byKind.set(prefix + resource.kind, { resource, view });
    }
    this.#generation += 1;
  }

  remove(resource: Resource): void {
    this.#resources.delete(resource);
    for (const view of resource.views) {
      const prefix = `${view.group}/${view.version}/`;
      this.#byPath.delete(prefix + resource.plural);
      this.#byKind.delete(prefix + resource.kind);
    }
    this.#generation += 1;
  }

  findPlural(at: GroupVersion, plural: string): Served | undefined {
    return this.#byPath.get(`${at.group}/${at.version}/${plural}`);
  }

  findKind(at: GroupVersion, kind: string): Served | undefined {
    return this.#byKind.get(`${at.group}/${at.version}/${kind}`);
  }
}
