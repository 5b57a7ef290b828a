/**
 * What goes out on a connection of HTTP/2: gathered, so that what many streams say in one turn of
 * the loop costs one write, and within what the client takes (RFC 9113, section 5.2).
 *
 * Heads and what concerns the connection go out in the order of their making, which the table of
 * names needs. Bodies wait with their streams; each in turn gets one frame, as long as the client's
 * windows and the socket have room. A short answer goes with its head in one piece.
 */
import type { Duplex } from 'node:stream';
import type { Held } from './byte-queue.ts';
import {
  frameFlag,
  frameHeadBytes,
  frameType,
  initially,
  windowBytesMax,
  writeFrameHead,
} from './frames.ts';
import { HeaderEncoder } from './header-encoder.ts';
import type { ServerStream } from './stream.ts';

const limits = {
  /** What is gathered for one write. */
  batchBytes: 256 * 1024,
  /** Larger frames, where the client takes them, would keep other streams waiting. */
  frameBytesMax: 64 * 1024,
  /** Answers to what concerns the connection which a client lets wait unread. */
  unreadMax: 1000,
  /** Those and heads of answers; far more than those of all streams that there may be. */
  unreadBytesMax: 4 * 1024 * 1024,
  /** Bodies of answers that wait for room. */
  heldBytesMax: 256 * 1024 * 1024,
} as const;

export interface SenderOptions {
  /** The client makes the server say much and reads nothing of it. */
  readonly onFlooded: () => void;
}

export class Sender {
  /** Of answers of all streams. */
  readonly held: Held = { bytes: 0 };
  readonly #socket: Duplex;
  readonly #options: SenderOptions;
  readonly #encoder = new HeaderEncoder();
  /** In the order of their turns. */
  readonly #ready = new Set<ServerStream>();
  #window: number = initially.windowBytes;
  #frameBytesMax: number = initially.frameBytesMax;
  #gathered: Uint8Array[] = [];
  #gatheredBytes = 0;
  #isScheduled = false;
  #isCongested = false;
  #unread = 0;
  readonly #flush = (): void => {
    this.#isScheduled = false;
    if (!this.#isCongested) this.#write();
  };

  constructor(socket: Duplex, options: SenderOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on('drain', () => {
      this.#isCongested = false;
      this.#unread = 0;
      this.#write();
    });
  }

  setHeaderTableBytes(bytes: number): void {
    this.#encoder.setTableBytesMax(bytes);
  }

  setFrameBytesMax(bytes: number): void {
    this.#frameBytesMax = Math.min(bytes, limits.frameBytesMax);
  }

  /** The client takes so much more on the connection. False when that is more than can be. */
  widen(bytes: number): boolean {
    this.#window += bytes;
    this.#schedule();
    return this.#window <= windowBytesMax;
  }

