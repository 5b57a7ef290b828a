/**
 * What makes the first burst of requests fast, and gives back what that takes if none comes.
 *
 * A cluster is often started to be used at once: by tests, by an installation. So soon after the
 * server listens, descriptors are read (`warm-up.ts`) and writes are rehearsed (`rehearsal.ts`), at
 * times when nobody wants anything. That leaves some 25 MiB, code that Node has compiled and room
 * for objects, which a server that nobody uses after all gives back: the first 4,000 writes take
 * half as much time again then. Called by `apiserver.ts`.
 */
import { type QuietDeps, untilQuiet } from '#kit/quiet.ts';
import { type WarmUpDeps, warmUp } from './warm-up.ts';

/** Before the thread stops for the 5 ms in which memory is given back. */
const trimQuiet = { forMs: 50, limitMs: 60_000 } as const;
/** Nobody but the cluster's own parts has come for so long; so nobody comes soon. */
const unused = { forMs: 15_000, shareMax: 0.05 } as const;

export interface FirstBurstDeps extends WarmUpDeps, QuietDeps {
  /** Undefined where it is not wished for. */
  readonly rehearse: (() => Promise<unknown>) | undefined;
  /** Asked for late: a start has no time to load it. */
  readonly memory: () => Promise<{
    /** All garbage of this thread, and with it what was compiled for a rehearsal. */
    readonly collect: () => void;
    /** What the C library keeps goes back to the machine. */
    readonly trim: () => void;
  }>;
}

export async function prepareFirstBurst(
  deps: FirstBurstDeps,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  await warmUp(deps, { signal });
  if (deps.rehearse === undefined) return;
  await deps.rehearse();
  const memory = await deps.memory();
  if (await untilQuiet(deps, { ...trimQuiet, signal })) memory.trim();
  await untilQuiet(deps, { ...unused, signal });
  memory.collect();
  // Other threads clear away what it has freed.
  if (await untilQuiet(deps, { ...trimQuiet, signal })) memory.trim();
}
