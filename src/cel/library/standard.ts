/**
 * What every CEL has: operators, sizes, conversions, tests of texts. Times are in `time.ts`.
 *
 * Operators that do not look at all their operands (`&&`, `||`, `?:`), indexes and `in` over what
 * is known are in `planner.ts`; they are declared here, for their types.
 *
 * Behaviour: github.com/google/cel-spec, "Standard Definitions".
 */
import type { Library } from '../functions.ts';
import { compileRegExp } from '../regular-expression.ts';
import {
  CelError,
  type CelValue,
  compare,
  Duration,
  equal,
  isInt64,
  isUint64,
  lengthOf,
  type MapValue,
  noSuchOverload,
  Timestamp,
  TypeValue,
  typeName,
  Uint,
} from '../values.ts';

const planned = (): never => {
  throw new CelError(noSuchOverload);
};

export const standardLibrary: Library = {
  'conditional: _?_:_(bool, A, A) -> A': planned,
  'logical_and: _&&_(bool, bool) -> bool': planned,
  'logical_or: _||_(bool, bool) -> bool': planned,
  'logical_not: !_(bool) -> bool': (value: boolean) => !value,
  'not_strictly_false: @not_strictly_false(bool) -> bool': planned,
  'equals: _==_(A, A) -> bool': equal,
  'not_equals: _!=_(A, A) -> bool': (left: CelValue, right: CelValue) => !equal(left, right),
  'add_bytes: _+_(bytes, bytes) -> bytes': (left: Uint8Array, right: Uint8Array) =>
    Uint8Array.from([...left, ...right]),
  'add_double: _+_(double, double) -> double': (left: number, right: number) => left + right,
  'add_duration_duration: _+_(duration, duration) -> duration': (left: Duration, right: Duration) =>
    duration(left.nanos + right.nanos),
  'add_duration_timestamp: _+_(duration, timestamp) -> timestamp': (
    left: Duration,
    right: Timestamp,
  ) => timestamp(left.nanos + right.nanos),
  'add_timestamp_duration: _+_(timestamp, duration) -> timestamp': (
    left: Timestamp,
    right: Duration,
  ) => timestamp(left.nanos + right.nanos),
  'add_int64: _+_(int, int) -> int': (left: bigint, right: bigint) => int(left + right),
  'add_list: _+_(list(A), list(A)) -> list(A)': (
    left: readonly CelValue[],
    right: readonly CelValue[],
  ) => [...left, ...right],
  'add_string: _+_(string, string) -> string': (left: string, right: string) => left + right,
  'add_uint64: _+_(uint, uint) -> uint': (left: Uint, right: Uint) =>
    uint(left.value + right.value),
  'divide_double: _/_(double, double) -> double': (left: number, right: number) => left / right,
  'divide_int64: _/_(int, int) -> int': (left: bigint, right: bigint) => {
    if (right === 0n) throw new CelError('division by zero');
    return int(left / right);
  },
  'divide_uint64: _/_(uint, uint) -> uint': (left: Uint, right: Uint) => {
    if (right.value === 0n) throw new CelError('division by zero');
    return new Uint(left.value / right.value);
  },
  'modulo_int64: _%_(int, int) -> int': (left: bigint, right: bigint) => {
    if (right === 0n) throw new CelError('modulus by zero');
    return int(left % right);
  },
  'modulo_uint64: _%_(uint, uint) -> uint': (left: Uint, right: Uint) => {
    if (right.value === 0n) throw new CelError('modulus by zero');
    return new Uint(left.value % right.value);
  },
  'multiply_double: _*_(double, double) -> double': (left: number, right: number) => left * right,
  'multiply_int64: _*_(int, int) -> int': (left: bigint, right: bigint) => int(left * right),
  'multiply_uint64: _*_(uint, uint) -> uint': (left: Uint, right: Uint) =>
    uint(left.value * right.value),
  'negate_double: -_(double) -> double': (value: number) => -value,
  'negate_int64: -_(int) -> int': (value: bigint) => int(-value),
  'subtract_double: _-_(double, double) -> double': (left: number, right: number) => left - right,
  'subtract_duration_duration: _-_(duration, duration) -> duration': (
    left: Duration,
    right: Duration,
  ) => duration(left.nanos - right.nanos),
  'subtract_int64: _-_(int, int) -> int': (left: bigint, right: bigint) => int(left - right),
  'subtract_timestamp_duration: _-_(timestamp, duration) -> timestamp': (
    left: Timestamp,
    right: Duration,
  ) => timestamp(left.nanos - right.nanos),
  'subtract_timestamp_timestamp: _-_(timestamp, timestamp) -> duration': (
    left: Timestamp,
    right: Timestamp,
  ) => duration(left.nanos - right.nanos),
  'subtract_uint64: _-_(uint, uint) -> uint': (left: Uint, right: Uint) =>
    uint(left.value - right.value),
  ...orderings('less', '_<_', (order) => order < 0),
  ...orderings('less_equals', '_<=_', (order) => order <= 0),
  ...orderings('greater', '_>_', (order) => order > 0),
  ...orderings('greater_equals', '_>=_', (order) => order >= 0),
  'index_list: _[_](list(A), int) -> A': planned,
  'index_map: _[_](map(A, B), A) -> B': planned,
  'in_list: @in(A, list(A)) -> bool': (value: CelValue, list: readonly CelValue[]) =>
    list.some((one) => equal(value, one)),
  'in_map: @in(A, map(A, B)) -> bool': (key: CelValue, map: MapValue) => map.get(key) !== undefined,
  ...sizes('size_bytes: ', '(bytes)', 'bytes_size: bytes::', (value: Uint8Array) => value.length),
  ...sizes(
    'size_list: ',
    '(list(A))',
    'list_size: list(A)::',
    (value: readonly CelValue[]) => value.length,
  ),
  ...sizes('size_map: ', '(map(A, B))', 'map_size: map(A, B)::', (value: MapValue) => value.size),
  ...sizes('size_string: ', '(string)', 'string_size: string::', lengthOf),
  'contains_string: string::contains(string) -> bool': (text: string, part: string) =>
    text.includes(part),
  'ends_with_string: string::endsWith(string) -> bool': (text: string, part: string) =>
    text.endsWith(part),
  'starts_with_string: string::startsWith(string) -> bool': (text: string, part: string) =>
    text.startsWith(part),
  'matches: matches(string, string) -> bool': matches,
  'matches_string: string::matches(string) -> bool': matches,
  'type: type(A) -> type(A)': (value: CelValue) => new TypeValue(typeName(value)),
};

