/**
 * Keys that end by themselves, soonest first.
 *
 * A binary heap of deadlines. An entry of the heap is stale once its key was written again or
 * removed; stale ones are dropped when they come up, and all at once when they outnumber the rest.
 * `logged-store.ts` asks for what is due and removes it with an ordinary write.
 */
interface Deadline {
  readonly key: string;
  readonly revision: number;
  readonly atMs: number;
}

export class Deadlines {
  #heap: Deadline[] = [];
  /** Key -> revision of the write whose deadline counts. */
  readonly #wanted = new Map<string, number>();

  get size(): number {
    return this.#wanted.size;
  }

  set(deadline: Deadline): void {
    this.#wanted.set(deadline.key, deadline.revision);
    this.#push(deadline);
    if (this.#heap.length > 2 * this.#wanted.size + 1024) this.#rebuild();
  }

  delete(key: string): void {
    // Most stores have none, and looking up a key that is new costs its hash.
    if (this.#wanted.size > 0) this.#wanted.delete(key);
  }

  /** When the next key ends. */
  nextMs(): number | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || this.#isWanted(first)) return first?.atMs;
      this.#pop();
    }
  }

  /** Takes out what is due, at most `limit` of them. */
  takeDue(options: { readonly nowMs: number; readonly limit: number }): readonly Deadline[] {
    const due: Deadline[] = [];
    while (due.length < options.limit) {
      const nextMs = this.nextMs();
      if (nextMs === undefined || nextMs > options.nowMs) break;
      const deadline = this.#pop();
      if (deadline === undefined) break;
      this.#wanted.delete(deadline.key);
      due.push(deadline);
    }
    return due;
  }

  #isWanted(deadline: Deadline): boolean {
    return this.#wanted.get(deadline.key) === deadline.revision;
  }

  #rebuild(): void {
    const wanted = this.#heap.filter((deadline) => this.#isWanted(deadline));
    // Sorted by time is a heap.
    this.#heap = wanted.sort((a, b) => a.atMs - b.atMs);
  }

  #push(deadline: Deadline): void {
    const heap = this.#heap;
    let index = heap.push(deadline) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || above.atMs <= deadline.atMs) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = deadline;
  }

  #pop(): Deadline | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let index = 0;
    for (;;) {
      const left = heap[index * 2 + 1];
      const right = heap[index * 2 + 2];
      if (left === undefined) break;
      const takeRight = right !== undefined && right.atMs < left.atMs;
      const smaller = takeRight ? right : left;
      if (smaller.atMs >= last.atMs) break;
      heap[index] = smaller;
      index = index * 2 + (takeRight ? 2 : 1);
    }
    heap[index] = last;
    return top;
  }
}
