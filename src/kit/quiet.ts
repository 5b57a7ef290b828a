/**
 * Waits for times when this thread has little to do, for what can be done later: what nobody waits
 * for does not make anybody wait.
 *
 * Whoever collects garbage, warms up or gives memory back asks here first.
 */
import { performance } from 'node:perf_hooks';
import type { Clock } from './clock.ts';

/** A thread that is busy for less than this share of the time is quiet, if nothing else is said. */
const quietShareMax = 0.2;

export interface QuietDeps {
  readonly clock: Pick<Clock, 'sleep'>;
  /** Share of the time since the last call for which the thread was busy. */
  readonly utilization: () => number;
}

/**
 * Resolves with true when the thread was quiet for `forMs`. A busy one is looked at again after as
 * long, and given up after `limitMs`, with false.
 */
export async function untilQuiet(
  { clock, utilization }: QuietDeps,
  options: {
    readonly forMs: number;
    readonly limitMs?: number | undefined;
    readonly shareMax?: number | undefined;
    readonly signal: AbortSignal;
  },
): Promise<boolean> {
  const { forMs, limitMs = Number.POSITIVE_INFINITY, signal } = options;
  const { shareMax = quietShareMax } = options;
  utilization();
  await clock.sleep(forMs, { signal });
  for (let waitedMs = forMs; utilization() > shareMax; waitedMs += forMs) {
    if (waitedMs + forMs > limitMs) return false;
    await clock.sleep(forMs, { signal });
  }
  return true;
}

/**
 * Of the thread that calls what it returns. Busy is what used the processor: on a machine where
 * many wait for one, a thread that has next to nothing to do is late with it all the time, and
 * would never count as quiet.
 */
export function threadUtilization(): () => number {
  let last = readTimes();
  return () => {
    const before = last;
    last = readTimes();
    const tookMs = last.wallMs - before.wallMs;
    return tookMs > 0 ? (last.usedMs - before.usedMs) / tookMs : 0;
  };
}

/** How long this thread has had the processor, and what time it is. */
function readTimes(): { readonly usedMs: number; readonly wallMs: number } {
  const { user, system } = process.threadCpuUsage();
  return { usedMs: (user + system) / 1000, wallMs: performance.now() };
}
