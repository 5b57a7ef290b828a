/**
 * Bytes that wait, in the parts in which they came, and are taken from the front in pieces of any
 * length, without copying.
 *
 * `stream.ts` has one for its answer; `sender.ts` takes as much of it as there is room for.
 */

/** What waits in several queues together. */
export interface Held {
  bytes: number;
}

export class ByteQueue {
  /** All bytes that wait. */
  bytes = 0;
  readonly #held: Held;
  #parts: Uint8Array[] = [];
  /** Of the first part, so many are taken. */
  #takenBytes = 0;

  constructor(held: Held) {
    this.#held = held;
  }

  push(part: Uint8Array): void {
    this.#parts.push(part);
    this.#held.bytes += part.length;
    this.bytes += part.length;
  }

  /** The next `bytes` of them, of which there must be so many. */
  take(bytes: number, into: Uint8Array[]): void {
    this.bytes -= bytes;
    this.#held.bytes -= bytes;
    let left = bytes;
    let whole = 0;
    for (const part of this.#parts) {
      if (left === 0) break;
      const from = this.#takenBytes;
      const taken = part.subarray(from, from + left);
      into.push(taken);
      left -= taken.length;
      if (from + taken.length < part.length) this.#takenBytes += taken.length;
      else {
        this.#takenBytes = 0;
        whole += 1;
      }
    }
    this.#parts.splice(0, whole);
  }

  clear(): void {
    this.#parts = [];
    this.#takenBytes = 0;
    this.#held.bytes -= this.bytes;
    this.bytes = 0;
  }
}
