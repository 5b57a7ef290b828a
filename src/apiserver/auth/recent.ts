/**
 * What was looked up lately, by name: forgotten when nobody has asked for it for a while, and
 * sooner when there is too much.
 *
 * Two generations: what is asked for moves to the younger one, which becomes the older one after
 * its time, or when it is full. So nothing has to be sorted, and nothing needs a timer.
 *
 * Example: with a minute each, what was asked for at 12:00:10 is known for a minute at least, and
 * not at 12:03:10. `tokens.ts` remembers here which signatures it has found good.
 */
import type { Clock } from '#kit/clock.ts';

export interface RecentOptions {
  /** Something is remembered for this long at least, and for three times as long at most. */
  readonly ageMs: number;
  readonly countMax: number;
}

export class Recent<Value> {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #options: RecentOptions;
  #young = new Map<string, Value>();
  #old = new Map<string, Value>();
  #youngSinceMs: number;

  constructor(deps: { readonly clock: Pick<Clock, 'monotonic'> }, options: RecentOptions) {
    this.#clock = deps.clock;
    this.#options = options;
    this.#youngSinceMs = deps.clock.monotonic();
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(name: string): Value | undefined {
    this.#age();
    const young = this.#young.get(name);
    if (young !== undefined) return young;
    const old = this.#old.get(name);
    if (old !== undefined) this.set(name, old);
    return old;
  }

  set(name: string, value: Value): void {
    this.#age();
    this.#old.delete(name);
    this.#young.set(name, value);
  }

  #age(): void {
    const nowMs = this.#clock.monotonic();
    const { ageMs, countMax } = this.#options;
    const youngMs = nowMs - this.#youngSinceMs;
    if (youngMs < ageMs && this.#young.size < countMax / 2) return;
    this.#old = youngMs < 2 * ageMs ? this.#young : new Map();
    this.#young = new Map();
    this.#youngSinceMs = nowMs;
  }
}
