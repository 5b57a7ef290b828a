/**
 * Which objects a list shows: the newest state, an exact older one, or the next page of one begun
 * before.
 *
 * A continue token carries the revision of the first page and the last key shown, so that it works
 * on every server and after a restart. Where that revision is gone the answer is 410 with a token
 * that goes on at the same key in the newest state (revision -1).
 */
import type { Served } from '#api/catalog.ts';
import { ApiError, badRequest, expired, timeout, tooLargeRevision } from '#api/errors.ts';
import { jsonProblem } from '#api/json-syntax.ts';
import type { Entry, ListResult, Store } from '#store';
import type { ListMeta } from '../output/list-body.ts';
import { decodeEntry, keyOf, prefixOf } from '../registry.ts';
import type { Selection } from '../watch/watcher.ts';
import { checkListOptions } from './list-options.ts';

export interface Page {
  readonly entries: readonly Entry[];
  readonly metadata: ListMeta;
}

interface PageRequest {
  readonly limit: number;
  readonly after: string | undefined;
  /** How many objects follow `after`, where a former page has counted them. */
  readonly remaining: number | undefined;
  /** Undefined: the newest. */
  readonly revision: number | undefined;
}

const tokenVersion = 'meta.k8s.io/v1';

/** Entries looked at in one go when a selector has to be asked. */
const batchSize = 500;

export async function readPage(
  store: Store,
  served: Served,
  selection: Selection,
  query: URLSearchParams,
): Promise<Page> {
  const waiting = store.fresh();
  if (waiting !== undefined) await waiting;
  const prefix = prefixOf(served.resource, selection.namespace);
  const request = readRequest(store, query, prefix);
  const { name, namespace } = selection;
  if (name !== '' && (namespace !== '' || !served.resource.namespaced)) {
    return onePage(store, served, selection, request);
  }
  return manyPage(store, prefix, selection, request);
}

/** A list of at most one object, by name. */
async function onePage(
  store: Store,
  served: Served,
  { namespace, name, matches }: Selection,
  { revision }: PageRequest,
): Promise<Page> {
  const key = keyOf(served.resource, namespace, name);
  const shown = { prefix: key, limit: 1 };
  const result =
    revision === undefined ? store.list(shown) : await store.listAt({ ...shown, revision });
  if (!result.ok) throw goneOrFuture(result, undefined);
  const [entry] = result.entries;
  const found = entry?.key === key && (matches === undefined || matches(decodeEntry(entry)));
  const metadata = { resourceVersion: String(result.revision) };
  return { entries: found && entry !== undefined ? [entry] : [], metadata };
}

async function manyPage(
  store: Store,
  prefix: string,
  { matches }: Selection,
  request: PageRequest,
): Promise<Page> {
  const { limit } = request;
  const found: Entry[] = [];
  let { after, revision } = request;
  let more = true;
  let shown = 0;
  while (more) {
    const wanted = limit === 0 ? undefined : matches === undefined ? limit : batchSize;
    const part = { prefix, after, limit: wanted };
    const result: ListResult =
      revision === undefined ? store.list(part) : await store.listAt({ ...part, revision });
    if (!result.ok) throw goneOrFuture(result, after);
    // Further batches of the same page come from the revision of the first.
    if (result.more && matches !== undefined) revision = result.revision;
    shown = result.revision;
    more = result.more;
    for (const [index, entry] of result.entries.entries()) {
      after = entry.key;
      if (matches === undefined || matches(decodeEntry(entry))) found.push(entry);
      if (limit === 0 || found.length < limit) continue;
      more = more || index < result.entries.length - 1;
      break;
    }
    if (limit === 0 || found.length >= limit) break;
  }
  const full = limit > 0 && found.length >= limit && more;
  const total = full && matches === undefined ? countFrom(store, prefix, request) : undefined;
  const rest = total === undefined ? undefined : total - found.length;
  return {
    entries: found,
    metadata: {
      resourceVersion: String(shown),
      ...(full && after !== undefined
        ? { continue: formatToken({ revision: shown, after, remaining: rest }, prefix) }
        : {}),
      ...(rest === undefined ? {} : { remainingItemCount: rest }),
    },
  };
}

/**
 * How many objects a page is a part of, itself and those after it. A page that goes on at the same
 * revision knows it from the one before.
 */
