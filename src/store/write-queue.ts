/**
 * Writes that wait for their turn, and the making of a batch out of them.
 *
 * All writes that wait are decided together when a commit begins: each expectation is held against
 * what is committed plus what this batch has written so far. Three things can come of it:
 *
 * - it holds: the write becomes a row of the batch;
 * - it does not hold against committed state: refused at once;
 * - it does not hold against something this batch is about to write: nobody may hear of that before
 *   the outcome is known, so the write waits for the next batch, and later writes of its key
 *   behind it.
 *
 * Example: waiting are put a (absent), put a (absent), put b. The batch is [a, b]; the second put
 * of a waits. When the batch is durable, it is refused with the entry of the first; when the batch
 * fails, it becomes the row of the next one.
 */
import type { LogRow } from './log.ts';
import type { Entry, Expectation, WriteResult } from './store.ts';

export interface Write {
  readonly key: string;
  /** Undefined: remove the key. */
  readonly value: Uint8Array | undefined;
  readonly expect: Expectation;
  readonly expiresMs: number;
  readonly resolve: (result: WriteResult) => void;
  readonly reject: (error: unknown) => void;
}

export interface Decided {
  readonly rows: readonly LogRow[];
  /** The writes of the rows, at the same indices. */
  readonly writes: readonly Write[];
}

export interface DecideOptions {
  readonly get: (key: string) => Entry | undefined;
  /** The first row gets the revision after this one. */
  readonly revision: number;
  readonly writtenMs: number;
  readonly rowsMax: number;
  readonly bytesMax: number;
}

export class WriteQueue {
  #writes: Write[] = [];
  #bytes = 0;
  /** Key -> how many writes of it wait or are being committed. */
  readonly #keys = new Map<string, number>();

  get length(): number {
    return this.#writes.length;
  }

  /** Bytes of the values that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether a write of this key waits or is being committed. */
  hasKey(key: string): boolean {
    return this.#keys.has(key);
  }

  push(write: Write): void {
    this.#writes.push(write);
    this.#bytes += bytesOf(write);
    this.#keys.set(write.key, (this.#keys.get(write.key) ?? 0) + 1);
  }

  /** The outcome of a decided write is known. */
  settle(write: Write): void {
    const count = this.#keys.get(write.key) ?? 0;
    if (count > 1) this.#keys.set(write.key, count - 1);
    else this.#keys.delete(write.key);
  }

  /** Takes out everything that waits, refusing nothing. */
  takeAll(): readonly Write[] {
    const writes = this.#writes;
    this.#writes = [];
    this.#bytes = 0;
    for (const write of writes) this.settle(write);
    return writes;
  }

  /** Decides what waits, in order, until the batch is full. Refused writes are answered here. */
  takeBatch(options: DecideOptions): Decided {
    const rows: LogRow[] = [];
    const writes: Write[] = [];
    const kept: Write[] = [];
    const held = new Set<string>();
    const written = new Map<string, Entry | undefined>();
    let batchBytes = 0;
    let index = 0;
    for (; index < this.#writes.length && rows.length < options.rowsMax; index++) {
      const write = this.#writes[index];
      if (write === undefined) break;
      if (rows.length > 0 && batchBytes + bytesOf(write) > options.bytesMax) break;
      const { key } = write;
      const before = written.has(key) ? written.get(key) : options.get(key);
      const isHeld = held.has(key);
      if (!isHeld && holds(write, before)) {
        const row = rowOf(write, before, options.revision + rows.length + 1, options.writtenMs);
        written.set(key, entryOf(row));
        rows.push(row);
        writes.push(write);
        batchBytes += bytesOf(write);
      } else if (isHeld || written.has(key)) {
        held.add(key);
        kept.push(write);
      } else {
        this.#bytes -= bytesOf(write);
        this.settle(write);
        write.resolve({ ok: false, current: before });
      }
    }
    this.#bytes -= batchBytes;
    this.#writes = kept.concat(this.#writes.slice(index));
    return { rows, writes };
  }
}

/** Whether a write may happen to a key that is in this state. */
export function holds(write: Pick<Write, 'expect' | 'value'>, current: Entry | undefined): boolean {
  if (write.value === undefined && current === undefined) return false;
  if (write.expect === 'any') return true;
  if (write.expect === 'absent') return current === undefined;
  return current?.revision === write.expect.revision;
}

function bytesOf(write: Write): number {
  return write.key.length + (write.value?.byteLength ?? 0);
}

function rowOf(
  write: Write,
  before: Entry | undefined,
  revision: number,
  writtenMs: number,
): LogRow {
  return {
    key: write.key,
    value: write.value,
    revision,
    createRevision: before?.createRevision ?? revision,
    previousRevision: before?.revision ?? 0,
    expiresMs: write.expiresMs,
    writtenMs,
  };
}

function entryOf(row: LogRow): Entry | undefined {
  const { key, value, revision, createRevision } = row;
  return value === undefined ? undefined : { key, value, revision, createRevision };
}