  /** A frame of the connection's own, or one that resets a stream. */
  frame(frame: Buffer): void {
    if (this.#isCongested && ++this.#unread > limits.unreadMax) this.#options.onFlooded();
    else this.#gather(frame);
  }

  fields(id: number, fields: readonly string[], { ends }: { readonly ends: boolean }): void {
    const block = this.#encoder.encode(fields);
    this.#gather(this.#headFrames({ id, block, flags: ends ? frameFlag.endStream : 0 }, 0));
  }

  /** A whole answer with its body. */
  whole(stream: ServerStream, fields: readonly string[], body: Uint8Array): void {
    const { id } = stream;
    const block = this.#encoder.encode(fields);
    if (!this.#fits(stream, body)) {
      this.#gather(this.#headFrames({ id, block, flags: 0 }, 0));
      stream.waiting.push(body);
      stream.isEnding = true;
      this.ready(stream);
      return;
    }
    const bodyBytes = frameHeadBytes + body.length;
    const frames = this.#headFrames({ id, block, flags: 0 }, bodyBytes);
    const at = frames.length - bodyBytes;
    const head = { type: frameType.data, flags: frameFlag.endStream, stream: id };
    writeFrameHead(frames, at, head, body.length);
    frames.set(body, at + frameHeadBytes);
    this.#window -= body.length;
    this.#gather(frames);
    stream.wasAnswered();
  }

  #fits({ sendWindow }: ServerStream, body: Uint8Array): boolean {
    const room = Math.min(sendWindow, this.#window, this.#frameBytesMax);
    const isFree = this.#ready.size === 0 && this.#gatheredBytes < limits.batchBytes;
    return isFree && body.length <= room && body.length <= initially.frameBytesMax;
  }

  /** With so many bytes of room behind them. */
  #headFrames(
    { id, block, flags }: { readonly id: number; readonly block: Buffer; readonly flags: number },
    room: number,
  ): Buffer {
    const count = Math.max(1, Math.ceil(block.length / this.#frameBytesMax));
    const frames = Buffer.allocUnsafe(count * frameHeadBytes + block.length + room);
    let at = 0;
    for (let n = 0; n < count; n++) {
      const part = block.subarray(n * this.#frameBytesMax, (n + 1) * this.#frameBytesMax);
      const last = n === count - 1 ? frameFlag.endHeaders : 0;
      const head =
        n === 0
          ? { type: frameType.headers, flags: flags | last, stream: id }
          : { type: frameType.continuation, flags: last, stream: id };
      writeFrameHead(frames, at, head, part.length);
      frames.set(part, at + frameHeadBytes);
      at += frameHeadBytes + part.length;
    }
    return frames;
  }

  /** Something of it waits, or its end, or its window has become wider. */
  ready(stream: ServerStream): void {
    if (this.held.bytes > limits.heldBytesMax) this.#options.onFlooded();
    this.#ready.add(stream);
    this.#schedule();
  }

  forget(stream: ServerStream): void {
    this.#ready.delete(stream);
  }

  /** What is gathered goes out now, and nothing after it. */
  finish(): void {
    const last = Buffer.concat(this.#gathered);
    this.#gathered = [];
    this.#gatheredBytes = 0;
    this.#ready.clear();
    if (this.#socket.writable) this.#socket.end(last);
  }

  #gather(bytes: Uint8Array): void {
    this.#gathered.push(bytes);
    this.#gatheredBytes += bytes.length;
    const isTooMuch = this.#isCongested && this.#gatheredBytes > limits.unreadBytesMax;
    if (isTooMuch) this.#options.onFlooded();
    else this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isCongested) return;
    this.#isScheduled = true;
    process.nextTick(this.#flush);
  }

  #write(): void {
    const isMore = this.#takeTurns();
    const [first] = this.#gathered;
    if (first === undefined || !this.#socket.writable) return;
    const bytes = this.#gathered.length === 1 ? first : Buffer.concat(this.#gathered);
    this.#gathered = [];
    this.#gatheredBytes = 0;
    this.#isCongested = !this.#socket.write(bytes);
    if (isMore) this.#schedule();
  }

  /** Says whether it stopped because that is enough for one write. */
  #takeTurns(): boolean {
    for (const stream of this.#ready) {
      if (this.#gatheredBytes >= limits.batchBytes) return true;
      const { waiting, sendWindow } = stream;
      // A change of settings may leave a window below zero.
      const wished = Math.max(0, Math.min(waiting.bytes, sendWindow, this.#frameBytesMax));
      const bytes = Math.min(wished, this.#window);
      if (waiting.bytes > 0 && bytes === 0) {
        // One whose own window is closed comes back when it is opened.
        if (sendWindow <= 0) this.#ready.delete(stream);
        continue;
      }
      // Its next turn, if there is one, comes after everybody else's; one cut short goes on first.
      if (bytes === wished) {
        this.#ready.delete(stream);
        if (bytes < waiting.bytes) this.#ready.add(stream);
      }
      if (bytes > 0 || stream.isEnding) this.#dataFrame(stream, bytes);
    }
    return false;
  }

  #dataFrame(stream: ServerStream, bytes: number): void {
    const isLast = stream.isEnding && bytes === stream.waiting.bytes;
    const flags = isLast ? frameFlag.endStream : 0;
    const head = Buffer.allocUnsafe(frameHeadBytes);
    writeFrameHead(head, 0, { type: frameType.data, flags, stream: stream.id }, bytes);
    this.#gathered.push(head);
    this.#gatheredBytes += head.length + bytes;
    this.#window -= bytes;
    stream.send(bytes, this.#gathered);
    if (isLast) stream.wasAnswered();
  }
}
