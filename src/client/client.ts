/**
 * The client that every component uses: typed by kind, over any `Transport`.
 *
 * `openClient` builds it. `informer.ts` keeps an indexed copy of a kind and comes next in the walk;
 * `recorder.ts` records Events; `port-transport.ts` and `http-transport.ts` carry the requests.
 * What the server answers with an error is thrown as `ApiError`; a lost connection is thrown as it
 * comes, and the loop that owns the work tries again.
 */
import type { Buffer } from 'node:buffer';
import type { KindOf } from '#api/kind-of.ts';
import { formatGroupVersion, type KubeObject } from '#api/object.ts';
import type { Clock } from '#kit/clock.ts';
import type { PlainResponse, Transport } from '#kit/transport.ts';
import { errorOfAnswer, errorOfStatus } from './answer.ts';
import { parseJson, readJsonLines, readWhole } from './body.ts';
import { DeadlineExceeded, withDeadline } from './deadline.ts';
import { type Lane, Lanes } from './lanes.ts';
import { collectionPath, type ObjectAddress, objectPath, withQuery } from './request-path.ts';
import { Retry } from './retry.ts';

export interface ListOptions {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly limit?: number | undefined;
  readonly continue?: string | undefined;
  readonly resourceVersion?: string | undefined;
  /** `Exact`: as things were at that revision; `NotOlderThan` (the default): then or later. */
  readonly resourceVersionMatch?: 'Exact' | 'NotOlderThan' | undefined;
  /** Asks for metadata alone (PartialObjectMetadata); a server may still send whole objects. */
  readonly metadataOnly?: boolean | undefined;
}

export interface ObjectList<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
  readonly continue?: string | undefined;
}

export type WatchEvent<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number | undefined;
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan' | undefined;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string } | undefined;
}

export type PatchType = 'merge' | 'strategic' | 'json';

interface PatchOptions {
  readonly type: PatchType;
  readonly subresource?: string;
}

export interface Cancel {
  readonly signal: AbortSignal;
}

export interface Client {
  get<T extends KubeObject>(
    kind: KindOf<T>,
    at: { readonly namespace?: string | undefined; readonly name: string },
    options: Cancel,
  ): Promise<T>;
  list<T extends KubeObject>(
    kind: KindOf<T>,
    options: ListOptions & Cancel,
  ): Promise<ObjectList<T>>;
  /** Ends (returns) when the server closes; throws `ApiError` for an ERROR event (410 Expired). */
  watch<T extends KubeObject>(
    kind: KindOf<T>,
    options: ListOptions &
      Cancel & {
        readonly resourceVersion: string;
        readonly bookmarks?: boolean;
        /** The server ends the watch after this time. */
        readonly timeoutSeconds?: number;
      },
  ): AsyncIterable<WatchEvent<T>>;
  create<T extends KubeObject>(kind: KindOf<T>, object: T, options: Cancel): Promise<T>;
  /** PUT; `subresource` as `status`. */
  update<T extends KubeObject>(
    kind: KindOf<T>,
    object: T,
    options: Cancel & { readonly subresource?: string },
  ): Promise<T>;
  patch<T extends KubeObject>(
    kind: KindOf<T>,
    at: { readonly namespace?: string | undefined; readonly name: string },
    patch: unknown,
    options: Cancel & PatchOptions,
  ): Promise<T>;
  /** The same where nobody reads the answer, which then is not parsed. */
  patchUnread<T extends KubeObject>(
    kind: KindOf<T>,
    at: { readonly namespace?: string | undefined; readonly name: string },
    patch: unknown,
    options: Cancel & PatchOptions,
  ): Promise<void>;
  delete<T extends KubeObject>(
    kind: KindOf<T>,
    at: { readonly namespace?: string | undefined; readonly name: string },
    options: Cancel & DeleteOptions,
  ): Promise<void>;
  /** GET of any path: sub-resources, and APIs that have no kinds here (metrics). */
  getPath<Answer>(path: string, options: Cancel): Promise<Answer>;
  /** POST to a sub-resource: `binding`, `eviction`, `token`. */
  createSubresource<T extends KubeObject, Body extends KubeObject, Answer>(
    kind: KindOf<T>,
    at: { readonly namespace?: string | undefined; readonly name: string },
    subresource: string,
    body: Body,
    options: Cancel,
  ): Promise<Answer>;
  readonly transport: Transport;
}

