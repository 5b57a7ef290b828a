/**
 * Reads a container's log file: from the end, from a time, with or without what comes next.
 *
 * Yields pieces of text ready to be sent, each good until the next is asked for. `tailOffset` finds
 * where the last n lines begin by reading backwards in blocks; following waits for the file to grow
 * (the kernel's notice, or a look each second), goes on with the next file when the log is rotated
 * (`followed-log.ts`), and ends when the container has ended and everything is read.
 */
import { type FSWatcher, watch } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Clock } from '#kit/clock.ts';
import { findRecord, type LogRecord } from './cri-log.ts';
import { FollowedLog } from './followed-log.ts';

export interface LogOptions {
  readonly follow: boolean;
  readonly tailLines?: number | undefined;
  readonly sinceMs?: number | undefined;
  readonly timestamps: boolean;
  readonly limitBytes?: number | undefined;
  /** Only this stream; both when absent. */
  readonly stream?: 'stdout' | 'stderr' | undefined;
}

export interface LogDeps {
  readonly clock: Clock;
  /** Whether the container may still write. */
  readonly isRunning: () => Promise<boolean>;
}

const newline = 0x0a;
const blockBytes = 256 * 1024;
const lookMs = 1000;
/** Between two looks at a file that grows: now and then, and without a rest. */
const restMs = { quick: 5, busy: 20 } as const;
/** How long a log that was rotated is read before the next one is. */
const settleMs = 50;

export async function* readLog(
  deps: LogDeps,
  path: string,
  options: LogOptions,
  signal: AbortSignal,
): AsyncIterable<Buffer> {
  const formatter = new LogFormatter(options);
  let left = options.limitBytes ?? Number.POSITIVE_INFINITY;
  for await (const lines of readLines(deps, path, options, signal)) {
    const text = formatter.format(lines);
    if (text.length === 0) continue;
    yield text.subarray(0, Math.min(text.length, left));
    left -= text.length;
    if (left <= 0) return;
  }
}

/** Lines of the file to what is sent for them. Keeps what is needed for pieces of long lines. */
export class LogFormatter {
  readonly #options: LogOptions;
  readonly #inLine: Record<LogRecord['stream'], boolean> = { stdout: false, stderr: false };
  #text: Buffer = Buffer.alloc(0);

  constructor(options: LogOptions) {
    this.#options = options;
  }

  /**
   * Whole lines, many at a time: what is sent is never longer than what was read. It is good until
   * the next call.
   */
  format(lines: Buffer): Buffer {
    const text = this.#roomFor(lines.length + 1);
    let length = 0;
    for (let start = 0; start < lines.length; ) {
      const found = lines.indexOf(newline, start);
      const end = found < 0 ? lines.length : found;
      length = this.#append(text, length, { lines, start, end });
      start = end + 1;
    }
    return text.subarray(0, length);
  }

  #roomFor(length: number): Buffer {
    const { length: room } = this.#text;
    const isTooMuch = room > blockBytes && length < room / 16;
    if (room < length || isTooMuch) this.#text = Buffer.allocUnsafeSlow(Math.max(length, 4096));
    return this.#text;
  }

  #append(
    text: Buffer,
    length: number,
    { lines, start, end }: { readonly lines: Buffer; readonly start: number; readonly end: number },
  ): number {
    const record = findRecord(lines, start, end);
    if (record === undefined) return length;
    const { stream, isPartial, timeEnd, contentStart } = record;
    const { sinceMs, timestamps } = this.#options;
    if (this.#options.stream !== undefined && stream !== this.#options.stream) return length;
    const time = (): string => lines.toString('latin1', start, timeEnd);
    if (sinceMs !== undefined && Date.parse(time()) < sinceMs) return length;
    const isBegin = !this.#inLine[stream];
    this.#inLine[stream] = isPartial;
    let at = length;
    if (timestamps && isBegin) at += text.write(`${time()} `, at, 'latin1');
    at += lines.copy(text, at, contentStart, end);
    if (!isPartial) text[at++] = newline;
    return at;
  }
}

