/**
 * How long a Job waits after failures before it makes the next pod. Pure.
 *
 * Ten seconds after the first failure, then twice as long each time, at most ten minutes; a success
 * begins anew. Counted in memory from the pods that have not been counted yet, so a restarted
 * controller begins anew as well. With a limit for each index, the index waits by itself, by the
 * failures that the annotations of its last pod tell.
 * Behaviour: kubernetes.io, Jobs, "Pod backoff failure policy".
 */
import type { Pod } from '#resources/types/core-v1.ts';
import { endedMs, indexFailures } from './pod-facts.ts';

const firstDelayMs = 10_000;
const delayMsMax = 600_000;

export interface Backoff {
  /** Failures since the last success. */
  readonly failures: number;
  readonly lastFailureMs: number;
}

export const noBackoff: Backoff = { failures: 0, lastFailureMs: 0 };

/** What is known after these pods have ended as well. */
export function nextBackoff(
  before: Backoff,
  ended: { readonly succeeded: readonly Pod[]; readonly failed: readonly Pod[] },
): Backoff {
  const lastSuccessMs = Math.max(-1, ...ended.succeeded.map(endedMs));
  const failedMs = ended.failed.map(endedMs).filter((ms) => ms > lastSuccessMs);
  const start = ended.succeeded.length > 0 ? noBackoff : before;
  return {
    failures: start.failures + failedMs.length,
    lastFailureMs: Math.max(start.lastFailureMs, ...failedMs),
  };
}

/** The earliest time for the next pod. */
export function mayCreateFromMs({ failures, lastFailureMs }: Backoff): number {
  if (failures === 0) return 0;
  return lastFailureMs + Math.min(firstDelayMs * 2 ** (failures - 1), delayMsMax);
}

/** The same for the index of this pod, its last one. */
export function mayReplaceFromMs(pod: Pod | undefined): number {
  if (pod === undefined) return 0;
  const { counted, ignored } = indexFailures(pod);
  return mayCreateFromMs({ failures: counted + ignored + 1, lastFailureMs: endedMs(pod) });
}