export interface ClientDeps {
  readonly transport: Transport;
  readonly clock: Pick<Clock, 'after' | 'sleep'>;
  readonly userAgent?: string | undefined;
}

export const limits = {
  /** A request other than a watch has ended by then, retries included; a watch has begun. */
  requestMs: 60_000,
  /** Requests other than watches on their way at a time; more wait (`lanes.ts`). */
  inFlightMax: 512,
} as const;

const acceptWhole = 'application/json';
const metadataOf = (kind: string): string =>
  `application/json;as=${kind};g=meta.k8s.io;v=v1,${acceptWhole}`;
const acceptMetadata = metadataOf('PartialObjectMetadata');
const acceptMetadataList = metadataOf('PartialObjectMetadataList');

const patchMediaTypes: Readonly<Record<PatchType, string>> = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
};

interface Call {
  readonly method: string;
  readonly path: string;
  readonly accept?: string;
  readonly contentType?: string;
  readonly body?: unknown;
}

export function openClient(deps: ClientDeps): Client {
  return new TransportClient(deps);
}

class TransportClient implements Client {
  readonly transport: Transport;
  readonly #deps: ClientDeps;
  readonly #lanes = new Lanes({ inFlightMax: limits.inFlightMax });

  constructor(deps: ClientDeps) {
    this.transport = deps.transport;
    this.#deps = deps;
  }

  get<T extends KubeObject>(kind: KindOf<T>, at: ObjectAddress, { signal }: Cancel): Promise<T> {
    return this.#ask<T>({ method: 'GET', path: objectPath(kind, at) }, signal);
  }

  async list<T extends KubeObject>(
    kind: KindOf<T>,
    options: ListOptions & Cancel,
  ): Promise<ObjectList<T>> {
    const path = withQuery(collectionPath(kind, options.namespace), selection(options));
    const accept = options.metadataOnly ? acceptMetadataList : acceptWhole;
    const list = await this.#ask<WireList>({ method: 'GET', path, accept }, options.signal);
    // Items of a list come without kind and apiVersion.
    const apiVersion = formatGroupVersion(kind);
    const items = (list.items ?? []).map(
      (item) => ({ apiVersion, kind: kind.kind, ...item }) as unknown as T,
    );
    return {
      items,
      resourceVersion: list.metadata.resourceVersion ?? '',
      continue: list.metadata.continue || undefined,
    };
  }

  async *watch<T extends KubeObject>(
    kind: KindOf<T>,
    options: Parameters<Client['watch']>[1],
  ): AsyncGenerator<WatchEvent<T>> {
    const path = withQuery(collectionPath(kind, options.namespace), {
      watch: true,
      ...selection(options),
      allowWatchBookmarks: options.bookmarks,
      timeoutSeconds: options.timeoutSeconds,
    });
    const accept = options.metadataOnly ? acceptMetadata : acceptWhole;
    const response = await this.#begin({ method: 'GET', path, accept }, options.signal);
    for await (const line of readJsonLines(response.body)) {
      // The server's own words, parsed here: one of the shapes of `WireEvent`.
      const event = line as WireEvent;
      switch (event.type) {
        case 'ADDED':
        case 'MODIFIED':
        case 'DELETED':
          yield { type: event.type, object: event.object as unknown as T };
          break;
        case 'BOOKMARK':
          yield {
            type: 'BOOKMARK',
            resourceVersion: event.object.metadata.resourceVersion ?? '',
          };
          break;
        case 'ERROR':
          throw errorOfStatus(event.object);
        default:
          event satisfies never;
      }
    }
  }

