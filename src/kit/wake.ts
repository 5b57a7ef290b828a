/**
 * A sleep that can be cut short, also before it has begun: for loops that do their work every so
 * often and at once when there is news. News that comes while the work is done is not lost.
 */
import type { Clock } from './clock.ts';

export class Wake {
  readonly #clock: Pick<Clock, 'sleep'>;
  #isDue = false;
  #resolve: (() => void) | undefined;

  constructor(clock: Pick<Clock, 'sleep'>) {
    this.#clock = clock;
  }

  now(): void {
    this.#isDue = true;
    this.#resolve?.();
  }

  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.#isDue) {
      const woken = new Promise<void>((resolve) => {
        this.#resolve = resolve;
      });
      const rest = new AbortController();
      const either = AbortSignal.any([signal, rest.signal]);
      const timer = this.#clock.sleep(ms, { signal: either }).catch(() => {});
      await Promise.race([woken, timer]);
      rest.abort(new Error('woken'));
      this.#resolve = undefined;
    }
    this.#isDue = false;
    signal.throwIfAborted();
  }
}
