/**
 * The only file that knows Node's HTTP server: bytes → arrivals, answers → bytes.
 *
 * One TLS port speaks HTTP/2 and HTTP/1.1 (ALPN). Client certificates are asked for and checked
 * against the cluster's authority; who shows none may still bring a token. Bodies are bounded,
 * answers are written with back-pressure, and a client that leaves cancels its request. Upgraded
 * connections (exec, attach, port-forward) leave from here to the node, after the lifecycle's first
 * stages have allowed them. Next: `lifecycle.ts`.
 */
import { createHash } from 'node:crypto';
import type { ServerResponse as Http1Response, IncomingMessage } from 'node:http';
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { connect, type TLSSocket } from 'node:tls';
import { requestEntityTooLarge } from '#api/errors.ts';
import { present } from '#kit/assert.ts';
import type { PlainRequest } from '#kit/transport.ts';
import { breakOff, writeResponse } from './http-response.ts';
import { handle } from './lifecycle.ts';
import type { Parts } from './parts.ts';
import { type Arrival, limits, type Peer } from './request.ts';
import { SlowBodies } from './slow-bodies.ts';
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
  /** How long a connection of HTTP/1 is kept for the next request. */
  idleLimitMs: 90_000,
  /** How long a body may take to arrive. */
  bodyLimitMs: 60_000,
  /** How long requests in flight may take to finish when the server closes. */
  closeLimitMs: 5_000,
} as const;

/** Some are HTTP/1's, which Node takes here too, though its types do not say so. */
function serverOptions({ streamsMax }: Parts['options']) {
  return {
    allowHTTP1: true,
    requestCert: true,
    rejectUnauthorized: false,
    handshakeTimeout: serverLimits.handshakeLimitMs,
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: serverLimits.headersLimitMs,
    connectionsCheckingInterval: serverLimits.headersLimitMs / 4,
    keepAliveTimeout: serverLimits.idleLimitMs,
    settings: {
      maxHeaderListSize: limits.headerBytesMax,
      maxConcurrentStreams: streamsMax ?? serverLimits.streamsMax,
      initialWindowSize: serverLimits.windowBytes,
    },
  };
}

function credentialsOf({ cert, key, clientCA }: ListenOptions) {
  return { cert, key, ca: clientCA };
}

interface HttpParts extends Parts {
  readonly turns: Turns;
  readonly slowBodies: SlowBodies;
  readonly starts: Starts;
}

export async function listenHttp(given: Parts, options: ListenOptions): Promise<HttpServer> {
  const parts = httpParts(given);
  const peerOf = eachOnce(certificateIdentity);
  const server = openServer(parts, credentialsOf(options), peerOf);
  const sockets = new Set<TLSSocket>();
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
  });
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
    [Symbol.asyncDispose]: () => close(parts, server, { sockets, sessions }),
  };
}

function httpParts(given: Parts): HttpParts {
  const slowBodies = new SlowBodies(given, { limitMs: serverLimits.bodyLimitMs });
  return { ...given, turns: new Turns(given), slowBodies, starts: new Starts() };
}

/** Answers whoever connects, over HTTP/2 or HTTP/1.1; it does not listen yet. */
function openServer(
  parts: HttpParts,
  credentials: object,
  peerOf: (socket: TLSSocket) => Peer,
): Http2SecureServer {
  const server = createSecureServer({ ...serverOptions(parts.options), ...credentials });
  server.on('secureConnection', (socket) => socket.setNoDelay(true));
  const peers = new WeakMap<Http2Session, Peer>();
  server.on('session', (session) => {
    // What bodies of all its requests may have under way; Node's own 64 KiB makes writers wait.
    session.setLocalWindowSize(serverLimits.windowBytes);
    // The server speaks nothing but TLS.
    peers.set(session, peerOf(session.socket as TLSSocket));
  });
  server.on('request', (request, response) => {
    // Those of HTTP/2 are taken away below.
    const incoming = request as unknown as IncomingMessage;
    const wire = new Http1Wire(incoming, response as unknown as Http1Response);
    serve(parts, wire, peerOf(incoming.socket as TLSSocket));
  });
  // Node's own listener would make of each stream what looks like a request of HTTP/1.
  server.removeAllListeners('stream');
  server.on('stream', (given, headers) => {
    // What clients open at a server is of this sort; Node's types name what all sorts share.
    const stream = given as ServerHttp2Stream;
    const { session } = stream;
    // The connection is closed when a stream has no session.
    if (session === undefined || !isOrdinary(stream, headers)) return;
    serve(parts, new Http2Wire(stream, headers), peers.get(session));
    sendAwayByChance(parts, session);
  });
  server.on('sessionError', ignore);
  return server;
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
  const server = openServer(parts, { cert, key }, () => peer);
  server.on('stream', (stream) => {
    stream.once('close', () => onAnswered(Number(stream.sentHeaders?.[':status'])));
  });
  server.on('request', (_request, response) => {
    response.once('finish', () => onAnswered(response.statusCode));
  });
  const [theirs, ours] = duplexPair();
  server.emit('connection', ours);
  // Nobody else can be at the other end.
  const socket = connect({ socket: theirs, ALPNProtocols: [protocol], rejectUnauthorized: false });
  socket.on('error', ignore);
  const close = (): void => {
    socket.destroy();
    ours.destroy();
    server.close();
    parts.slowBodies.close();
  };
  return { socket, close };
}

