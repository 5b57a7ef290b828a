/**
 * An answer onto the wire, over HTTP/1.1 or HTTP/2.
 *
 * Whole bodies go out in one write; streams with back-pressure. Large ones are compressed where the
 * client takes gzip. Live streams (watches, logs) are written at once when they were silent, else
 * in turns (`turns.ts`), so that a busy watch costs one write for many events.
 */

import type { IncomingHttpHeaders } from 'node:http';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createGzip, gzip } from 'node:zlib';
import type { ServerResponse } from './request.ts';
import type { Turns } from './turns.ts';

/** What HTTP/1 and HTTP/2 requests of Node have in common, as far as it is used. */
export interface Incoming extends Readable {
  readonly method?: string;
  readonly url?: string;
  readonly headers: IncomingHttpHeaders;
  readonly httpVersionMajor: number;
  readonly socket: unknown;
  /** HTTP/2 only. */
  readonly stream?: { readonly session?: { readonly socket: unknown } | undefined };
}

export interface Outgoing extends Writable {
  writeHead(status: number, headers: Readonly<Record<string, string | number>>): unknown;
  flushHeaders?(): void;
}

/** As upstream: what is shorter is not worth it, and the fastest level is enough. */
const gzipBytesMin = 128 * 1024;
const gzipOptions = { level: 1 } as const;

const compress = promisify<Uint8Array, { level: number }, Buffer>(gzip);

export async function writeResponse(
  deps: { readonly turns: Turns },
  request: Incoming,
  response: Outgoing,
  answer: ServerResponse,
): Promise<void> {
  const { status, headers, body } = answer;
  if (request.method === 'HEAD') {
    response.writeHead(status, headers);
    response.end();
    return;
  }
  if (body instanceof Uint8Array) {
    const isPacked = headers['content-encoding'] !== undefined;
    const large = !isPacked && body.length > gzipBytesMin && acceptsGzip(request);
    if (!large) {
      response.writeHead(status, { ...headers, 'content-length': body.length });
      response.end(body);
      return;
    }
    const packed = await compress(body, gzipOptions);
    const packedHeaders = { ...headers, 'content-encoding': 'gzip', vary: 'Accept-Encoding' };
    response.writeHead(status, { ...packedHeaders, 'content-length': packed.length });
    response.end(packed);
    return;
  }
  if (answer.live === true) {
    await writeLive(deps, response, { status, headers, body });
    return;
  }
  if (!acceptsGzip(request)) {
    response.writeHead(status, headers);
    await pipeline(body, response);
    return;
  }
  response.writeHead(status, { ...headers, 'content-encoding': 'gzip', vary: 'Accept-Encoding' });
  await pipeline(body, createGzip(gzipOptions), response);
}

function acceptsGzip(request: Incoming): boolean {
  const header = request.headers['accept-encoding'];
  return header !== undefined && String(header).includes('gzip');
}

async function writeLive(
  { turns }: { readonly turns: Turns },
  response: Outgoing,
  {
    status,
    headers,
    body,
  }: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: AsyncIterable<Uint8Array>;
  },
): Promise<void> {
  response.writeHead(status, headers);
  response.flushHeaders?.();
  for await (const part of body) {
    if (response.destroyed) return;
    if (response.write(part)) await turns.rest();
    else await drained(response);
  }
  response.end();
}

/** Resolves when the client has read enough, or has gone. */
function drained(response: Outgoing): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.removeListener('drain', done);
      response.removeListener('close', done);
      resolve();
    };
    response.once('drain', done);
    response.once('close', done);
  });
}
