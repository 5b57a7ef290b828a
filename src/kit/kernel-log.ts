/**
 * What the kernel says from now on: the records of `/dev/kmsg`, as `dmesg` shows them. Nobody is
 * woken by it: whoever wants to know looks again. A machine that lets nobody read it says nothing.
 */
import { closeSync, constants, openSync, readSync } from 'node:fs';

/** Records that are left are read by the next look. */
const limits = { recordBytes: 8192, recordsAtOnce: 2000 } as const;

export class KernelLog implements Disposable {
  readonly #path: string;
  readonly #buffer = Buffer.alloc(limits.recordBytes);
  /** Null where it cannot be read. */
  #file: number | null | undefined;
  /** All that was said before the first look has been passed over. */
  #isCurrent = false;

  constructor(path = '/dev/kmsg') {
    this.#path = path;
  }

  /** Texts since it was asked last; the first time that begins. */
  news(): readonly string[] {
    this.#file ??= open(this.#path);
    const texts: string[] = [];
    while (this.#file !== null && texts.length < limits.recordsAtOnce) {
      const text = this.#next(this.#file);
      if (text !== undefined) {
        texts.push(text);
        continue;
      }
      if (this.#isCurrent) return texts;
      this.#isCurrent = true;
      return [];
    }
    return this.#isCurrent ? texts : [];
  }

  /** Undefined when there is no more; empty for a record that was overwritten meanwhile. */
  #next(file: number): string | undefined {
    try {
      const length = readSync(file, this.#buffer);
      return length === 0 ? undefined : textOf(this.#buffer.toString('utf8', 0, length));
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'EAGAIN') return undefined;
      if (code === 'EPIPE') return '';
      throw error;
    }
  }

  [Symbol.dispose](): void {
    if (typeof this.#file === 'number') closeSync(this.#file);
    this.#file = null;
  }
}

function open(path: string): number | null {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return null;
  }
}

/** `6,339,5140900,-;the text` and lines that belong to it, which begin with a space. */
function textOf(record: string): string {
  const [line = ''] = record.split('\n');
  return line.slice(line.indexOf(';') + 1);
}
