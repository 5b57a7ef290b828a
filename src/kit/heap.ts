/**
 * A binary heap: hands out what comes first, whatever the order in which things were put in.
 *
 * Timers and deadlines wait in one. What comes first is the caller's to say (`before`); equal ones
 * come in no particular order unless it says that too.
 */
export class Heap<T> {
  readonly #before: (a: T, b: T) => boolean;
  #items: T[] = [];

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#items.length;
  }

  /** The first, which stays. */
  peek(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    const items = this.#items;
    let index = items.push(item) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = items[parent];
      if (above === undefined || !this.#before(item, above)) break;
      items[index] = above;
      index = parent;
    }
    items[index] = item;
  }

  /** The first, taken out. */
  pop(): T | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (top === undefined || last === undefined || items.length === 0) return top;
    let index = 0;
    for (;;) {
      const left = items[index * 2 + 1];
      const right = items[index * 2 + 2];
      if (left === undefined) break;
      const takesRight = right !== undefined && this.#before(right, left);
      const smaller = takesRight ? right : left;
      if (!this.#before(smaller, last)) break;
      items[index] = smaller;
      index = index * 2 + (takesRight ? 2 : 1);
    }
    items[index] = last;
    return top;
  }

  /** Drops all others, at the price of sorting those that stay: sorted is a heap too. */
  keep(isWanted: (item: T) => boolean): void {
    const wanted = this.#items.filter(isWanted);
    this.#items = wanted.sort((a, b) => (this.#before(a, b) ? -1 : this.#before(b, a) ? 1 : 0));
  }
}
