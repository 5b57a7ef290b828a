/**
 * The sockets of the DNS server: one for UDP, one for TCP, on the same port.
 *
 * Only the cluster is served: pods, this machine, and nobody else, since a resolver open to the
 * world is a weapon in the hands of others. A stranger's datagram is dropped without a word, a
 * stranger's connection closed. What a question means is in `resolver.ts`.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Via } from './forward.ts';
import { parseQuery, type Query } from './wire.ts';

export interface ServerDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** The bytes to send back to a question. */
  readonly resolve: (query: Query, via: Via) => Promise<Buffer>;
  readonly isAllowed: (address: string) => boolean;
}

export interface ServerOptions {
  readonly address: string;
  /** 0 chooses a free one. */
  readonly port: number;
  readonly connectionsMax: number;
  readonly idleMs: number;
  /** Questions being answered at a time; more are dropped, and clients ask again. */
  readonly pendingMax: number;
}

export class DnsServer implements AsyncDisposable {
  readonly #deps: ServerDeps;
  readonly #options: ServerOptions;
  readonly #tcp: Server;
  readonly #udp: UdpSocket;
  readonly #connections = new Set<Socket>();
  #pending = 0;

  constructor(deps: ServerDeps, options: ServerOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#udp = createSocket('udp4');
    this.#tcp = createServer((socket) => this.#accept(socket));
    this.#tcp.maxConnections = options.connectionsMax;
    this.#udp.on('message', (message, from) => this.#receive(message, from));
  }

  /** Binds both sockets; answers the port. */
  async listen(): Promise<number> {
    const { address } = this.#options;
    const port = await new Promise<number>((resolve, reject) => {
      this.#tcp.once('error', reject);
      this.#tcp.listen({ host: address, port: this.#options.port }, () => {
        const bound = this.#tcp.address();
        resolve(typeof bound === 'object' && bound !== null ? bound.port : this.#options.port);
      });
    });
    await new Promise<void>((resolve, reject) => {
      this.#udp.once('error', reject);
      this.#udp.bind({ address, port }, () => resolve());
    });
    const onError = (error: unknown): void => this.#deps.log.warn('dns socket failed', { error });
    this.#udp.removeAllListeners('error').on('error', onError);
    this.#tcp.removeAllListeners('error').on('error', onError);
    return port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#connections) socket.destroy();
    await new Promise<void>((resolve) => this.#tcp.close(() => resolve()));
    await new Promise<void>((resolve) => this.#udp.close(() => resolve()));
  }

  #receive(message: Buffer, from: { readonly address: string; readonly port: number }): void {
    if (!this.#deps.isAllowed(from.address)) return;
    this.#answer(message, 'udp', (answer) => this.#udp.send(answer, from.port, from.address));
  }

  #accept(socket: Socket): void {
    const source = (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
    if (!this.#deps.isAllowed(source)) {
      socket.destroy();
      return;
    }
    this.#connections.add(socket);
    let received: Buffer = Buffer.alloc(0);
    let cancel = (): void => {};
    const rest = (): void => {
      cancel();
      cancel = this.#deps.clock.after(this.#options.idleMs, () => socket.destroy());
    };
    rest();
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      cancel();
      this.#connections.delete(socket);
    });
    socket.on('data', (chunk: Buffer) => {
      rest();
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      for (;;) {
        if (received.length < 2) return;
        const end = 2 + received.readUInt16BE(0);
        if (received.length < end) return;
        this.#answer(received.subarray(2, end), 'tcp', (answer) => sendFramed(socket, answer));
        received = received.subarray(end);
      }
    });
  }

  #answer(message: Buffer, via: Via, send: (answer: Buffer) => void): void {
    const query = parseQuery(message);
    if (query === undefined || this.#pending >= this.#options.pendingMax) return;
    this.#pending += 1;
    this.#deps
      .resolve(query, via)
      .then(send)
      .catch((error: unknown) => {
        this.#deps.log.error('dns question not answered', { name: query.question.name, error });
      })
      .finally(() => {
        this.#pending -= 1;
      });
  }
}

function sendFramed(socket: Socket, answer: Buffer): void {
  if (socket.destroyed) return;
  const length = Buffer.alloc(2);
  length.writeUInt16BE(answer.length);
  socket.write(Buffer.concat([length, answer]));
}
