/**
 * How long a DaemonSet waits on a node where its pods fail, before it deletes the failed one. Pure.
 *
 * A second after the first failure, twice as long each time, at most fifteen minutes; forgotten
 * when nothing has failed for twice that long.
 */
const firstMs = 1_000;
const delayMsMax = 15 * 60_000;

export interface NodeBackoff {
  readonly delayMs: number;
  readonly sinceMs: number;
}

/** Undefined: delete it now. */
export function inBackoffUntilMs(
  backoff: NodeBackoff | undefined,
  nowMs: number,
): number | undefined {
  if (backoff === undefined || hasExpired(backoff, nowMs)) return undefined;
  const untilMs = backoff.sinceMs + backoff.delayMs;
  return untilMs > nowMs ? untilMs : undefined;
}

/** After one more failed pod was deleted. */
export function nextBackoff(before: NodeBackoff | undefined, nowMs: number): NodeBackoff {
  if (before === undefined || hasExpired(before, nowMs)) {
    return { delayMs: firstMs, sinceMs: nowMs };
  }
  return { delayMs: Math.min(before.delayMs * 2, delayMsMax), sinceMs: nowMs };
}

export function hasExpired({ sinceMs }: NodeBackoff, nowMs: number): boolean {
  return nowMs - sinceMs > delayMsMax * 2;
}
