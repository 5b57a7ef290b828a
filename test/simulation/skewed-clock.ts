/**
 * A component's own clock: it runs with the world's, but what it tells as the time of day can be
 * wrong, and jumps, as clocks of machines do. Durations are never wrong.
 */
import type { Clock } from '#kit/clock.ts';

export class SkewedClock implements Clock {
  readonly #clock: Clock;
  offsetMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now() + this.offsetMs;
  }

  monotonic(): number {
    return this.#clock.monotonic();
  }

  after(delayMs: number, callback: () => void): () => void {
    return this.#clock.after(delayMs, callback);
  }

  sleep(delayMs: number, options: { readonly signal: AbortSignal }): Promise<void> {
    return this.#clock.sleep(delayMs, options);
  }
}
