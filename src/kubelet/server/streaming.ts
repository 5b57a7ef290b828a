/**
 * Exec, attach and port-forward: bytes passed between the API server and the runtime, unread.
 *
 * The runtime gives an address for each request; the client's own request line and headers are sent
 * there (so it is they who agree on SPDY or WebSocket and its version), then both directions are
 * passed on until one side ends.
 */
import type { IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Runtime } from '#cri';
import { endStream } from '#kit/end-stream.ts';
import type { ContainerFact, RuntimeFacts } from '../pods/pod-facts.ts';
import { type Address, noAddress, readAddress } from './address.ts';

export interface StreamParts {
  readonly runtime: Pick<Runtime, 'exec' | 'attach' | 'portForward'>;
}

export interface StreamOptions {
  readonly findPod: (namespace: string, name: string) => StreamTarget | undefined;
}

export interface StreamTarget {
  findContainer(
    name: string,
    signal: AbortSignal,
  ): Promise<{
    readonly runtime: Pick<RuntimeFacts, 'sandboxes'>;
    readonly latest: Pick<ContainerFact, 'id' | 'state'> | undefined;
  }>;
}

export interface StreamRequest {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** Bytes that came with the request already. */
  readonly head: Buffer;
  /** On which nothing moves for so long is ended. */
  readonly idleMs?: number | undefined;
  readonly signal: AbortSignal;
}

const droppedHeaders = new Set(['host', 'authorization']);

export async function passStream(
  parts: StreamParts,
  options: StreamOptions,
  stream: StreamRequest,
): Promise<void> {
  const { request, socket, signal } = stream;
  // An upgraded socket that breaks must not take the process with it.
  socket.on('error', () => socket.destroy());
  const address = readAddress(request);
  const target =
    address === undefined
      ? { status: 400, text: noAddress }
      : await findTarget(parts, options, address, signal);
  if (typeof target !== 'string') {
    refuse(socket, target.status, target.text);
    return;
  }
  pipeTo(new URL(target), stream);
}

function refuse(socket: Duplex, status: number, text: string): void {
  const body = Buffer.from(text);
  endStream(
    socket,
    `HTTP/1.1 ${status} ${status === 404 ? 'Not Found' : 'Bad Request'}\r\n` +
      'Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n' +
      `Content-Length: ${body.length}\r\n\r\n${text}`,
  );
}

interface Refusal {
  readonly status: number;
  readonly text: string;
}

async function findTarget(
  { runtime }: StreamParts,
  options: StreamOptions,
  { path, query }: Address,
  signal: AbortSignal,
): Promise<string | Refusal> {
  const [, verb, ...parts] = path.split('/');
  const [namespace = '', name = '', ...rest] = parts;
  const container = rest.at(-1) ?? '';
  const worker = options.findPod(namespace, name);
  if (worker === undefined) return { status: 404, text: `pod does not exist` };
  const found = await worker.findContainer(container, signal);
  if (verb === 'portForward') {
    const podSandboxId = readySandbox(found.runtime);
    if (podSandboxId === undefined) return { status: 400, text: 'the pod does not run' };
    const port = query.getAll('port').concat(query.getAll('ports')).map(Number);
    return runtime.portForward({ podSandboxId, port }, { signal });
  }
  if (found.latest === undefined) {
    return { status: 404, text: `container ${container} not found in pod ${name}` };
  }
  if (found.latest.state !== 'running') {
    return { status: 400, text: `container not found ("${container}")` };
  }
  const tty = isSet(query, 'tty');
  const streams = {
    containerId: found.latest.id,
    tty,
    stdin: isSet(query, 'input') || isSet(query, 'stdin'),
    stdout: isSet(query, 'output') || isSet(query, 'stdout'),
    // A terminal has one output.
    stderr: !tty && (isSet(query, 'error') || isSet(query, 'stderr')),
  };
  if (verb === 'attach') return runtime.attach(streams, { signal });
  if (verb === 'exec') {
    return runtime.exec({ ...streams, cmd: query.getAll('command') }, { signal });
  }
  return { status: 404, text: 'there is no such stream' };
}

function readySandbox({ sandboxes }: Pick<RuntimeFacts, 'sandboxes'>): string | undefined {
  return sandboxes.find(({ ready }) => ready)?.id;
}

function isSet(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  return value === 'true' || value === '1';
}

function pipeTo(target: URL, { request, socket, head, idleMs = 0, signal }: StreamRequest): void {
  const upstream = connect({ host: target.hostname, port: Number(target.port) });
  const close = (): void => {
    socket.destroy();
    upstream.destroy();
  };
  upstream.once('connect', () => {
    const lines = [`${request.method} ${target.pathname}${target.search} HTTP/1.1`];
    for (let index = 0; index < request.rawHeaders.length; index += 2) {
      const name = request.rawHeaders[index] ?? '';
      if (droppedHeaders.has(name.toLowerCase())) continue;
      lines.push(`${name}: ${request.rawHeaders[index + 1]}`);
    }
    upstream.write(`${lines.join('\r\n')}\r\nHost: ${target.host}\r\n\r\n`);
    if (head.length > 0) upstream.write(head);
    passInput(socket, upstream);
    upstream.pipe(socket);
  });
  // All that moves on the stream moves here; 0 means for ever.
  upstream.setTimeout(idleMs, close);
  // A runtime that leaves input unread resets its connection behind its last words; to close ours
  // in the same way would take them from who asked.
  upstream.on('error', () => upstream.destroy());
  upstream.on('close', () => endStream(socket));
  socket.on('close', () => upstream.end());
  signal.addEventListener('abort', close, { once: true });
  socket.once('close', () => signal.removeEventListener('abort', close));
}

/**
 * What the asker sends goes to the runtime once in a turn, after what the runtime has said was
 * read. The kernel refuses a second write to a runtime that has closed, and a refused write closes
 * our end, with the last words of the runtime unread: the output of a command, and how it ended.
 */
function passInput(socket: Duplex, upstream: Socket): void {
  let held: Buffer[] = [];
  const pass = (): void => {
    const chunk = Buffer.concat(held);
    held = [];
    if (upstream.destroyed || upstream.write(chunk)) return;
    socket.pause();
    upstream.once('drain', () => socket.resume());
  };
  socket.on('data', (chunk: Buffer) => {
    if (held.push(chunk) === 1) setImmediate(pass);
  });
  socket.once('end', () => setImmediate(() => upstream.end()));
}
