/**
 * A connection that wants to become something else: SPDY or WebSocket for exec, attach,
 * port-forward, logs and what is behind a proxy.
 *
 * The first stages of the lifecycle run as for any request; only who is allowed is joined with the
 * node or the pod, and what is spoken then is their business. Three things end here: a log over
 * WebSocket, and the newest WebSocket protocols of streams and of port-forward, which runtimes do
 * not know (`streams/`). Everything refused is answered as plain HTTP and closed.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { ApiError, badRequest, unknownResource } from '#api/errors.ts';
import { endStream } from '#kit/end-stream.ts';
import type { PlainRequest } from '#kit/transport.ts';
import { acceptWebSocket } from '#kit/websocket.ts';
import type { Parts } from './parts.ts';
import type { Peer, ResourceInfo } from './request.ts';
import { authenticate } from './stages/authenticate.ts';
import { authorize } from './stages/authorize.ts';
import { impersonate } from './stages/impersonate.ts';
import { readRequestInfo } from './stages/read-request-info.ts';
import {
  kubeletStreamProtocol,
  readStreamWishes,
  serveStreams,
  streamProtocol,
} from './streams/websocket-streams.ts';
import { serveTunnel, tunnelPrefix } from './streams/websocket-tunnel.ts';

export interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Uint8Array;
  readonly peer: Peer;
}

const upgradable: ReadonlySet<string> = new Set(['exec', 'attach', 'portforward', 'proxy', 'log']);
const isStream = /^(exec|attach)$/;
/** WebSocket protocols that runtimes speak. */
const runtimeProtocols =
  /^(|v4\.channel\.k8s\.io|channel\.k8s\.io|(v4\.)?base64\.channel\.k8s\.io)$/;

export function passUpgrade(parts: Parts, upgrade: Upgrade): void {
  const { request, socket, head } = upgrade;
  // A client may break off at any moment; the pipes end with the socket.
  socket.on('error', () => socket.destroy());
  allow(parts, upgrade)
    .then((info) => {
      if (info.subresource === 'log') return sendLog(parts, info, upgrade);
      const offered = isWebSocket(request) ? protocolsOf(request) : [];
      if (isStream.test(info.subresource) && offered.includes(streamProtocol)) {
        return joinStreams(parts, info, upgrade);
      }
      const tunnel = offered.find((name) => name.startsWith(tunnelPrefix));
      if (info.subresource === 'portforward' && tunnel !== undefined) {
        return joinTunnel(parts, info, upgrade, tunnel);
      }
      if (offered.length > 0 && info.subresource !== 'proxy') assertSpoken(offered);
      const { method = 'POST', rawHeaders, url = '/' } = request;
      parts.kubelet.upgrade(parts.kubelet.target(info, url), { method, rawHeaders, head, socket });
      return undefined;
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
  authorize(parts, identity, info);
  if (info.type !== 'resource' || !upgradable.has(info.subresource)) throw unknownResource();
  if (info.subresource === 'log' && !isWebSocket(request)) throw unknownResource();
  return info;
}

function assertSpoken(offered: readonly string[]): void {
  if (offered.some((name) => runtimeProtocols.test(name))) return;
  throw badRequest(`none of the protocols is spoken here: ${offered.join(', ')}`);
}

function isWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket';
}

async function joinStreams(
  { kubelet }: Parts,
  info: ResourceInfo,
  { request, socket, head }: Upgrade,
): Promise<void> {
  const streams = await kubelet.openStreams(kubelet.target(info, request.url ?? '/'), {
    protocol: kubeletStreamProtocol,
    signal: goneSignal(socket),
  });
  const wishes = readStreamWishes(new URLSearchParams(info.query));
  serveStreams(socket, { key: keyOf(request), head }, { streams, wishes });
}

async function joinTunnel(
  { kubelet }: Parts,
  info: ResourceInfo,
  { request, socket, head }: Upgrade,
  protocol: string,
): Promise<void> {
  const streams = await kubelet.openStreams(kubelet.target(info, request.url ?? '/'), {
    protocol: protocol.slice(tunnelPrefix.length),
    signal: goneSignal(socket),
  });
  serveTunnel(socket, { key: keyOf(request), protocol, head }, streams);
}

function goneSignal(socket: Duplex): AbortSignal {
  const gone = new AbortController();
  socket.once('close', () => gone.abort(new Error('the client is gone')));
  return gone.signal;
}

function keyOf({ headers }: IncomingMessage): string {
  return String(headers['sec-websocket-key'] ?? '');
}

function protocolsOf({ headers }: IncomingMessage): readonly string[] {
  return (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
}

/** Each part of the log is a message; base64 text where the client asks for it. */
async function sendLog(
  parts: Parts,
  info: ResourceInfo,
  { request, socket, head }: Upgrade,
): Promise<void> {
  const protocol = protocolsOf(request).find((name) => /^(base64\.)?binary\.k8s\.io$/.test(name));
  const gone = new AbortController();
  socket.once('close', () => gone.abort());
  const { signal } = gone;
  const { body } = await parts.kubelet.log(parts.kubelet.target(info, request.url ?? '/'), {
    signal,
  });
  const peer = acceptWebSocket(socket, { key: keyOf(request), protocol: protocol ?? '', head });
  peer.listen({ onMessage: () => {}, onClose: () => gone.abort() });
  const text = protocol?.startsWith('base64') === true;
  const messages = body instanceof Uint8Array ? [body] : body;
  try {
    for await (const part of messages) {
      await peer.send(text ? Buffer.from(Buffer.from(part).toString('base64')) : part, { text });
    }
    peer.close();
  } catch (error) {
    if (!signal.aborted) parts.log.warn('a log broke off', { pod: info.name, error });
    peer.close(1011);
  }
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
  endStream(
    socket,
    `HTTP/1.1 ${status} ${status === 403 ? 'Forbidden' : 'Refused'}\r\nContent-Type: ${type}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
