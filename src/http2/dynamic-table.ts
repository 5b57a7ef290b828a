/**
 * The dynamic table of HPACK (RFC 7541, sections 2.3.2 and 4): fields sent earlier on a connection,
 * the newest first, of which the oldest go when there is no room. Sender and receiver each keep one
 * and must do the same to it, in the same order.
 *
 * A ring: an entry keeps the place that its count of additions gives it, so that nothing is ever
 * moved, except when the ring doubles. It starts with no room at all, since most connections of a
 * cluster are idle watches with a handful of fields.
 */
import { assert } from '#kit/assert.ts';

/** What an entry counts besides its name and value (section 4.1). */
const entryBytes = 32;

const smallestRing = 8;

/** Bytes that an entry of these counts in the table. */
export function entrySize(name: string, value: string): number {
  return name.length + value.length + entryBytes;
}

/** Entries are known by how many were added before them: `count` is the next one's. */
export class DynamicTable {
  #names: string[] = [];
  #values: string[] = [];
  #mask = -1;
  #oldest = 0;
  #next = 0;
  #bytes = 0;

  /** The oldest entry, or `next` where there is none. */
  get oldest(): number {
    return this.#oldest;
  }

  /** What the next entry will be. */
  get next(): number {
    return this.#next;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Of an entry from `oldest` to before `next`. */
  name(entry: number): string {
    return this.#names[entry & this.#mask] ?? '';
  }

  value(entry: number): string {
    return this.#values[entry & this.#mask] ?? '';
  }

  /** The caller has made room for it. */
  add(name: string, value: string): void {
    if (this.#next - this.#oldest > this.#mask) this.#grow();
    const slot = this.#next++ & this.#mask;
    this.#names[slot] = name;
    this.#values[slot] = value;
    this.#bytes += entrySize(name, value);
  }

  removeOldest(): void {
    assert(this.#oldest < this.#next, 'an entry is removed from an empty table');
    const slot = this.#oldest++ & this.#mask;
    this.#bytes -= entrySize(this.#names[slot] ?? '', this.#values[slot] ?? '');
    // So that a token that went is kept no longer.
    this.#names[slot] = '';
    this.#values[slot] = '';
  }

  #grow(): void {
    const size = Math.max(smallestRing, 2 * (this.#mask + 1));
    const names = new Array<string>(size).fill('');
    const values = new Array<string>(size).fill('');
    for (let entry = this.#oldest; entry < this.#next; entry++) {
      names[entry & (size - 1)] = this.name(entry);
      values[entry & (size - 1)] = this.value(entry);
    }
    this.#names = names;
    this.#values = values;
    this.#mask = size - 1;
  }
}
