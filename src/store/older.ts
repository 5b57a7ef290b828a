/**
 * What memory has forgotten, out of the log: lists at old revisions, and events for watches that
 * start far back.
 *
 * The log has no index by key; it would double the price of every write for something rare. It
 * reads its rows in order of revision, and that is enough: the state at an old revision is the
 * current one with everything since undone. The log says which keys changed between that revision
 * and the reach of memory, and to what row each goes back; memory undoes the rest; then the values
 * of the one page that was asked for are fetched.
 *
 * Example: memory reaches back to 900 and a list at 500 is wanted. The log says: a was written at
 * 620 (before: row 410) and 700, b at 655 (before: nothing). So in the list, a is row 410 and b is
 * absent; the rest is as memory has it, with events behind 900 undone.
 */
import { assert } from '#kit/assert.ts';
import type { ChangeRange, LogReader, LogRow } from './log.ts';
import type { Page, State } from './state.ts';
import type { Entry, ListOptions, StoreEvent } from './store.ts';
import type { OlderPage } from './watch-hub.ts';

/** The row that a key goes back to; undefined where there was none. */
interface RowBefore {
  readonly beforeRevision: number;
}

export async function listOlder(
  options: ListOptions & { readonly revision: number },
  sources: { readonly state: State; readonly reader: LogReader },
): Promise<Page | 'compacted'> {
  const { state, reader } = sources;
  const { prefix, after = '', revision } = options;
  const undone = new Map<string, RowBefore | undefined>();
  let from = revision;
  // Memory may forget more while the log is read; so its reach is asked for again each time.
  while (from < state.history.oldest) {
    const throughRevision = state.history.oldest;
    const page = await reader.changesAfter({ prefix, afterRevision: from, throughRevision });
    if (page === 'compacted') return page;
    for (const { key, previousRevision } of page.changes) {
      if (key <= after || undone.has(key)) continue;
      const before = previousRevision > 0 ? { beforeRevision: previousRevision } : undefined;
      undone.set(key, before);
    }
    assert(page.through > from, 'every page of the log leads further');
    from = page.through;
  }
  const { entries, more } = state.listAt({ ...options, revision: from }, undone);
  const wanted = entries.flatMap((entry) =>
    'beforeRevision' in entry ? [entry.beforeRevision] : [],
  );
  const rows = await readRows(reader, wanted);
  if (rows === 'compacted') return rows;
  const resolve = (entry: (typeof entries)[number]): Entry =>
    'beforeRevision' in entry ? entryOf(rows.get(entry.beforeRevision)) : entry;
  return { entries: entries.map(resolve), more };
}

export async function readOlderEvents(
  range: ChangeRange,
  reader: LogReader,
): Promise<OlderPage | 'compacted'> {
  const page = await reader.changesAfter(range);
  if (page === 'compacted') return page;
  const wanted = page.changes.flatMap(({ revision, previousRevision }) =>
    previousRevision > 0 ? [previousRevision, revision] : [revision],
  );
  const rows = await readRows(reader, wanted);
  if (rows === 'compacted') return rows;
  const events = page.changes.map(({ revision, previousRevision }): StoreEvent => {
    const row = rows.get(revision);
    assert(row !== undefined, 'a row that changed something is there until it is compacted');
    const previous = previousRevision > 0 ? entryOf(rows.get(previousRevision)) : undefined;
    const type = row.value === undefined ? 'delete' : 'put';
    return { type, key: row.key, value: row.value, previous, revision };
  });
  return { events, through: page.through };
}

async function readRows(
  reader: LogReader,
  revisions: readonly number[],
): Promise<ReadonlyMap<number, LogRow> | 'compacted'> {
  const found = new Map<number, LogRow>();
  let done = 0;
  while (done < revisions.length) {
    const rows = await reader.rows(revisions.slice(done));
    if (rows === 'compacted') return rows;
    assert(rows.length > 0, 'every page of rows leads further');
    for (const row of rows) found.set(row.revision, row);
    done += rows.length;
  }
  return found;
}

function entryOf(row: LogRow | undefined): Entry {
  assert(row?.value !== undefined, 'what a key goes back to has a value');
  const { key, value, revision, createRevision } = row;
  return { key, value, revision, createRevision };
}
