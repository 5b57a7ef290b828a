/**
 * The newest events in order of revision, bounded in bytes.
 *
 * What an event costs is what it alone keeps alive: the value that it replaced, and itself. The
 * value that it wrote is the current one, or was replaced by a later event that counts it.
 *
 * Example: put a (1 KiB), put a (2 KiB), delete a. The events cost 0, 1 KiB and 2 KiB, each plus
 * the fixed part; after the first two are forgotten, 2 KiB are left.
 *
 * `state.ts` appends, the watch hub and lists of older revisions read.
 */
import { assert } from '#kit/assert.ts';
import type { StoreEvent } from './store.ts';

/** Two objects, a key and the slots that hold them. */
const eventBytes = 256;

export class History {
  readonly #bytesMax: number;
  #events: (StoreEvent | undefined)[] = [];
  #head = 0;
  #bytes = 0;
  #forgottenBytes = 0;
  #oldest: number;

  constructor(options: { readonly bytesMax: number; readonly oldest: number }) {
    this.#bytesMax = options.bytesMax;
    this.#oldest = options.oldest;
  }

  /** Every event with a revision greater than this one is here. */
  get oldest(): number {
    return this.#oldest;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** What was dropped so far has cost this much. */
  get forgottenBytes(): number {
    return this.#forgottenBytes;
  }

  get length(): number {
    return this.#events.length - this.#head;
  }

  append(event: StoreEvent): void {
    const last = this.#events.at(-1);
    assert(event.revision > (last?.revision ?? this.#oldest), 'revisions of history only rise');
    this.#events.push(event);
    this.#bytes += costOf(event);
    while (this.#bytes > this.#bytesMax && this.length > 1) this.#dropFirst();
  }

  /** Forgets events up to this revision. */
  dropThrough(revision: number): void {
    for (;;) {
      const first = this.#events[this.#head];
      if (first === undefined || first.revision > revision) break;
      this.#dropFirst();
    }
    this.#oldest = Math.max(this.#oldest, revision);
  }

  /** Events with a greater revision, oldest first, at most `limit`. */
  after(revision: number, limit = Number.POSITIVE_INFINITY): readonly StoreEvent[] {
    assert(revision >= this.#oldest, 'history from before the oldest revision is not here');
    const from = this.#indexAfter(revision);
    const to = Math.min(this.#events.length, from + limit);
    // Slots from the head on are filled; only dropped ones are undefined.
    return this.#events.slice(from, to) as StoreEvent[];
  }

  #indexAfter(revision: number): number {
    let low = this.#head;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const event = this.#events[middle];
      if (event !== undefined && event.revision <= revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #dropFirst(): void {
    const first = this.#events[this.#head];
    assert(first !== undefined, 'there is an event to drop');
    this.#events[this.#head] = undefined;
    this.#head += 1;
    const cost = costOf(first);
    this.#bytes -= cost;
    this.#forgottenBytes += cost;
    this.#oldest = first.revision;
    if (this.#head >= 1024 && this.#head * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#head);
      this.#head = 0;
    }
  }
}

function costOf(event: StoreEvent): number {
  return eventBytes + event.key.length + (event.previous?.value.byteLength ?? 0);
}
