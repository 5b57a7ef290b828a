/**
 * The only file that knows Node's HTTP server: bytes → arrivals, answers → bytes.
 *
 * One TLS port speaks HTTP/2 (our own, `#http2`) and HTTP/1.1 (Node's), as ALPN says. Client
 * certificates are asked for and checked against the cluster's authority; who shows none may still
 * bring a token. Bodies are bounded, answers are written with back-pressure, and a client that
 * leaves cancels its request. Upgraded connections (exec, attach, port-forward) leave from here to
 * the node, after the lifecycle's first stages have allowed them. Next: `lifecycle.ts`.
 */
import { createHash } from 'node:crypto';
import type { ServerResponse as Http1Response } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { connect, type TLSSocket } from 'node:tls';
import { requestEntityTooLarge } from '#api/errors.ts';
import { Http2Connection, type Http2Stream } from '#http2';
import { present } from '#kit/assert.ts';
import type { PlainRequest } from '#kit/transport.ts';
import { Bodies } from './bodies.ts';
import { Deadlines } from './deadlines.ts';
import { breakOff, writeResponse } from './http-response.ts';
import { handle } from './lifecycle.ts';
import type { Parts } from './parts.ts';
import { type Arrival, limits, type Peer } from './request.ts';
import { withAuthenticatedGroup } from './stages/authenticate.ts';
import { Starts } from './starts.ts';
import { Turns } from './turns.ts';
import { passUpgrade } from './upgrade.ts';
import { Http1Wire, Http2Wire, type Wire } from './wire.ts';

export interface HttpServer extends AsyncDisposable {
  readonly port: number;
  /** Shows this to whoever connects from now on. */
  useCertificate(pair: { readonly cert: string; readonly key: string }): void;
}

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly cert: string;
  readonly key: string;
  readonly clientCA: string;
}

const serverLimits = {
  /** Requests in flight on one HTTP/2 connection. */
  streamsMax: 1000,
  /** What clients may send on one HTTP/2 connection before it was read. */
  windowBytes: 1024 * 1024,
  /** How long the greeting of TLS, and then the head of a request, may take to arrive. */
  handshakeLimitMs: 32_000,
  headersLimitMs: 32_000,
  /** How long a connection is kept for the next request. */
  idleLimitMs: 90_000,
  /** After how long a silence a connection is asked whether its client is still there. */
  keepAliveMs: 180_000,
  /** How long requests in flight may take to finish when the server closes. */
  closeLimitMs: 5_000,
} as const;

const serverOptions = {
  ALPNProtocols: ['h2', 'http/1.1'],
  requestCert: true,
  rejectUnauthorized: false,
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: serverLimits.keepAliveMs,
  handshakeTimeout: serverLimits.handshakeLimitMs,
  maxHeaderSize: limits.headerBytesMax,
  headersTimeout: serverLimits.headersLimitMs,
  connectionsCheckingInterval: serverLimits.headersLimitMs / 4,
  keepAliveTimeout: serverLimits.idleLimitMs,
} as const;

function credentialsOf({ cert, key, clientCA }: ListenOptions) {
  return { cert, key, ca: clientCA };
}

interface HttpParts extends Parts {
  readonly turns: Turns;
  readonly bodies: Bodies;
  readonly idleConnections: Deadlines;
  readonly starts: Starts;
}

export async function listenHttp(given: Parts, options: ListenOptions): Promise<HttpServer> {
  const parts = httpParts(given);
  const peerOf = eachOnce(certificateIdentity);
  const connections = new Set<Http2Connection>();
  const server = openServer(parts, { credentials: credentialsOf(options), peerOf, connections });
  const sockets = new Set<TLSSocket>();
  server.on('secureConnection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (request, socket: TLSSocket, head: Buffer) => {
    passUpgrade(parts, { request, socket, head, peer: peerOf(socket) });
  });
  server.on('tlsClientError', refusePlain);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: options.host, port: options.port }, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
  // `listen` has given the server an address with a port.
  const { port } = server.address() as AddressInfo;
  return {
    port,
    useCertificate: (pair) => server.setSecureContext(credentialsOf({ ...options, ...pair })),
    [Symbol.asyncDispose]: () => close(parts, server, { sockets, connections }),
  };
}

function httpParts(given: Parts): HttpParts {
  return {
    ...given,
    turns: new Turns(given),
    bodies: new Bodies(given),
    idleConnections: new Deadlines(given, { limitMs: serverLimits.idleLimitMs }),
    starts: new Starts(),
  };
}

