/**
 * Gives back what a load has left behind, once the thread is quiet again.
 *
 * V8 collects when much has been made since the last time: whoever makes next to nothing any more
 * keeps what the last busy minute left, and with it all that hangs on it outside the heap. The C
 * library keeps what is freed then (`free-memory.ts`). So each thread looks now and then how busy
 * it is, and some time after work it collects and trims: soon, and once more when the store has
 * forgotten what was replaced (five minutes, and up to one until it looks). V8 follows a collection
 * that it was asked for with one of its own, in small steps, that empties pages of the heap.
 *
 * Example: a minute of load ends at 12:00. Memory is given back at about 12:00:30 and 12:06:20, and
 * then not again before the thread has worked for some seconds more.
 */
import { getHeapStatistics } from 'node:v8';
import type { Clock } from './clock.ts';
import { ownGarbage } from './collect-garbage.ts';
import { FreeMemory } from './free-memory.ts';

export const limits = {
  lookMs: 10_000,
  /** A thread that is busy for more than this share of a look is left alone. */
  quietShareMax: 0.2,
  /** What takes less time leaves too little. */
  workMsMin: 3000,
  /** From the last busy look on. */
  quietMs: [30_000, 370_000],
  /** What a collection frees outside the heap is freed by other threads, a little later. */
  settleMs: 5000,
  /** A collection stops the thread for 1 to 3 ms for each of these MiB. A larger heap is V8's. */
  heapBytesMax: 128 * 1024 * 1024,
} as const;

/** What a thread remembers between two looks. */
export interface Rest {
  /** Since memory was given back for the last time after a load. */
  readonly workedMs: number;
  /** Since the thread was busy. */
  readonly quietMs: number;
  /** How often memory was given back since then. */
  readonly rounds: number;
}

export const atFirst: Rest = { workedMs: 0, quietMs: 0, rounds: 0 };

/** What a look shows: for which share of the time since the last one the thread was busy. */
export function planRest(
  before: Rest,
  busyShare: number,
): { readonly rest: Rest; readonly giveBack: boolean } {
  const workedMs = before.workedMs + busyShare * limits.lookMs;
  if (busyShare > limits.quietShareMax) {
    return { rest: { workedMs, quietMs: 0, rounds: 0 }, giveBack: false };
  }
  if (workedMs < limits.workMsMin) return { rest: { ...atFirst, workedMs }, giveBack: false };
  const quietMs = before.quietMs + limits.lookMs;
  const dueMs = limits.quietMs[before.rounds];
  if (dueMs === undefined || quietMs < dueMs) {
    return { rest: { ...before, workedMs, quietMs }, giveBack: false };
  }
  const rounds = before.rounds + 1;
  const rest = rounds < limits.quietMs.length ? { workedMs, quietMs, rounds } : atFirst;
  return { rest, giveBack: true };
}

export interface GiveBackDeps {
  readonly clock: Pick<Clock, 'sleep'>;
  /** Share of the time since the last call for which the thread was busy. */
  readonly utilization: () => number;
  readonly heapBytes: () => number;
  readonly collect: () => void;
  readonly trim: () => void;
}

/** Of the thread that calls this. */
export function ownMemory(): Omit<GiveBackDeps, 'clock'> {
  const memory = new FreeMemory();
  return {
    ...ownGarbage('regular'),
    heapBytes: () => getHeapStatistics().used_heap_size,
    trim: () => memory.trim(),
  };
}

/** Lives until the signal aborts. */
export async function runGiveBack(
  { clock, utilization, heapBytes, collect, trim }: GiveBackDeps,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  let rest = atFirst;
  utilization();
  for (;;) {
    await clock.sleep(limits.lookMs, { signal });
    const planned = planRest(rest, utilization());
    rest = planned.rest;
    if (!planned.giveBack) continue;
    if (heapBytes() <= limits.heapBytesMax) collect();
    await clock.sleep(limits.settleMs, { signal });
    trim();
  }
}
