/**
 * Watch: the changes of a selection as they happen, one JSON object a line (or one frame of
 * protobuf).
 *
 * From a resourceVersion: what happened since. Without one (or with 0), and with
 * `sendInitialEvents`: first everything that is there as ADDED, then a bookmark that marks the end
 * of it for those who take bookmarks, then what happens. Where history is gone, or a store that was
 * put back has not come so far, an event says so (410, 504), and the client lists again.
 */
import {
  type ApiError,
  expired,
  notAcceptable,
  tooLargeRevision,
  tooManyRequests,
} from '#api/errors.ts';
import { protobufType } from '../output/protobuf.ts';
import { includeObjectOf } from '../output/table.ts';
import type { Parts } from '../parts.ts';
import { prefixOf } from '../registry.ts';
import type { Answer, Call } from '../request.ts';
import { isTrue } from '../stages/read-request-info.ts';
import type { WatchFrames } from '../watch/hub-event.ts';
import { InitialEvents } from '../watch/initial-events.ts';
import type { Selection } from '../watch/watcher.ts';
import { checkRevision } from './get.ts';
import { checkListOptions, saysInitialEvents } from './list-options.ts';
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
  const afterRevision = initial?.revision ?? start.revision ?? store.revision;
  // It knows more than ever was here: the store was put back, and events of that number are others.
  if (afterRevision > store.revision) {
    return refused(frames, tooLargeRevision(afterRevision, store.revision));
  }
  const watcher = hub.watch(
    { selection, frames, afterRevision, bookmarks },
    { limitMs: limitOf(parts, timeoutSeconds) },
  );
  if (watcher === undefined) {
    return refused(frames, expired(tooOld(afterRevision, store.oldestRevision)));
  }
  const ending =
    start.initial && bookmarks
      ? (mark: { readonly isFirst: boolean }) =>
          frames.bookmark(afterRevision, { initialEventsEnd: true, ...mark })
      : undefined;
  const body =
    initial === undefined
      ? watcher
      : new InitialEvents(parts, watcher, { entries: initial.entries, ending });
  const headers = { 'content-type': frames.contentType };
  return { type: 'plain', response: { status: 200, headers, body, live: true } };
}

/** As upstream: once it is a watch, what is wrong with its start is told as an event. */
function refused(frames: WatchFrames, { status }: ApiError): Answer {
  const headers = { 'content-type': frames.contentType };
  const body = only(frames.error(status));
  return { type: 'plain', response: { status: 200, headers, body, live: true } };
}

async function* only(frame: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield frame;
}

/** Of one object its own key, which those of longer names begin with, too. */
function initialPrefix({ resource, namespace, name }: Selection): string {
  const prefix = prefixOf(resource, namespace);
  return resource.namespaced && namespace === '' ? prefix : `${prefix}${name}`;
}

interface Start {
  /** Whether the present state comes first. */
  readonly initial: boolean;
  /** Undefined: the newest. */
  readonly revision: number | undefined;
}

/** Who names no revision gets the present state, and its end marked, unless it does not want it. */
function readStart(query: URLSearchParams): Start {
  checkListOptions(query, { isWatch: true });
  const resourceVersion = query.get('resourceVersion') ?? '';
  checkRevision(resourceVersion);
  const unset = resourceVersion === '' || resourceVersion === '0';
  const wanted = saysInitialEvents(query) ? isTrue(query.get('sendInitialEvents')) : unset;
  return { initial: wanted, revision: unset ? undefined : parseRevision(resourceVersion) };
}

function limitOf({ random, options }: Parts, givenSeconds: number): number {
  if (givenSeconds !== 0) return Math.max(1, givenSeconds * 1000);
  const secondsMin = (options.minRequestTimeoutMs ?? watchSecondsMin * 1000) / 1000;
  return Math.ceil(secondsMin * (1 + random.fraction())) * 1000;
}

function tooOld(revision: number, oldest: number): string {
  return `too old resource version: ${revision} (${oldest})`;
}
