/**
 * The log of production: SQLite on a thread of its own, seen from the store's thread.
 *
 * Requests go to the worker in order and each gets one answer. Should the worker end (out of
 * memory, a bug), what it had not answered fails, and the next request starts another one. The
 * first append after a failure tells the worker what is certain, so that it removes the rest.
 */
import { Worker } from 'node:worker_threads';
import { assert } from '#kit/assert.ts';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import { StoreRefused } from './errors.ts';
import type {
  Batch,
  ChangePage,
  ChangeRange,
  Copied,
  LoadSink,
  Log,
  LogReader,
  LogRow,
} from './log.ts';
import { packRows, unpackRows } from './packed-rows.ts';
import type { Answer, Doing, Requests, WorkerOptions } from './sqlite-messages.ts';

/** Pieces of rows that are under way while the file is loaded. */
const loadAheadMax = 2;
/** How long the last words of the worker are waited for. */
const closeLimitMs = 10_000;

interface Waiting {
  readonly resolve: (answer: Requests[Doing]['answer']) => void;
  readonly reject: (error: unknown) => void;
}

export class SqliteLog implements Log {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #options: WorkerOptions;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #nextId = 1;
  #isClosing = false;
  /** Newest revision that is certainly durable. */
  #durable = 0;
  /** Whether the database may hold rows behind it. */
  #isUncertain = false;

  constructor(deps: { readonly clock: Clock; readonly log: Logger }, options: WorkerOptions) {
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#options = options;
  }

  async load(sink: LoadSink): Promise<void> {
    sink.onStart(await this.#ask('open', {}));
    const ahead: Promise<Requests['next']['answer']>[] = [];
    for (;;) {
      while (ahead.length < loadAheadMax) ahead.push(this.#ask('next', {}));
      const { packed } = (await ahead.shift()) ?? {};
      if (packed === undefined) break;
      const rows = unpackRows(packed, { values: 'own' });
      this.#durable = rows.at(-1)?.revision ?? this.#durable;
      sink.onRows(rows);
    }
    await Promise.all(ahead);
  }

  async append(batch: Batch): Promise<void> {
    const packed = packRows(batch.rows);
    const discardAfter = this.#isUncertain ? this.#durable : undefined;
    this.#isUncertain = true;
    await this.#ask('append', { packed, reserve: batch.reserve, discardAfter }, [packed.buffer]);
    this.#isUncertain = false;
    this.#durable = batch.rows.at(-1)?.revision ?? this.#durable;
  }

  async compact(revision: number): Promise<void> {
    await this.#ask('compact', { revision });
  }

  async backup(to: string): Promise<Copied> {
    return await this.#ask('backup', { to, through: this.#durable });
  }

  readonly reader: LogReader = {
    changesAfter: async (range: ChangeRange): Promise<ChangePage | 'compacted'> =>
      (await this.#ask('changes', range)).page,
    rows: async (revisions: readonly number[]): Promise<readonly LogRow[] | 'compacted'> => {
      const { packed } = await this.#ask('rows', { revisions });
      return packed === undefined ? 'compacted' : unpackRows(packed, { values: 'own' });
    },
  };

  async close(revision: number): Promise<void> {
    this.#isClosing = true;
    const worker = this.#worker;
    if (worker === undefined) return;
    const exited = new Promise<void>((resolve) => {
      worker.once('exit', () => resolve());
    });
    const cancelLimit = this.#clock.after(closeLimitMs, () => {
      this.#log.error('store does not let go of its file');
      worker.terminate().catch(() => {});
    });
    try {
      // After a failure the reserve stays where it is, which only skips some numbers.
      const reserve = this.#isUncertain ? undefined : revision;
      await this.#ask('close', { reserve });
      await exited;
    } finally {
      cancelLimit();
      await worker.terminate();
    }
  }

  /** Ends the thread, whatever it does. */
  async abandon(): Promise<void> {
    this.#isClosing = true;
    await this.#worker?.terminate();
  }

  async #ask<Name extends Doing>(
    name: Name,
    ask: Requests[Name]['ask'],
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<Requests[Name]['answer']> {
    const started = this.#worker === undefined && name !== 'open';
    const worker = this.#worker ?? this.#start();
    // A worker that takes the place of one that ended has to open the file first.
    const opened = started ? this.#reopen(worker) : undefined;
    const answer = this.#send(worker, name, ask, transfer);
    const [, result] = await Promise.all([opened, answer]);
    return result;
  }

  async #reopen(worker: Worker): Promise<void> {
    try {
      await this.#send(worker, 'open', {}, []);
    } catch (error) {
      await worker.terminate();
      throw error;
    }
  }

  #send<Name extends Doing>(
    worker: Worker,
    name: Name,
    ask: Requests[Name]['ask'],
    transfer: readonly ArrayBuffer[],
  ): Promise<Requests[Name]['answer']> {
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve, reject) => {
      // The worker answers a request of this name with an answer of this name.
      const settle = { resolve: resolve as Waiting['resolve'], reject };
      this.#waiting.set(id, settle);
      worker.postMessage({ id, do: name, ask }, transfer);
    });
  }

  #start(): Worker {
    const worker = new Worker(new URL('./sqlite-log.worker.js', import.meta.url), {
      workerData: this.#options,
      name: 'log',
      // Rows pass through outside the heap; this is for a small program.
      resourceLimits: { maxYoungGenerationSizeMb: 8, maxOldGenerationSizeMb: 64, stackSizeMb: 1 },
      execArgv: [],
    });
    this.#worker = worker;
    worker.on('message', (answer: Answer) => this.#onAnswer(answer));
    worker.on('error', (error) => this.#onEnd(worker, error));
    worker.on('exit', () => this.#onEnd(worker, new Error('the thread of the log has ended')));
    return worker;
  }

  #onAnswer(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    assert(waiting !== undefined, 'the log answers each request once');
    this.#waiting.delete(answer.id);
    if (answer.ok) waiting.resolve(answer.answer);
    else if (answer.refused) waiting.reject(new StoreRefused(answer.message));
    else waiting.reject(new Error(answer.message));
  }

  #onEnd(worker: Worker, error: unknown): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    if (!this.#isClosing) this.#log.error('thread of the store ended', { error });
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(error);
  }
}
