/**
 * The client's end of SPDY/3.1, as far as container runtimes and kubelets speak it: streams that
 * the client opens, data and ends both ways.
 *
 * The peers (all of them build on one library) neither send WINDOW_UPDATE nor hold anybody to a
 * window, so the connection's own back-pressure is the flow control. Headers must come as one zlib
 * stream; ours consists of stored blocks, which needs neither a compressor that lives as long as
 * the connection nor the protocol's dictionary. Headers of answers are not read: nothing is in
 * them. Used by the API server where a WebSocket ends and a runtime's streams begin.
 */
import type { Duplex } from 'node:stream';

export interface SpdyHandlers {
  /** Resolves when more may come; until then nothing is read. */
  readonly onData: (stream: number, data: Buffer) => Promise<void> | undefined;
  /** The peer sends no more on this stream. */
  readonly onEnd: (stream: number) => void;
  /** The connection is over; called once. */
  readonly onClose: () => void;
}

export const limits = {
  /** What is sent in one frame; the length field has 24 bits. */
  frameBytesMax: 32 * 1024,
} as const;

const control = { synStream: 1, synReply: 2, reset: 3, ping: 6 } as const;
const version = 0x8003;
const headBytes = 8;
const flagEnd = 1;
const storedBlockBytesMax = 65_535;

export class SpdyConnection {
  readonly #socket: Duplex;
  readonly #handlers: SpdyHandlers;
  #chunks: Buffer[] = [];
  #bufferedBytes = 0;
  #nextStream = 1;
  #isReading = false;
  /** Nothing more comes; what has come is still handed out. */
  #isOver = false;

  /** `head` is what came behind the answer to the upgrade. */
  constructor(socket: Duplex, head: Uint8Array, handlers: SpdyHandlers) {
    this.#socket = socket;
    this.#handlers = handlers;
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      this.#isOver = true;
      if (!this.#isReading) this.#handlers.onClose();
    });
    socket.on('data', (chunk: Buffer) => this.#push(chunk));
    this.#push(Buffer.from(head));
  }

  /** Opens a stream and gives its number. */
  open(headers: Readonly<Record<string, string>>): number {
    const stream = this.#nextStream;
    this.#nextStream += 2;
    const block = headerBlock(headers, { isFirst: stream === 1 });
    const body = Buffer.alloc(10);
    body.writeUInt32BE(stream, 0);
    this.#sendControl(control.synStream, Buffer.concat([body, block]));
    return stream;
  }

  /** False when the peer is slower than what is sent: wait for `onceDrained`. */
  send(stream: number, data: Uint8Array): boolean {
    let isFlowing = true;
    for (let at = 0; at < data.length; at += limits.frameBytesMax) {
      const part = data.subarray(at, at + limits.frameBytesMax);
      isFlowing = this.#sendData(stream, part, 0);
    }
    return isFlowing;
  }

  end(stream: number): void {
    this.#sendData(stream, new Uint8Array(), flagEnd);
  }

  onceDrained(listener: () => void): void {
    this.#socket.once('drain', listener);
  }

  close(): void {
    this.#socket.destroy();
  }

  #sendControl(type: number, body: Buffer): void {
    const head = Buffer.alloc(headBytes);
    head.writeUInt16BE(version, 0);
    head.writeUInt16BE(type, 2);
    head.writeUIntBE(body.length, 5, 3);
    this.#write(Buffer.concat([head, body]));
  }

  #sendData(stream: number, data: Uint8Array, flags: number): boolean {
    const head = Buffer.alloc(headBytes);
    head.writeUInt32BE(stream, 0);
    head.writeUInt8(flags, 4);
    head.writeUIntBE(data.length, 5, 3);
    return this.#write(Buffer.concat([head, data]));
  }

  #write(bytes: Buffer): boolean {
    if (this.#socket.destroyed || this.#socket.writableEnded) return true;
    return this.#socket.write(bytes);
  }

  #push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#bufferedBytes += chunk.length;
    if (this.#isReading) return;
    this.#read().catch(() => {
      this.#isReading = false;
      this.close();
    });
  }

  async #read(): Promise<void> {
    this.#isReading = true;
    for (let frame = this.#takeFrame(); frame !== undefined; frame = this.#takeFrame()) {
      const waiting = this.#handle(frame);
      if (waiting === undefined) continue;
      this.#socket.pause();
      await waiting;
      this.#socket.resume();
    }
    this.#isReading = false;
    if (this.#isOver) this.#handlers.onClose();
  }

  #takeFrame(): Buffer | undefined {
    if (this.#bufferedBytes < headBytes) return undefined;
    if ((this.#chunks[0]?.length ?? 0) < headBytes) this.#join();
    const length = headBytes + (this.#chunks[0]?.readUIntBE(5, 3) ?? 0);
    if (this.#bufferedBytes < length) return undefined;
    if ((this.#chunks[0]?.length ?? 0) < length) this.#join();
    const [first] = this.#chunks;
    if (first === undefined) return undefined;
    const rest = first.subarray(length);
    if (rest.length === 0) this.#chunks.shift();
    else this.#chunks[0] = rest;
    this.#bufferedBytes -= length;
    return first.subarray(0, length);
  }

  #join(): void {
    this.#chunks = [Buffer.concat(this.#chunks)];
  }

  #handle(frame: Buffer): Promise<void> | undefined {
    const flags = frame.readUInt8(4);
    if ((frame.readUInt8(0) & 0x80) === 0) {
      const stream = frame.readUInt32BE(0);
      const data = frame.subarray(headBytes);
      const waiting = data.length > 0 ? this.#handlers.onData(stream, data) : undefined;
      if ((flags & flagEnd) !== 0) this.#handlers.onEnd(stream);
      return waiting;
    }
    const type = frame.readUInt16BE(2);
    if (type === control.ping) this.#write(frame);
    else if (type === control.reset) this.#handlers.onEnd(frame.readUInt32BE(headBytes));
    else if (type === control.synReply && (flags & flagEnd) !== 0) {
      this.#handlers.onEnd(frame.readUInt32BE(headBytes));
    }
    return undefined;
  }
}

/**
 * Names and values, each behind its length, in stored blocks: five bytes of head (not the last one;
 * the length, and its complement), then the bytes as they are. The first has the stream's head. An
 * empty block ends it: it tells the peer to hand out what it has.
 */
function headerBlock(
  headers: Readonly<Record<string, string>>,
  { isFirst }: { readonly isFirst: boolean },
): Buffer {
  const pairs = Object.entries(headers);
  const parts = [uint32(pairs.length)];
  for (const text of pairs.flat()) {
    const bytes = Buffer.from(text);
    parts.push(uint32(bytes.length), bytes);
  }
  const plain = Buffer.concat(parts);
  const blocks: Buffer[] = isFirst ? [Buffer.from([0x78, 0x01])] : [];
  for (let at = 0; at < plain.length; at += storedBlockBytesMax) {
    blocks.push(storedBlock(plain.subarray(at, at + storedBlockBytesMax)));
  }
  return Buffer.concat([...blocks, storedBlock(Buffer.alloc(0))]);
}

function storedBlock(bytes: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt16LE(bytes.length, 1);
  head.writeUInt16LE(bytes.length ^ 0xffff, 3);
  return Buffer.concat([head, bytes]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
