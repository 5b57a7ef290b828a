/**
 * One open watch: a bounded buffer between the hub and one client.
 *
 * The hub offers events and never waits. Whoever writes to the client reads `next`, which gives
 * everything buffered so far in one piece, and calls `return` when the client has gone. A client
 * that reads too slowly is told 410 Expired and ended; it lists again. Memory stays bounded however
 * many clients sleep, and there is nothing here that an idle watch does not need.
 */
import { expired } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import type { Resource } from '#api/resource.ts';
import type { HubEvent, WatchEventType, WatchFrames } from './hub-event.ts';

export interface Selection {
  readonly resource: Resource;
  /** Empty for all namespaces. */
  readonly namespace: string;
  /** From the path or `metadata.name=`; empty for all. */
  readonly name: string;
  /** From `spec.nodeName=`; empty for all. */
  readonly nodeName: string;
  /** What label and field selectors say; absent when everything matches. */
  readonly matches: ((hub: KubeObject) => boolean) | undefined;
}

export interface WatcherOptions {
  readonly selection: Selection;
  readonly frames: WatchFrames;
  /** Events up to this revision are known to the client. */
  readonly afterRevision: number;
  /** Whether the client asked for bookmarks. */
  readonly bookmarks: boolean;
}

/** What tells a slow client to list again. */
function tooSlow(): object {
  return expired('the watch was too slow and has lost events').status;
}

export const watcherLimits = {
  /** Bytes waiting for a client that does not read. */
  bufferBytesMax: 16 * 1024 * 1024,
  /** Lines waiting for a client that does not read. */
  bufferLinesMax: 100_000,
} as const;

export class Watcher implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly options: WatcherOptions;
  /** Where `WatchEnds` finds it again. */
  endSecond = 0;
  readonly #onClose: (watcher: Watcher) => void;
  #lines: Uint8Array[] = [];
  #bytes = 0;
  #afterRevision: number;
  #ended = false;
  #isFirst = true;
  #waiting: ((result: IteratorResult<Uint8Array, undefined>) => void) | undefined;

  constructor(
    options: WatcherOptions,
    { onClose }: { readonly onClose: (watcher: Watcher) => void },
  ) {
    this.options = options;
    this.#onClose = onClose;
    this.#afterRevision = options.afterRevision;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get afterRevision(): number {
    return this.#afterRevision;
  }

  /** Buffers the event if it belongs to the selection. Says whether there is something to write. */
  offer(event: HubEvent): boolean {
    if (this.#ended || event.revision <= this.#afterRevision) return false;
    this.#afterRevision = event.revision;
    const type = this.#typeFor(event);
    if (type === undefined) return false;
    return this.push(event.encode(type, this.options.frames.encoder(this.#takeFirst())));
  }

  /** Something was sent before what waits here. */
  begun(): void {
    this.#isFirst = false;
  }

  #takeFirst(): boolean {
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    return isFirst;
  }

  /** What the event means for somebody who sees only the selection. */
  #typeFor(event: HubEvent): WatchEventType | undefined {
    const { matches } = this.options.selection;
    const { value, previous } = event.source;
    let was = previous !== undefined;
    let is = value !== undefined;
    if (matches !== undefined) {
      const [before, after] = [event.previous(), event.next()];
      was = before !== undefined && matches(before);
      is = after !== undefined && matches(after);
    }
    if (is) return was ? 'MODIFIED' : 'ADDED';
    return was ? 'DELETED' : undefined;
  }

  push(line: Uint8Array): boolean {
    if (this.#ended) return false;
    this.#lines.push(line);
    this.#bytes += line.length;
    const { bufferBytesMax, bufferLinesMax } = watcherLimits;
    if (this.#bytes > bufferBytesMax || this.#lines.length > bufferLinesMax) this.expire();
    return true;
  }

  bookmark(revision: number): void {
    const { bookmarks, frames } = this.options;
    if (!bookmarks || this.#ended || revision < this.#afterRevision) return;
    this.push(frames.bookmark(revision, { initialEventsEnd: false, isFirst: this.#takeFirst() }));
    this.wake();
  }

  /** Throws away what waits and tells the client to list again. */
  expire(): void {
    if (this.#ended) return;
    this.#lines = [this.options.frames.error(tooSlow())];
    this.#bytes = 0;
    this.end();
  }

  /** No more events; what is buffered is still delivered. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onClose(this);
    this.wake();
  }

  /** Hands what is buffered to the reader, if one waits. */
  wake(): void {
    const waiting = this.#waiting;
    if (waiting === undefined || (this.#lines.length === 0 && !this.#ended)) return;
    this.#waiting = undefined;
    waiting(this.#take());
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#lines.length > 0 || this.#ended) return Promise.resolve(this.#take());
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#lines = [];
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(): IteratorResult<Uint8Array, undefined> {
    const [first] = this.#lines;
    if (first === undefined) return { done: true, value: undefined };
    const value = this.#lines.length === 1 ? first : Buffer.concat(this.#lines);
    this.#lines = [];
    this.#bytes = 0;
    return { done: false, value };
  }
}
