/**
 * How many requests of one client are on their way at a time, and who goes first when that is too
 * few: Leases before everything (a leader that waits behind its own work stops leading), Events
 * after everything, the rest in the order in which they came.
 *
 * Example: 2 at a time, 2 on their way; then come an Event, a Pod and a Lease: when one of the two
 * ends, the Lease goes, then the Pod, then the Event. `client.ts` sends all but watches through it.
 */
export type Lane = 'first' | 'usual' | 'last';

const order = ['first', 'usual', 'last'] as const satisfies readonly Lane[];

interface Waiter {
  readonly go: () => void;
}

export class Lanes {
  readonly #inFlightMax: number;
  readonly #waiting: Readonly<Record<Lane, Set<Waiter>>> = {
    first: new Set(),
    usual: new Set(),
    last: new Set(),
  };
  #inFlight = 0;

  constructor(options: { readonly inFlightMax: number }) {
    this.#inFlightMax = options.inFlightMax;
  }

  async run<T>(lane: Lane, signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    if (this.#inFlight >= this.#inFlightMax) await this.#wait(lane, signal);
    else this.#inFlight += 1;
    try {
      return await task();
    } finally {
      this.#leave();
    }
  }

  /** Resolves with a place that somebody else has left. */
  #wait(lane: Lane, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting[lane];
      const onAbort = (): void => {
        waiting.delete(waiter);
        reject(signal.reason);
      };
      const waiter = {
        go: (): void => {
          waiting.delete(waiter);
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      waiting.add(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  #leave(): void {
    for (const lane of order) {
      for (const waiter of this.#waiting[lane]) {
        waiter.go();
        return;
      }
    }
    this.#inFlight -= 1;
  }
}