/** Blocks of whole lines; the last one may have no end. */
async function* readLines(
  deps: LogDeps,
  path: string,
  options: LogOptions,
  signal: AbortSignal,
): AsyncIterable<Buffer> {
  await using log = await FollowedLog.open(path);
  using watcher = new Watcher(path, options.follow);
  await log.seek((handle) => tailOffset(handle, options.tailLines));
  const growth = new Growth(deps, options.follow);
  for (;;) {
    signal.throwIfAborted();
    // Asked before reading: what a container wrote before it ended is then surely read.
    const mayGrow = await growth.isPossible();
    let readBytes = 0;
    for await (const block of log.lines()) {
      readBytes += block.length;
      yield block;
    }
    if (options.follow && (await log.isReplaced())) {
      growth.found(1);
      // What the runtime still has on its way to the old file belongs before the new one's lines.
      await deps.clock.sleep(settleMs, { signal });
      yield* log.lines();
      yield* log.goOn();
      watcher.forget();
      continue;
    }
    if (!mayGrow) break;
    const isAnswered = growth.isAnswered;
    growth.found(readBytes);
    // It rests: whether it has ended is to be asked now.
    if (readBytes === 0 && !isAnswered) continue;
    if (readBytes > 0) await watcher.rest(deps.clock, signal);
    else await watcher.wait(deps.clock, signal);
  }
  yield* log.rest();
}

/**
 * Whether the file may still grow. Asking costs a call of the runtime: while it does grow, that is
 * answer enough for some time.
 */
class Growth {
  readonly #deps: LogDeps;
  readonly #follow: boolean;
  #untilMs = Number.NEGATIVE_INFINITY;
  #hasGrown = false;
  /** By the runtime, the last time. */
  isAnswered = false;

  constructor(deps: LogDeps, follow: boolean) {
    this.#deps = deps;
    this.#follow = follow;
  }

  async isPossible(): Promise<boolean> {
    if (!this.#follow) return false;
    const nowMs = this.#deps.clock.monotonic();
    this.isAnswered = !this.#hasGrown || nowMs >= this.#untilMs;
    if (!this.isAnswered) return true;
    this.#untilMs = nowMs + lookMs;
    return this.#deps.isRunning();
  }

  found(bytes: number): void {
    this.#hasGrown = bytes > 0;
  }
}

/** Where the last n lines begin; 0 when there are fewer, or when all are wanted. */
export async function tailOffset(file: FileHandle, lines: number | undefined): Promise<number> {
  if (lines === undefined) return 0;
  const { size } = await file.stat();
  if (lines === 0) return size;
  let count = 0;
  let end = size;
  while (end > 0) {
    const start = Math.max(end - blockBytes, 0);
    const block = Buffer.allocUnsafe(end - start);
    await file.read(block, 0, block.length, start);
    for (let index = block.length - 1; index >= 0; index--) {
      const isLast = start + index === size - 1;
      if (block[index] !== newline || isLast) continue;
      count += 1;
      if (count === lines) return start + index + 1;
    }
    end = start;
  }
  return 0;
}

/**
 * Wakes when the file changes, or after a second. The kernel is asked to tell only of a file that
 * rests: of one that is written to all the time it tells every write.
 */
class Watcher implements Disposable {
  readonly #path: string;
  readonly #active: boolean;
  #watcher: FSWatcher | undefined;
  #isAsking = false;
  #changed = false;
  /** How often in a row the file had grown. */
  #grown = 0;
  #wake: (() => void) | undefined;

  constructor(path: string, active: boolean) {
    this.#path = path;
    this.#active = active;
  }

  /** Nothing is heard of the file that has this name. */
  forget(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#isAsking = false;
  }

  /** The file has grown: who writes much in small parts is not followed part by part. */
  async rest(clock: Clock, signal: AbortSignal): Promise<void> {
    this.#grown += 1;
    const isBusy = this.#grown > 1;
    if (isBusy) this.forget();
    await clock.sleep(isBusy ? restMs.busy : restMs.quick, { signal });
  }

  /** It has not: until it does. The first time another look has to follow. */
  async wait(clock: Clock, signal: AbortSignal): Promise<void> {
    this.#grown = 0;
    if (!this.#isAsking) {
      this.#ask();
      return;
    }
    if (!this.#changed) await this.#notice(clock, signal);
    this.#changed = false;
  }

  #ask(): void {
    this.#isAsking = true;
    this.#changed = false;
    if (!this.#active) return;
    try {
      this.#watcher = watch(this.#path, () => {
        this.#changed = true;
        this.#wake?.();
      });
      this.#watcher.on('error', () => {});
    } catch (error) {
      // Out of watches, or the file has just been renamed: the look each second goes on.
      if (!(error instanceof Error)) throw error;
    }
  }

  async #notice(clock: Clock, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        cancel();
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const cancel = clock.after(lookMs, wake);
      this.#wake = wake;
      signal.addEventListener('abort', wake);
    });
    this.#wake = undefined;
  }

  [Symbol.dispose](): void {
    this.forget();
  }
}
