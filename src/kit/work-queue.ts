/**
 * The queue behind every control loop: keys, each at most once, never handled twice at a time.
 *
 * A key added while it is being worked on is handed out again after `done`. `addAfter` waits;
 * `retry` waits longer after each failure of the same key until `forget`.
 */
import type { Clock } from './clock.ts';

export interface WorkQueueOptions {
  /** First delay after a failure; doubles with each further one. */
  readonly retryDelayMs?: number;
  readonly retryDelayMsMax?: number;
}

/** Hears what becomes of each key: for figures. */
export interface QueueObserver {
  /** It waits now and did not before. */
  added(key: string): void;
  taken(key: string): void;
  done(key: string): void;
  retried(): void;
}

export class WorkQueue<Key extends string = string> {
  #observer: QueueObserver | undefined;
  readonly #clock: Clock;
  readonly #ready = new Set<Key>();
  readonly #working = new Set<Key>();
  readonly #again = new Set<Key>();
  readonly #failures = new Map<Key, number>();
  readonly #delayed = new Map<Key, { readonly atMs: number; readonly cancel: () => void }>();
  readonly #takers: ((key: Key) => void)[] = [];
  readonly #retryDelayMs: number;
  readonly #retryDelayMsMax: number;

  constructor(deps: { readonly clock: Clock }, options: WorkQueueOptions = {}) {
    this.#clock = deps.clock;
    this.#retryDelayMs = options.retryDelayMs ?? 5;
    this.#retryDelayMsMax = options.retryDelayMsMax ?? 1_000_000;
  }

  /** Keys ready now, not counting those being worked on or waiting for their time. */
  get length(): number {
    return this.#ready.size;
  }

  observe(observer: QueueObserver): void {
    this.#observer = observer;
  }

  add(key: Key): void {
    if (this.#again.has(key) || this.#ready.has(key)) return;
    this.#observer?.added(key);
    if (this.#working.has(key)) this.#again.add(key);
    else this.#hand(key);
  }

  /** Adds the key after a delay; of several delays the shortest wins. */
  addAfter(key: Key, delayMs: number): void {
    if (delayMs <= 0) {
      this.add(key);
      return;
    }
    const atMs = this.#clock.monotonic() + delayMs;
    const waiting = this.#delayed.get(key);
    if (waiting !== undefined && waiting.atMs <= atMs) return;
    waiting?.cancel();
    const cancel = this.#clock.after(delayMs, () => {
      this.#delayed.delete(key);
      this.add(key);
    });
    this.#delayed.set(key, { atMs, cancel });
  }

  /** Adds the key after a delay that grows with each failure: 5 ms, 10 ms, … 1,000 s. */
  retry(key: Key): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.#observer?.retried();
    this.addAfter(key, Math.min(this.#retryDelayMs * 2 ** failures, this.#retryDelayMsMax));
  }

  forget(key: Key): void {
    this.#failures.delete(key);
  }

  /** The next key. Call `done` with it when finished. Rejects with the signal's reason. */
  take({ signal }: { readonly signal: AbortSignal }): Promise<Key> {
    if (signal.aborted) return Promise.reject(signal.reason);
    for (const key of this.#ready) {
      this.#ready.delete(key);
      this.#working.add(key);
      this.#observer?.taken(key);
      return Promise.resolve(key);
    }
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#takers.splice(this.#takers.indexOf(taker), 1);
        reject(signal.reason);
      };
      const taker = (key: Key): void => {
        signal.removeEventListener('abort', onAbort);
        resolve(key);
      };
      this.#takers.push(taker);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  done(key: Key): void {
    this.#working.delete(key);
    this.#observer?.done(key);
    if (!this.#again.delete(key)) return;
    // It has been counted when it came.
    this.#hand(key);
  }

  /** To whoever waits for one, or to those that are ready. */
  #hand(key: Key): void {
    const taker = this.#ready.size === 0 ? this.#takers.shift() : undefined;
    if (taker === undefined) {
      this.#ready.add(key);
      return;
    }
    this.#working.add(key);
    this.#observer?.taken(key);
    taker(key);
  }

  /** Cancels what waits for its time. */
  [Symbol.dispose](): void {
    for (const { cancel } of this.#delayed.values()) cancel();
    this.#delayed.clear();
  }
}
