/**
 * Fields of maps and elements of lists, by name or index, with and without the wish to be told when
 * they are not there; through optional values too, where a missing one makes the whole missing.
 *
 * Behaviour: github.com/google/cel-spec, "Field Selection"; cel-go, "OptionalTypes".
 */
import { costs } from './call-costs.ts';
import type { Run } from './run.ts';
import {
  CelError,
  type CelValue,
  isList,
  MapValue,
  noSuchOverload,
  Optional,
  typeName,
  Uint,
} from './values.ts';

/** `value.field`. */
export function selected(run: Run, value: CelValue, field: string): CelValue {
  if (value instanceof Optional) return optionalField(run, value, field);
  const found = value instanceof MapValue ? value.get(field) : undefined;
  if (found === undefined) throw new CelError(`no such key: ${field}`);
  return found;
}

/** `has(value.field)`. */
export function tested(value: CelValue, field: string): boolean {
  const inside = value instanceof Optional ? value.value : value;
  if (inside === undefined) return false;
  if (inside instanceof MapValue) return inside.get(field) !== undefined;
  throw new CelError(noSuchOverload);
}

/** `value[key]`. */
export function indexed(run: Run, value: CelValue, key: CelValue): CelValue {
  if (value instanceof Optional) return optionalField(run, value, key);
  if (!isList(value)) {
    const found = value instanceof MapValue ? value.get(key) : undefined;
    if (found === undefined) throw new CelError(`no such key: ${keyText(key)}`);
    return found;
  }
  const index = wholeNumber(key);
  if (index === undefined) {
    throw new CelError(`unsupported index type '${typeName(key)}' in list`);
  }
  const found = index < 0n ? undefined : value[Number(index)];
  if (found === undefined) throw new CelError(`index out of bounds: ${index}`);
  return found;
}

/** `value.?field` and `value[?key]`; only what is found has its price. */
export function optionalField(run: Run, value: CelValue, key: CelValue): Optional {
  const inside = value instanceof Optional ? value.value : value;
  if (inside === undefined) return Optional.none;
  const found = partOf(inside, key);
  if (found === undefined) return Optional.none;
  run.spend(costs.select);
  return new Optional(found);
}

function partOf(value: CelValue, key: CelValue): CelValue | undefined {
  if (value instanceof MapValue) return value.get(key);
  if (!isList(value)) throw new CelError(noSuchOverload);
  const index = wholeNumber(key);
  if (index === undefined) throw new CelError(noSuchOverload);
  return index < 0n ? undefined : value[Number(index)];
}

function wholeNumber(key: CelValue): bigint | undefined {
  if (typeof key === 'bigint') return key;
  if (key instanceof Uint) return key.value;
  return typeof key === 'number' && Number.isInteger(key) ? BigInt(key) : undefined;
}

function keyText(key: CelValue): string {
  return key instanceof Uint ? String(key.value) : String(key);
}
