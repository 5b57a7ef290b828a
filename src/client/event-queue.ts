/**
 * Events noted and not written yet: bounded, written some at a time, so that a slow server holds up
 * less, and those about one object one after the other.
 *
 * Both recorders (`recorder.ts`, `series-recorder.ts`) put in; `run` writes until the signal
 * aborts. What the server answers it would answer again, and others wait: only what got no answer
 * is tried again.
 */
import { ApiError } from '#api/errors.ts';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';

export interface EventQueueDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Logger | undefined;
}

export interface EventQueueOptions<T> {
  readonly lengthMax: number;
  /** About different objects, at the same time. */
  readonly writesMax: number;
  readonly attemptsMax: number;
  readonly retryMs: number;
  /** How long an event rests before it is written, so that what matters more goes first. */
  readonly restMs: number;
  objectOf(event: T): string;
  /** Asked once for each event: what writes it, which may be tried several times, or nothing. */
  writeOf(event: T): ((signal: AbortSignal) => Promise<void>) | undefined;
}

export class EventQueue<T extends { readonly reason?: string | undefined }> {
  readonly #deps: EventQueueDeps;
  readonly #options: EventQueueOptions<T>;
  readonly #waiting: T[] = [];
  #resting = 0;
  /** Objects of which an event is being written. */
  readonly #inFlight = new Set<string>();
  readonly #sleepers = new Set<() => void>();

  constructor(deps: EventQueueDeps, options: EventQueueOptions<T>) {
    this.#deps = deps;
    this.#options = options;
  }

  get isFull(): boolean {
    return this.#waiting.length + this.#resting >= this.#options.lengthMax;
  }

  put(event: T): void {
    const { restMs } = this.#options;
    if (restMs === 0) {
      this.#ready(event);
      return;
    }
    this.#resting += 1;
    this.#deps.clock.after(restMs, () => {
      this.#resting -= 1;
      this.#ready(event);
    });
  }

  #ready(event: T): void {
    this.#waiting.push(event);
    this.#wakeOne();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { writesMax } = this.#options;
    await Promise.all(Array.from({ length: writesMax }, () => this.#writer(signal)));
  }

  async #writer(signal: AbortSignal): Promise<void> {
    for (;;) {
      const event = this.#take();
      if (event === undefined) {
        await this.#nextEvent(signal);
        continue;
      }
      const object = this.#options.objectOf(event);
      this.#inFlight.add(object);
      try {
        await this.#write(event, signal);
      } finally {
        this.#inFlight.delete(object);
      }
      this.#wakeOne();
    }
  }

  #take(): T | undefined {
    const { objectOf } = this.#options;
    const index = this.#waiting.findIndex((event) => !this.#inFlight.has(objectOf(event)));
    return index < 0 ? undefined : this.#waiting.splice(index, 1)[0];
  }

  #wakeOne(): void {
    const [wake] = this.#sleepers;
    wake?.();
  }

  #nextEvent(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = (): void => reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      const wake = (): void => {
        this.#sleepers.delete(wake);
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      this.#sleepers.add(wake);
    });
  }

  async #write(event: T, signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#deps;
    const { attemptsMax, retryMs } = this.#options;
    const write = this.#options.writeOf(event);
    if (write === undefined) return;
    for (let attempt = 1; attempt <= attemptsMax; attempt++) {
      try {
        await write(signal);
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof ApiError) {
          log?.info('event was refused', { reason: event.reason, error });
          return;
        }
        await clock.sleep(retryMs * (1 + random.fraction()), { signal });
      }
    }
  }
}