function countFrom(store: Store, prefix: string, request: PageRequest): number | undefined {
  const { after, remaining, revision } = request;
  if (remaining !== undefined) return remaining;
  if (revision !== undefined) return undefined;
  if (after === undefined) return store.count(prefix);
  const rest = store.list({ prefix, after });
  return rest.ok ? rest.entries.length : undefined;
}

function readRequest(store: Store, query: URLSearchParams, prefix: string): PageRequest {
  const limit = Math.max(0, readInteger(query.get('limit')));
  const token = query.get('continue') ?? '';
  const resourceVersion = query.get('resourceVersion') ?? '';
  const match = query.get('resourceVersionMatch') ?? '';
  checkListOptions(query, { isWatch: false });
  if (token !== '') {
    if (resourceVersion !== '' && resourceVersion !== '0') {
      throw badRequest('specifying resource version is not allowed when using continue');
    }
    const { revision, after, remaining } = parseToken(token, prefix);
    // The newest state may well be the one that the token speaks of.
    const newest = revision === -1 || revision === store.revision;
    return { limit, after, remaining, revision: newest ? undefined : revision };
  }
  if (resourceVersion === '' || resourceVersion === '0') {
    // Whoever takes any state gets all of it, as from upstream's cache.
    const bound = resourceVersion === '0' ? 0 : limit;
    return { limit: bound, after: undefined, remaining: undefined, revision: undefined };
  }
  const revision = parseRevision(resourceVersion);
  if (revision > store.revision) throw tooLargeRevision(revision, store.revision);
  const exact = match === 'Exact' || (match === '' && limit > 0);
  const older = exact && revision !== store.revision;
  const wanted = older ? revision : undefined;
  return { limit, after: undefined, remaining: undefined, revision: wanted };
}

export function parseRevision(text: string): number {
  const revision = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(revision)) return revision;
  const given = JSON.stringify(text);
  const why = `strconv.ParseUint: parsing ${given}: invalid syntax`;
  throw badRequest(`invalid resource version: resourceVersion: Invalid value: ${given}: ${why}`);
}

/** A whole number of the query; absent, it is 0. */
export function readInteger(text: string | null): number {
  if (text === null || text === '') return 0;
  const number = /^[+-]?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(number)) return number;
  const why = /^[+-]?\d+$/.test(text) ? 'value out of range' : 'invalid syntax';
  throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: ${why}`);
}

function goneOrFuture(
  result: Extract<ListResult, { ok: false }>,
  after: string | undefined,
): ApiError {
  if (result.reason === 'future') {
    return timeout('Too large resource version: the server has not seen it yet', 1);
  }
  if (after === undefined) {
    return expired('The resourceVersion for the provided list is too old.');
  }
  const error = expired(
    'The provided continue parameter is too old to display a consistent list result. ' +
      'You can start a new list without the continue parameter, or use the continue token in this ' +
      'response to retrieve the remainder of the results. Continuing with the provided token ' +
      'results in an inconsistent list - objects that were created, modified, or deleted between ' +
      'the time the first chunk was returned and now may show up in the list.',
  );
  const token = { revision: -1, after, remaining: undefined };
  const metadata = { continue: formatToken(token, '') };
  return new ApiError({ ...error.status, metadata });
}

type Token = Pick<PageRequest, 'remaining'> & {
  readonly revision: number;
  readonly after: string;
};

function formatToken({ revision, after, remaining }: Token, prefix: string): string {
  const start = after.startsWith(prefix) ? after : prefix + after;
  const text = JSON.stringify({ v: tokenVersion, rv: revision, start, rest: remaining });
  return Buffer.from(text).toString('base64url');
}

function parseToken(token: string, prefix: string): Token {
  let parsed: unknown;
  const bytes = Buffer.from(token, 'base64url');
  try {
    parsed = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const why = jsonProblem(bytes.toString('latin1'));
    throw badRequest(`invalid continue token: continue key is not valid: ${why}`);
  }
  // Parse boundary: the fields are checked below.
  const { v, rv, start, rest } = (parsed ?? {}) as Record<string, unknown>;
  const sound = v === tokenVersion && typeof rv === 'number' && typeof start === 'string';
  if (!sound || !start.startsWith(prefix)) throw badRequest('continue key is not valid');
  const remaining = typeof rest === 'number' && Number.isSafeInteger(rest) ? rest : undefined;
  return { revision: rv, after: start, remaining };
}