  create<T extends KubeObject>(kind: KindOf<T>, object: T, { signal }: Cancel): Promise<T> {
    const path = collectionPath(kind, object.metadata.namespace);
    return this.#ask<T>({ method: 'POST', path, body: object }, signal);
  }

  update<T extends KubeObject>(
    kind: KindOf<T>,
    object: T,
    options: Cancel & { readonly subresource?: string },
  ): Promise<T> {
    const { namespace, name = '' } = object.metadata;
    const path = objectPath(kind, { namespace, name }, options.subresource);
    return this.#ask<T>({ method: 'PUT', path, body: object }, options.signal);
  }

  patch<T extends KubeObject>(
    kind: KindOf<T>,
    at: ObjectAddress,
    patch: unknown,
    options: Cancel & PatchOptions,
  ): Promise<T> {
    return this.#ask<T>(patchCall(kind, at, patch, options), options.signal);
  }

  patchUnread<T extends KubeObject>(
    kind: KindOf<T>,
    at: ObjectAddress,
    patch: unknown,
    options: Cancel & PatchOptions,
  ): Promise<void> {
    return this.#tell(patchCall(kind, at, patch, options), options.signal);
  }

  async delete<T extends KubeObject>(
    kind: KindOf<T>,
    at: ObjectAddress,
    options: Cancel & DeleteOptions,
  ): Promise<void> {
    const { signal, ...wanted } = options;
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', ...wanted };
    await this.#tell({ method: 'DELETE', path: objectPath(kind, at), body }, signal);
  }

  getPath<Answer>(path: string, { signal }: Cancel): Promise<Answer> {
    return this.#ask<Answer>({ method: 'GET', path }, signal);
  }

  createSubresource<T extends KubeObject, Body extends KubeObject, Answer>(
    kind: KindOf<T>,
    at: ObjectAddress,
    subresource: string,
    body: Body,
    { signal }: Cancel,
  ): Promise<Answer> {
    const path = objectPath(kind, at, subresource);
    return this.#ask<Answer>({ method: 'POST', path, body }, signal);
  }

  /** Sends, waits for the whole answer and parses it. */
  #ask<Answer>(call: Call, callerSignal: AbortSignal): Promise<Answer> {
    return this.#within(call, callerSignal, async (signal) => {
      const body = await this.#sendAgain(call, signal);
      // The server answers a request for a kind with that kind.
      return parseJson(body) as Answer;
    });
  }

  /** Sends and waits for the end of the answer. */
  #tell(call: Call, callerSignal: AbortSignal): Promise<void> {
    return this.#within(call, callerSignal, async (signal) => {
      await this.#sendAgain(call, signal);
    });
  }

  #within<T>(call: Call, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>) {
    const what = `${call.method} ${call.path}`;
    return withDeadline(this.#deps, { limitMs: limits.requestMs, signal, what }, work);
  }

  /** As often as the server asks for it, and as long as there is time. */
  async #sendAgain(call: Call, signal: AbortSignal): Promise<Buffer> {
    const retry = new Retry();
    for (;;) {
      try {
        return await this.#lanes.run(laneOf(call.path), signal, () => this.#sendOnce(call, signal));
      } catch (error) {
        signal.throwIfAborted();
        const waitMs = retry.after(error, { isRead: call.method === 'GET' });
        if (waitMs === undefined) throw error;
        await this.#deps.clock.sleep(waitMs, { signal });
      }
    }
  }

  async #sendOnce(call: Call, signal: AbortSignal): Promise<Buffer> {
    const response = await this.transport.send(this.#request(call), { signal });
    const body = await readWhole(response);
    if (response.status >= 400) throw errorOfAnswer(response.status, body);
    return body;
  }

  /** Sends and waits for the answer's beginning; only that far reaches the deadline. */
  async #begin(call: Call, callerSignal: AbortSignal): Promise<PlainResponse> {
    callerSignal.throwIfAborted();
    const stream = new AbortController();
    const onAbort = (): void => stream.abort(callerSignal.reason);
    const release = (): void => callerSignal.removeEventListener('abort', onAbort);
    callerSignal.addEventListener('abort', onAbort, { once: true });
    const cancel = this.#deps.clock.after(limits.requestMs, () => {
      const what = `${call.method} ${call.path}`;
      stream.abort(new DeadlineExceeded(`${what}: no answer within ${limits.requestMs} ms`));
    });
    try {
      const response = await this.transport.send(this.#request(call), { signal: stream.signal });
      if (response.status >= 400) {
        throw errorOfAnswer(response.status, await readWhole(response));
      }
      return { ...response, body: releasing(response.body, release) };
    } catch (error) {
      release();
      throw error;
    } finally {
      cancel();
    }
  }

  #request(call: Call): Parameters<Transport['send']>[0] {
    const headers: Record<string, string> = { accept: call.accept ?? acceptWhole };
    if (this.#deps.userAgent !== undefined) headers['user-agent'] = this.#deps.userAgent;
    if (call.body === undefined) return { method: call.method, path: call.path, headers };
    headers['content-type'] = call.contentType ?? 'application/json';
    const body = new TextEncoder().encode(JSON.stringify(call.body));
    return { method: call.method, path: call.path, headers, body };
  }
}

