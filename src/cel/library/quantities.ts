/**
 * Quantities and versions: `quantity("10Mi").isLessThan(quantity("1Gi"))`,
 * `semver("1.2.3").major()`.
 *
 * Behaviour: kubernetes.io, "Common Expression Language", quantity and semver functions;
 * semver.org.
 */
import { parseQuantity, type Quantity, quantityProblem } from '#api/quantity.ts';
import { type CelType, parseType } from '../cel-type.ts';
import type { Library } from '../functions.ts';
import { CelError, isInt64, Opaque, succeeds } from '../values.ts';

const unit = 1_000_000_000n;
const quantityType = parseType('quantity');
const semverType = parseType('semver');

class QuantityValue extends Opaque {
  readonly type: CelType = quantityType;
  readonly nano: bigint;

  constructor({ nano }: Pick<Quantity, 'nano'>) {
    super();
    this.nano = nano;
  }

  equals(other: Opaque): boolean {
    return other instanceof QuantityValue && other.nano === this.nano;
  }
}

/** Throws `CelError` for what is no quantity. */
export function quantityValue(text: string): QuantityValue {
  const parsed = parseQuantity(text);
  if (parsed === undefined) throw new CelError(quantityProblem);
  return new QuantityValue(parsed);
}

class Semver extends Opaque {
  readonly type: CelType = semverType;
  readonly numbers: readonly bigint[];
  readonly preRelease: readonly string[];

  constructor(numbers: readonly bigint[], preRelease: readonly string[]) {
    super();
    this.numbers = numbers;
    this.preRelease = preRelease;
  }

  equals(other: Opaque): boolean {
    return other instanceof Semver && this.compare(other) === 0;
  }

  compare(other: Semver): -1 | 0 | 1 {
    for (const [index, number] of this.numbers.entries()) {
      const order = sign(number - (other.numbers[index] ?? 0n));
      if (order !== 0) return order;
    }
    const [left, right] = [this.preRelease, other.preRelease];
    // What is not released yet comes before what is.
    if (left.length === 0 || right.length === 0) {
      return left.length === right.length ? 0 : left.length === 0 ? 1 : -1;
    }
    for (let index = 0; index < Math.max(left.length, right.length); index++) {
      const order = compareIdentifiers(left[index], right[index]);
      if (order !== 0) return order;
    }
    return 0;
  }
}

function compareIdentifiers(left: string | undefined, right: string | undefined): -1 | 0 | 1 {
  if (left === undefined || right === undefined)
    return left === right ? 0 : left === undefined ? -1 : 1;
  const [first, second] = [/^\d+$/.test(left), /^\d+$/.test(right)];
  if (first && second) return sign(BigInt(left) - BigInt(right));
  if (first !== second) return first ? -1 : 1;
  return left === right ? 0 : left < right ? -1 : 1;
}

function sign(value: bigint): -1 | 0 | 1 {
  return value < 0n ? -1 : value > 0n ? 1 : 0;
}

/** Throws `CelError` for what is no version. `1.2` and `v1.2.3` are versions where normalized. */
export function parseSemver(given: string, normalize = false): Semver {
  const text = normalize ? normalized(given) : given;
  if (text === '') throw new CelError('Version string empty');
  const [major, minor, ...rest] = text.split('.');
  if (major === undefined || minor === undefined || rest.length === 0) {
    throw new CelError('No Major.Minor.Patch elements found');
  }
  const last = rest.join('.');
  const plus = last.indexOf('+');
  const core = plus < 0 ? last : last.slice(0, plus);
  const dash = core.indexOf('-');
  const patch = dash < 0 ? core : core.slice(0, dash);
  const numbers = [
    versionNumber('Major', major),
    versionNumber('Minor', minor),
    versionNumber('Patch', patch),
  ];
  const preRelease = dash < 0 ? [] : core.slice(dash + 1).split('.');
  for (const part of preRelease) checkIdentifier(part, 'Prerelease');
  if (plus >= 0) for (const part of last.slice(plus + 1).split('.')) checkIdentifier(part, 'Build');
  return new Semver(numbers, preRelease);
}

function versionNumber(name: string, text: string): bigint {
  if (!/^\d+$/.test(text) || text === '') {
    if (text === '') throw new CelError('strconv.ParseUint: parsing "": invalid syntax');
    throw new CelError(`Invalid character(s) found in ${name.toLowerCase()} number "${text}"`);
  }
  if (text.length > 1 && text.startsWith('0')) {
    throw new CelError(`${name} number must not contain leading zeroes "${text}"`);
  }
  return BigInt(text);
}

