/**
 * One kind = one descriptor: everything particular to a kind, and nothing else anywhere.
 *
 * A descriptor has one hub shape (the storage version's, plus whatever other versions need to
 * keep) and serves n views of it, one for each (group, version). Routes, discovery, OpenAPI, Table
 * output, patch semantics and the typed client derive from it. Custom resources become descriptors
 * at run time (`Catalog.add`) and then take the very same path.
 */
import type { Identity } from '#kit/transport.ts';
import type { FieldError } from './field-error.ts';
import type { NameRule } from './names.ts';
import type { GroupVersion, KubeObject } from './object.ts';
import type { Schema } from './schema.ts';

/** Facts of the request that defaulting and validation may need; no I/O. */
export interface WriteContext {
  /** RFC 3339, whole seconds. */
  readonly now: string;
  readonly user: string;
  /** All that is known of the user; kinds that record who asked need it. */
  readonly requester?: Identity;
  /** A random suffix, hash seed and the like come from here. */
  readonly random: { integer(below: number): number };
}

/** One served (group, version) of a kind. */
export interface ResourceView<Hub extends KubeObject = KubeObject> {
  readonly group: string;
  readonly version: string;
  /** Name of the definition in OpenAPI, as `io.k8s.api.apps.v1.Deployment`. */
  readonly definition: string;
  /** The object's schema; `ref`s are looked up in the catalog's definitions. */
  readonly schema: Schema;
  /** Fills in this version's defaults, on the version's own shape. Returns a new object. */
  readonly setDefaults: (object: KubeObject, context: WriteContext) => KubeObject;
  /** Absent where the view has the hub's shape. */
  readonly toHub?: ((object: KubeObject) => Hub) | undefined;
  readonly fromHub?: ((hub: Hub) => KubeObject) | undefined;
  /** Not in discovery unless legacy versions are switched on (`--runtime-config=api/legacy`). */
  readonly legacy?: boolean | undefined;
}

export interface Column<Hub extends KubeObject = KubeObject> {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  readonly format?: 'name';
  readonly description: string;
  /** 0: always shown; 1: only with `-o wide`. */
  readonly priority: 0 | 1;
  /** Ages and the like are computed from `nowMs`. */
  readonly cell: (hub: Hub, nowMs: number) => Cell;
  /** The same of a cell that changes with time, for who does not keep the object. */
  readonly at?: (hub: Hub) => (nowMs: number) => Cell;
}

export type Cell = string | number | boolean | null;

export interface ScaleBinding<Hub extends KubeObject = KubeObject> {
  readonly specReplicas: (hub: Hub) => number;
  readonly statusReplicas: (hub: Hub) => number;
  /** Serialised label selector, as `status.selector` of autoscaling/v1 Scale. */
  readonly selector: (hub: Hub) => string;
  readonly withReplicas: (hub: Hub, replicas: number) => Hub;
}

