/**
 * Gives back what a load has left behind, once the thread is quiet again.
 *
 * V8 collects when much has been made since the last time: whoever makes next to nothing any more
 * keeps what the last busy minute left, and with it all that hangs on it outside the heap. The C
 * library keeps what is freed then (`free-memory.ts`). So each thread looks now and then how busy
 * it is, and some time after work it collects and trims: soon, and once more when what it keeps for
 * some minutes has gone. It collects twice: V8 empties those pages of the heap of which it knows
 * that little in them lives, and that it knows from the collection before.
 *
 * A load may also be so light that the thread is quiet all the time, and yet the store replaces
 * much. So it counts as well what the store has forgotten, some five minutes after it was replaced.
 *
 * Example: a minute of load ends at 12:00. Memory is given back at about 12:00:30 and 12:06:20, and
 * between them when the store has forgotten what the load has replaced; then not again before the
 * thread has worked for some seconds more.
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
  /** What a store must have forgotten to be worth a collection of its own. */
  forgottenBytesMin: 8 * 1024 * 1024,
  /** What a collection frees, other threads clear away, a little later. */
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
  /** Since the thread was busy or gave memory back because of what was forgotten. */
  readonly restedMs: number;
  /** What was forgotten and not given back. */
  readonly forgottenBytes: number;
}

export const atFirst: Rest = {
  ...{ workedMs: 0, quietMs: 0, rounds: 0 },
  ...{ restedMs: 0, forgottenBytes: 0 },
};

/** What a look shows, of the time since the last one. */
export interface Look {
  /** For which share of it the thread was busy. */
  readonly busyShare: number;
  readonly forgottenBytes: number;
}

interface Planned {
  readonly rest: Rest;
  readonly giveBack: boolean;
}

export function planRest(before: Rest, look: Look): Planned {
  const forgottenBytes = before.forgottenBytes + look.forgottenBytes;
  const workedMs = before.workedMs + look.busyShare * limits.lookMs;
  if (look.busyShare > limits.quietShareMax) {
    return { rest: { ...atFirst, workedMs, forgottenBytes }, giveBack: false };
  }
  const restedMs = before.restedMs + limits.lookMs;
  const after = afterWork({ ...before, workedMs, restedMs, forgottenBytes });
  const isMuch = forgottenBytes >= limits.forgottenBytesMin && restedMs >= limits.quietMs[0];
  if (!after.giveBack && !isMuch) return after;
  return { rest: { ...after.rest, restedMs: 0, forgottenBytes: 0 }, giveBack: true };
}

/** Two rounds after work: soon, and later. */
function afterWork(rest: Rest): Planned {
  if (rest.workedMs < limits.workMsMin) {
    return { rest: { ...rest, quietMs: 0, rounds: 0 }, giveBack: false };
  }
  const quietMs = rest.quietMs + limits.lookMs;
  const dueMs = limits.quietMs[rest.rounds];
  if (dueMs === undefined || quietMs < dueMs)
    return { rest: { ...rest, quietMs }, giveBack: false };
  const rounds = rest.rounds + 1;
  const done = { ...rest, workedMs: 0, quietMs: 0, rounds: 0 };
  return {
    rest: rounds < limits.quietMs.length ? { ...rest, quietMs, rounds } : done,
    giveBack: true,
  };
}

export interface GiveBackDeps {
  readonly clock: Pick<Clock, 'sleep'>;
  /** Share of the time since the last call for which the thread was busy. */
  readonly utilization: () => number;
  /** What a store of the thread has given up so far; it only rises. */
  readonly forgottenBytes: () => number;
  readonly heapBytes: () => number;
  readonly collect: () => void;
  readonly trim: () => void;
}

/** Of the thread that calls this. */
export function ownMemory(
  flavor: 'last-resort' | 'regular' = 'regular',
): Omit<GiveBackDeps, 'clock' | 'forgottenBytes'> {
  const memory = new FreeMemory();
  return {
    ...ownGarbage(flavor),
    heapBytes: () => getHeapStatistics().used_heap_size,
    trim: () => memory.trim(),
  };
}

/** Lives until the signal aborts. */
export async function runGiveBack(
  { clock, utilization, forgottenBytes, heapBytes, collect, trim }: GiveBackDeps,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  let rest = atFirst;
  let forgotten = forgottenBytes();
  utilization();
  for (;;) {
    await clock.sleep(limits.lookMs, { signal });
    const before = forgotten;
    forgotten = forgottenBytes();
    const look = { busyShare: utilization(), forgottenBytes: forgotten - before };
    const planned = planRest(rest, look);
    rest = planned.rest;
    if (!planned.giveBack) continue;
    if (heapBytes() <= limits.heapBytesMax) collect();
    await clock.sleep(limits.settleMs, { signal });
    if (heapBytes() <= limits.heapBytesMax) collect();
    trim();
  }
}
