/**
 * Values of expressions, and what all of them can do: be compared, sized and named by type.
 *
 * An int is a bigint and a double is a number, so that neither is taken for the other; unsigned
 * integers, times, types and optionals have classes. Lists are arrays. Maps are whatever can find a
 * key: `CelMap` holds entries of its own, `JsonMap` shows a plain object and turns a field into a
 * value when it is asked for, so that a large object costs nothing that is not looked at.
 *
 * Behaviour: github.com/google/cel-spec, "Values", "Equality".
 */

import { type CelType, listOf, mapOf, optionalOf, structType, typeOf, types } from './cel-type.ts';
import { formatRfc3339 } from './times.ts';

export type CelValue =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint
  | Uint8Array
  | Timestamp
  | Duration
  | TypeValue
  | Optional
  | Opaque
  | readonly CelValue[]
  | MapValue;

/** What an evaluation ends with when it gives no value. */
export class CelError extends Error {
  override readonly name = 'CelError';
  /** Not to be outweighed by the other side of `||` or `&&`: the evaluation has to end. */
  readonly final: boolean;

  constructor(
    text: string,
    { final = false, cause }: { readonly final?: boolean; readonly cause?: unknown } = {},
  ) {
    super(text, cause === undefined ? undefined : { cause });
    this.final = final;
  }
}

/** Whether the call gives a value. */
export function succeeds(call: () => CelValue): boolean {
  try {
    call();
    return true;
  } catch (error) {
    if (error instanceof CelError) return false;
    throw error;
  }
}

export const noSuchOverload = 'no such overload';

export class Uint {
  readonly value: bigint;

  constructor(value: bigint) {
    this.value = value;
  }
}

/** Nanoseconds since 1970. */
export class Timestamp {
  readonly nanos: bigint;

  constructor(nanos: bigint) {
    this.nanos = nanos;
  }

  toString(): string {
    return formatRfc3339(this.nanos);
  }
}

export class Duration {
  readonly nanos: bigint;

  constructor(nanos: bigint) {
    this.nanos = nanos;
  }
}

export class TypeValue {
  readonly type: string;

  constructor(type: string) {
    this.type = type;
  }
}

export class Optional {
  static readonly none = new Optional(undefined);
  readonly value: CelValue | undefined;

  constructor(value: CelValue | undefined) {
    this.value = value;
  }
}

/** Values of libraries: quantities, versions, addresses. */
export abstract class Opaque {
  abstract readonly type: CelType;
  abstract equals(other: Opaque): boolean;
}

export abstract class MapValue {
  abstract readonly size: number;
  abstract get(key: CelValue): CelValue | undefined;
  abstract keys(): Iterable<CelValue>;
}

/** Numbers that are equal are the same key, whatever their type. */
function keyText(key: CelValue): string | undefined {
  if (typeof key === 'string') return `s${key}`;
  if (typeof key === 'boolean') return `b${key}`;
  if (typeof key === 'bigint') return `n${key}`;
  if (key instanceof Uint) return `n${key.value}`;
  if (typeof key !== 'number') return undefined;
  return Number.isInteger(key) ? `n${BigInt(key)}` : `d${key}`;
}

export class CelMap extends MapValue {
  readonly #entries = new Map<string, readonly [CelValue, CelValue]>();

  constructor(entries: Iterable<readonly [CelValue, CelValue]> = []) {
    super();
    for (const [key, value] of entries) this.put(key, value);
  }

  /** Only while it is being made. */
  put(key: CelValue, value: CelValue): void {
    const text = keyText(key);
    if (text === undefined) throw new CelError(`unsupported key type: ${typeName(key)}`);
    this.#entries.set(text, [key, value]);
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: CelValue): CelValue | undefined {
    const text = keyText(key);
    return text === undefined ? undefined : this.#entries.get(text)?.[1];
  }

  *keys(): Iterable<CelValue> {
    for (const [key] of this.#entries.values()) yield key;
  }
}

/** A plain object; `valueOf` says what a field of it is. */
export class JsonMap extends MapValue {
  readonly #object: Readonly<Record<string, unknown>>;
  readonly #convert: (value: unknown, key: string) => CelValue;

  constructor(
    object: Readonly<Record<string, unknown>>,
    convert: (value: unknown, key: string) => CelValue = fromJson,
  ) {
    super();
    this.#object = object;
    this.#convert = convert;
  }