interface ServerOptions {
  /** As Node's TLS takes them. */
  readonly credentials: object;
  readonly peerOf: (socket: TLSSocket) => Peer;
  /** Those that speak HTTP/2, kept up to date here. */
  readonly connections: Set<Http2Connection>;
  readonly onAnswered?: (status: number) => void;
}

/** Answers whoever connects, over HTTP/2 or HTTP/1.1; it does not listen yet. */
function openServer(parts: HttpParts, options: ServerOptions): Server {
  const { credentials, peerOf, onAnswered } = options;
  const server = createServer({ ...serverOptions, ...credentials });
  const plain = server.listeners('secureConnection');
  server.removeAllListeners('secureConnection');
  server.on('secureConnection', (socket) => {
    if (socket.alpnProtocol === 'h2') serveHttp2(parts, socket, options);
    else for (const listener of plain) listener.call(server, socket);
  });
  server.on('request', (request, response) => {
    if (onAnswered !== undefined) response.once('finish', () => onAnswered(response.statusCode));
    // The server speaks nothing but TLS.
    serve(parts, new Http1Wire(request, response), peerOf(request.socket as TLSSocket));
  });
  return server;
}

function serveHttp2(
  parts: HttpParts,
  socket: TLSSocket,
  { peerOf, connections, onAnswered }: ServerOptions,
): void {
  const { idleConnections, options } = parts;
  const peer = peerOf(socket);
  const leave = (): void => connection.leave();
  const connection: Http2Connection = new Http2Connection(parts, socket, {
    streamsMax: options.streamsMax ?? serverLimits.streamsMax,
    windowBytes: serverLimits.windowBytes,
    headerBytesMax: limits.headerBytesMax,
    onRequest: (stream) => {
      if (!isOrdinary(stream)) return;
      const wire = new Http2Wire(stream);
      if (onAnswered !== undefined) wire.onceClosed(() => onAnswered(wire.status));
      serve(parts, wire, peer);
      if (isSentAway(parts)) connection.leave();
    },
    onIdle: (isIdle) => {
      if (isIdle) idleConnections.add(leave);
      else idleConnections.delete(leave);
    },
    onClose: () => connections.delete(connection),
  });
  connections.add(connection);
}

/** The same function, which remembers what it said of each. */
function eachOnce(peerOf: (socket: TLSSocket) => Peer): (socket: TLSSocket) => Peer {
  const known = new WeakMap<TLSSocket, { readonly peer: Peer }>();
  return (socket) => {
    let one = known.get(socket);
    if (one === undefined) {
      one = { peer: peerOf(socket) };
      known.set(socket, one);
    }
    return one.peer;
  };
}

export interface InnerConnection {
  /** The client's end, which speaks HTTP/2. */
  readonly socket: Duplex;
  close(): void;
}

export interface InnerOptions {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
  readonly peer: Peer;
  readonly protocol: 'h2' | 'http/1.1';
  readonly onAnswered: (status: number) => void;
}

/** A connection that does not leave the process, taken as one of the network: for rehearsals. */
export function connectWithin(
  given: Parts,
  { cert, key, peer, protocol, onAnswered }: InnerOptions,
): InnerConnection {
  const parts = httpParts(given);
  const connections = new Set<Http2Connection>();
  const credentials = { cert, key };
  const server = openServer(parts, { credentials, peerOf: () => peer, connections, onAnswered });
  const [theirs, ours] = duplexPair();
  server.emit('connection', ours);
  // Nobody else can be at the other end.
  const socket = connect({ socket: theirs, ALPNProtocols: [protocol], rejectUnauthorized: false });
  socket.on('error', ignore);
  const close = (): void => {
    socket.destroy();
    ours.destroy();
    server.close();
    closeDeadlines(parts);
  };
  return { socket, close };
}

/** What is under way goes on; the client makes its next request on a connection of its own. */
function isSentAway({ options, random }: Parts): boolean {
  const { goawayChance = 0 } = options;
  return goawayChance > 0 && random.fraction() < goawayChance;
}

/** Upstream's whole answer to who speaks HTTP without TLS. */
const plainRefusal =
  'HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n';

/** A client that breaks off, or that speaks nothing we know, is no concern of ours. */
function refusePlain(error: Error & { readonly code?: string }, socket: TLSSocket): void {
  if (error.code !== 'ERR_SSL_HTTP_REQUEST') return;
  // Node keeps the connection below here; it is open until this event is over.
  const { _parent: below } = socket as TLSSocket & { readonly _parent?: Socket | null };
  if (below === undefined || below === null) return;
  below.on('error', ignore);
  below.end(plainRefusal);
}

