/**
 * One request and its answer on the wire, over HTTP/1.1 or HTTP/2: what both have in common, as far
 * as it is used. `http.ts` makes these, and `http-response.ts` writes to them.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Writable } from 'node:stream';
import { type BodyReader, errorCode, type Http2Stream, type RequestHeaders } from '#http2';

export type OutgoingHeaders = Readonly<Record<string, string | number>>;

export interface Wire {
  readonly method: string;
  /** Path and query, as they came. */
  readonly path: string;
  readonly headers: RequestHeaders;
  /** Nothing more of it can come. */
  readonly hasWholeBody: boolean;
  /** Nobody is there any more. */
  readonly isClosed: boolean;
  /** Of an answer that is closed: the client has gone before it had all. */
  readonly isCut: boolean;
  readBody(reader: BodyReader): void;
  letBodyGo(): void;
  /** The whole answer. Its body is not sent where there can be none. */
  answer(status: number, headers: OutgoingHeaders, body: Uint8Array): void;
  /** The head of an answer. Says whether somebody is there to read a body behind it. */
  begin(status: number, headers: OutgoingHeaders): boolean;
  /** Sends the head before there is a body. */
  flushHead(): void;
  /** False when the client is slow. */
  write(part: Uint8Array): boolean;
  end(): void;
  /** The answer ends in the middle. */
  destroy(): void;
  /** Calls back once: when the client has read enough, or has gone. */
  onceDrained(callback: () => void): void;
  /** Calls back once; at once, when it is closed already. */
  onceClosed(callback: () => void): void;
  /** The body of the answer, behind its head, for those who pipe. */
  asWritable(): Writable;
}

export class Http1Wire implements Wire {
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#incoming = request;
    this.#outgoing = response;
  }

  get method(): string {
    return this.#incoming.method ?? 'GET';
  }

  get path(): string {
    return this.#incoming.url ?? '/';
  }

  get headers(): RequestHeaders {
    const { headers } = this.#incoming;
    // Node gives a list of this one only, and it is the answer's; the others are strings.
    delete headers['set-cookie'];
    return headers as RequestHeaders;
  }

  get hasWholeBody(): boolean {
    return this.#incoming.readableEnded;
  }

  get isClosed(): boolean {
    return this.#outgoing.destroyed;
  }

  get isCut(): boolean {
    return !this.#outgoing.writableFinished;
  }

  readBody({ onPart, onEnd }: BodyReader): void {
    this.#incoming.on('data', onPart);
    this.#incoming.on('end', onEnd);
  }

  letBodyGo(): void {
    this.#incoming.resume();
  }

  answer(status: number, headers: OutgoingHeaders, body: Uint8Array): void {
    this.#writeHead(status, headers);
    if (this.method === 'HEAD') this.#outgoing.end();
    else this.#outgoing.end(body);
  }

  begin(status: number, headers: OutgoingHeaders): boolean {
    this.#writeHead(status, headers);
    return this.method !== 'HEAD';
  }

  flushHead(): void {
    this.#outgoing.flushHeaders();
  }

  #writeHead(status: number, headers: OutgoingHeaders): void {
    const { warning } = headers;
    // Its older name, which the programs in Go still have.
    if (status === 413) this.#outgoing.statusMessage = 'Request Entity Too Large';
    if (warning === undefined) this.#outgoing.writeHead(status, headers);
    else {
      const { warning: _warning, ...rest } = headers;
      this.#outgoing.setHeader('warning', separate(warning));
      this.#outgoing.writeHead(status, rest);
    }
  }

  write(part: Uint8Array): boolean {
    return this.#outgoing.write(part);
  }

  end(): void {
    this.#outgoing.end();
  }

  destroy(): void {
    this.#outgoing.destroy();
  }

  onceDrained(callback: () => void): void {
    const done = (): void => {
      this.#outgoing.removeListener('drain', done);
      this.#outgoing.removeListener('close', done);
      callback();
    };
    this.#outgoing.once('drain', done);
    this.#outgoing.once('close', done);
  }

  onceClosed(callback: () => void): void {
    // It comes once; `once` would keep a function more.
    if (this.#outgoing.destroyed) callback();
    else this.#outgoing.on('close', callback);
  }

  asWritable(): Writable {
    return this.#outgoing;
  }
}

