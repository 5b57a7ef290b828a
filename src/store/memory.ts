/**
 * A store that keeps nothing beyond its process: the same `LoggedStore` over a log that forgets.
 * For tests, the simulator and `--store memory`. A write still takes its turn (it resolves after a
 * microtask, never at once), so code that works on it works on the durable one.
 */
import type { Clock } from '#kit/clock.ts';
import { type Logger, silentLog } from '#kit/log.ts';
import { emptyState } from './load.ts';
import type { Log } from './log.ts';
import { LoggedStore } from './logged-store.ts';
import type { Limits, Store } from './store.ts';

export interface MemoryStoreDeps {
  readonly clock: Clock;
  readonly log?: Logger | undefined;
}

export function openMemory(deps: MemoryStoreDeps, limits: Limits): Store {
  const { clock, log = silentLog } = deps;
  const loaded = emptyState(limits, { reserved: Number.MAX_SAFE_INTEGER, compacted: 0 });
  return new LoggedStore({ clock, log }, { backing: forgetfulLog(), limits, loaded });
}

/** Every append succeeds, and nothing is kept. */
function forgetfulLog(): Log {
  return {
    load: () => Promise.resolve(),
    append: () => Promise.resolve(),
    compact: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}
