/**
 * A range of numbers of which some are taken: addresses of Services, ports of nodes.
 *
 * What is taken for good stands in the store, where other servers see it; what a write on its way
 * has taken stands here, until the write is through. The upper part of a span is for those who do
 * not care which one they get; the lower, smaller band is left to those who ask for a certain one,
 * and used by the others only when nothing else is free.
 */
import type { Random } from '#kit/random.ts';

/** Whole numbers of any size, since networks of IPv6 have more addresses than plain ones count. */
export interface Span {
  readonly first: bigint;
  readonly size: bigint;
  /** Numbers below `first + band` are handed out last. */
  readonly band: bigint;
}

export class Register {
  readonly #isStored: (value: bigint) => boolean;
  readonly #onTheWay = new Set<bigint>();

  constructor(isStored: (value: bigint) => boolean) {
    this.#isStored = isStored;
  }

  /** False when it is taken already. */
  take(value: bigint): boolean {
    if (this.#onTheWay.has(value) || this.#isStored(value)) return false;
    this.#onTheWay.add(value);
    return true;
  }

  /** The write is through, or was given up: from here on the store says it all. */
  settle(value: bigint): void {
    this.#onTheWay.delete(value);
  }

  /** Takes any free number, or undefined when there is none. */
  takeAny(spans: readonly Span[], random: Random): bigint | undefined {
    for (const { first, size, band } of spans) {
      const upper = this.#takeBetween(first + band, size - band, random);
      const found = upper ?? this.#takeBetween(first, band, random);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Starts somewhere and goes round once. */
  #takeBetween(first: bigint, size: bigint, random: Random): bigint | undefined {
    if (size <= 0n) return undefined;
    const start = integerBelow(size, random);
    for (let step = 0n; step < size; step++) {
      const value = first + ((start + step) % size);
      if (this.take(value)) return value;
    }
    return undefined;
  }
}

/** The part of a range that is handed out last: `1/divisor` of it, but 16 to `most` numbers. */
export function bandOf(size: bigint, divisor: bigint, most: bigint): bigint {
  if (size <= 16n) return 0n;
  const part = size / divisor;
  return part < 16n ? 16n : part > most ? most : part;
}

const wordSize = 2n ** 32n;

function integerBelow(below: bigint, random: Random): bigint {
  if (below <= wordSize) return BigInt(random.integer(Number(below)));
  let value = 0n;
  for (let reach = 1n; reach < below; reach *= wordSize) {
    value = value * wordSize + BigInt(random.integer(Number(wordSize)));
  }
  return value % below;
}
