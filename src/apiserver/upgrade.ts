/**
 * A connection that wants to become something else (SPDY for exec, attach and port-forward).
 *
 * The first stages of the lifecycle run as for any request; only who is allowed is joined with the
 * node. WebSocket is answered with a plain 400, on which kubectl turns to SPDY. Everything refused
 * is answered as plain HTTP and closed.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { ApiError, badRequest, unknownResource } from '#api/errors.ts';
import type { Identity, PlainRequest } from '#kit/transport.ts';
import type { Parts } from './parts.ts';
import type { ResourceInfo } from './request.ts';
import { authenticate } from './stages/authenticate.ts';
import { authorize } from './stages/authorize.ts';
import { impersonate } from './stages/impersonate.ts';
import { readRequestInfo } from './stages/read-request-info.ts';

export interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Uint8Array;
  readonly peer: Identity | undefined;
}

const upgradable: ReadonlySet<string> = new Set(['exec', 'attach', 'portforward', 'proxy']);

export function passUpgrade(parts: Parts, upgrade: Upgrade): void {
  const { request, socket, head } = upgrade;
  // A client may break off at any moment; the pipes end with the socket.
  socket.on('error', () => socket.destroy());
  allow(parts, upgrade)
    .then((info) => {
      const { method = 'POST', rawHeaders, url = '/' } = request;
      parts.kubelet.upgrade(parts.kubelet.target(info, url), { method, rawHeaders, head, socket });
    })
    .catch((error: unknown) => refuse(parts, socket, error));
}

async function allow(parts: Parts, { request, peer }: Upgrade): Promise<ResourceInfo> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) headers[name] = String(value);
  const { method = 'GET', url = '/' } = request;
  const plain: PlainRequest = { method, path: url, headers };
  const info = readRequestInfo(plain);
  const signal = new AbortController().signal;
  const caller = authenticate(parts, { request: plain, peer, signal });
  const identity = impersonate(parts, caller, plain);
  await authorize(parts, identity, info);
  if (info.type !== 'resource' || !upgradable.has(info.subresource)) throw unknownResource();
  if (headers['upgrade']?.toLowerCase() === 'websocket') {
    throw badRequest('this server speaks SPDY/3.1 for streams, not WebSocket');
  }
  return info;
}

function refuse(parts: Parts, socket: Duplex, error: unknown): void {
  let status = 500;
  let body = 'the connection could not be upgraded\n';
  if (error instanceof ApiError) {
    status = error.status.code;
    body = JSON.stringify(error.status);
  } else {
    parts.metrics.countBug();
    parts.log.error('upgrade failed unexpectedly', { error });
  }
  const type = body.startsWith('{') ? 'application/json' : 'text/plain';
  socket.end(
    `HTTP/1.1 ${status} ${status === 403 ? 'Forbidden' : 'Refused'}\r\nContent-Type: ${type}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
