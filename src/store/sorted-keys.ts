/**
 * All current entries in order of key: a sorted array, cut into chunks.
 *
 * A flat array would move half a million slots for one insertion among a million keys; a tree would
 * cost an object per few keys. Two levels are enough: about 4,000 chunks of up to 512 entries. A
 * search is one binary search over the first keys of the chunks and one inside a chunk; an
 * insertion moves at most 512 slots, and rarely 4,000 when a chunk is cut in two. There is no
 * second index: `get` is the same search.
 *
 * Order is that of JavaScript's `<` (UTF-16 code units). `state.ts` is the only caller.
 */
import { assert, present } from '#kit/assert.ts';
import type { Entry } from './store.ts';

const chunkLengthMax = 512;

interface Place {
  readonly chunk: number;
  readonly index: number;
}

export class SortedKeys {
  /** Never empty chunks, except that there is always at least one. */
  readonly #chunks: Entry[][] = [[]];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: string): Entry | undefined {
    const entries = this.#chunk(this.#chunkOf(key));
    const found = entries[lowerBound(entries, key)];
    return found !== undefined && found.key === key ? found : undefined;
  }

  /** Puts the entry in place of the one with its key, which is returned if there was one. */
  set(entry: Entry): Entry | undefined {
    const at = this.#chunkOf(entry.key);
    const entries = this.#chunk(at);
    const index = lowerBound(entries, entry.key);
    const found = entries[index];
    if (found !== undefined && found.key === entry.key) {
      entries[index] = entry;
      return found;
    }
    this.#size += 1;
    if (entries.length < chunkLengthMax) {
      if (index === entries.length) entries.push(entry);
      else entries.splice(index, 0, entry);
      return undefined;
    }
    this.#cut(at, index, entry);
    return undefined;
  }

  delete(key: string): Entry | undefined {
    const at = this.#chunkOf(key);
    const entries = this.#chunk(at);
    const index = lowerBound(entries, key);
    const found = entries[index];
    if (found === undefined || found.key !== key) return undefined;
    entries.splice(index, 1);
    if (entries.length === 0 && this.#chunks.length > 1) this.#chunks.splice(at, 1);
    this.#size -= 1;
    return found;
  }

  count(prefix: string): number {
    let place = this.#firstAtLeast(prefix);
    let total = 0;
    for (;;) {
      const entries = this.#chunks[place.chunk];
      if (entries === undefined) return total;
      const end = prefixEnd(entries, place.index, prefix);
      total += end - place.index;
      if (end < entries.length) return total;
      place = { chunk: place.chunk + 1, index: 0 };
    }
  }

  /** Entries under a prefix, behind `after`; at most `limit`, and whether there are more. */
  list(options: {
    readonly prefix: string;
    readonly after?: string | undefined;
    readonly limit?: number | undefined;
  }): { entries: Entry[]; more: boolean } {
    const { prefix, after, limit = Number.POSITIVE_INFINITY } = options;
    let place =
      after !== undefined && after >= prefix
        ? this.#firstGreater(after)
        : this.#firstAtLeast(prefix);
    const found: Entry[] = [];
    for (;;) {
      const entries = this.#chunks[place.chunk];
      if (entries === undefined) return { entries: found, more: false };
      const end = prefixEnd(entries, place.index, prefix);
      for (let index = place.index; index < end; index++) {
        if (found.length >= limit) return { entries: found, more: true };
        found.push(present(entries[index], 'an index inside its chunk'));
      }
      if (end < entries.length) return { entries: found, more: false };
      place = { chunk: place.chunk + 1, index: 0 };
    }
  }

  /** A full chunk gets a neighbour: empty where keys come in order, else with half of it. */
  #cut(at: number, index: number, entry: Entry): void {
    const entries = this.#chunk(at);
    if (index === entries.length && at === this.#chunks.length - 1) {
      this.#chunks.push([entry]);
      return;
    }
    const middle = entries.length >> 1;
    const upper = entries.splice(middle);
    this.#chunks.splice(at + 1, 0, upper);
    if (index <= middle) entries.splice(index, 0, entry);
    else upper.splice(index - middle, 0, entry);
  }

  #chunk(index: number): Entry[] {
    return present(this.#chunks[index], 'a chunk of the sorted keys');
  }

  /** The last chunk whose first key is not greater than this one. */
  #chunkOf(key: string): number {
    let low = 0;
    let high = this.#chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      const first = this.#chunk(middle)[0];
      assert(first !== undefined, 'a chunk behind the first is never empty');
      if (first.key <= key) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #firstAtLeast(key: string): Place {
    const chunk = this.#chunkOf(key);
    return { chunk, index: lowerBound(this.#chunk(chunk), key) };
  }

  #firstGreater(key: string): Place {
    const { chunk, index } = this.#firstAtLeast(key);
    const same = this.#chunk(chunk)[index]?.key === key;
    return { chunk, index: same ? index + 1 : index };
  }
}

/** Index of the first entry whose key is not smaller. */
function lowerBound(entries: readonly Entry[], key: string): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const entry = entries[middle];
    if (entry !== undefined && entry.key < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** End of the run under the prefix that starts at `from`; a whole chunk costs one comparison. */
function prefixEnd(entries: readonly Entry[], from: number, prefix: string): number {
  if (entries.at(-1)?.key.startsWith(prefix) === true) return entries.length;
  let low = from;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (entries[middle]?.key.startsWith(prefix) === true) low = middle + 1;
    else high = middle;
  }
  return low;
}
