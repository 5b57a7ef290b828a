/**
 * Objects ↔ keys and bytes. An object is encoded once, when it is written.
 *
 * A stored value is the JSON of the storage version without `metadata.resourceVersion`, and always
 * begins `{"kind":K,"apiVersion":V,"metadata":{`. To show it, that known prefix is exchanged for
 * the prefix of the wanted version and `"resourceVersion":"N",` is put behind it: no parsing, no
 * second encoding. Only versions of another shape (`fromHub`), selectors and tables look inside.
 *
 * Keys are upstream's: `/registry/<storagePrefix>/[namespace/]name`.
 * Verbs call this; below it, and next in the walk, is only the store.
 */
import type { Catalog, Served } from '#api/catalog.ts';
import { formatGroupVersion, type KubeObject } from '#api/object.ts';
import type { Resource, ResourceView } from '#api/resource.ts';
import { assert, present } from '#kit/assert.ts';
import type { Entry, Store } from '#store';

export const registryRoot = '/registry/';

export function keyOf(resource: Resource, namespace: string, name: string): string {
  if (!resource.namespaced) return `${registryRoot}${resource.storagePrefix}/${name}`;
  return `${registryRoot}${resource.storagePrefix}/${namespace}/${name}`;
}

/** Prefix of all keys of a kind, or of those in one namespace. */
export function prefixOf(resource: Resource, namespace: string): string {
  const base = `${registryRoot}${resource.storagePrefix}/`;
  return namespace === '' || !resource.namespaced ? base : `${base}${namespace}/`;
}

/** What a key names, below the kind's prefix. */
export function parseKey(
  resource: Resource,
  key: string,
): { readonly namespace: string; readonly name: string } {
  const rest = key.slice(registryRoot.length + resource.storagePrefix.length + 1);
  const slash = rest.indexOf('/');
  if (!resource.namespaced || slash < 0) return { namespace: '', name: rest };
  return { namespace: rest.slice(0, slash), name: rest.slice(slash + 1) };
}

export function storageView(resource: Resource): ResourceView {
  return present(resource.views[0], 'a resource has at least one view');
}

/** How the JSON of an object in this view begins, up to the content of `metadata`. ASCII only. */
function headOf(resource: Resource, view: ResourceView): string {
  return `{"kind":"${resource.kind}","apiVersion":"${formatGroupVersion(view)}","metadata":{`;
}

/** Where the content of `metadata` begins in what is stored. */
export function metadataStart(resource: Resource): number {
  return headOf(resource, storageView(resource)).length;
}

/** The stored form of an object on the hub shape. */
export function encodeStored(resource: Resource, hub: KubeObject): Uint8Array {
  assert(hub.metadata.name !== undefined, 'a stored object has a name');
  const text = storedText(resource, hub);
  // Memory of its own, as the store keeps it.
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  bytes.write(text);
  return bytes;
}

function storedText(resource: Resource, hub: KubeObject): string {
  const view = storageView(resource);
  // A new object is in order already, as `hubObject` makes it.
  if (hub.metadata.resourceVersion === undefined) {
    const text = JSON.stringify(hub);
    if (text.startsWith(headOf(resource, view))) return text;
  }
  const { kind: _kind, apiVersion: _version, metadata, ...rest } = hub;
  const { resourceVersion: _revision, ...meta } = metadata;
  return JSON.stringify({
    kind: resource.kind,
    apiVersion: formatGroupVersion(view),
    metadata: meta,
    ...rest,
  });
}

/**
 * The object on the hub shape, with its resourceVersion. A fresh copy that the caller may change.
 */
export function decodeStored(value: Uint8Array, revision: number): KubeObject {
  // Parse boundary: what is stored was validated when it was written.
  const object = JSON.parse(textOf(value)) as KubeObject & {
    metadata: { resourceVersion?: string };
  };
  object.metadata.resourceVersion = String(revision);
  return object;
}

/** As what the caller knows the key to hold: what is stored has the shape of its kind. */
export function decodeEntry<T extends KubeObject = KubeObject>(entry: Entry): T {
  // Parse boundary: what is stored was validated when it was written.
  return decodeStored(entry.value, entry.revision) as T;
}

/** The object under a key, which is said without the root: `minions/one`. */
export function storedObject<T extends KubeObject = KubeObject>(
  store: Pick<Store, 'get'>,
  key: string,
): T | undefined {
  const entry = store.get(registryRoot + key);
  return entry === undefined ? undefined : decodeEntry<T>(entry);
}