export interface Resource<Hub extends KubeObject = KubeObject> {
  readonly kind: string;
  /** Lower-case plural, as in paths: `deployments`. */
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  /** Whether items of its lists carry kind and apiVersion, as those of custom resources do. */
  readonly itemsNameTheirKind?: boolean | undefined;
  /** Upstream's key in etcd below `/registry/`: `deployments`, `services/specs`, `minions`. */
  readonly storagePrefix: string;
  /** The first is the storage version; the order is the order of preference within a group. */
  readonly views: readonly ResourceView<Hub>[];
  /** Standard verbs served; default: all of them. */
  readonly verbs?: readonly Verb[] | undefined;
  /** Where the kind has a `status` sub-resource; then plain writes keep the old status. */
  readonly hasStatus: boolean;
  readonly scale?: ScaleBinding<Hub> | undefined;
  /** Drops what a creator may not set (status, generated fields) and sets what the server sets. */
  readonly prepareForCreate?: ((hub: Hub, context: WriteContext) => Hub) | undefined;
  /** The same for an update through the main resource. `old` is what is stored. */
  readonly prepareForUpdate?: ((next: Hub, old: Hub, context: WriteContext) => Hub) | undefined;
  /** The same for an update through `status`: keep everything but the status from `old`. */
  readonly prepareForStatusUpdate?:
    | ((next: Hub, old: Hub, context: WriteContext) => Hub)
    | undefined;
  /**
   * Whether the two differ in what `metadata.generation` counts. Default: anything outside
   * metadata and status. Kinds without a generation answer false.
   */
  readonly specChanged?: ((next: Hub, old: Hub) => boolean) | undefined;
  /** Errors with upstream's field paths and texts; metadata is validated by the server itself. */
  readonly validate: (hub: Hub, asked?: GroupVersion) => readonly FieldError[];
  /** What only a new object must be; `asked` is the version that the request names. */
  readonly validateNew?: ((hub: Hub, asked: GroupVersion) => readonly FieldError[]) | undefined;
  /**
   * An update is judged by `validateUpdate` alone: what may not change at all is not judged again.
   * Default false.
   */
  readonly updateJudgedAlone?: boolean | undefined;
  readonly validateUpdate?:
    | ((next: Hub, old: Hub, asked?: GroupVersion) => readonly FieldError[])
    | undefined;
  readonly validateStatusUpdate?: ((next: Hub, old: Hub) => readonly FieldError[]) | undefined;
  /**
   * Sub-resources that show the whole object and change one part of it: `pods/ephemeralcontainers`,
   * `pods/resize`.
   */
  readonly partialUpdates?: Readonly<Record<string, PartialUpdate<Hub>>> | undefined;
  /**
   * The prepared object as its writer is held to have written it, where preparing hides a change
   * that the writer comes to own. `given` is what was written.
   */
  readonly asWritten?: ((prepared: Hub, given: Hub, subresource: string) => Hub) | undefined;
  /** Parts of a write to the object itself that nobody comes to own: upstream resets them. */
  readonly unowned?: readonly string[];
  /** The same of a write to the status: members of the status. */
  readonly unownedStatus?: readonly string[];
  /**
   * Which checks of metadata the kind makes once more when an object is updated: of the whole, and
   * of what may not change. Default: both. Clients see an error as often as it was found.
   */
  readonly metadataRechecked?: 'whole and change' | 'change' | 'whole' | 'never';
  /** How `metadata.name` must look; default `subdomain` (DNS-1123 subdomain). */
  readonly nameRule?: NameRule | undefined;
  readonly columns: readonly Column<Hub>[];
  /** Fields usable in field selectors besides metadata.name and metadata.namespace. */
  readonly selectableFields?: Readonly<Record<string, (hub: Hub) => string>> | undefined;
  /** Seconds of grace that a delete gives when the request says nothing; absent: none (at once). */
  readonly gracePeriodSeconds?: ((hub: Hub) => number | undefined) | undefined;
  /** What a client is told whose delete says nothing of dependants. */
  readonly deleteWarning?: string | undefined;
  /**
   * What happens to dependants when a delete says nothing; default background. With none, objects
   * have no dependants, and what a delete says of them is not heard.
   */
  readonly defaultPropagation?: ('background' | 'orphan' | 'foreground' | 'none') | undefined;
  /** Milliseconds after which a stored object disappears by itself (Events). */
  readonly ttlMs?: number | undefined;
  /** May an update come without a resourceVersion? Default true. */
  readonly allowUnconditionalUpdate?: boolean | undefined;
  /** May PUT create the object? Default false. */
  readonly allowCreateOnUpdate?: boolean | undefined;
  /** Warnings for the client (`Warning: 299 - …`), on the hub shape. */
  readonly warnings?: ((hub: Hub, old: Hub | undefined) => readonly string[]) | undefined;
}

/** In order, as discovery lists them. */
export const standardVerbs = [
  'create',
  'delete',
  'deletecollection',
  'get',
  'list',
  'patch',
  'update',
  'watch',
] as const;

export type Verb = (typeof standardVerbs)[number];

/** An update through a sub-resource that changes one part of the object. */
export interface PartialUpdate<Hub extends KubeObject = KubeObject> {
  /** `old` with that part of `next`. */
  readonly prepare: (next: Hub, old: Hub, context: WriteContext) => Hub;
  readonly validate: (next: Hub, old: Hub) => readonly FieldError[];
}

/** Declares a kind; exists so that the compiler checks callbacks against the kind's type. */
export function defineResource<Hub extends KubeObject>(resource: Resource<Hub>): Resource {
  // The catalog handles kinds without knowing their types; only the kind's own views produce hubs.
  return resource as unknown as Resource;
}
