/**
 * How often a value was at most so large, for Prometheus: counts by bound, each with those below
 * it, and the sum of all.
 */
import type { Sample } from './exposition.ts';

export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  /** Ascending. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  observe(value: number): void {
    this.#sum += value;
    this.#count += 1;
    for (const [at, bound] of this.#bounds.entries()) {
      if (value <= bound) this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    }
  }

  samples(): readonly Sample[] {
    const bucket = (le: string, value: number): Sample => ({
      ...{ suffix: '_bucket', labels: { le }, value },
    });
    return [
      ...this.#bounds.map((bound, at) => bucket(String(bound), this.#counts[at] ?? 0)),
      bucket('+Inf', this.#count),
      { suffix: '_sum', value: this.#sum },
      { suffix: '_count', value: this.#count },
    ];
  }
}
