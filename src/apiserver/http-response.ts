/**
 * An answer onto the wire, over HTTP/1.1 or HTTP/2.
 *
 * Whole bodies go out in one write; streams with back-pressure. Large ones are compressed where the
 * client takes gzip. Watches are written at once when they were silent, else in turns (`turns.ts`),
 * so that a busy one costs one write for many events. What is relayed from a node (logs, pages)
 * goes on as it comes: a rest after each small part would hold a long log to 30 MB/s.
 */

import { pipeline as pipe, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createGzip, gzip } from 'node:zlib';
import type { Logger } from '#kit/log.ts';
import type { ServerResponse } from './request.ts';
import type { Turns } from './turns.ts';
import type { Wire } from './wire.ts';

/** As upstream: what is shorter is not worth it, and the fastest level is enough. */
const gzipBytesMin = 128 * 1024;
const gzipOptions = { level: 1 } as const;
const packedHeaders = { 'content-encoding': 'gzip', vary: 'Accept-Encoding' } as const;

const compress = promisify<Uint8Array, { level: number }, Buffer>(gzip);

export interface AnswerDeps {
  readonly turns: Turns;
  readonly log: Logger;
}

/** Live answers go on after it. */
export function writeResponse(
  deps: AnswerDeps,
  wire: Wire,
  answer: ServerResponse,
): Promise<void> | undefined {
  const { status, headers, body } = answer;
  if (wire.method === 'HEAD') {
    wire.answer(status, headers, nothing);
    return undefined;
  }
  if (body instanceof Uint8Array) {
    const isPacked = headers['content-encoding'] !== undefined;
    const large = !isPacked && body.length > gzipBytesMin && acceptsGzip(wire);
    if (large) return writePacked(wire, answer, body);
    wire.answer(status, { ...headers, 'content-length': body.length }, body);
    return undefined;
  }
  if (answer.live === true) {
    const isRead = wire.begin(status, headers);
    if (isRead) wire.flushHead();
    if (body instanceof Readable) relay(deps, wire, body, { isRead });
    else new LiveAnswer(deps, wire, body[Symbol.asyncIterator]()).start({ isRead });
    return undefined;
  }
  return writeParts(wire, answer, body);
}

const nothing = new Uint8Array(0);

async function writePacked(wire: Wire, answer: ServerResponse, body: Uint8Array): Promise<void> {
  const packed = await compress(body, gzipOptions);
  const headers = { ...answer.headers, ...packedHeaders, 'content-length': packed.length };
  wire.answer(answer.status, headers, packed);
}

async function writeParts(
  wire: Wire,
  { status, headers }: ServerResponse,
  body: AsyncIterable<Uint8Array>,
): Promise<void> {
  const isPacked = acceptsGzip(wire);
  if (!wire.begin(status, isPacked ? { ...headers, ...packedHeaders } : headers)) {
    await body[Symbol.asyncIterator]().return?.();
    return;
  }
  const outgoing = wire.asWritable();
  if (isPacked) await pipeline(body, createGzip(gzipOptions), outgoing);
  else await pipeline(body, outgoing);
}

function acceptsGzip({ headers }: Wire): boolean {
  const header = headers['accept-encoding'];
  return header !== undefined && String(header).includes('gzip');
}

/** What another server sends: its parts are as large as the connection to it makes them. */
function relay(
  deps: AnswerDeps,
  wire: Wire,
  body: Readable,
  { isRead }: { readonly isRead: boolean },
): void {
  if (!isRead || wire.isClosed) {
    body.destroy();
    return;
  }
  pipe(body, wire.asWritable(), (error) => {
    if (error && !wire.isCut) breakOff(deps, wire, error);
  });
}

/**
 * A watch on its way. No async function: what that keeps while it waits, a watch that is
 * idle for half an hour would keep.
 */
class LiveAnswer {
  readonly #deps: AnswerDeps;
  readonly #wire: Wire;
  readonly #parts: AsyncIterator<Uint8Array>;
  readonly #go = (): void => {
    this.#parts.next().then(this.#onPart, this.#onFailure);
  };
  readonly #onPart = ({ done, value }: IteratorResult<Uint8Array>): void => {
    const wire = this.#wire;
    if (wire.isClosed) return;
    if (done === true) wire.end();
    else if (!wire.write(value)) wire.onceDrained(this.#go);
    else this.#deps.turns.rest(this.#go);
  };
  readonly #onFailure = (error: unknown): void => breakOff(this.#deps, this.#wire, error);

  constructor(deps: AnswerDeps, wire: Wire, parts: AsyncIterator<Uint8Array>) {
    this.#deps = deps;
    this.#wire = wire;
    this.#parts = parts;
  }

  start({ isRead }: { readonly isRead: boolean }): void {
    const wire = this.#wire;
    const leave = (): void => {
      this.#parts.return?.().catch(this.#onFailure);
    };
    if (!isRead || wire.isClosed) {
      leave();
      return;
    }
    wire.onceClosed(leave);
    this.#go();
  }
}

/** The client left, or a stream broke after its head was sent: nobody is there to be told. */
export function breakOff(
  { log }: Pick<AnswerDeps, 'log'>,
  wire: Pick<Wire, 'isClosed' | 'path' | 'destroy'>,
  error: unknown,
): void {
  const hasGone = error instanceof Error && error.name === 'AbortError';
  if (!wire.isClosed && !hasGone) log.warn('answer broke off', { path: wire.path, error });
  wire.destroy();
}
