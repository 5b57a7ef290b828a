/**
 * Quantities: `100m`, `1.5Gi`, `1e3`; exact, in units of one nano (10⁻⁹), with the family of
 * suffixes that they were written in.
 *
 * Text is canonicalised when an object is decoded, so equal amounts of one family are stored as
 * equal text: no fraction, the largest suffix that leaves a whole number (`1500m`, `512Mi`, `2k`).
 * Most callers only need `quantityValue` and `quantityMilliValue`, which round up to whole numbers
 * and remember nothing.
 */
import { assert } from '#kit/assert.ts';

/** The family of suffixes: `Ki…`, `k…`, or `e3…`. */
export type QuantityFormat = 'binary' | 'decimal' | 'exponent';

export interface Quantity {
  readonly nano: bigint;
  readonly format: QuantityFormat;
}

const nanoPerUnit = 1_000_000_000n;
const [zero, nine] = [0x30, 0x39];
/** Larger amounts are stored as this one: 2⁶³ − 1. */
const unitsMax = 2n ** 63n - 1n;
const shape = /^([+-]?)(\d+\.?\d*|\.\d+)([eE][+-]?\d+|[KMGTPE]i|[numkMGTPE]|)$/;
/** Digits of the usual short forms: `100m`, `64Mi`, `2`. */
const simpleDigitsMax = 9;

export const quantityProblem =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

const binarySuffixes: readonly string[] = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const decimalSuffixes: readonly string[] = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E'];

/** Undefined where the text is not a quantity. */
export function parseQuantity(text: string): Quantity | undefined {
  const match = shape.exec(text);
  if (match === null) return undefined;
  const [, sign, digits = '', suffix = ''] = match;
  const point = digits.indexOf('.');
  const fraction = point < 0 ? '' : digits.slice(point + 1);
  const mantissa = BigInt((point < 0 ? digits : digits.slice(0, point) + fraction) || '0');
  const { multiplier, exponent, format } = suffixOf(suffix);
  let nano = scale(mantissa * multiplier, exponent + 9 - fraction.length);
  if (nano > unitsMax * nanoPerUnit) nano = unitsMax * nanoPerUnit;
  return { nano: sign === '-' ? -nano : nano, format };
}

function suffixOf(suffix: string): {
  readonly multiplier: bigint;
  readonly exponent: number;
  readonly format: QuantityFormat;
} {
  if (suffix.endsWith('i')) {
    const power = binarySuffixes.indexOf(suffix);
    return { multiplier: 1024n ** BigInt(power), exponent: 0, format: 'binary' };
  }
  if (suffix.length > 1) {
    const exponent = Math.max(-40, Math.min(40, Number(suffix.slice(1))));
    return { multiplier: 1n, exponent, format: 'exponent' };
  }
  const power = decimalSuffixes.indexOf(suffix);
  return { multiplier: 1n, exponent: (power - 3) * 3, format: 'decimal' };
}

/** value × 10^exponent, rounded up (away from zero; the value is not negative). */
function scale(value: bigint, exponent: number): bigint {
  if (exponent >= 0) return value * 10n ** BigInt(exponent);
  return divideUp(value, 10n ** BigInt(-exponent));
}

function divideUp(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value % by === 0n ? quotient : quotient + (value < 0n ? -1n : 1n);
}

/** Parses text that decoding has already checked. */
export function quantity(text: string): Quantity {
  const parsed = parseQuantity(text);
  assert(parsed !== undefined, `not a quantity: ${text}`);
  return parsed;
}

export function formatQuantity({ nano, format }: Quantity): string {
  if (nano === 0n) return '0';
  const sign = nano < 0n ? '-' : '';
  const magnitude = nano < 0n ? -nano : nano;
  if (format === 'binary' && magnitude >= 1024n * nanoPerUnit) {
    let units = divideUp(magnitude, nanoPerUnit);
    let power = 0;
    while (power < binarySuffixes.length - 1 && units % 1024n === 0n) {
      units /= 1024n;
      power += 1;
    }
    return `${sign}${units}${binarySuffixes[power]}`;
  }
  let rest = magnitude;
  let power = 0;
  while (power < decimalSuffixes.length - 1 && rest % 1000n === 0n) {
    rest /= 1000n;
    power += 1;
  }
  if (format !== 'exponent') return `${sign}${rest}${decimalSuffixes[power]}`;
  const exponent = (power - 3) * 3;
  return `${sign}${rest}${exponent === 0 ? '' : `e${exponent}`}`;
}

