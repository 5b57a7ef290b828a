/**
 * A store that keeps nothing beyond its process: the same `LoggedStore` over a log that forgets.
 * For tests, the simulator and `--store memory`. A write still takes its turn (it resolves after a
 * microtask, never at once), so code that works on it works on the durable one.
 */
import { silentLog } from '#kit/log.ts';
import { emptyState } from './load.ts';
import type { Log } from './log.ts';
import { LoggedStore } from './logged-store.ts';
import type { Limits, Store, StoreDeps } from './store.ts';

export function openMemory(deps: StoreDeps, limits: Limits): Store {
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
