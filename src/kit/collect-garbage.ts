/**
 * Gives back what a start has left behind: the heap of this thread, collected as far as it can be,
 * its young generation small again.
 *
 * A start makes some 15 MiB of objects that nobody needs any more, and lets the young generation
 * grow to its maximum. V8 keeps that until the old generation has grown by as much again, which in
 * an idle control plane takes days. One whole collection takes 20 to 40 ms, so it waits for a time
 * when the thread does next to nothing. Called on the thread of the controllers, most of whose new
 * objects stay, so that its young generation soon grows again; on the API server's, where nearly
 * all go, the next 15,000 creates would take half as much time again.
 */
import { performance } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock } from './clock.ts';

/** A thread that was busy for less than this share of this time is idle. */
const idle = { forMs: 2500, shareMax: 0.2 } as const;

export interface CollectDeps {
  readonly clock: Pick<Clock, 'sleep'>;
  /** Share of the time since the last call for which the thread was busy. */
  readonly utilization: () => number;
  readonly collect: () => void;
}

/** Once. */
export async function collectWhenIdle(
  { clock, utilization, collect }: CollectDeps,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  utilization();
  do await clock.sleep(idle.forMs, { signal });
  while (utilization() > idle.shareMax);
  collect();
}

/**
 * Of the thread that calls this. A collection in full takes the room of the young generation away
 * as well, and what V8 would compile again.
 *
 * Busy is what used the processor: on a machine where many wait for one, a thread that has next to
 * nothing to do is late with it all the time, and would never count as quiet.
 */
export function ownGarbage(
  flavor: 'last-resort' | 'regular' = 'last-resort',
): Omit<CollectDeps, 'clock'> {
  let last = readTimes();
  const utilization = (): number => {
    const before = last;
    last = readTimes();
    const tookMs = last.wallMs - before.wallMs;
    return tookMs > 0 ? (last.usedMs - before.usedMs) / tookMs : 0;
  };
  return { utilization, collect: () => collectGarbage(flavor) };
}

/** Of this thread: how long it has had the processor, and how late it is. */
function readTimes(): { readonly usedMs: number; readonly wallMs: number } {
  const { user, system } = process.threadCpuUsage();
  return { usedMs: (user + system) / 1000, wallMs: performance.now() };
}

function collectGarbage(flavor: 'last-resort' | 'regular'): void {
  setFlagsFromString('--expose-gc');
  // What V8 calls it, in contexts that are made while the flag is set.
  const collect = runInNewContext('gc') as (options: object) => void;
  setFlagsFromString('--no-expose-gc');
  collect({ type: 'major', execution: 'sync', flavor });
}