/** Of one connection, and so of HTTP/1; what a proxied answer says of its own means nothing. */
const connectionHeaders: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/** Each warning in a line of its own, as upstream sends them: some clients print them by line. */
function separate(warnings: string | number): string[] {
  return String(warnings).split(/, (?=299 - ")/);
}

export class Http2Wire implements Wire {
  readonly method: string;
  readonly path: string;
  /** Of the answer, once there is one. */
  status = 0;
  readonly #stream: Http2Stream;

  constructor(stream: Http2Stream) {
    this.#stream = stream;
    this.method = stream.headers[':method'] ?? 'GET';
    this.path = stream.headers[':path'] ?? '/';
  }

  get headers(): RequestHeaders {
    return this.#stream.headers;
  }

  get hasWholeBody(): boolean {
    return !this.#stream.isReceiving;
  }

  get isClosed(): boolean {
    return this.#stream.isClosed;
  }

  get isCut(): boolean {
    return !this.#stream.isAnswered;
  }

  readBody(reader: BodyReader): void {
    this.#stream.read(reader);
  }

  letBodyGo(): void {
    // What nobody reads is not kept.
  }

  answer(status: number, headers: OutgoingHeaders, body: Uint8Array): void {
    this.status = status;
    const hasBody = this.#mayHaveBody(status);
    this.#stream.answer(fieldsOf(status, headers), hasBody ? body : undefined);
  }

  begin(status: number, headers: OutgoingHeaders): boolean {
    const stream = this.#stream;
    if (stream.isClosed) return false;
    const fields = fieldsOf(status, headers);
    if (!this.#mayHaveBody(status)) {
      stream.answer(fields, undefined);
      return false;
    }
    stream.begin(fields);
    // A watch lives long; the headers that it came with are read by then.
    stream.letHeadersGo();
    return true;
  }

  flushHead(): void {
    // It goes with the next turn.
  }

  #mayHaveBody(status: number): boolean {
    return this.method !== 'HEAD' && status !== 204 && status !== 304;
  }

  write(part: Uint8Array): boolean {
    return this.#stream.write(part);
  }

  end(): void {
    this.#stream.end();
  }

  destroy(): void {
    this.#stream.reset(errorCode.internal);
  }

  onceDrained(callback: () => void): void {
    this.#stream.onceDrained(callback);
  }

  onceClosed(callback: () => void): void {
    this.#stream.onceClosed(callback);
  }

  asWritable(): Writable {
    const stream = this.#stream;
    const writable = new Writable({
      write: (part: Buffer, _encoding, done) => {
        if (stream.write(part)) done();
        else stream.onceDrained(done);
      },
      final: (done) => {
        stream.end();
        done();
      },
      destroy: (error, done) => {
        if (!writable.writableFinished) stream.reset(errorCode.internal);
        done(error);
      },
    });
    stream.onceClosed(() => {
      if (!stream.isAnswered) writable.destroy();
    });
    return writable;
  }
}

/** What no field may have: upstream leaves such out as well. */
const wrongValue = /[^\t\x20-\x7e\x80-\xff]/;

function fieldsOf(status: number, headers: OutgoingHeaders): string[] {
  const fields = [':status', String(status)];
  for (const name in headers) {
    const value = headers[name];
    const key = name.toLowerCase();
    if (value === undefined || connectionHeaders.has(key) || wrongValue.test(`${value}`)) continue;
    if (key !== 'warning') fields.push(key, String(value));
    else for (const line of separate(value)) fields.push(key, line);
  }
  return fields;
}