/** The text as it is stored, or undefined where it is not a quantity. */
export function canonicalQuantity(text: string): string | undefined {
  if (isPlainlyCanonical(text)) return text;
  const parsed = parseQuantity(text);
  return parsed === undefined ? undefined : formatQuantity(parsed);
}

/** A usual short form that no larger suffix could take: `100m`, `64Mi`, not `1000m` or `1024Mi`. */
function isPlainlyCanonical(text: string): boolean {
  const end = digitsOf(text);
  const unit = unitOf(text, end);
  if (unit === undefined || text.startsWith('0')) return false;
  return countOf(text, end) % (unit > 1 ? 1024 : 1000) !== 0;
}

/** How many digits a text begins with. */
function digitsOf(text: string): number {
  let end = 0;
  while (end < text.length && text.charCodeAt(end) >= zero && text.charCodeAt(end) <= nine) {
    end += 1;
  }
  return end;
}

/** The number that they are; without a piece of text of its own, since every pod has some. */
function countOf(text: string, end: number): number {
  let count = 0;
  for (let at = 0; at < end; at++) count = count * 10 + text.charCodeAt(at) - zero;
  return count;
}

/** What one is worth by the rest of a usual short form; undefined of any other text. */
function unitOf(text: string, end: number): number | undefined {
  if (end === 0 || end > simpleDigitsMax) return undefined;
  switch (text.length - end) {
    case 0:
      return 1;
    case 1:
      return text.endsWith('m') ? 0.001 : undefined;
    case 2:
      if (text.endsWith('Mi')) return 1024 ** 2;
      if (text.endsWith('Gi')) return 1024 ** 3;
      return text.endsWith('Ki') ? 1024 : undefined;
    default:
      return undefined;
  }
}

/** The same amount in whole thousandths, rounded up: of canonical text, few are finer. */
export function roundToThousandths(text: string): string {
  if (!/[nu]$|e-/.test(text)) return text;
  const { nano, format } = quantity(text);
  const step = nanoPerUnit / 1000n;
  return formatQuantity({ nano: divideUp(nano, step) * step, format });
}

/** Whole units, rounded up. */
export function quantityValue(text: string): number {
  const quick = quickly(text);
  if (quick !== undefined) return Math.ceil(quick);
  return Number(divideUp(quantity(text).nano, nanoPerUnit));
}

/** Whole thousandths, rounded up. */
export function quantityMilliValue(text: string): number {
  const quick = quickly(text);
  if (quick !== undefined) return Math.round(quick * 1000);
  return Number(divideUp(quantity(text).nano, nanoPerUnit / 1000n));
}

/** The usual short forms without big integers; exact below 2⁵³ thousandths. */
function quickly(text: string): number | undefined {
  const end = digitsOf(text);
  const unit = unitOf(text, end);
  if (unit === undefined) return undefined;
  const count = countOf(text, end);
  if (unit < 1) return count / 1000;
  return unit === 1024 ** 3 && count >= 1024 ? undefined : count * unit;
}

/** Negative, zero or positive, as of a − b. */
export function compareQuantities(a: string, b: string): number {
  if (a === b) return 0;
  // Of so few digits, numbers are in the order of what they stand for.
  const quickA = quickly(a);
  const quickB = quickly(b);
  if (quickA !== undefined && quickB !== undefined) return Math.sign(quickA - quickB);
  const difference = quantity(a).nano - quantity(b).nano;
  if (difference === 0n) return 0;
  return difference < 0n ? -1 : 1;
}

/** The sum, in the family of suffixes of the first that is not zero. */
export function addQuantities(a: string, b: string): string {
  const left = quantity(a);
  const right = quantity(b);
  const format = left.nano === 0n ? right.format : left.format;
  return formatQuantity({ nano: left.nano + right.nano, format });
}

export function subtractQuantities(a: string, b: string): string {
  const left = quantity(a);
  const right = quantity(b);
  const format = left.nano === 0n ? right.format : left.format;
  return formatQuantity({ nano: left.nano - right.nano, format });
}
