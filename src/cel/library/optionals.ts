/**
 * Values that may be missing: `optional.of(x)`, `map.?key.orValue(0)`.
 *
 * Selection is in `selection.ts`; `or` and `orValue` look at their argument only where it is
 * needed, in `planner.ts`.
 *
 * Behaviour: cel-go, "OptionalTypes".
 */
import type { Library } from '../functions.ts';
import {
  CelError,
  type CelValue,
  Duration,
  isList,
  MapValue,
  noSuchOverload,
  Optional,
  Timestamp,
  Uint,
} from '../values.ts';

const planned = (): never => {
  throw new CelError(noSuchOverload);
};

export const optionalLibrary: Library = {
  'optional_of: optional.of(V) -> optional(V)': (value: CelValue) => new Optional(value),
  'optional_ofNonZeroValue: optional.ofNonZeroValue(V) -> optional(V)': (value: CelValue) =>
    isZero(value) ? Optional.none : new Optional(value),
  'optional_none: optional.none() -> optional(V)': () => Optional.none,
  'optional_value: optional(V)::value() -> V': ({ value }: Optional) => {
    if (value === undefined) throw new CelError('optional.none() dereference');
    return value;
  },
  'optional_hasValue: optional(V)::hasValue() -> bool': ({ value }: Optional) =>
    value !== undefined,
  'optional_or_optional: optional(V)::or(optional(V)) -> optional(V)': planned,
  'optional_orValue_value: optional(V)::orValue(V) -> V': planned,
  'select_optional_field: _?._(dyn, string) -> optional(V)': planned,
  'list_optindex_optional_int: _[?_](list(V), int) -> optional(V)': planned,
  'optional_list_optindex_optional_int: _[?_](optional(list(V)), int) -> optional(V)': planned,
  'map_optindex_optional_value: _[?_](map(K, V), K) -> optional(V)': planned,
  'optional_map_optindex_optional_value: _[?_](optional(map(K, V)), K) -> optional(V)': planned,
  'optional_list_index_int: _[_](optional(list(V)), int) -> optional(V)': planned,
  'optional_map_index_value: _[_](optional(map(K, V)), K) -> optional(V)': planned,
  'list_first: list(V)::first() -> optional(V)': ([first]: readonly CelValue[]) =>
    first === undefined ? Optional.none : new Optional(first),
  'list_last: list(V)::last() -> optional(V)': (list: readonly CelValue[]) => {
    const last = list.at(-1);
    return last === undefined ? Optional.none : new Optional(last);
  },
  'optional_unwrap: optional.unwrap(list(optional(V))) -> list(V)': unwrap,
  'optional_unwrapOpt: list(optional(V))::unwrapOpt() -> list(V)': unwrap,
};

function unwrap(list: readonly CelValue[]): readonly CelValue[] {
  return list.flatMap((one) => {
    if (!(one instanceof Optional)) throw new CelError(`value ${String(one)} is not optional`);
    return one.value === undefined ? [] : [one.value];
  });
}

function isZero(value: CelValue): boolean {
  if (value === null || value === false || value === 0n || value === 0 || value === '') return true;
  if (value instanceof Uint) return value.value === 0n;
  if (value instanceof Duration) return value.nanos === 0n;
  if (value instanceof Timestamp) return false;
  if (value instanceof Uint8Array || isList(value)) return value.length === 0;
  return value instanceof MapValue && value.size === 0;
}
