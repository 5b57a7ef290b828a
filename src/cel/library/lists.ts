/**
 * Lists and sets: sums, extremes, order, parts, and lists as sets of values.
 *
 * Behaviour: kubernetes.io, "Common Expression Language", list functions; cel-go, extensions
 * "Lists" version 3 and "Sets".
 */
import { callFirst, declare, type Library } from '../functions.ts';
import {
  CelError,
  CelMap,
  type CelValue,
  compare,
  Duration,
  equal,
  isList,
  type MapValue,
  noSuchOverload,
  sizeOf,
  typeName,
  Uint,
} from '../values.ts';
import { standardLibrary } from './standard.ts';

type List = readonly CelValue[];

/** Elements of a range that is made at once. */
const rangeMax = 1_000_000n;

const ordered = ['int', 'uint', 'double', 'bool', 'string', 'bytes', 'duration', 'timestamp'];
const summed: Readonly<Record<string, CelValue>> = {
  int: 0n,
  uint: new Uint(0n),
  double: 0,
  duration: new Duration(0n),
};
const plus = declare(
  Object.fromEntries(Object.entries(standardLibrary).filter(([text]) => text.startsWith('add_'))),
).get('_+_');

export const listsLibrary: Library = {
  ...Object.fromEntries(
    ordered.flatMap((type) => [
      [`list_${type}_is_sorted_bool: list(${type})::isSorted() -> bool`, isSorted],
      [
        `list_${type}_max_${type}: list(${type})::max() -> ${type}`,
        (list: List) => extreme(list, 1),
      ],
      [
        `list_${type}_min_${type}: list(${type})::min() -> ${type}`,
        (list: List) => extreme(list, -1),
      ],
      [
        `list_${type}_sort: list(${type})::sort() -> list(${type})`,
        (list: List) => sortBy(list, list),
      ],
      [
        `list_${type}_sortByAssociatedKeys: list(T)::@sortByAssociatedKeys(list(${type})) -> list(T)`,
        sortBy,
      ],
    ]),
  ),
  ...Object.fromEntries(
    Object.entries(summed).map(([type, zero]) => [
      `list_${type}_sum_${type}: list(${type})::sum() -> ${type}`,
      (list: List) => list.reduce<CelValue>((sum, one) => callFirst(plus ?? [], [sum, one]), zero),
    ]),
  ),
  'list_a_index_of_int: list(A)::indexOf(A) -> int': (list: List, value: CelValue) =>
    BigInt(list.findIndex((one) => equal(one, value))),
  'list_a_last_index_of_int: list(A)::lastIndexOf(A) -> int': (list: List, value: CelValue) =>
    BigInt(list.findLastIndex((one) => equal(one, value))),
  'list_slice: list(T)::slice(int, int) -> list(T)': slice,
  'list_flatten: list(list(T))::flatten() -> list(T)': (list: List) => flatten(list, 1n),
  'list_flatten_int: list(dyn)::flatten(int) -> list(dyn)': flatten,
  'lists_range: lists.range(int) -> list(int)': (count: bigint) => {
    if (count > rangeMax) throw new CelError(`range of ${count} is too long`);
    return Array.from({ length: Math.max(0, Number(count)) }, (_, index) => BigInt(index));
  },
  'list_reverse: list(T)::reverse() -> list(T)': (list: List) => list.toReversed(),
  'list_distinct: list(T)::distinct() -> list(T)': distinct,
  'list_sets_contains_list: sets.contains(list(T), list(T)) -> bool': containsAll,
  'list_sets_equivalent_list: sets.equivalent(list(T), list(T)) -> bool': (
    left: List,
    right: List,
  ) => containsAll(left, right) && containsAll(right, left),
  'list_sets_intersects_list: sets.intersects(list(T), list(T)) -> bool': (
    left: List,
    right: List,
  ) => left.some((one) => right.some((other) => equal(one, other))),
  '@mapInsert_map_key_value: cel.@mapInsert(map(K, V), K, V) -> map(K, V)': (
    map: MapValue,
    key: CelValue,
    value: CelValue,
  ) => inserted(map, [[key, value]]),
  '@mapInsert_map_map: cel.@mapInsert(map(K, V), map(K, V)) -> map(K, V)': (
    map: MapValue,
    more: MapValue,
  ) =>
    inserted(
      map,
      [...more.keys()].map((key) => [key, more.get(key) ?? null]),
    ),
};

function inserted(map: MapValue, more: readonly (readonly [CelValue, CelValue])[]): CelMap {
  const entries = [...map.keys()].map((key) => [key, map.get(key) ?? null] as const);
  const result = new CelMap(entries);
  for (const [key, value] of more) {
    if (result.get(key) !== undefined) {
      throw new CelError(`insert failed: key ${String(key)} already exists`);
    }
    result.put(key, value);
  }
  return result;
}

function orderOf(left: CelValue, right: CelValue): number {
  const order = compare(left, right);
  if (order === undefined) throw new CelError(noSuchOverload);
  return order;
}

function isSorted(list: List): boolean {
  return list.every((one, index) => index === 0 || orderOf(list[index - 1] ?? null, one) <= 0);
}

function extreme(list: List, sign: 1 | -1): CelValue {
  const [first, ...rest] = list;
  if (first === undefined) throw new CelError(`${sign > 0 ? 'max' : 'min'} called on empty list`);
  return rest.reduce((best, one) => (orderOf(one, best) * sign > 0 ? one : best), first);
}

function sortBy(list: List, keys: List): List {
  if (list.length !== keys.length) {
    const sizes = `${list.length} and ${keys.length} elements respectively`;
    throw new CelError(
      `@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got ${sizes}`,
    );
  }
  const kind = typeName(keys[0] ?? null);
  if (keys.some((key) => typeName(key) !== kind)) {
    throw new CelError('list elements must have the same type');
  }
  const order = [...list.keys()].sort((left, right) =>
    orderOf(keys[left] ?? null, keys[right] ?? null),
  );
  return order.map((index) => list[index] ?? null);
}

function slice(list: List, start: bigint, end: bigint): List {
  const said = `cannot slice(${start}, ${end})`;
  if (start < 0n || end < 0n) throw new CelError(`${said}, negative indexes not supported`);
  if (start > end) {
    throw new CelError(`${said}, start index must be less than or equal to end index`);
  }
  if (end > sizeOf(list)) throw new CelError(`${said}, list is length ${list.length}`);
  return list.slice(Number(start), Number(end));
}

function flatten(list: List, depth: bigint): List {
  if (depth < 0n) throw new CelError('level must be non-negative');
  return list.flatMap((one) => (depth > 0n && isList(one) ? flatten(one, depth - 1n) : [one]));
}

function distinct(list: List): List {
  const kept: CelValue[] = [];
  for (const one of list) if (!kept.some((other) => equal(one, other))) kept.push(one);
  return kept;
}

function containsAll(list: List, part: List): boolean {
  return part.every((one) => list.some((other) => equal(one, other)));
}
