/**
 * Notices that somebody has set the clock of the machine, by comparing the time of day with time
 * that only passes. What a pod waits for is moved along: without that, a clock that is set back by
 * an hour would make every waiting container wait an hour longer. `pod-worker.ts` asks before each
 * round.
 */
import type { Clock } from '#kit/clock.ts';
import type { PodState } from '../parts.ts';

/** Less than this is a clock that is being slowed down or sped up. */
const jumpMsMin = 1000;

export class ClockJumps {
  readonly #clock: Pick<Clock, 'now' | 'monotonic'>;
  #offsetMs: number;

  constructor(clock: Pick<Clock, 'now' | 'monotonic'>) {
    this.#clock = clock;
    this.#offsetMs = clock.now() - clock.monotonic();
  }

  /** By how much the clock was set since the last question; 0: not at all. */
  take(): number {
    const offsetMs = this.#clock.now() - this.#clock.monotonic();
    const jumpMs = offsetMs - this.#offsetMs;
    if (Math.abs(jumpMs) < jumpMsMin) return 0;
    this.#offsetMs = offsetMs;
    return jumpMs;
  }
}

/** Times that were noted by the clock as it was. */
export function moveTimes(state: PodState, jumpMs: number, nowMs: number): void {
  for (const [name, failure] of state.failures) {
    state.failures.set(name, { ...failure, untilMs: failure.untilMs + jumpMs });
  }
  for (const [name, backoff] of state.backoffs) {
    state.backoffs.set(name, { ...backoff, raisedAtMs: backoff.raisedAtMs + jumpMs });
  }
  const { resizeFailure } = state;
  if (resizeFailure !== undefined) {
    state.resizeFailure = { ...resizeFailure, untilMs: resizeFailure.untilMs + jumpMs };
  }
  // Ends that the runtime tells of can now be in the future: they count from here.
  if (jumpMs < 0) state.clockSetAtMs = nowMs;
}
