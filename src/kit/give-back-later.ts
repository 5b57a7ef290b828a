/**
 * For a thread that lives long: from a while after its start it gives back what loads leave behind.
 *
 * What does so is loaded only then (`give-back.ts`), since nothing of it is needed while a program
 * starts. Spawned by the control plane's threads, the node's process, and the commands that run one
 * component alone.
 */
import type { Clock } from './clock.ts';

const firstLookMs = 10_000;

/** Lives until the signal aborts. */
export async function giveBackLater(
  clock: Clock,
  {
    signal,
    forgottenBytes = () => 0,
  }: {
    readonly signal: AbortSignal;
    /** What a store of this thread has given up so far. */
    readonly forgottenBytes?: (() => number) | undefined;
  },
): Promise<void> {
  await clock.sleep(firstLookMs, { signal });
  const { ownMemory, runGiveBack } = await import('./give-back.ts');
  await runGiveBack({ clock, ...ownMemory(), forgottenBytes }, { signal });
}