function patchCall(
  kind: KindOf<KubeObject>,
  at: ObjectAddress,
  body: unknown,
  { type, subresource }: PatchOptions,
): Call {
  const path = objectPath(kind, at, subresource);
  return { method: 'PATCH', path, contentType: patchMediaTypes[type], body };
}

/** Leases keep leaders and nodes alive; Events are only told to people. */
function laneOf(path: string): Lane {
  if (/\/leases(\/|\?|$)/.test(path)) return 'first';
  return /\/events(\/|\?|$)/.test(path) ? 'last' : 'usual';
}

/** The same bytes, calling `release` when they end or the reader stops. */
async function* releasing(
  body: PlainResponse['body'],
  release: () => void,
): AsyncGenerator<Uint8Array> {
  try {
    yield* body instanceof Uint8Array ? [body] : body;
  } finally {
    release();
  }
}

function selection(options: ListOptions): Record<string, string | number | undefined> {
  return {
    labelSelector: options.labelSelector,
    fieldSelector: options.fieldSelector,
    limit: options.limit,
    continue: options.continue,
    resourceVersion: options.resourceVersion,
    resourceVersionMatch: options.resourceVersionMatch,
  };
}

interface WireList {
  readonly metadata: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly Readonly<Record<string, unknown>>[] | null;
}

type WireEvent =
  | {
      readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
      readonly object: { readonly metadata: { readonly resourceVersion?: string } };
    }
  | { readonly type: 'ERROR'; readonly object: unknown };

export {
  type HttpConnections,
  type HttpTransportOptions,
  openHttpTransport,
} from './http-transport.ts';
export {
  type Informer,
  type InformerHandler,
  type InformerOptions,
  type Informers,
  type InformersDeps,
  openInformers,
} from './informer.ts';
export { type Access, clusterEntry, kubeconfigText, userEntry } from './kubeconfig-text.ts';
export {
  type LeaderDeps,
  type LeaderOptions,
  LeadershipLost,
  runAsLeader,
} from './leader-election.ts';
export { logRequests } from './logged-requests.ts';
export { openPortTransport, servePort } from './port-transport.ts';
export { type EventText, openRecorder, type Recorder, type RecorderDeps } from './recorder.ts';
export { RequestFigures } from './request-figures.ts';
export { objectPath, withQuery } from './request-path.ts';
export { limitRequests, type RequestRates } from './request-rate.ts';
export { type ReviewedUser, reviewAccess, reviewToken } from './reviews.ts';
export { openSeriesRecorder } from './series-recorder.ts';
