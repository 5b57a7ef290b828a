/**
 * What only grows, for Prometheus: one number for each set of labels. Names are given without
 * `kubelet_`, which all of them have.
 */
import type { Metric } from './exposition.ts';

type Labels = Readonly<Record<string, string>>;

export class Counter {
  readonly #name: string;
  readonly #help: string;
  /** By labels, as JSON. */
  readonly #values: Map<string, number>;

  /** Without labels it begins at 0; with them, where something is counted. */
  constructor(name: string, help: string, { labels = false }: { readonly labels?: boolean } = {}) {
    this.#name = name;
    this.#help = help;
    this.#values = new Map(labels ? [] : [['{}', 0]]);
  }

  add(labels: Labels = {}): void {
    const key = JSON.stringify(labels);
    this.#values.set(key, (this.#values.get(key) ?? 0) + 1);
  }

  metric(): Metric {
    const samples = [...this.#values].map(([key, value]) => ({
      // Written above.
      labels: JSON.parse(key) as Labels,
      value,
    }));
    return { name: `kubelet_${this.#name}`, help: this.#help, type: 'counter', samples };
  }
}