  get size(): number {
    return Object.keys(this.#object).length;
  }

  get(key: CelValue): CelValue | undefined {
    if (typeof key !== 'string' || !Object.hasOwn(this.#object, key)) return undefined;
    const value = this.#object[key];
    return value === undefined ? undefined : this.#convert(value, key);
  }

  keys(): Iterable<string> {
    return Object.keys(this.#object).filter((key) => this.#object[key] !== undefined);
  }
}

/** JSON without a schema: whole numbers are ints. */
export function fromJson(value: unknown): CelValue {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map((one) => fromJson(one));
  // A parse edge: what is neither scalar nor array is an object in JSON.
  return new JsonMap(value as Readonly<Record<string, unknown>>, fromJson);
}

export function isInt64(value: bigint): boolean {
  return BigInt.asIntN(64, value) === value;
}

export function isUint64(value: bigint): boolean {
  return BigInt.asUintN(64, value) === value;
}

export function isList(value: CelValue): value is readonly CelValue[] {
  return Array.isArray(value);
}

/** The type that `type()` gives: without what is inside lists and maps. */
export function valueType(value: CelValue): CelType {
  if (value === null) return types.null;
  switch (typeof value) {
    case 'boolean':
      return types.bool;
    case 'bigint':
      return types.int;
    case 'number':
      return types.double;
    case 'string':
      return types.string;
    default:
      break;
  }
  if (isList(value)) return listOf(types.dyn);
  if (value instanceof MapValue) return mapOf(types.dyn, types.dyn);
  if (value instanceof Uint) return types.uint;
  if (value instanceof Uint8Array) return types.bytes;
  if (value instanceof Timestamp) return types.timestamp;
  if (value instanceof Duration) return types.duration;
  if (value instanceof TypeValue) return typeOf(undefined);
  if (value instanceof Optional) return optionalOf(types.dyn);
  return value instanceof Opaque ? value.type : structType('unknown');
}

export function typeName(value: CelValue): string {
  return valueType(value).name;
}

/** What counts as the length of a value when its cost is reckoned. */
export function sizeOf(value: CelValue): number {
  if (typeof value === 'string') return lengthOf(value);
  if (value instanceof Uint8Array || isList(value)) return value.length;
  if (value instanceof MapValue) return value.size;
  if (value instanceof Optional && value.value !== undefined) return sizeOf(value.value);
  if (value instanceof Opaque && 'size' in value && typeof value.size === 'number') {
    return value.size;
  }
  return 1;
}

/** Characters, not code units. */
export function lengthOf(text: string): number {
  let length = text.length;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code >= 0xd800 && code < 0xdc00 && index + 1 < text.length) {
      length -= 1;
      index += 1;
    }
  }
  return length;
}

/** A number of any of the three kinds; undefined for all else. */
function numberOf(value: CelValue): bigint | number | undefined {
  if (typeof value === 'bigint' || typeof value === 'number') return value;
  return value instanceof Uint ? value.value : undefined;
}

export function equal(left: CelValue, right: CelValue): boolean {
  if (left === right) return true;
  const [first, second] = [numberOf(left), numberOf(right)];
  if (first !== undefined || second !== undefined) {
    // Whole and broken numbers are compared exactly by the language itself.
    if (first === undefined || second === undefined) return false;
    return first <= second && first >= second;
  }
  if (isList(left)) {
    if (!isList(right) || left.length !== right.length) return false;
    return left.every((one, index) => equal(one, right[index] ?? null));
  }
  if (left instanceof MapValue) return right instanceof MapValue && equalMaps(left, right);
  if (left instanceof Uint8Array) {
    return right instanceof Uint8Array && compareBytes(left, right) === 0;
  }
  if (left instanceof Timestamp) return right instanceof Timestamp && left.nanos === right.nanos;
  if (left instanceof Duration) return right instanceof Duration && left.nanos === right.nanos;
  if (left instanceof TypeValue) return right instanceof TypeValue && left.type === right.type;
  if (left instanceof Optional) {
    if (!(right instanceof Optional)) return false;
    if (left.value === undefined || right.value === undefined) return left.value === right.value;
    return equal(left.value, right.value);
  }
  return left instanceof Opaque && right instanceof Opaque && left.equals(right);
}

function equalMaps(left: MapValue, right: MapValue): boolean {
  if (left.size !== right.size) return false;
  for (const key of left.keys()) {
    const [one, other] = [left.get(key), right.get(key)];
    if (one === undefined || other === undefined || !equal(one, other)) return false;
  }
  return true;
}

/** -1, 0 or 1; undefined where the two have no order. */
export function compare(left: CelValue, right: CelValue): -1 | 0 | 1 | undefined {
  const [first, second] = [numberOf(left), numberOf(right)];
  if (first !== undefined && second !== undefined) {
    if (Number.isNaN(first) || Number.isNaN(second)) {
      throw new CelError('NaN values cannot be ordered');
    }
    return order(first < second, first > second);
  }
  if (typeof left === 'string' && typeof right === 'string') {
    return compareBytes(new TextEncoder().encode(left), new TextEncoder().encode(right));
  }
  if (typeof left === 'boolean' && typeof right === 'boolean') {
    return order(!left && right, left && !right);
  }
  if (left instanceof Uint8Array && right instanceof Uint8Array) return compareBytes(left, right);
  const times =
    (left instanceof Timestamp && right instanceof Timestamp) ||
    (left instanceof Duration && right instanceof Duration);
  return times ? order(left.nanos < right.nanos, left.nanos > right.nanos) : undefined;
}

function order(less: boolean, greater: boolean): -1 | 0 | 1 {
  return less ? -1 : greater ? 1 : 0;
}

function compareBytes(left: Uint8Array, right: Uint8Array): -1 | 0 | 1 {
  const order = Buffer.compare(left, right);
  return order < 0 ? -1 : order > 0 ? 1 : 0;
}
