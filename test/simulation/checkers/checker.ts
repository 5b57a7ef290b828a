/**
 * What an invariant looks like: it sees every event of the world in order and says what is wrong as
 * soon as something is. One invariant per file; each has a canary, a world that is broken on
 * purpose in just that way, which the tests let it catch.
 */
import type { WorldEvent } from '../trace.ts';

export interface Checker {
  readonly name: string;
  /** How often there was something to judge: a checker that never looks proves nothing. */
  readonly judged: number;
  /** What is violated, in a sentence; undefined while all is well. */
  onEvent(event: WorldEvent, nowMs: number): string | undefined;
}
