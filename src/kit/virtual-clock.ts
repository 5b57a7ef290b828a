/**
 * A clock that stands still until it is advanced. Timers fire in order of their time; timers of the
 * same time fire in the order in which they were set. Between two timers the event loop is drained
 * (`settle`), so that promises started by one timer have run before the next fires.
 */
import { assert } from './assert.ts';
import { type Clock, sleepWith } from './clock.ts';
import { Heap } from './heap.ts';

interface Timer {
  readonly atMs: number;
  readonly sequence: number;
  readonly callback: () => void;
  cancelled: boolean;
}

export class VirtualClock implements Clock {
  #nowMs: number;
  readonly #startMs: number;
  #sequence = 0;
  readonly #timers = new Heap(before);
  readonly #settle: () => Promise<void>;

  constructor(
    options: {
      readonly startMs?: number;
      /** Before time goes on; for those whose work does not only run in promises. */
      readonly settle?: () => Promise<void>;
    } = {},
  ) {
    this.#startMs = options.startMs ?? Date.UTC(2026, 0, 1);
    this.#nowMs = this.#startMs;
    this.#settle = options.settle ?? settle;
  }

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#nowMs - this.#startMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    this.#sequence += 1;
    const timer: Timer = {
      atMs: this.#nowMs + Math.max(0, delayMs),
      sequence: this.#sequence,
      callback,
      cancelled: false,
    };
    this.#timers.push(timer);
    return () => {
      timer.cancelled = true;
    };
  }

  sleep(delayMs: number, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    return sleepWith((ms, callback) => this.after(ms, callback), delayMs, signal);
  }

  /** Time of the next timer that is still wanted, or undefined. */
  nextMs(): number | undefined {
    while (this.#timers.peek()?.cancelled) this.#timers.pop();
    return this.#timers.peek()?.atMs;
  }

  /** Moves to the next timer and fires it; false when there is none. Does not settle. */
  step(): boolean {
    if (this.nextMs() === undefined) return false;
    const timer = this.#timers.pop();
    assert(timer !== undefined && timer.atMs >= this.#nowMs, 'virtual time never goes back');
    this.#nowMs = timer.atMs;
    timer.callback();
    return true;
  }

  /** Moves the time by `deltaMs`, firing everything that becomes due and settling in between. */
  async advance(deltaMs: number): Promise<void> {
    const targetMs = this.#nowMs + deltaMs;
    await this.#settle();
    for (let next = this.nextMs(); next !== undefined && next <= targetMs; next = this.nextMs()) {
      this.step();
      await this.#settle();
    }
    this.#nowMs = targetMs;
  }
}

/**
 * Lets every promise that can run, run: one turn of the event loop, before which chains of
 * promises, however long, have come to their end. Work on the event loop itself (timers, I/O,
 * setImmediate) is not waited for; the simulator checks that there is none.
 */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function before(a: Timer, b: Timer): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);
}
