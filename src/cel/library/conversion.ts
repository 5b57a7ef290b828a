/**
 * From one type of value to another: `int("3")`, `string(1.5)`, `timestamp("…")`, `dyn(x)`.
 *
 * Behaviour: github.com/google/cel-spec, "Standard Definitions", type conversions.
 */
import type { Library } from '../functions.ts';
import { formatSeconds, isTimestampNanos, parseGoDuration, parseRfc3339 } from '../times.ts';
import { CelError, type CelValue, Duration, isInt64, Timestamp, Uint } from '../values.ts';
import { duration, int, timestamp, uint } from './standard.ts';

const second = 1_000_000_000n;
const same = (value: CelValue): CelValue => value;

export const conversionLibrary: Library = {
  'bool_to_bool: bool(bool) -> bool': same,
  'string_to_bool: bool(string) -> bool': (text: string) => {
    if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true;
    if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) return false;
    throw cannot('string', 'bool');
  },
  'bytes_to_bytes: bytes(bytes) -> bytes': same,
  'string_to_bytes: bytes(string) -> bytes': (text: string) => new TextEncoder().encode(text),
  'double_to_double: double(double) -> double': same,
  'int64_to_double: double(int) -> double': (value: bigint) => Number(value),
  'string_to_double: double(string) -> double': (text: string) => {
    const special = /^[+-]?(inf|infinity|nan)$/i.exec(text);
    if (special !== null) return specialNumber(text);
    if (!/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text)) throw cannot('string', 'double');
    return Number(text);
  },
  'uint64_to_double: double(uint) -> double': ({ value }: Uint) => Number(value),
  'duration_to_duration: duration(duration) -> duration': same,
  'int64_to_duration: duration(int) -> duration': (value: bigint) => duration(value),
  'string_to_duration: duration(string) -> duration': (text: string) => {
    const nanos = parseGoDuration(text);
    if (nanos === undefined) throw cannot('string', 'google.protobuf.Duration');
    return new Duration(nanos);
  },
  'to_dyn: dyn(A) -> dyn': same,
  'int64_to_int64: int(int) -> int': same,
  'double_to_int64: int(double) -> int': (value: number) => {
    if (!Number.isFinite(value)) throw new CelError('integer overflow');
    const whole = BigInt(Math.trunc(value));
    // What a double cannot tell from the ends of the range does not count as inside.
    if (value <= -(2 ** 63) || value >= 2 ** 63) throw new CelError('integer overflow');
    return int(whole);
  },
  'duration_to_int64: int(duration) -> int': ({ nanos }: Duration) => nanos,
  'string_to_int64: int(string) -> int': (text: string) => {
    const value = /^[+-]?\d+$/.test(text) ? BigInt(text.replace(/^\+/, '')) : undefined;
    if (value === undefined || !isInt64(value)) throw cannot('string', 'int');
    return value;
  },
  'timestamp_to_int64: int(timestamp) -> int': ({ nanos }: Timestamp) =>
    (nanos - (((nanos % second) + second) % second)) / second,
  'uint64_to_int64: int(uint) -> int': ({ value }: Uint) => int(value),
  'string_to_string: string(string) -> string': same,
  'bool_to_string: string(bool) -> string': (value: boolean) => String(value),
  'bytes_to_string: string(bytes) -> string': (value: Uint8Array) => {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value);
    } catch (error) {
      throw new CelError('invalid UTF-8 in bytes, cannot convert to string', { cause: error });
    }
  },
  'double_to_string: string(double) -> string': formatDouble,
  'duration_to_string: string(duration) -> string': ({ nanos }: Duration) => formatSeconds(nanos),
  'int64_to_string: string(int) -> string': (value: bigint) => String(value),
  'timestamp_to_string: string(timestamp) -> string': (value: Timestamp) => String(value),
  'uint64_to_string: string(uint) -> string': ({ value }: Uint) => String(value),
  'timestamp_to_timestamp: timestamp(timestamp) -> timestamp': same,
  'int64_to_timestamp: timestamp(int) -> timestamp': (value: bigint) => timestamp(value * second),
  'string_to_timestamp: timestamp(string) -> timestamp': (text: string) => {
    const nanos = parseRfc3339(text);
    if (nanos === undefined) throw cannot('string', 'google.protobuf.Timestamp');
    if (!isTimestampNanos(nanos)) throw new CelError('timestamp overflow');
    return new Timestamp(nanos);
  },
  'uint64_to_uint64: uint(uint) -> uint': same,
  'double_to_uint64: uint(double) -> uint': (value: number) => {
    if (!Number.isFinite(value) || value < 0 || value >= 2 ** 64) {
      throw new CelError('unsigned integer overflow');
    }
    return uint(BigInt(Math.trunc(value)));
  },
  'int64_to_uint64: uint(int) -> uint': (value: bigint) => uint(value),
  'string_to_uint64: uint(string) -> uint': (text: string) => {
    if (!/^\d+$/.test(text)) throw cannot('string', 'uint');
    const value = BigInt(text);
    if (value >= 2n ** 64n) throw cannot('string', 'uint');
    return new Uint(value);
  },
};

function cannot(from: string, to: string): CelError {
  return new CelError(`type conversion error from '${from}' to '${to}'`);
}

function specialNumber(text: string): number {
  if (/nan$/i.test(text)) return Number.NaN;
  return text.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

/** As Go's `%g`: whole numbers without a point, from a million and below 0.0001 an exponent. */
export function formatDouble(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  if (Object.is(value, -0)) return '-0';
  const [digits = '', exponent = '0'] = value.toExponential().split('e');
  const power = Number(exponent);
  if (power >= -4 && power < 6) return plainText(digits, power);
  const sign = power < 0 ? '-' : '+';
  return `${digits}e${sign}${String(Math.abs(power)).padStart(2, '0')}`;
}

function plainText(digits: string, power: number): string {
  const sign = digits.startsWith('-') ? '-' : '';
  const [whole = '', fraction = ''] = digits.replace('-', '').split('.');
  const all = whole + fraction;
  if (power < 0) return `${sign}0.${'0'.repeat(-power - 1)}${all}`;
  const before = all.slice(0, power + 1).padEnd(power + 1, '0');
  const after = all.slice(power + 1);
  return `${sign}${before}${after === '' ? '' : `.${after}`}`;
}
