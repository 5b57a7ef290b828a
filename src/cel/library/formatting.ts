/**
 * `"%s has %d".format([name, count])`: text with values put in.
 *
 * Clauses: `%s` any value, `%d` whole numbers, `%f` and `%e` with a precision, `%b` binary, `%o`
 * octal, `%x` and `%X` hexadecimal, `%%` a percent sign.
 *
 * Behaviour: cel-go, extension "Strings", format.
 */
import { formatSeconds } from '../times.ts';
import {
  CelError,
  type CelValue,
  Duration,
  isList,
  MapValue,
  Timestamp,
  TypeValue,
  typeName,
  Uint,
} from '../values.ts';
import { formatDouble } from './conversion.ts';

/** Digits after the point at most. */
const precisionMax = 1000;

export function formatText(text: string, values: readonly CelValue[]): string {
  let index = 0;
  let result = '';
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? '';
    if (character !== '%') {
      result += character;
      continue;
    }
    at += 1;
    if (at >= text.length) throw new CelError('unexpected end of string');
    if (text[at] === '%') {
      result += '%';
      continue;
    }
    if (index >= values.length) throw new CelError(`index ${index} out of range`);
    const clause = readClause(text, at);
    at = clause.last;
    result += formatValue(clause, values[index] ?? null);
    index += 1;
  }
  return result;
}

interface Clause {
  readonly letter: string;
  readonly precision: number | undefined;
  readonly last: number;
}

function readClause(text: string, at: number): Clause {
  const match = /^(?:\.(\d*))?([\s\S]?)/u.exec(text.slice(at));
  const [all = '', digits, letter = ''] = match ?? [];
  if (digits !== undefined && letter === '') {
    throw new CelError('error while parsing precision: could not find end of precision specifier');
  }
  const precision = digits === undefined || digits === '' ? undefined : Number(digits);
  if (precision !== undefined && precision > precisionMax) {
    throw new CelError('error while parsing precision: precision too large');
  }
  return { letter, precision, last: at + all.length - 1 };
}

function formatValue({ letter, precision }: Clause, value: CelValue): string {
  switch (letter) {
    case 's':
      if (typeof value === 'number') return formatDouble(value);
      return typeof value === 'string' ? value : anyText(value);
    case 'd':
      return wholeText(value);
    case 'f':
      return brokenText(value, 'f', (number) => number.toFixed(Math.min(precision ?? 6, 100)));
    case 'e':
      return brokenText(value, 'e', exponentText);
    case 'b':
      if (typeof value === 'boolean') return value ? '1' : '0';
      return baseText(value, 2, 'binary formatting', 'integers and bools');
    case 'o':
      return baseText(value, 8, 'octal formatting', 'integers');
    case 'x':
    case 'X': {
      const hex = hexText(value);
      return letter === 'X' ? hex.toUpperCase() : hex;
    }
    default:
      throw new CelError(
        `could not parse formatting clause: unrecognized formatting clause "${letter}"`,
      );
  }
}

function wrong(clause: string, takes: string, value: CelValue): CelError {
  const type = typeName(value);
  return new CelError(
    `error during formatting: ${clause} can only be used on ${takes}, was given ${type}`,
  );
}

function anyText(value: CelValue): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number')
    return Number.isFinite(value) ? value.toFixed(6) : specialText(value);
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  if (value instanceof Uint) return String(value.value);
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  if (value instanceof Timestamp) return String(value);
  if (value instanceof Duration) return formatSeconds(value.nanos);
  if (value instanceof TypeValue) return value.type;
  if (isList(value)) return `[${value.map(anyText).join(', ')}]`;
  if (value instanceof MapValue) {
    const entries = [...value.keys()].map((key) => [anyText(key), anyText(value.get(key) ?? null)]);
    entries.sort(([left = ''], [right = '']) => (left < right ? -1 : 1));
    return `{${entries.map((entry) => entry.join(':')).join(', ')}}`;
  }
  const takes =
    'strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps';
  throw wrong('string clause', takes, value);
}

function wholeText(value: CelValue): string {
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Uint) return String(value.value);
  if (typeof value === 'number' && !Number.isFinite(value)) return specialText(value);
  throw wrong('decimal clause', 'integers', value);
}

function specialText(value: number): string {
  return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
}

function brokenText(value: CelValue, letter: 'e' | 'f', format: (value: number) => string): string {
  const name = letter === 'f' ? 'fixed-point clause' : 'scientific clause';
  const number =
    typeof value === 'bigint' ? Number(value) : value instanceof Uint ? Number(value.value) : value;
  if (typeof number !== 'number') throw wrong(name, 'doubles', value);
  return Number.isFinite(number) ? format(number) : specialText(number);
}

/** `1.500000×10⁻⁰⁴`: always six digits, whatever precision is asked for, as upstream. */
function exponentText(value: number): string {
  const [digits, exponent = '0'] = value.toExponential(6).split('e');
  const power = Number(exponent);
  const raised = [...String(Math.abs(power)).padStart(2, '0')].map(
    (digit) => raisedDigits[Number(digit)],
  );
  return `${digits}×10${power < 0 ? '⁻' : ''}${raised.join('')}`;
}

const raisedDigits = [...'⁰¹²³⁴⁵⁶⁷⁸⁹'];

function baseText(value: CelValue, base: number, clause: string, takes: string): string {
  if (typeof value === 'bigint') return value.toString(base);
  if (value instanceof Uint) return value.value.toString(base);
  throw new CelError(
    `error during formatting: ${clause} can only be used on ${takes}, was given ${typeName(value)}`,
  );
}

function hexText(value: CelValue): string {
  if (typeof value === 'string') return Buffer.from(value).toString('hex');
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  return baseText(value, 16, 'hex clause', 'integers, byte buffers, and strings');
}
