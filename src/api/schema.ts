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
}

/** Finds definitions by name. */
export interface Definitions {
  get(name: string): Schema | undefined;
}
