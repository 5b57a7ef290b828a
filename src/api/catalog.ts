/**
 * The kinds that a server serves, looked up by path or by kind; the only registry of descriptors.
 * Kinds can be added and removed while the server runs, as custom resources are. Versions that were
 * switched off are known, for what is stored in them, but not served.
 */
import type { GroupVersion } from './object.ts';
import type { Resource, ResourceView } from './resource.ts';
import { everythingEnabled, isEnabled, type RuntimeConfig } from './runtime-config.ts';
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
  readonly #off = new Set<ResourceView>();
  #enabled = everythingEnabled;
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

  /** From now on only what is enabled is served; the rest is still known. */
  restrict(enabled: RuntimeConfig): void {
    this.#enabled = enabled;
    this.#off.clear();
    for (const resource of this.#resources) this.#switch(resource);
    this.#generation += 1;
  }

  add(resource: Resource): void {
    this.#resources.add(resource);
    this.#switch(resource);
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

  /** What answers to a path. */
  findServed(at: GroupVersion, plural: string): Served | undefined {
    const found = this.findPlural(at, plural);
    return found === undefined || this.#off.has(found.view) ? undefined : found;
  }

  /** Whether this version of the kind is served. */
  serves(view: ResourceView): boolean {
    return !this.#off.has(view);
  }

  /** The same of what is no kind: reviews. */
  answers(at: GroupVersion, plural: string): boolean {
    return isEnabled(this.#enabled, at, { plural, isLegacy: false });
  }

  /** What is known, served or not. */
  findPlural(at: GroupVersion, plural: string): Served | undefined {
    return this.#byPath.get(`${at.group}/${at.version}/${plural}`);
  }

  findKind(at: GroupVersion, kind: string): Served | undefined {
    return this.#byKind.get(`${at.group}/${at.version}/${kind}`);
  }

  #switch({ plural, views }: Resource): void {
    for (const view of views) {
      const isLegacy = view.legacy === true;
      if (!isEnabled(this.#enabled, view, { plural, isLegacy })) this.#off.add(view);
    }
  }
}