function checkIdentifier(text: string, of: 'Prerelease' | 'Build'): void {
  if (text === '') {
    throw new CelError(of === 'Build' ? 'Build meta data is empty' : 'Prerelease is empty');
  }
  if (!/^[0-9A-Za-z-]+$/.test(text)) {
    const where = of === 'Build' ? 'build meta data' : 'prerelease';
    throw new CelError(`Invalid character(s) found in ${where} "${text}"`);
  }
  if (of === 'Prerelease' && /^0\d+$/.test(text)) {
    throw new CelError(`Numeric PreRelease version must not contain leading zeroes "${text}"`);
  }
}

function normalized(given: string): string {
  const [first = '', second, ...rest] = given.replace(/^v/, '').split('.');
  const third = rest.length === 0 ? undefined : rest.join('.');
  const parts = [first, second, third].filter((one) => one !== undefined).map(withoutZeros);
  if (parts.length < 3 && /[+-]/.test(parts.at(-1) ?? '')) {
    throw new CelError('short version cannot contain PreRelease/Build meta data');
  }
  return [...parts, '0', '0'].slice(0, 3).join('.');
}

function withoutZeros(part: string): string {
  if (part.length < 2) return part;
  const rest = part.replace(/^0+/, '');
  return /^\d/.test(rest) ? rest : `0${rest}`;
}

function compareQuantities(left: QuantityValue, right: QuantityValue): -1 | 0 | 1 {
  return sign(left.nano - right.nano);
}

export const quantityLibrary: Library = {
  'string_to_quantity: quantity(string) -> quantity': quantityValue,
  'is_quantity_string: isQuantity(string) -> bool': (text: string) =>
    succeeds(() => quantityValue(text)),
  'quantity_sign: sign(quantity) -> int': ({ nano }: QuantityValue) => BigInt(sign(nano)),
  'quantity_is_greater_than: quantity::isGreaterThan(quantity) -> bool': (
    left: QuantityValue,
    right: QuantityValue,
  ) => compareQuantities(left, right) > 0,
  'quantity_is_less_than: quantity::isLessThan(quantity) -> bool': (
    left: QuantityValue,
    right: QuantityValue,
  ) => compareQuantities(left, right) < 0,
  'quantity_compare_to: quantity::compareTo(quantity) -> int': (
    left: QuantityValue,
    right: QuantityValue,
  ) => BigInt(compareQuantities(left, right)),
  'quantity_get_float: quantity::asApproximateFloat() -> double': ({ nano }: QuantityValue) =>
    Number(nano / unit) + Number(nano % unit) / Number(unit),
  'quantity_get_int: quantity::asInteger() -> int': ({ nano }: QuantityValue) => {
    if (!isWhole(nano)) throw new CelError('cannot convert value to integer');
    return nano / unit;
  },
  'quantity_is_integer: quantity::isInteger() -> bool': ({ nano }: QuantityValue) => isWhole(nano),
  'quantity_add: quantity::add(quantity) -> quantity': (
    left: QuantityValue,
    right: QuantityValue,
  ) => new QuantityValue({ nano: left.nano + right.nano }),
  'quantity_add_int: quantity::add(int) -> quantity': (left: QuantityValue, right: bigint) =>
    new QuantityValue({ nano: left.nano + right * unit }),
  'quantity_sub: quantity::sub(quantity) -> quantity': (
    left: QuantityValue,
    right: QuantityValue,
  ) => new QuantityValue({ nano: left.nano - right.nano }),
  'quantity_sub_int: quantity::sub(int) -> quantity': (left: QuantityValue, right: bigint) =>
    new QuantityValue({ nano: left.nano - right * unit }),
  'string_to_semver: semver(string) -> semver': (text: string) => parseSemver(text),
  'string_bool_to_semver: semver(string, bool) -> semver': parseSemver,
  'is_semver_string: isSemver(string) -> bool': (text: string) => succeeds(() => parseSemver(text)),
  'is_semver_string_bool: isSemver(string, bool) -> bool': (text: string, normalize: boolean) =>
    succeeds(() => parseSemver(text, normalize)),
  'semver_is_greater_than: semver::isGreaterThan(semver) -> bool': (left: Semver, right: Semver) =>
    left.compare(right) > 0,
  'semver_is_less_than: semver::isLessThan(semver) -> bool': (left: Semver, right: Semver) =>
    left.compare(right) < 0,
  'semver_compare_to: semver::compareTo(semver) -> int': (left: Semver, right: Semver) =>
    BigInt(left.compare(right)),
  'semver_major: semver::major() -> int': ({ numbers: [major = 0n] }: Semver) => major,
  'semver_minor: semver::minor() -> int': ({ numbers: [, minor = 0n] }: Semver) => minor,
  'semver_patch: semver::patch() -> int': ({ numbers: [, , patch = 0n] }: Semver) => patch,
};

function isWhole(nano: bigint): boolean {
  return nano % unit === 0n && isInt64(nano / unit);
}
