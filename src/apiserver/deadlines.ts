/**
 * What is under way and may take so long, and the end of what takes longer.
 *
 * All may take equally long, so the first is the first that is late, and one timer serves them:
 * most are over at once, and making a timer for each would cost more than they do. `bodies.ts` has
 * one for bodies of requests, `http.ts` one for connections on which nothing is asked.
 */
import type { Clock } from '#kit/clock.ts';

export class Deadlines {
  readonly #clock: Pick<Clock, 'monotonic' | 'after'>;
  readonly #limitMs: number;
  /** How to end each, and when. */
  readonly #waiting = new Map<() => void, number>();
  #cancel: (() => void) | undefined;

  constructor(
    deps: { readonly clock: Pick<Clock, 'monotonic' | 'after'> },
    { limitMs }: { readonly limitMs: number },
  ) {
    this.#clock = deps.clock;
    this.#limitMs = limitMs;
  }

  add(end: () => void): void {
    this.#waiting.set(end, this.#clock.monotonic() + this.#limitMs);
    if (this.#cancel === undefined) this.#schedule(this.#limitMs);
  }

  delete(end: () => void): void {
    this.#waiting.delete(end);
  }

  /** Ends the one that was added first. */
  endFirst(): void {
    const [first] = this.#waiting.keys();
    if (first === undefined) return;
    this.#waiting.delete(first);
    first();
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #schedule(delayMs: number): void {
    this.#cancel = this.#clock.after(delayMs, () => this.#run());
  }

  #run(): void {
    this.#cancel = undefined;
    const nowMs = this.#clock.monotonic();
    for (const [end, dueMs] of this.#waiting) {
      if (dueMs > nowMs) {
        this.#schedule(dueMs - nowMs);
        return;
      }
      this.#waiting.delete(end);
      end();
    }
  }
}
