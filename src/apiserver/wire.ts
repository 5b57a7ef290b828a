/**
 * One request and its answer on the wire, over HTTP/1.1 or HTTP/2: what both have in common, as far
 * as it is used.
 *
 * HTTP/2 is spoken with Node's streams themselves. Its other face, made to look like HTTP/1, keeps
 * two more objects with their listeners for each stream, and an idle watch would cost twice as
 * much.
 * `http.ts` makes these, and `http-response.ts` writes to them.
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import type { Readable, Writable } from 'node:stream';

export type OutgoingHeaders = Readonly<Record<string, string | number>>;

export interface Wire {
  readonly method: string;
  /** Path and query, as they came. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly isHttp2: boolean;
  /** The body of the request. */
  readonly incoming: Readable;
  /** The body of the answer, behind its head. */
  readonly outgoing: Writable;
  /** Of an answer that is closed: the client has gone before it had all. */
  readonly isCut: boolean;
  /** Says whether somebody is there to read a body behind it. */
  writeHead(status: number, headers: OutgoingHeaders): boolean;
  /** Sends the head before there is a body. */
  flushHead(): void;
}

export class Http1Wire implements Wire {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.incoming = request;
    this.outgoing = response;
  }

  get method(): string {
    return this.incoming.method ?? 'GET';
  }

  get path(): string {
    return this.incoming.url ?? '/';
  }

  get headers(): IncomingHttpHeaders {
    return this.incoming.headers;
  }

  get isHttp2(): boolean {
    return false;
  }

  get isCut(): boolean {
    return !this.outgoing.writableFinished;
  }

  writeHead(status: number, headers: OutgoingHeaders): boolean {
    const { warning } = headers;
    // Its older name, which the programs in Go still have.
    if (status === 413) this.outgoing.statusMessage = 'Request Entity Too Large';
    if (warning === undefined) this.outgoing.writeHead(status, headers);
    else {
      const { warning: _warning, ...rest } = headers;
      this.outgoing.setHeader('warning', separate(warning));
      this.outgoing.writeHead(status, rest);
    }
    return this.method !== 'HEAD';
  }

  flushHead(): void {
    this.outgoing.flushHeaders();
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

const noHeaders: IncomingHttpHeaders = Object.freeze({});

export class Http2Wire implements Wire {
  readonly method: string;
  readonly path: string;
  readonly #stream: ServerHttp2Stream;
  #headers: IncomingHttpHeaders;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders) {
    this.#stream = stream;
    this.#headers = headers;
    this.method = String(headers[':method'] ?? 'GET');
    this.path = String(headers[':path'] ?? '/');
  }

  get headers(): IncomingHttpHeaders {
    return this.#headers;
  }

  get isHttp2(): boolean {
    return true;
  }

  get incoming(): Readable {
    return this.#stream;
  }

  get outgoing(): Writable {
    return this.#stream;
  }

  get isCut(): boolean {
    // Node ends the writable side of a stream that was reset, so that it looks finished.
    return this.#stream.aborted || !this.#stream.writableFinished;
  }

  writeHead(status: number, headers: OutgoingHeaders): boolean {
    const stream = this.#stream;
    // A watch lives long; the headers that it came with are read by then.
    this.#headers = noHeaders;
    if (stream.destroyed || stream.closed) return false;
    // A list: Node keeps it as long as the stream, and a record would cost ten times as much.
    const sent: string[] = [':status', String(status)];
    for (const name in headers) {
      const value = headers[name];
      const key = name.toLowerCase();
      if (value === undefined || connectionHeaders.has(key)) continue;
      const lines = key === 'warning' ? separate(value) : [String(value)];
      for (const line of lines) sent.push(key, line);
    }
    stream.respond(sent);
    // Node has ended an answer that has no body: to HEAD, or of a status such as 204.
    return !stream.writableEnded;
  }

  flushHead(): void {
    // It has gone already.
  }
}
