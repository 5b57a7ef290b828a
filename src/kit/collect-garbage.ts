/**
 * Gives back what a start has left behind: the heap of this thread, collected as far as it can be,
 * its young generation small again.
 *
 * A start makes some 15 MiB of objects that nobody needs any more, and lets the young generation
 * grow to its maximum. V8 keeps that until the old generation has grown by as much again, which in
 * an idle control plane takes days. One whole collection takes 20 to 40 ms, so it waits for a time
 * when the thread does next to nothing. Called on the thread of the controllers soon after a start,
 * and on the API server's when nobody has come for a while (`first-burst.ts`), since the next 4,000
 * creates take half as much time again: what V8 had compiled goes as well.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type QuietDeps, threadUtilization, untilQuiet } from './quiet.ts';

const quietMs = 2500;

export interface CollectDeps extends QuietDeps {
  readonly collect: () => void;
}

/** Once. */
export async function collectWhenIdle(
  { collect, ...deps }: CollectDeps,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  await untilQuiet(deps, { forMs: quietMs, signal });
  collect();
}

/**
 * Of the thread that calls this. A collection in full takes the room of the young generation away
 * as well, and what V8 would compile again.
 */
export function ownGarbage(
  flavor: 'last-resort' | 'regular' = 'last-resort',
): Omit<CollectDeps, 'clock'> {
  return { utilization: threadUtilization(), collect: () => collectGarbage(flavor) };
}

function collectGarbage(flavor: 'last-resort' | 'regular'): void {
  setFlagsFromString('--expose-gc');
  // What V8 calls it, in contexts that are made while the flag is set.
  const collect = runInNewContext('gc') as (options: object) => void;
  setFlagsFromString('--no-expose-gc');
  collect({ type: 'major', execution: 'sync', flavor });
}
