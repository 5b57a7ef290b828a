/**
 * A range of numbers of which some are taken: addresses of Services, ports of nodes.
 *
 * What is taken for good stands in the store, where other servers see it; what a write on its way
 * has taken stands here, until the write is through. The upper part of a span is for those who do
 * not care which one they get; the lower, smaller band is left to those who ask for a certain one,
 * and used by the others only when nothing else is free.
 */
import type { Random } from '#kit/random.ts';

export interface Span {
  readonly first: number;
  readonly size: number;
  /** Numbers below `first + band` are handed out last. */
  readonly band: number;
}

export class Register {
  readonly #isStored: (value: number) => boolean;
  readonly #onTheWay = new Set<number>();

  constructor(isStored: (value: number) => boolean) {
    this.#isStored = isStored;
  }

  /** False when it is taken already. */
  take(value: number): boolean {
    if (this.#onTheWay.has(value) || this.#isStored(value)) return false;
    this.#onTheWay.add(value);
    return true;
  }

  /** The write is through, or was given up: from here on the store says it all. */
  settle(value: number): void {
    this.#onTheWay.delete(value);
  }

  /** Takes any free number, or undefined when there is none. */
  takeAny(spans: readonly Span[], random: Random): number | undefined {
    for (const { first, size, band } of spans) {
      const upper = this.#takeBetween(first + band, size - band, random);
      const found = upper ?? this.#takeBetween(first, band, random);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Starts somewhere and goes round once. */
  #takeBetween(first: number, size: number, random: Random): number | undefined {
    if (size <= 0) return undefined;
    const start = random.integer(size);
    for (let step = 0; step < size; step++) {
      const value = first + ((start + step) % size);
      if (this.take(value)) return value;
    }
    return undefined;
  }
}

/** The part of a range that is handed out last: `1/divisor` of it, but 16 to `most` numbers. */
export function bandOf(size: number, divisor: number, most: number): number {
  return size <= 16 ? 0 : Math.min(Math.max(16, Math.floor(size / divisor)), most);
}
