/**
 * Delays between restarts of a container, and between pulls of an image: 10 s, 20 s, 40 s, … 5 min.
 *
 * The delay counts from the moment that the last attempt ended. The first restart waits for
 * nothing. After ten quiet minutes (twice the longest delay) counting starts anew. Pure; `plan.ts`
 * asks, and the worker stores what `nextBackoff` returns with each restart.
 */
export interface Backoff {
  readonly delayMs: number;
  /** When the delay was last raised. */
  readonly raisedAtMs: number;
  /** The longest that it grows to. */
  readonly maxMs: number;
}

export const backoffLimits = { firstMs: 10_000, maxMs: 300_000 } as const;

function isForgotten(backoff: Backoff, atMs: number): boolean {
  return atMs - backoff.raisedAtMs > 2 * backoff.maxMs;
}

/** When the next attempt may be made, or undefined for at once. */
export function backoffUntilMs(
  backoff: Backoff | undefined,
  endedAtMs: number,
  nowMs: number,
): number | undefined {
  if (backoff === undefined || isForgotten(backoff, endedAtMs)) return undefined;
  const untilMs = endedAtMs + backoff.delayMs;
  return untilMs > nowMs ? untilMs : undefined;
}

/** The delay that applies after the attempt that is made now. */
export function nextBackoff(
  backoff: Backoff | undefined,
  nowMs: number,
  { maxMs }: { readonly maxMs: number } = backoffLimits,
): Backoff {
  const delayMs =
    backoff === undefined || isForgotten(backoff, nowMs)
      ? Math.min(backoffLimits.firstMs, maxMs)
      : Math.min(backoff.delayMs * 2, maxMs);
  return { delayMs, raisedAtMs: nowMs, maxMs };
}

/** As Go prints durations: `10s`, `1m20s`, `5m0s`. */
export function formatDelay(delayMs: number): string {
  const seconds = Math.round(delayMs / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
