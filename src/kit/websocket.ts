/**
 * The server's end of a WebSocket (RFC 6455), over a connection whose upgrade has been allowed.
 *
 * `acceptWebSocket` writes the answer to the handshake and returns a peer: `send` resolves when the
 * client has taken enough, messages come through `onMessage` whole (fragments joined, masks taken
 * off), pings are answered. A client that breaks the protocol or sends too much is cut. The API
 * server uses it for logs and streams; nothing is known here of what the messages mean.
 */
import { createHash } from 'node:crypto';
import type { Duplex } from 'node:stream';

export interface WebSocketOptions {
  /** `Sec-WebSocket-Key` of the request. */
  readonly key: string;
  /** The one of the client's protocols that is spoken; empty if it named none. */
  readonly protocol: string;
  /** What came behind the request. */
  readonly head: Uint8Array;
}

export const limits = { messageBytesMax: 16 * 1024 * 1024 } as const;

const opcodes = { more: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
const protocolGuid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

export function acceptWebSocket(
  socket: Duplex,
  { key, protocol, head }: WebSocketOptions,
): WebSocketPeer {
  const accept = createHash('sha1').update(`${key}${protocolGuid}`).digest('base64');
  const chosen = protocol === '' ? '' : `Sec-WebSocket-Protocol: ${protocol}\r\n`;
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${accept}\r\n${chosen}\r\n`,
  );
  return new WebSocketPeer(socket, head);
}

export class WebSocketPeer {
  readonly #socket: Duplex;
  #buffer: Buffer = Buffer.alloc(0);
  #fragments: Buffer[] = [];
  #fragmentBytes = 0;
  #isClosed = false;
  #onMessage: ((message: Buffer) => void) | undefined;
  #onClose: (() => void) | undefined;

  constructor(socket: Duplex, head: Uint8Array) {
    this.#socket = socket;
    this.#buffer = Buffer.from(head);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#ended());
    socket.once('end', () => this.#ended());
  }

  /** Begins to read. `onClose` is called once, whoever closes. */
  listen(handlers: {
    readonly onMessage: (message: Buffer) => void;
    readonly onClose: () => void;
  }): void {
    this.#onMessage = handlers.onMessage;
    this.#onClose = handlers.onClose;
    this.#socket.on('data', (chunk: Buffer) => {
      this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
      this.#read();
    });
    this.#read();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Resolves when more may be sent, or when nobody reads any more. */
  async send(data: Uint8Array, { text }: { readonly text?: boolean } = {}): Promise<void> {
    if (this.#isClosed) return;
    const flowing = this.#write(text === true ? opcodes.text : opcodes.binary, data);
    if (!flowing) await drained(this.#socket);
  }

  close(code = 1000): void {
    if (this.#isClosed) return;
    const body = Buffer.alloc(2);
    body.writeUInt16BE(code);
    this.#write(opcodes.close, body);
    this.#socket.end();
    this.#ended();
  }

  #ended(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#onClose?.();
  }

  #write(opcode: number, data: Uint8Array): boolean {
    if (this.#socket.destroyed || this.#socket.writableEnded) return true;
    this.#socket.write(frameHead(opcode, data.length));
    return this.#socket.write(data);
  }

  #read(): void {
    while (!this.#isClosed) {
      const frame = readFrame(this.#buffer);
      if (frame === 'incomplete') return;
      if (frame === 'broken') {
        this.close(1002);
        return;
      }
      this.#buffer = this.#buffer.subarray(frame.size);
      this.#take(frame);
    }
  }

  #take({ opcode, isLast, payload }: Frame): void {
    if (opcode === opcodes.close) this.close();
    else if (opcode === opcodes.ping) this.#write(opcodes.pong, payload);
    else if (opcode <= opcodes.binary) {
      this.#fragments.push(payload);
      this.#fragmentBytes += payload.length;
      if (this.#fragmentBytes > limits.messageBytesMax) {
        this.close(1009);
        return;
      }
      if (!isLast) return;
      const message = this.#fragments.length === 1 ? payload : Buffer.concat(this.#fragments);
      this.#fragments = [];
      this.#fragmentBytes = 0;
      this.#onMessage?.(message);
    }
  }
}

interface Frame {
  readonly opcode: number;
  readonly isLast: boolean;
  readonly payload: Buffer;
  /** With its head. */
  readonly size: number;
}

/** Frames of clients are masked, always. */
export function readFrame(buffer: Buffer): Frame | 'incomplete' | 'broken' {
  if (buffer.length < 2) return 'incomplete';
  const first = buffer.readUInt8(0);
  const second = buffer.readUInt8(1);
  if ((second & 0x80) === 0 || (first & 0x70) !== 0) return 'broken';
  let length = second & 0x7f;
  let at = 2;
  if (length === 126) {
    if (buffer.length < 4) return 'incomplete';
    length = buffer.readUInt16BE(2);
    at = 4;
  } else if (length === 127) {
    if (buffer.length < 10) return 'incomplete';
    length = Number(buffer.readBigUInt64BE(2));
    at = 10;
  }
  if (length > limits.messageBytesMax) return 'broken';
  const size = at + 4 + length;
  if (buffer.length < size) return 'incomplete';
  const mask = buffer.subarray(at, at + 4);
  const payload = Buffer.from(buffer.subarray(at + 4, size));
  for (let index = 0; index < payload.length; index++) {
    payload[index] = (payload[index] ?? 0) ^ (mask[index & 3] ?? 0);
  }
  return { opcode: first & 0x0f, isLast: (first & 0x80) !== 0, payload, size };
}

function frameHead(opcode: number, length: number): Buffer {
  if (length < 126) return Buffer.from([0x80 | opcode, length]);
  if (length < 65_536) {
    const head = Buffer.from([0x80 | opcode, 126, 0, 0]);
    head.writeUInt16BE(length, 2);
    return head;
  }
  const head = Buffer.alloc(10);
  head.writeUInt8(0x80 | opcode, 0);
  head.writeUInt8(127, 1);
  head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}

function drained(socket: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.removeListener('drain', done);
      socket.removeListener('close', done);
      resolve();
    };
    socket.once('drain', done);
    socket.once('close', done);
  });
}