/** What is under way goes on; the client makes its next request on a connection of its own. */
function sendAwayByChance({ options, random }: Parts, session: ServerHttp2Stream['session']): void {
  const { goawayChance = 0 } = options;
  if (goawayChance > 0 && random.fraction() < goawayChance) session?.close();
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
function isOrdinary(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
  stream.on('error', ignore);
  const { ':method': method, expect } = headers;
  const isContinued = expect === '100-continue';
  if (method !== 'CONNECT' && (expect === undefined || isContinued)) {
    if (isContinued) stream.additionalHeaders({ ':status': 100 });
    return true;
  }
  stream.respond({ ':status': method === 'CONNECT' ? 405 : 417 }, { endStream: true });
  return false;
}

/** Streams that break are told by their closing. */
function ignore(): void {}

function serve(parts: HttpParts, wire: Wire, peer: Peer): void {
  const exchange = new Exchange(wire, peer);
  readBody(parts, wire, (body) => {
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
      const left = (): void => {
        if (wire.isCut) controller.abort(gone());
      };
      if (wire.outgoing.destroyed) left();
      else wire.outgoing.once('close', left);
    }
    return this.#controller.signal;
  }

  run(parts: HttpParts, body: Uint8Array | undefined): void {
    const wire = this.#wire;
    const { method, path } = wire;
    this.#plain = { method, path, headers: plainHeaders(wire), body };
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

function plainHeaders({ headers: given }: Wire): Readonly<Record<string, string>> {
  // Node gives a list of this one only; copying all of them is what a request need not cost.
  if (given['set-cookie'] === undefined) return given as Readonly<Record<string, string>>;
  const headers: Record<string, string> = {};
  for (const name in given) {
    const value = given[name];
    if (value !== undefined) headers[name] = typeof value === 'string' ? value : value.join(', ');
  }
  return headers;
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

/** How much of a body that is too large is read, and thrown away, before the refusal. */
const bodyBytesRead = 4 * limits.bodyBytesMax;

function readBody(
  { slowBodies }: HttpParts,
  { method, headers, incoming }: Wire,
  done: (body: Uint8Array | undefined | 'too large' | 'gone') => void,
): void {
  const { 'content-length': length, 'transfer-encoding': encoding } = headers;
  const bare = (method === 'GET' || method === 'HEAD') && length === undefined;
  if (bare && encoding === undefined) {
    incoming.resume();
    done(undefined);
    return;
  }
  const parts: Buffer[] = [];
  let size = 0;
  let over = false;
  const finish = (result: Uint8Array | undefined | 'too large' | 'gone'): void => {
    if (over) return;
    over = true;
    slowBodies.delete(giveUp);
    done(result);
  };
  const giveUp = (): void => {
    finish('gone');
    incoming.destroy();
  };
  slowBodies.add(giveUp);
  incoming.on('data', (part: Buffer) => {
    size += part.length;
    if (size <= limits.bodyBytesMax) parts.push(part);
    else parts.length = 0;
    // A client that is still sending would not read the answer; most have not much more to send.
    if (size > bodyBytesRead) finish('too large');
  });
  // Each comes once, if at all.
  incoming.on('end', () => {
    const [first] = parts;
    if (size > limits.bodyBytesMax) finish('too large');
    else if (first === undefined) finish(undefined);
    else finish(parts.length === 1 ? first : Buffer.concat(parts));
  });
  const left = (): void => finish('gone');
  incoming.on('error', left);
  incoming.on('close', left);
}

function refuseBody(wire: Wire): void {
  const { incoming, outgoing } = wire;
  const error = requestEntityTooLarge(`limit is ${limits.bodyBytesMax}`);
  const { code } = error.status;
  const body = JSON.stringify(error.status);
  const headers = { 'content-type': 'application/json' };
  // What may still come of the body is not waited for.
  const isWhole = incoming.readableEnded;
  const last = isWhole || wire.isHttp2 ? headers : { ...headers, connection: 'close' };
  if (wire.writeHead(code, last)) outgoing.end(body);
  else outgoing.end();
  if (!isWhole) incoming.resume();
}

interface Connections {
  readonly sockets: ReadonlySet<TLSSocket>;
  readonly sessions: ReadonlySet<ServerHttp2Session>;
}

/** Takes nothing new, lets what is in flight finish for a while, then cuts. */
async function close(
  { clock, slowBodies }: HttpParts,
  server: Http2SecureServer,
  { sockets, sessions }: Connections,
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const cancel = clock.after(serverLimits.closeLimitMs, () => {
    for (const socket of sockets) socket.destroy();
  });
  for (const session of sessions) session.close();
  for (const socket of sockets) {
    if (socket.alpnProtocol !== 'h2') endWhenIdle(socket);
  }
  await closed;
  cancel();
  slowBodies.close();
}

function endWhenIdle(socket: TLSSocket): void {
  // Node marks the socket of an HTTP/1 connection with the answer that it is writing.
  const { _httpMessage: answer } = socket as TLSSocket & {
    readonly _httpMessage?: Http1Response | null;
  };
  if (answer === undefined || answer === null) socket.destroySoon();
  else answer.once('finish', () => socket.destroySoon());
}