/** Numbers of any kind can be compared with one another. */
function orderings(id: string, operator: string, holds: (order: number) => boolean): Library {
  const numbers: Readonly<Record<string, string>> = {
    int: 'int64',
    uint: 'uint64',
    double: 'double',
  };
  const pairs = Object.entries(numbers).flatMap(([left, first]) => [
    [`${id}_${first}`, left, left] as const,
    ...Object.entries(numbers).flatMap(([right, second]) =>
      left === right ? [] : [[`${id}_${first}_${second}`, left, right] as const],
    ),
  ]);
  const same = ['bool', 'string', 'bytes', 'timestamp', 'duration'].map(
    (type) => [`${id}_${type}`, type, type] as const,
  );
  const call = (left: CelValue, right: CelValue): boolean => {
    const order = compare(left, right);
    if (order === undefined) throw new CelError(noSuchOverload);
    return holds(order);
  };
  return Object.fromEntries(
    [...same, ...pairs].map(([overload, left, right]) => [
      `${overload}: ${operator}(${left}, ${right}) -> bool`,
      call,
    ]),
  );
}

function sizes(
  plain: string,
  argument: string,
  member: string,
  size: (value: never) => number,
): Library {
  const call = (value: never): bigint => BigInt(size(value));
  return { [`${plain}size${argument} -> int`]: call, [`${member}size() -> int`]: call };
}

function matches(text: string, pattern: string): boolean {
  const compiled = compileRegExp(pattern);
  if (typeof compiled === 'string') throw new CelError(compiled);
  return compiled.test(text);
}

export function int(value: bigint): bigint {
  if (!isInt64(value)) throw new CelError('integer overflow');
  return value;
}

export function uint(value: bigint): Uint {
  if (!isUint64(value)) throw new CelError('unsigned integer overflow');
  return new Uint(value);
}

export function duration(nanos: bigint): Duration {
  if (!isInt64(nanos)) throw new CelError('duration overflow');
  return new Duration(nanos);
}

export function timestamp(nanos: bigint): Timestamp {
  const seconds = nanos / 1_000_000_000n;
  if (seconds < -62_135_596_800n || seconds > 253_402_300_799n) {
    throw new CelError('timestamp overflow');
  }
  return new Timestamp(nanos);
}
