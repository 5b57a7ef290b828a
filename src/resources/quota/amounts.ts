/**
 * Arithmetic on lists of resources (`{cpu: 500m, pods: 3}`), as quotas need it. Names that only one
 * side has stay as they are; amounts keep the family of suffixes that they were written in.
 *
 * Used by the evaluators beside this file, by quota admission and by the quota controller.
 */
import { addQuantities, compareQuantities, subtractQuantities } from '#api/quantity.ts';

export type Amounts = Readonly<Record<string, string>>;

export function addAmounts(a: Amounts, b: Amounts): Amounts {
  const sum: Record<string, string> = { ...a };
  for (const [name, amount] of Object.entries(b)) {
    const before = sum[name];
    sum[name] = before === undefined ? amount : addQuantities(before, amount);
  }
  return sum;
}

/** Per name the larger of the two. */
export function maxAmounts(a: Amounts, b: Amounts): Amounts {
  const most: Record<string, string> = { ...a };
  for (const [name, amount] of Object.entries(b)) {
    const before = most[name];
    if (before === undefined || compareQuantities(amount, before) > 0) most[name] = amount;
  }
  return most;
}

/** a − b, where less than nothing is nothing. Names of either side are in the result. */
export function subtractAmountsToZero(a: Amounts, b: Amounts): Amounts {
  const rest: Record<string, string> = {};
  for (const [name, amount] of Object.entries(a)) {
    const less = b[name];
    const left = less === undefined ? amount : subtractQuantities(amount, less);
    rest[name] = compareQuantities(left, '0') > 0 ? left : '0';
  }
  for (const name of Object.keys(b)) rest[name] ??= '0';
  return rest;
}

/** Only what has one of the names. */
export function maskAmounts(amounts: Amounts, names: Iterable<string>): Amounts {
  const wanted = new Set(names);
  return Object.fromEntries(Object.entries(amounts).filter(([name]) => wanted.has(name)));
}

export function withoutZeros(amounts: Amounts): Amounts {
  return Object.fromEntries(
    Object.entries(amounts).filter(([, amount]) => compareQuantities(amount, '0') !== 0),
  );
}

/** Whether both have the same names with the same amounts, however these are written. */
export function equalAmounts(a: Amounts, b: Amounts): boolean {
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => {
    const [left, right] = [a[name] ?? '0', b[name]];
    return right !== undefined && compareQuantities(left, right) === 0;
  });
}

/** Names of which there is more than the bound says, in order; empty: all is within. */
export function exceededNames(amounts: Amounts, bounds: Amounts): readonly string[] {
  return Object.keys(bounds)
    .filter((name) => compareQuantities(amounts[name] ?? '0', bounds[name] ?? '0') > 0)
    .filter((name) => amounts[name] !== undefined)
    .sort();
}

export function negativeNames(amounts: Amounts): readonly string[] {
  return Object.keys(amounts)
    .filter((name) => compareQuantities(amounts[name] ?? '0', '0') < 0)
    .sort();
}

/** `cpu=500m,pods=3`, in order of name. */
export function formatAmounts(amounts: Amounts): string {
  return Object.keys(amounts)
    .sort()
    .map((name) => `${name}=${amounts[name]}`)
    .join(',');
}
