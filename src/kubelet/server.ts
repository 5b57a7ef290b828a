/**
 * The node's own HTTPS server: logs, exec, attach and port-forward, for the API server alone.
 *
 * Only a client certificate of the cluster's authority with the API server's name or the group
 * system:masters is let in; authorization of the user happened before, at the API server. Logs are
 * read by `log-reader.ts`; the streaming requests are handed through to the runtime by
 * `streaming.ts`. Paths are upstream's: `/containerLogs/NS/POD/CONTAINER`, `/exec/…`, `/attach/…`,
 * `/portForward/NS/POD`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import type { Pod } from '#resources/types/core-v1.ts';
import { answerLogs } from './log-server.ts';
import type { KubeletParts } from './parts.ts';
import type { PodWorker } from './pod-worker.ts';
import { answerStats } from './stats.ts';
import { passStream } from './streaming.ts';

export interface ServerOptions {
  readonly host: string;
  readonly port: number;
  readonly cert: string;
  readonly key: string;
  readonly clientCA: string;
  readonly findPod: (namespace: string, name: string) => PodWorker | undefined;
  readonly pods: () => readonly Pod[];
}

export interface ServerParts extends Pick<KubeletParts, 'runtime' | 'clock' | 'log' | 'paths'> {}

const allowedName = 'kube-apiserver-kubelet-client';
const allowedGroup = 'system:masters';
const limits = { headersTimeoutMs: 10_000 } as const;

/** Resolves when listening; `run` serves until its signal aborts. */
export async function serveKubelet(
  parts: ServerParts,
  options: ServerOptions,
): Promise<{ readonly port: number; run(signal: AbortSignal): Promise<void> }> {
  const { cert, key, clientCA, host, port } = options;
  const server = createServer({
    cert,
    key,
    ca: clientCA,
    requestCert: true,
    // Checked below, so that strangers get an answer instead of a broken connection.
    rejectUnauthorized: false,
    headersTimeout: limits.headersTimeoutMs,
  });
  const stop = new AbortController();
  server.on('request', (request, response) => {
    answer(parts, options, request, response, stop.signal).catch((error: unknown) => {
      parts.log.warn('cannot answer a request', { path: request.url, error });
      if (!response.headersSent) response.writeHead(500);
      response.end(error instanceof Error ? error.message : 'internal error');
    });
  });
  server.on('upgrade', (request, socket, head) => {
    const refusal = refusalOf(request);
    if (refusal !== undefined) {
      socket.end(`HTTP/1.1 ${refusal.status} ${refusal.text}\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    passStream(parts, options, { request, socket, head, signal: stop.signal }).catch(
      (error: unknown) => {
        parts.log.debug('a stream ended', { path: request.url, error });
        socket.destroy();
      },
    );
  });
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    run: (signal) => serveUntil(server, stop, signal),
  };
}

async function serveUntil(
  server: Server,
  stop: AbortController,
  signal: AbortSignal,
): Promise<void> {
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  stop.abort(signal.reason);
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

function refusalOf(
  request: IncomingMessage,
): { readonly status: number; readonly text: string } | undefined {
  // The server is HTTPS, so its sockets are TLS sockets.
  const socket = request.socket as TLSSocket;
  if (!socket.authorized) return { status: 401, text: 'Unauthorized' };
  const { CN, O } = socket.getPeerCertificate().subject;
  const groups: readonly string[] = Array.isArray(O) ? O : [O ?? ''];
  if (CN === allowedName || groups.includes(allowedGroup)) return undefined;
  return { status: 403, text: 'Forbidden' };
}

async function answer(
  parts: ServerParts,
  options: ServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'https://node');
  const [, first = '', ...rest] = url.pathname.split('/');
  if (first === 'healthz' && rest.length === 0) {
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
    response.end('ok');
    return;
  }
  const refusal = refusalOf(request);
  if (refusal !== undefined) {
    response.writeHead(refusal.status, { 'content-type': 'text/plain; charset=utf-8' });
    response.end(refusal.text);
    return;
  }
  if (first === 'containerLogs') {
    const [namespace = '', name = '', container = ''] = rest.map(decodeURIComponent);
    const target = { worker: options.findPod(namespace, name), namespace, name, container };
    await answerLogs(parts, target, url.searchParams, response, signal);
  } else if (first === 'pods') {
    const items = options.pods();
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items }));
  } else if (first === 'stats' && rest[0] === 'summary') {
    await answerStats(parts, options.pods(), response, signal);
  } else if (['exec', 'attach', 'portForward'].includes(first)) {
    response.writeHead(400, { 'content-type': 'text/plain; charset=utf-8' });
    response.end(
      'you must specify at least 1 of stdin, stdout, stderr over an upgraded connection',
    );
  } else {
    response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' });
    response.end('404 page not found\n');
  }
}
