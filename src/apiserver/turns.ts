/**
 * Whose turn it is to write, among many live streams.
 *
 * A stream rests for some milliseconds after each write, so that events of a busy time go out
 * together: what costs is the write, not its length. Streams whose rest is over go on a few at a
 * time, with other work in between, so that a write that reaches a hundred watches does not keep
 * all requests waiting. One that was silent for longer writes at once. `http-response.ts` asks.
 */
import type { Clock } from '#kit/clock.ts';

interface Resting {
  readonly untilMs: number;
  readonly resume: () => void;
}

/** How long a stream gathers between two writes, and how many go on in one turn of the loop. */
const restMs = 5;
const resumedPerTurn = 4;

export class Turns {
  readonly #clock: Pick<Clock, 'monotonic' | 'after'>;
  /** All rest equally long, so the first is the first whose rest is over. */
  readonly #resting: Resting[] = [];
  #isScheduled = false;

  constructor(deps: { readonly clock: Pick<Clock, 'monotonic' | 'after'> }) {
    this.#clock = deps.clock;
  }

  /** Calls back when the stream may write again. */
  rest(resume: () => void): void {
    this.#resting.push({ untilMs: this.#clock.monotonic() + restMs, resume });
    if (!this.#isScheduled) this.#schedule(restMs);
  }

  #schedule(delayMs: number): void {
    this.#isScheduled = true;
    this.#clock.after(delayMs, () => this.#run());
  }

  #run(): void {
    const nowMs = this.#clock.monotonic();
    const due = this.#resting.slice(0, resumedPerTurn).filter(({ untilMs }) => untilMs <= nowMs);
    this.#resting.splice(0, due.length);
    for (const { resume } of due) resume();
    const [next] = this.#resting;
    this.#isScheduled = next !== undefined;
    if (next === undefined) return;
    if (next.untilMs > nowMs) this.#schedule(next.untilMs - nowMs);
    else setImmediate(() => this.#run());
  }
}
