/**
 * How many pods are in each value of a topology key, and the smallest of these numbers.
 *
 * `levels[n]` says in how many values there are n pods, so the smallest number is found without
 * looking at each value. Values without any pod are not kept; whoever asks for the minimum says how
 * many values there are in all.
 *
 * Example: zones a: 2, b: 1, c: none; three zones: the minimum is 0; of two zones it would be 1.
 */
export class TopologyCounts {
  readonly #counts = new Map<string, number>();
  readonly #levels: number[] = [];

  /** Values in which there is at least one pod. */
  get size(): number {
    return this.#counts.size;
  }

  get(value: string | undefined): number {
    return value === undefined ? 0 : (this.#counts.get(value) ?? 0);
  }

  add(value: string, times: number): void {
    if (times === 0) return;
    const before = this.#counts.get(value) ?? 0;
    const after = before + times;
    if (before > 0) this.#level(before, -1);
    if (after > 0) {
      this.#counts.set(value, after);
      this.#level(after, 1);
    } else {
      this.#counts.delete(value);
    }
  }

  /** The smallest number over `valueCount` values; 0 as soon as one of them has no pod. */
  minimum(valueCount: number): number {
    if (this.#counts.size < valueCount) return 0;
    for (let count = 1; count < this.#levels.length; count++) {
      if ((this.#levels[count] ?? 0) > 0) return count;
    }
    return 0;
  }

  #level(count: number, times: 1 | -1): void {
    while (this.#levels.length <= count) this.#levels.push(0);
    this.#levels[count] = (this.#levels[count] ?? 0) + times;
  }
}

/** Which values the topology keys have, over all nodes. Keys are noted when first asked for. */
export class Topologies {
  readonly #nodes: () => Iterable<{ readonly labels: Readonly<Record<string, string>> }>;
  readonly #byKey = new Map<string, Map<string, number>>();
  readonly #withKey = new Map<string, number>();

  constructor(nodes: () => Iterable<{ readonly labels: Readonly<Record<string, string>> }>) {
    this.#nodes = nodes;
  }

  /** Number of different values of the key. */
  valueCount(key: string): number {
    return this.#values(key).size;
  }

  /** Number of nodes that have the key. */
  nodeCount(key: string): number {
    this.#values(key);
    return this.#withKey.get(key) ?? 0;
  }

  /** A node came (1) or went (−1) with these labels. */
  change(labels: Readonly<Record<string, string>>, times: 1 | -1): void {
    for (const [key, values] of this.#byKey) this.#count(key, values, labels, times);
  }

  #values(key: string): ReadonlyMap<string, number> {
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const values = new Map<string, number>();
    this.#byKey.set(key, values);
    for (const { labels } of this.#nodes()) this.#count(key, values, labels, 1);
    return values;
  }

  #count(
    key: string,
    values: Map<string, number>,
    labels: Readonly<Record<string, string>>,
    times: 1 | -1,
  ): void {
    const value = labels[key];
    if (value === undefined) return;
    this.#withKey.set(key, (this.#withKey.get(key) ?? 0) + times);
    const nodes = (values.get(value) ?? 0) + times;
    if (nodes > 0) values.set(value, nodes);
    else values.delete(value);
  }
}
