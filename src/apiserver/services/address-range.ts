/**
 * A range of numbers of which some are taken: addresses of Services, ports of nodes.
 *
 * The upper part of the range is for those who do not care which one they get; the lower, smaller
 * band is left to those who ask for a certain one, and used by the others only when nothing else is
 * free. Pure in-memory state; `service-allocator.ts` owns it.
 */
import type { Random } from '#kit/random.ts';

export class NumberRange {
  readonly first: number;
  readonly size: number;
  /** Numbers below `first + band` are handed out last. */
  readonly #band: number;
  readonly #taken = new Set<number>();

  constructor(options: { readonly first: number; readonly size: number; readonly band: number }) {
    this.first = options.first;
    this.size = options.size;
    this.#band = Math.min(options.band, options.size);
  }

  get free(): number {
    return this.size - this.#taken.size;
  }

  contains(value: number): boolean {
    return value >= this.first && value < this.first + this.size;
  }

  has(value: number): boolean {
    return this.#taken.has(value);
  }

  /** False when it is taken already. */
  take(value: number): boolean {
    if (this.#taken.has(value)) return false;
    this.#taken.add(value);
    return true;
  }

  release(value: number): void {
    this.#taken.delete(value);
  }

  /** Takes any free number, or undefined when there is none. */
  takeAny(random: Random): number | undefined {
    const upper = this.#takeBetween(this.#band, this.size, random);
    return upper ?? this.#takeBetween(0, this.#band, random);
  }

  /** Starts somewhere and goes round once. */
  #takeBetween(from: number, to: number, random: Random): number | undefined {
    const length = to - from;
    if (length <= 0) return undefined;
    const start = random.integer(length);
    for (let step = 0; step < length; step++) {
      const value = this.first + from + ((start + step) % length);
      if (this.take(value)) return value;
    }
    return undefined;
  }
}