/** All objects below a prefix, said in the same way, in the order of their keys. */
export function storedObjects<T extends KubeObject = KubeObject>(
  store: Pick<Store, 'list'>,
  prefix: string,
): readonly T[] {
  const { entries } = store.list({ prefix: registryRoot + prefix });
  return entries.map((entry) => decodeEntry<T>(entry));
}

/** Whether the bytes hold a text: what tells, most often, that there is no need to decode them. */
export function mentions(value: Uint8Array, text: Uint8Array): boolean {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).includes(text);
}

/** The bytes of one object as the view shows it. */
export function encodeView(served: Served, value: Uint8Array, revision: number): Uint8Array {
  const { resource, view } = served;
  if (view.fromHub !== undefined) {
    return Buffer.from(JSON.stringify(viewObject(served, decodeStored(value, revision))));
  }
  const before = metadataStart(resource);
  const head = `${headOf(resource, view)}"resourceVersion":"${revision}",`;
  const bytes = Buffer.allocUnsafe(head.length + value.length - before);
  bytes.write(head, 0, 'latin1');
  bytes.set(value.subarray(before), head.length);
  return bytes;
}

/**
 * Adds the bytes of one object in a list of its kind to others, as pieces of which the larger is
 * the stored value itself. The list says kind and version for all, so that typed items go without;
 * those of custom resources have them all the same.
 */
export type ItemWriter = (entry: Entry, pieces: Uint8Array[]) => void;

export function itemWriter(served: Served): ItemWriter {
  const { resource, view } = served;
  const named = resource.itemsNameTheirKind === true;
  if (view.fromHub !== undefined) {
    return ({ value, revision }, pieces) => {
      const shown = viewObject(served, decodeStored(value, revision));
      const { kind: _kind, apiVersion: _version, ...item } = shown;
      pieces.push(Buffer.from(JSON.stringify(named ? shown : item)));
    };
  }
  const before = metadataStart(resource);
  const head = named ? headOf(resource, view) : '{"metadata":{';
  return ({ value, revision }, pieces) => {
    pieces.push(
      Buffer.from(`${head}"resourceVersion":"${revision}",`, 'latin1'),
      value.subarray(before),
    );
  };
}

/** The object as the view shows it. */
export function viewObject(served: Served, hub: KubeObject): KubeObject {
  const shown = served.view.fromHub === undefined ? hub : served.view.fromHub(hub);
  const { kind: _kind, apiVersion: _version, metadata, ...rest } = shown;
  return {
    kind: served.resource.kind,
    apiVersion: formatGroupVersion(served.view),
    metadata,
    ...rest,
  };
}

/** An object of the view as the kind's hub shape. */
export function hubObject(served: Served, object: KubeObject): KubeObject {
  const hub = served.view.toHub === undefined ? object : served.view.toHub(object);
  const { kind: _kind, apiVersion: _version, metadata, ...rest } = hub;
  return {
    kind: served.resource.kind,
    apiVersion: formatGroupVersion(storageView(served.resource)),
    metadata,
    ...rest,
  };
}

/** What upstream's errors call its own form of a kind: `core.Secret`. */
export function internalName({ resource }: Served): string {
  const group = resource.views[0]?.group ?? '';
  return `${group === '' ? 'core' : group.split('.')[0]}.${resource.kind}`;
}

/** Finds the kind that a key belongs to. Follows the catalog as kinds come and go. */
export class KeyIndex {
  readonly #catalog: Catalog;
  #generation = -1;
  #byPrefix = new Map<string, Resource>();

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  resourceOf(key: string): Resource | undefined {
    if (this.#generation !== this.#catalog.generation) this.#rebuild();
    const first = key.indexOf('/', registryRoot.length);
    if (first < 0) return undefined;
    const one = this.#byPrefix.get(key.slice(registryRoot.length, first));
    if (one !== undefined) return one;
    const second = key.indexOf('/', first + 1);
    if (second < 0) return undefined;
    return this.#byPrefix.get(key.slice(registryRoot.length, second));
  }

  #rebuild(): void {
    this.#byPrefix = new Map();
    for (const resource of this.#catalog.resources) {
      this.#byPrefix.set(resource.storagePrefix, resource);
    }
    this.#generation = this.#catalog.generation;
  }
}

export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}
