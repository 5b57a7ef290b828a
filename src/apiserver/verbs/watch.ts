/**
 * Watch: the changes of a selection as they happen, one JSON object a line (or one frame of
 * protobuf).
 *
 * From a resourceVersion: what happened since. Without one (or with 0): first everything that is
 * there as ADDED, then what happens. `sendInitialEvents` does the same and marks the end of the
 * initial state with a bookmark. History that is gone is answered with 410 so that the client lists
 * again.
 */
import { expired, invalid, notAcceptable, tooManyRequests } from '#api/errors.ts';
import { forbidden } from '#api/field-error.ts';
import { protobufType } from '../output/protobuf.ts';
import { includeObjectOf } from '../output/table.ts';
import type { Parts } from '../parts.ts';
import { prefixOf } from '../registry.ts';
import type { Answer, Call } from '../request.ts';
import { isTrue } from '../stages/read-request-info.ts';
import { InitialEvents } from '../watch/initial-events.ts';
import type { Selection } from '../watch/watcher.ts';
import { checkRevision } from './get.ts';
import { parseRevision, readInteger } from './list-page.ts';
import { readSelection } from './selection.ts';

/** A watch ends after this long, give or take as much again, so that clients spread out anew. */
const watchSecondsMin = 1800;
/** Watches open at once; each costs a buffer and a connection's share. */
const watchesMax = 20_000;

export async function watch(parts: Parts, call: Call): Promise<Answer> {
  const { served, info, output } = call;
  const { store, hub } = parts;
  if (output.encoding === 'yaml') throw notAcceptable(['application/json', protobufType]);
  const waiting = store.fresh();
  if (waiting !== undefined) await waiting;
  if (hub.size >= watchesMax) throw tooManyRequests('too many open watches', 5);
  const selection = readSelection(served, info);
  const includeObject = includeObjectOf(info.query);
  const frames = parts.watchOutput.frames({ served, output, includeObject });
  const start = readStart(info.query);
  const timeoutSeconds = readInteger(info.query.get('timeoutSeconds'));
  const bookmarks = isTrue(info.query.get('allowWatchBookmarks'));
  const initial = start.initial ? store.list({ prefix: initialPrefix(selection) }) : undefined;
  // Who watches must have been able to list.
  if (initial === undefined) store.atRest?.checkReadable(initialPrefix(selection));
  const afterRevision = initial?.revision ?? start.revision;
  const watcher = hub.watch(
    { selection, frames, afterRevision, bookmarks },
    { limitMs: limitOf(parts, timeoutSeconds) },
  );
  if (watcher === undefined) throw expired(tooOld(start.revision, store.oldestRevision));
  const ending =
    start.mark && bookmarks
      ? frames.bookmark(afterRevision, { initialEventsEnd: true })
      : undefined;
  const body =
    initial === undefined
      ? watcher
      : new InitialEvents(parts, watcher, { entries: initial.entries, ending });
  const headers = { 'content-type': frames.contentType };
  return { type: 'plain', response: { status: 200, headers, body, live: true } };
}

/** Of one object its own key, which those of longer names begin with, too. */
function initialPrefix({ resource, namespace, name }: Selection): string {
  const prefix = prefixOf(resource, namespace);
  return resource.namespaced && namespace === '' ? prefix : `${prefix}${name}`;
}

interface Start {
  /** Whether the present state comes first. */
  readonly initial: boolean;
  /** Whether the end of it is marked. */
  readonly mark: boolean;
  readonly revision: number;
}

function readStart(query: URLSearchParams): Start {
  const resourceVersion = query.get('resourceVersion') ?? '';
  const match = query.get('resourceVersionMatch') ?? '';
  const given = query.get('sendInitialEvents');
  const of = { group: 'meta.k8s.io', kind: 'ListOptions' };
  const no = (field: string, detail: string) => invalid(of, '', [forbidden(field, detail)]);
  if (given === null && match !== '') {
    throw no(
      'resourceVersionMatch',
      'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
    );
  }
  if (given !== null && match !== 'NotOlderThan') {
    throw no(
      'resourceVersionMatch',
      'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan',
    );
  }
  const unset = resourceVersion === '' || resourceVersion === '0';
  checkRevision(resourceVersion);
  const revision = unset ? 0 : parseRevision(resourceVersion);
  if (given === null) return { initial: unset, mark: false, revision };
  const wanted = isTrue(given);
  return { initial: wanted || unset, mark: wanted, revision };
}

function limitOf({ random, options }: Parts, givenSeconds: number): number {
  if (givenSeconds > 0) return givenSeconds * 1000;
  const secondsMin = (options.minRequestTimeoutMs ?? watchSecondsMin * 1000) / 1000;
  return Math.ceil(secondsMin * (1 + random.fraction())) * 1000;
}

function tooOld(revision: number, oldest: number): string {
  return `too old resource version: ${revision} (${oldest})`;
}