/** Answers what is no request for the lifecycle, and asks for the body of who waits to be asked. */
function isOrdinary(stream: Http2Stream): boolean {
  const { ':method': method, expect } = stream.headers;
  const isContinued = expect === '100-continue';
  if (method !== 'CONNECT' && (expect === undefined || isContinued)) {
    if (isContinued) stream.inform([':status', '100']);
    return true;
  }
  stream.answer([':status', method === 'CONNECT' ? '405' : '417'], undefined);
  return false;
}

/** Streams that break are told by their closing. */
function ignore(): void {}

function serve(parts: HttpParts, wire: Wire, peer: Peer): void {
  const exchange = new Exchange(wire, peer);
  parts.bodies.read(wire, (body) => {
    if (body === 'too large') refuseBody(wire);
    else if (body === undefined) exchange.run(parts, body);
    else if (body !== 'gone') parts.starts.begin(() => exchange.run(parts, body));
  });
}

/** One request and its answer. Its signal is made only when somebody waits on it. */
class Exchange implements Arrival {
  readonly peer: Peer;
  readonly #wire: Wire;
  #plain: PlainRequest | undefined;
  #controller: AbortController | undefined;

  constructor(wire: Wire, peer: Peer) {
    this.#wire = wire;
    this.peer = peer;
  }

  get request(): PlainRequest {
    return present(this.#plain, 'the body has been read');
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController();
      this.#controller = controller;
      const wire = this.#wire;
      wire.onceClosed(() => {
        if (wire.isCut) controller.abort(gone());
      });
    }
    return this.#controller.signal;
  }

  run(parts: HttpParts, body: Uint8Array | undefined): void {
    const wire = this.#wire;
    const { method, path, headers } = wire;
    this.#plain = { method, path, headers, body };
    const done = handle(parts, this).then((answer) => {
      // What a watch was asked with need not live as long as it.
      this.#plain = undefined;
      return writeResponse(parts, wire, answer);
    });
    done.catch((error: unknown) => breakOff(parts, wire, error));
  }
}

function gone(): Error {
  return new DOMException('the client has gone', 'AbortError');
}

/** Who the certificate names: CN is the user, each O a group. Undefined without one. */
function certificateIdentity(socket: TLSSocket): Peer {
  const certificate = socket.getPeerCertificate();
  if (!socket.authorized) return certificate?.raw === undefined ? undefined : 'stranger';
  const { subject } = certificate;
  const name = subject?.CN;
  if (typeof name !== 'string' || name === '') return undefined;
  // Node types one value; a certificate may have several, which come as a list.
  const organizations: unknown = subject.O ?? [];
  const groups = Array.isArray(organizations) ? organizations.map(String) : [String(organizations)];
  const extra = { 'authentication.kubernetes.io/credential-id': [credentialId(certificate.raw)] };
  return withAuthenticatedGroup({ name, groups, extra });
}

/** Which certificate it was, for reviews and audit. */
function credentialId(certificate: Uint8Array): string {
  return `X509SHA256=${createHash('sha256').update(certificate).digest('hex')}`;
}

function refuseBody(wire: Wire): void {
  const { status } = requestEntityTooLarge(`limit is ${limits.bodyBytesMax}`);
  // What may still come of the body is not waited for.
  const last = wire.hasWholeBody ? {} : { connection: 'close' };
  const headers = { 'content-type': 'application/json', ...last };
  wire.answer(status.code, headers, Buffer.from(JSON.stringify(status)));
  wire.letBodyGo();
}

interface Connections {
  readonly sockets: ReadonlySet<TLSSocket>;
  readonly connections: ReadonlySet<Http2Connection>;
}

/** Takes nothing new, lets what is in flight finish for a while, then cuts. */
async function close(
  parts: HttpParts,
  server: Server,
  { sockets, connections }: Connections,
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const cancel = parts.clock.after(serverLimits.closeLimitMs, () => {
    for (const socket of sockets) socket.destroy();
  });
  for (const connection of connections) connection.leave();
  for (const socket of sockets) {
    if (socket.alpnProtocol !== 'h2') endWhenIdle(socket);
  }
  await closed;
  cancel();
  closeDeadlines(parts);
}

function closeDeadlines({ bodies, idleConnections }: HttpParts): void {
  bodies.close();
  idleConnections.close();
}

function endWhenIdle(socket: TLSSocket): void {
  // Node marks the socket of an HTTP/1 connection with the answer that it is writing.
  const { _httpMessage: answer } = socket as TLSSocket & {
    readonly _httpMessage?: Http1Response | null;
  };
  if (answer === undefined || answer === null) socket.destroySoon();
  else answer.once('finish', () => socket.destroySoon());
}
