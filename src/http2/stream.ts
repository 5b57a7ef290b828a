/**
 * One request and its answer on a connection of HTTP/2 (RFC 9113, section 5).
 *
 * The request's body is given on as it comes, its length held against what the head said. The
 * answer waits here, in order, until `sender.ts` finds room for it: in the client's windows and in
 * the socket. Whoever writes is told when what waits has become much, and when it has gone. A
 * stream is over when both sides have ended, or when either has reset it; what was asked of it
 * after that does nothing.
 */
import { ByteQueue, type Held } from './byte-queue.ts';
import { errorCode } from './frames.ts';
import type { RequestHeaders } from './request-head.ts';

export interface BodyReader {
  onPart(part: Buffer): void;
  /** Not called when the stream is over before its body was whole. */
  onEnd(): void;
}

/** What a server may do with a stream. */
export interface Http2Stream {
  /** Its number on the connection. */
  readonly id: number;
  /** Gone when they have been let go. */
  readonly headers: RequestHeaders;
  /** A body, or more of it, may come. */
  readonly isReceiving: boolean;
  /** Both sides have ended, or it was reset, or the connection broke. */
  readonly isClosed: boolean;
  /** The answer has gone out whole. */
  readonly isAnswered: boolean;
  /** Who reads nothing lets the body go. At most one reads, from the call for the request on. */
  read(reader: BodyReader): void;
  /** Before the answer's own head: fields of a status such as 100. Names and values in turn. */
  inform(fields: readonly string[]): void;
  /** The whole answer, names and values in turn; `:status` first. */
  answer(fields: readonly string[], body: Uint8Array | undefined): void;
  /** The head of an answer whose body follows by `write` and `end`. */
  begin(fields: readonly string[]): void;
  /** False when the client is slow: whoever goes on then has all of it kept. */
  write(part: Uint8Array): boolean;
  end(): void;
  reset(code: number): void;
  /** What is kept has gone, once, or the stream is closed. */
  onceDrained(callback: () => void): void;
  /** Called once, also when the stream is closed already. */
  onceClosed(callback: () => void): void;
  letHeadersGo(): void;
}

/** The connection, as far as its streams need it. */
export interface StreamOwner {
  sendFields(stream: ServerStream, fields: readonly string[], how: { ends: boolean }): void;
  sendWhole(stream: ServerStream, fields: readonly string[], body: Uint8Array): void;
  /** There is something to send that was not there before. */
  ready(stream: ServerStream): void;
  sendReset(stream: ServerStream, code: number): void;
  closed(stream: ServerStream): void;
}

/** A writer is asked to wait when so much waits already. */
const waitingBytesMax = 64 * 1024;

const noHeaders: RequestHeaders = Object.freeze({});

export interface StreamOptions {
  readonly id: number;
  readonly headers: RequestHeaders;
  readonly contentLength: number | undefined;
  /** A body may follow. */
  readonly isReceiving: boolean;
  /** What the client takes, and what it may send. */
  readonly sendWindow: number;
  readonly receiveWindow: number;
  /** What waits in all streams of the connection. */
  readonly held: Held;
}

export class ServerStream implements Http2Stream {
  readonly id: number;
  headers: RequestHeaders;
  isReceiving: boolean;
  isClosed = false;
  isAnswered = false;
  sendWindow: number;
  receiveWindow: number;
  /** Of the answer. */
  readonly waiting: ByteQueue;
  /** Nothing comes behind what waits. */
  isEnding = false;
  readonly #owner: StreamOwner;
  readonly #contentLength: number | undefined;
  #receivedBytes = 0;
  #hasBegun = false;
  #reader: BodyReader | undefined;
  #whenDrained: (() => void) | undefined;
  #whenClosed: (() => void)[] | undefined;

  constructor(owner: StreamOwner, options: StreamOptions) {
    this.#owner = owner;
    this.id = options.id;
    this.headers = options.headers;
    this.isReceiving = options.isReceiving;
    this.sendWindow = options.sendWindow;
    this.receiveWindow = options.receiveWindow;
    this.waiting = new ByteQueue(options.held);
    this.#contentLength = options.contentLength;
  }

  read(reader: BodyReader): void {
    if (this.isReceiving) this.#reader = reader;
    else reader.onEnd();
  }

  inform(fields: readonly string[]): void {
    if (!this.isClosed && !this.#hasBegun) this.#owner.sendFields(this, fields, { ends: false });
  }

  answer(fields: readonly string[], body: Uint8Array | undefined): void {
    if (!this.#mayBegin()) return;
    if (body !== undefined && body.length > 0) this.#owner.sendWhole(this, fields, body);
    else {
      this.#owner.sendFields(this, fields, { ends: true });
      this.wasAnswered();
    }
  }

  begin(fields: readonly string[]): void {
    if (this.#mayBegin()) this.#owner.sendFields(this, fields, { ends: false });
  }

  #mayBegin(): boolean {
    if (this.isClosed || this.#hasBegun) return false;
    this.#hasBegun = true;
    return true;
  }

  write(part: Uint8Array): boolean {
    if (!this.#mayWrite() || part.length === 0) return true;
    this.waiting.push(part);
    this.#owner.ready(this);
    return this.waiting.bytes < waitingBytesMax;
  }

  end(): void {
    if (!this.#mayWrite()) return;
    this.isEnding = true;
    this.#owner.ready(this);
  }

  #mayWrite(): boolean {
    return this.#hasBegun && !this.isEnding && !this.isClosed && !this.isAnswered;
  }

  reset(code: number): void {
    if (this.isClosed) return;
    this.#owner.sendReset(this, code);
    this.close();
  }

  onceDrained(callback: () => void): void {
    if (this.isClosed || this.waiting.bytes === 0) callback();
    else this.#whenDrained = callback;
  }

  onceClosed(callback: () => void): void {
    if (this.isClosed) callback();
    else if (this.#whenClosed === undefined) this.#whenClosed = [callback];
    else this.#whenClosed.push(callback);
  }

  letHeadersGo(): void {
    this.headers = noHeaders;
  }

  /** A part of the body has come. Says whether it fits what the head said. */
  received(part: Buffer, { isLast }: { readonly isLast: boolean }): boolean {
    this.#receivedBytes += part.length;
    const length = this.#contentLength;
    if (length !== undefined) {
      const fits = isLast ? this.#receivedBytes === length : this.#receivedBytes <= length;
      if (!fits) return false;
    }
    const reader = this.#reader;
    if (part.length > 0) reader?.onPart(part);
    // The reader may have reset it.
    if (!isLast || this.isClosed) return true;
    this.isReceiving = false;
    this.#reader = undefined;
    reader?.onEnd();
    return true;
  }

  /** The next so many bytes of what waits are on their way. */
  send(bytes: number, into: Uint8Array[]): void {
    this.waiting.take(bytes, into);
    this.sendWindow -= bytes;
    if (this.waiting.bytes > 0) return;
    const drained = this.#whenDrained;
    this.#whenDrained = undefined;
    drained?.();
  }

  /** The last frame of the answer is on its way. */
  wasAnswered(): void {
    this.isAnswered = true;
    // Nobody waits for what may still come of a body whose request is answered.
    if (this.isReceiving) this.reset(errorCode.none);
    else this.close();
  }

  /** What waits is let go. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.isReceiving = false;
    this.#reader = undefined;
    this.waiting.clear();
    this.#owner.closed(this);
    const drained = this.#whenDrained;
    const closed = this.#whenClosed;
    this.#whenDrained = undefined;
    this.#whenClosed = undefined;
    drained?.();
    if (closed !== undefined) for (const callback of closed) callback();
  }
}
