/**
 * Keys that end by themselves, soonest first.
 *
 * An entry of the heap is stale once its key was written again or removed; stale ones are dropped
 * when they come up, and all at once when they outnumber the rest.
 * `logged-store.ts` asks for what is due and removes it with an ordinary write.
 */
import { Heap } from '#kit/heap.ts';

interface Deadline {
  readonly key: string;
  readonly revision: number;
  readonly atMs: number;
}

export class Deadlines {
  readonly #heap = new Heap<Deadline>((a, b) => a.atMs < b.atMs);
  /** Key -> revision of the write whose deadline counts. */
  readonly #wanted = new Map<string, number>();

  get size(): number {
    return this.#wanted.size;
  }

  set(deadline: Deadline): void {
    this.#wanted.set(deadline.key, deadline.revision);
    this.#heap.push(deadline);
    if (this.#heap.size <= 2 * this.#wanted.size + 1024) return;
    this.#heap.keep((each) => this.#isWanted(each));
  }

  delete(key: string): void {
    // Most stores have none, and looking up a key that is new costs its hash.
    if (this.#wanted.size > 0) this.#wanted.delete(key);
  }

  /** When the next key ends. */
  nextMs(): number | undefined {
    for (;;) {
      const first = this.#heap.peek();
      if (first === undefined || this.#isWanted(first)) return first?.atMs;
      this.#heap.pop();
    }
  }

  /** Takes out what is due, at most `limit` of them. */
  takeDue(options: { readonly nowMs: number; readonly limit: number }): readonly Deadline[] {
    const due: Deadline[] = [];
    while (due.length < options.limit) {
      const nextMs = this.nextMs();
      if (nextMs === undefined || nextMs > options.nowMs) break;
      const deadline = this.#heap.pop();
      if (deadline === undefined) break;
      this.#wanted.delete(deadline.key);
      due.push(deadline);
    }
    return due;
  }

  #isWanted(deadline: Deadline): boolean {
    return this.#wanted.get(deadline.key) === deadline.revision;
  }
}
