/**
 * From the rows of a log to a store, at start-up.
 *
 * A log hands over its rows in order of revision: what is current, and what was replaced since the
 * last compaction. Playing them back gives the current entries, the newest events (as many as
 * memory may hold), the deadlines of keys that end by themselves, and the marks of retention. So
 * watches go on over a restart; not so where some of it cannot be read.
 */
import { assert } from '#kit/assert.ts';
import { Deadlines } from './deadlines.ts';
import type { Loaded, Log } from './log.ts';
import { applyRow, type LoadedState, LoggedStore, type LoggedStoreDeps } from './logged-store.ts';
import { Retention } from './retention.ts';
import { State } from './state.ts';
import type { Limits, Store } from './store.ts';

export async function openLoggedStore(
  deps: LoggedStoreDeps,
  options: { readonly backing: Log; readonly limits: Limits },
): Promise<Store> {
  const { backing, limits } = options;
  return new LoggedStore(deps, { backing, limits, loaded: await loadState(backing, limits) });
}

export function emptyState(limits: Limits, loaded: Loaded): LoadedState {
  const { historyBytesMax, historyAgeMs, logHistoryBytesMax } = limits;
  return {
    ...loaded,
    state: new State({ historyBytesMax, oldest: loaded.compacted }),
    retention: new Retention({ ageMs: historyAgeMs, bytesMax: logHistoryBytesMax }),
    deadlines: new Deadlines(),
  };
}

async function loadState(backing: Log, limits: Limits): Promise<LoadedState> {
  let loading: LoadedState | undefined;
  let isReadable = true;
  await backing.load({
    onStart(loaded) {
      loading = emptyState(limits, loaded);
    },
    onRows(rows) {
      assert(loading !== undefined, 'a log starts before it hands over rows');
      for (const row of rows) {
        applyRow(loading, row);
        isReadable &&= row.unreadable === undefined;
      }
    },
  });
  assert(loading !== undefined, 'a log starts, also when it is empty');
  // Numbers that a crash may have lost with their batch count as spent.
  loading.state.skipTo(loading.reserved);
  if (isReadable) return loading;
  const { revision, history } = loading.state;
  history.dropThrough(revision);
  return { ...loading, compacted: revision };
}
