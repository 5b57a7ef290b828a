/**
 * The schema of a value, in the few words that decoding, patching, printing and documenting need.
 *
 * Definitions come from `resources/openapi/` (generated facts); `ref` names another definition.
 * Objects have `fields` (known names) or `values` (a map of one type) or are `opaque`.
 */
export interface Schema {
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean' | undefined;
  /** `int32`, `int64`, `double`, `byte`, `date-time`, `micro-time`, `quantity`, `int-or-string`. */
  readonly format?: string | undefined;
  /** Name of the definition that stands here, as `io.k8s.api.core.v1.PodSpec`. */
  readonly ref?: string | undefined;
  readonly fields?: Readonly<Record<string, Schema>> | undefined;
  readonly values?: Schema | undefined;
  readonly items?: Schema | undefined;
  readonly required?: readonly string[] | undefined;
  /** Kept as it comes. */
  readonly opaque?: boolean | undefined;
  readonly listType?: 'atomic' | 'set' | 'map' | undefined;
  readonly listMapKeys?: readonly string[] | undefined;
  readonly mapType?: 'atomic' | 'granular' | undefined;
  readonly patchMergeKey?: string | undefined;
  /** `merge`, `replace`, `retainKeys`, comma-separated. */
  readonly patchStrategy?: string | undefined;
  readonly wire?: WireFacts | undefined;
}

/**
 * How upstream writes a type's fields that were not given or are empty, by the tags of its source.
 * Facts, since published schemas do not say it.
 */
export interface WireFacts {
  /** Objects that are always there, if empty. */
  readonly struct?: readonly string[];
  /** Values that are there also where they are zero. */
  readonly zero?: readonly string[];
  /** What decoding puts where nothing was given: these, and lists that are required. */
  readonly filled?: readonly string[];
  /** Shown as null where there is nothing. */
  readonly null?: readonly string[];
  /** Lists and the like that upstream's empty object has, as null, and that we leave out. */
  readonly known?: readonly string[];
  /** Names of types in upstream's source, where they are more than a text: `v1.Protocol`. */
  readonly types?: Readonly<Record<string, string>>;
  /** Fields that upstream's source keeps in a part of the type, which its errors name. */
  readonly inline?: Readonly<Record<string, string>>;
  /** Values that are left out where they are zero. */
  readonly drop?: readonly string[];
}

/** Finds definitions by name. */
export interface Definitions {
  get(name: string): Schema | undefined;
}
