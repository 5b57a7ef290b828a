/**
 * Sizes and costs that are not known yet: from a least to a most.
 *
 * Both are 64 bits without a sign, as in the reference implementation, and stay at the greatest
 * number once they have reached it: what is unknown costs at most everything.
 */
export interface Estimate {
  readonly least: bigint;
  readonly most: bigint;
}

export const unlimited = 2n ** 64n - 1n;

export const unknownSize: Estimate = { least: 0n, most: unlimited };
export const nothing: Estimate = { least: 0n, most: 0n };
export const one: Estimate = { least: 1n, most: 1n };

export function exactly(value: bigint | number): Estimate {
  const size = BigInt(value);
  return { least: size, most: size };
}

export function add(...estimates: readonly Estimate[]): Estimate {
  return estimates.reduce((left, right) => both(left, right, (one, other) => one + other), nothing);
}

export function multiply(left: Estimate, right: Estimate): Estimate {
  return both(left, right, (one, other) => one * other);
}

/** Each end times a factor, rounded up. */
export function scale({ least, most }: Estimate, factor: number): Estimate {
  return { least: scaleOne(least, factor), most: scaleOne(most, factor) };
}

function scaleOne(value: bigint, factor: number): bigint {
  const scaled = Math.ceil(Number(value) * factor);
  return scaled >= 2 ** 64 ? unlimited : BigInt(scaled);
}

/** What covers both. */
export function union(left: Estimate, right: Estimate): Estimate {
  return {
    least: lesser(left.least, right.least),
    most: left.most + right.most - lesser(left.most, right.most),
  };
}

export function lesser(left: bigint, right: bigint): bigint {
  if (left < right) return left;
  return right;
}

function both(
  left: Estimate,
  right: Estimate,
  combine: (one: bigint, other: bigint) => bigint,
): Estimate {
  const capped = (value: bigint): bigint => (value > unlimited ? unlimited : value);
  return {
    least: capped(combine(left.least, right.least)),
    most: capped(combine(left.most, right.most)),
  };
}
