/**
 * A component's own clock: it runs with the world's, but what it tells as the time of day can be
 * wrong, and jumps, as clocks of machines do. Durations are never wrong.
 *
 * Who asks for the time again and again without any passing will do so for ever: that is told once,
 * and ends the one who asks.
 */
import { AssertionError } from 'node:assert';
import type { Clock } from '#kit/clock.ts';

/** Far more than is ever asked in one moment. */
const asksMax = 50_000;

export class SkewedClock implements Clock {
  readonly #clock: Clock;
  readonly #onStandstill: () => void;
  offsetMs = 0;
  #askedMs = 0;
  #asks = 0;

  constructor(clock: Clock, options: { readonly onStandstill: () => void }) {
    this.#clock = clock;
    this.#onStandstill = options.onStandstill;
  }

  now(): number {
    this.#count();
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

  #count(): void {
    const nowMs = this.#clock.now();
    this.#asks = nowMs === this.#askedMs ? this.#asks + 1 : 0;
    this.#askedMs = nowMs;
    if (this.#asks < asksMax) return;
    if (this.#asks === asksMax) this.#onStandstill();
    throw new AssertionError({ message: 'no time passes any more' });
  }
}
