/**
 * One kept-alive HTTP/1.1 connection over TLS with a client certificate, one request at a time.
 *
 * Written by hand so that the client costs far less than the server that it measures: no headers
 * are parsed beyond status, length and chunking. Bodies are counted, and kept when asked for.
 * `workloads.ts` drives it; `http2-connection.ts` is the same over HTTP/2.
 */
import { connect, type TLSSocket } from 'node:tls';

export interface Target {
  readonly port: number;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface Ask {
  readonly method: string;
  readonly path: string;
  readonly body?: string | undefined;
  readonly type?: string | undefined;
  readonly accept?: string | undefined;
  /** Keep the body. Those of refusals are kept anyway. */
  readonly keep?: boolean | undefined;
  readonly onHead?: ((status: number) => void) | undefined;
  /** Parts of the body as they come; then it is not kept. */
  readonly onPart?: ((part: Buffer) => void) | undefined;
}

export interface Told {
  readonly status: number;
  readonly bytes: number;
  readonly body: string;
}

export interface Caller {
  send(ask: Ask): Promise<Told>;
  close(): void;
}

type Phase = 'head' | 'size' | 'chunk' | 'chunkEnd' | 'last' | 'length';

interface Running {
  readonly ask: Ask;
  readonly resolve: (told: Told) => void;
  readonly reject: (error: Error) => void;
}

export class Connection implements Caller {
  readonly #socket: TLSSocket;
  #running: Running | undefined;
  #phase: Phase = 'head';
  #status = 0;
  #needed = 0;
  #bytes = 0;
  #line = '';
  #rest: Buffer | undefined;
  #parts: Buffer[] = [];

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on('data', (part: Buffer) => this.#onData(part));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the connection was closed')));
  }

  static async open({ port, ca, cert, key }: Target): Promise<Connection> {
    const options = { host: '127.0.0.1', port, ca, cert, key, ALPNProtocols: ['http/1.1'] };
    const socket = await new Promise<TLSSocket>((resolve, reject) => {
      const opening = connect(options, () => {
        opening.removeListener('error', reject);
        resolve(opening);
      });
      opening.once('error', reject);
    });
    socket.setNoDelay(true);
    return new Connection(socket);
  }

  send(ask: Ask): Promise<Told> {
    const { method, path, body, type = 'application/json', accept = 'application/json' } = ask;
    const content =
      body === undefined
        ? ''
        : `content-type: ${type}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`;
    const head = `${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: ${accept}\r\n${content}\r\n`;
    return new Promise((resolve, reject) => {
      this.#running = { ask, resolve, reject };
      this.#phase = 'head';
      this.#bytes = 0;
      this.#parts = [];
      this.#socket.write(head + (body ?? ''));
    });
  }

  close(): void {
    this.#running = undefined;
    this.#socket.destroy();
  }

  #fail(error: Error): void {
    const running = this.#running;
    this.#running = undefined;
    running?.reject(error);
  }

  #onData(data: Buffer): void {
    let at = 0;
    if (this.#phase === 'head') {
      const seen = this.#rest === undefined ? data : Buffer.concat([this.#rest, data]);
      const end = seen.indexOf('\r\n\r\n');
      this.#rest = end < 0 ? seen : undefined;
      if (end < 0) return;
      this.#onHead(seen.toString('latin1', 0, end).toLowerCase());
      data = seen;
      at = end + 4;
    }
    while (this.#running !== undefined && (at < data.length || this.#isComplete())) {
      at = this.#onBody(data, at);
    }
  }

  #isComplete(): boolean {
    return this.#phase === 'length' && this.#needed === 0;
  }

  #onHead(head: string): void {
    this.#status = Number(head.slice(9, 12));
    this.#running?.ask.onHead?.(this.#status);
    if (head.includes('\r\ntransfer-encoding: chunked')) {
      this.#phase = 'size';
      this.#line = '';
      return;
    }
    this.#phase = 'length';
    this.#needed = Number(/\r\ncontent-length: *(\d+)/.exec(head)?.[1] ?? 0);
  }

  /** Takes what one step needs from `at` on; says where the next begins. */
  #onBody(data: Buffer, at: number): number {
    switch (this.#phase) {
      case 'size':
        return this.#onSize(data, at);
      case 'length':
      case 'chunk': {
        const end = Math.min(data.length, at + this.#needed);
        if (end > at) this.#onPart(data.subarray(at, end));
        this.#needed -= end - at;
        if (this.#needed > 0) return end;
        if (this.#phase === 'length') this.#onEnd();
        else this.#expect('chunkEnd', 2);
        return end;
      }
      default: {
        const end = Math.min(data.length, at + this.#needed);
        this.#needed -= end - at;
        if (this.#needed > 0) return end;
        if (this.#phase === 'last') this.#onEnd();
        else this.#expect('size', 0);
        return end;
      }
    }
  }

  #onSize(data: Buffer, at: number): number {
    const end = data.indexOf(10, at);
    this.#line += data.toString('latin1', at, end < 0 ? data.length : end);
    if (end < 0) return data.length;
    const size = Number.parseInt(this.#line, 16);
    this.#line = '';
    if (size === 0) this.#expect('last', 2);
    else this.#expect('chunk', size);
    return end + 1;
  }

  #expect(phase: Phase, needed: number): void {
    this.#phase = phase;
    this.#needed = needed;
  }

  #onPart(part: Buffer): void {
    this.#bytes += part.length;
    const ask = this.#running?.ask;
    if (ask?.onPart !== undefined && this.#status < 300) ask.onPart(part);
    else if (ask?.keep === true || this.#status >= 300) this.#parts.push(part);
  }

  #onEnd(): void {
    const running = this.#running;
    this.#running = undefined;
    this.#phase = 'head';
    const body = this.#parts.length === 0 ? '' : Buffer.concat(this.#parts).toString('utf8');
    running?.resolve({ status: this.#status, bytes: this.#bytes, body });
  }
}
