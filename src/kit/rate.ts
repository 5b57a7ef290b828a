/**
 * So many a second, and more at once after a rest: who asks too often is refused, or waits.
 *
 * Example: 5 a second, 10 at once: ten go at once, the next every 200 ms. `take` refuses (pulls of
 * images), `turn` waits in the order of asking (requests to the API). 0 a second means any number.
 */
import type { Clock } from './clock.ts';

export interface RateLimit {
  readonly perSecond: number;
  readonly burst: number;
}

export class Rate {
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #burst: number;
  /** Below 0: so many wait. */
  #left: number;
  #atMs: number;

  constructor(clock: Clock, { perSecond, burst }: RateLimit) {
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#left = burst;
    this.#atMs = clock.monotonic();
  }

  take(): boolean {
    if (this.#perSecond <= 0) return true;
    this.#refill();
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }

  async turn({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    if (this.#perSecond <= 0) return;
    this.#refill();
    this.#left -= 1;
    if (this.#left >= 0) return;
    await this.#clock.sleep((-this.#left * 1000) / this.#perSecond, { signal });
  }

  #refill(): void {
    const nowMs = this.#clock.monotonic();
    const more = ((nowMs - this.#atMs) * this.#perSecond) / 1000;
    this.#left = Math.min(this.#burst, this.#left + more);
    this.#atMs = nowMs;
  }
}
