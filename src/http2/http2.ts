/**
 * The server's side of one connection that speaks HTTP/2 (RFC 9113), over a socket that somebody
 * else has opened and greeted: TLS chose the protocol (decision 0019).
 *
 * It takes no priorities, pushes nothing and offers no upgrade. What comes in is held against the
 * protocol and against limits, since a connection that is let go in time is all the defence there
 * is: streams at once, the size of heads, streams reset and frames without content in a time,
 * answers that nobody reads. `frame-reader.ts` cuts frames, `header-decoder.ts` and
 * `request-head.ts` make heads of them, `stream.ts` is what the server sees, `sender.ts` what goes
 * out.
 */
import type { Duplex } from 'node:stream';
import type { Clock } from '#kit/clock.ts';
import { Rate } from '#kit/rate.ts';
import { type Frame, FrameReader, withoutPadding, withoutPriority } from './frame-reader.ts';
import {
  ConnectionError,
  errorCode,
  frameBytesMax,
  frameFlag,
  frameType,
  initially,
  needs,
  numbersFrame,
  setting,
  settingsFrame,
  windowBytesMax,
  wrong,
  wrongSize,
} from './frames.ts';
import { CompressionError, HeaderDecoder } from './header-decoder.ts';
import { HeadReader } from './request-head.ts';
import { Sender } from './sender.ts';
import { type Http2Stream, ServerStream, type StreamOwner } from './stream.ts';

export { errorCode, frameFlag, frameType, setting, settingsFrame } from './frames.ts';
export { HeaderEncoder } from './header-encoder.ts';
export type { RequestHeaders } from './request-head.ts';
export type { BodyReader, Http2Stream } from './stream.ts';

export interface Http2Options {
  /** Requests in flight. */
  readonly streamsMax: number;
  /** Of bodies, what one stream and the connection may have on their way. */
  readonly windowBytes: number;
  /** All fields of a head, each counted with 32 bytes more. */
  readonly headerBytesMax: number;
  /** A head has come, and its body may follow. */
  readonly onRequest: (stream: Http2Stream) => void;
  /** Nothing is under way from now on, or something is again. */
  readonly onIdle?: (isIdle: boolean) => void;
  readonly onClose?: () => void;
}

const limits = {
  /** Streams that the client resets or makes the server reset; many watches may end at once. */
  resets: { burst: 1000, perSecond: 33 },
  /** Frames that bring nothing. */
  empty: { burst: 1000, perSecond: 33 },
  /** What a frame of a head counts at least, so that a head cannot have any number of them. */
  headFrameBytesMin: 1024,
  /** Streams that were reset, of which frames may still be on their way. */
  rememberedResets: 128,
  /** How long a client has to read why it is let go, or the last answers when the server leaves. */
  farewellMs: 1_000,
  lastAnswersMs: 60_000,
} as const;

interface BegunHead {
  readonly stream: number;
  readonly endsStream: boolean;
  readonly parts: Buffer[];
  bytes: number;
}

export class Http2Connection implements StreamOwner {
  readonly #deps: { readonly clock: Clock };
  readonly #socket: Duplex;
  readonly #options: Http2Options;
  readonly #sender: Sender;
  readonly #reader: FrameReader;
  readonly #decoder = new HeaderDecoder({ tableBytesMax: initially.headerTableBytes });
  readonly #head: HeadReader;
  readonly #streams = new Map<number, ServerStream>();
  readonly #resets: Rate;
  readonly #empty: Rate;
  readonly #justReset = new Set<number>();
  #begunHead: BegunHead | undefined;
  /** The last that was opened, and the last whose request was taken. */
  #lastStream = 0;
  #lastTaken = 0;
  /** What the client gives a new stream. */
  #sendWindow: number = initially.windowBytes;
  #receiveWindow: number;
  #hasSettings = false;
  #isLeaving = false;
  #isOver = false;

  constructor(deps: { readonly clock: Clock }, socket: Duplex, options: Http2Options) {
    this.#deps = deps;
    this.#socket = socket;
    this.#options = options;
    this.#resets = new Rate(deps.clock, limits.resets);
    this.#empty = new Rate(deps.clock, limits.empty);
    this.#receiveWindow = options.windowBytes;
    this.#head = new HeadReader({ bytesMax: options.headerBytesMax });
    this.#reader = new FrameReader({
      frameBytesMax: initially.frameBytesMax,
      onFrame: (frame) => this.#onFrame(frame),
    });
    this.#sender = new Sender(socket, { onFlooded: () => this.destroy() });
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('close', () => this.#onClose());
    // What breaks is told by its closing.
    socket.on('error', () => {});
    this.#greet();
    options.onIdle?.(true);
  }

  /** Takes no more requests, and closes when those under way are answered. */
  leave(): void {
    if (this.#isLeaving || this.#isOver) return;
    this.#isLeaving = true;
    this.#sayGoodbye(errorCode.none);
    if (this.#streams.size === 0) this.#finish(limits.lastAnswersMs);
  }

  destroy(): void {
    this.#isOver = true;
    this.#socket.destroy();
  }

  #greet(): void {
    const { streamsMax, windowBytes, headerBytesMax } = this.#options;
    this.#sender.frame(
      settingsFrame([
        [setting.concurrentStreamsMax, streamsMax],
        [setting.initialWindowSize, windowBytes],
        [setting.headerListSizeMax, headerBytesMax],
      ]),
    );
    if (windowBytes > initially.windowBytes) {
      this.#sendWindowUpdate(0, windowBytes - initially.windowBytes);
    }
  }

  #onData(chunk: Buffer): void {
    if (this.#isOver) return;
    try {
      this.#reader.read(chunk);
    } catch (error) {
      if (error instanceof ConnectionError) this.#fail(error.code);
      else if (error instanceof CompressionError) this.#fail(errorCode.compression);
      else throw error;
    }
  }

  #onClose(): void {
    this.#isOver = true;
    for (const stream of [...this.#streams.values()]) stream.close();
    this.#options.onIdle?.(false);
    this.#options.onClose?.();
  }

  #fail(code: number): void {
    this.#isOver = true;
    this.#sayGoodbye(code);
    for (const stream of [...this.#streams.values()]) stream.close();
    this.#finish(limits.farewellMs);
  }

  #sayGoodbye(code: number): void {
    const head = { type: frameType.goAway, flags: 0, stream: 0 };
    this.#sender.frame(numbersFrame(head, [this.#lastTaken, code]));
  }

  /** What is gathered goes out; then the connection is closed, whether it was read or not. */
  #finish(limitMs: number): void {
    this.#isOver = true;
    this.#sender.finish();
    const cancel = this.#deps.clock.after(limitMs, () => this.#socket.destroy());
    this.#socket.once('close', cancel);
  }

  /** Says whether to go on. */
  #onFrame(frame: Frame): boolean {
    const { type } = frame;
    if (!this.#hasSettings && type !== frameType.settings) throw wrong('settings come first');
    if (this.#begunHead !== undefined && type !== frameType.continuation) {
      throw wrong('a head was begun');
    }
    switch (type) {
      case frameType.data:
        this.#onDataFrame(frame);
        break;
      case frameType.headers:
        this.#onHeaders(frame);
        break;
      case frameType.continuation:
        this.#onContinuation(frame);
        break;
      case frameType.priority:
        this.#onPriority(frame);
        break;
      case frameType.resetStream:
        this.#onReset(frame);
        break;
      case frameType.settings:
        this.#onSettings(frame);
        break;
      case frameType.ping:
        this.#onPing(frame);
        break;
      case frameType.goAway:
        needs(frame.stream === 0, 'goodbye is said to the connection');
        break;
      case frameType.windowUpdate:
        this.#onWindowUpdate(frame);
        break;
      case frameType.pushPromise:
        throw wrong('clients push nothing');
      default:
        // Extensions of which nothing is known here mean nothing.
        this.#spendOnNothing();
    }
    return !this.#isOver;
  }

  #onDataFrame(frame: Frame): void {
    const { stream: id, flags } = frame;
    this.#needsKnown(id);
    const flowBytes = frame.end - frame.start;
    this.#receive(flowBytes);
    const part = withoutPadding(frame);
    const isLast = (flags & frameFlag.endStream) !== 0;
    if (part.length === 0 && !isLast) this.#spendOnNothing();
    const stream = this.#streams.get(id);
    if (stream?.isReceiving !== true) {
      if (!this.#justReset.has(id)) this.#resetForError(id, errorCode.streamClosed);
      return;
    }
    if (flowBytes > stream.receiveWindow) {
      this.#resetForError(id, errorCode.flowControl);
      return;
    }
    stream.receiveWindow -= flowBytes;
    if (!isLast && stream.receiveWindow < this.#options.windowBytes / 2) {
      this.#sendWindowUpdate(id, this.#options.windowBytes - stream.receiveWindow);
      stream.receiveWindow = this.#options.windowBytes;
    }
    if (!stream.received(part, { isLast })) this.#resetForError(id, errorCode.protocol);
  }

  #receive(bytes: number): void {
    if (bytes > this.#receiveWindow) {
      throw new ConnectionError(errorCode.flowControl, 'more than the window');
    }
    this.#receiveWindow -= bytes;
    const { windowBytes } = this.#options;
    if (this.#receiveWindow >= windowBytes / 2) return;
    this.#sendWindowUpdate(0, windowBytes - this.#receiveWindow);
    this.#receiveWindow = windowBytes;
  }

  #onHeaders(frame: Frame): void {
    const { stream, flags } = frame;
    needs(stream % 2 === 1, 'clients open odd streams');
    const endsStream = (flags & frameFlag.endStream) !== 0;
    const block = withoutPriority(frame, withoutPadding(frame));
    if ((flags & frameFlag.endHeaders) !== 0) this.#onHead({ stream, endsStream }, block);
    else {
      const parts = [Buffer.from(block)];
      this.#begunHead = { stream, endsStream, parts, bytes: headBytes(block) };
    }
  }

  #onContinuation({ stream, flags, bytes, start, end }: Frame): void {
    const begun = this.#begunHead;
    if (begun === undefined || begun.stream !== stream) throw wrong('no head was begun');
    const part = bytes.subarray(start, end);
    begun.bytes += headBytes(part);
    if (begun.bytes > this.#options.headerBytesMax) {
      throw new ConnectionError(errorCode.enhanceYourCalm, 'a head without end');
    }
    begun.parts.push(Buffer.from(part));
    if ((flags & frameFlag.endHeaders) === 0) return;
    this.#begunHead = undefined;
    this.#onHead(begun, Buffer.concat(begun.parts));
  }

  #onHead(begun: Pick<BegunHead, 'stream' | 'endsStream'>, block: Buffer): void {
    const { stream: id, endsStream } = begun;
    // Whatever becomes of the request, the table of names must follow.
    this.#head.begin();
    this.#decoder.decode(block, this.#head.add);
    const known = this.#streams.get(id);
    if (known !== undefined) this.#onTrailers(known, endsStream);
    else if (id > this.#lastStream) this.#open(id, endsStream);
    else if (!this.#justReset.has(id)) {
      throw new ConnectionError(errorCode.streamClosed, 'a head for a stream that is over');
    }
  }

  #onTrailers(stream: ServerStream, endsStream: boolean): void {
    if (!stream.isReceiving) this.#resetForError(stream.id, errorCode.streamClosed);
    else if (!endsStream || this.#head.endTrailers() === 'malformed') {
      this.#resetForError(stream.id, errorCode.protocol);
    } else if (!stream.received(nothing, { isLast: true })) {
      this.#resetForError(stream.id, errorCode.protocol);
    }
  }

  #open(id: number, endsStream: boolean): void {
    this.#lastStream = id;
    const { streamsMax, windowBytes, onRequest } = this.#options;
    if (this.#isLeaving || this.#streams.size >= streamsMax) {
      this.#resetForError(id, errorCode.refusedStream);
      return;
    }
    const head = this.#head.end();
    const isWhole = head.is === 'whole';
    const contentLength = isWhole ? head.contentLength : undefined;
    const lacksBody = endsStream && contentLength !== undefined && contentLength > 0;
    if (head.is === 'malformed' || lacksBody) {
      this.#resetForError(id, errorCode.protocol);
      return;
    }
    const stream = new ServerStream(this, {
      ...{ id, contentLength, headers: isWhole ? head.headers : {}, isReceiving: !endsStream },
      ...{ sendWindow: this.#sendWindow, receiveWindow: windowBytes, held: this.#sender.held },
    });
    this.#lastTaken = id;
    if (this.#streams.size === 0) this.#options.onIdle?.(false);
    this.#streams.set(id, stream);
    if (isWhole) onRequest(stream);
    else stream.answer([':status', '431'], undefined);
  }

  #onPriority({ stream, start, end }: Frame): void {
    needs(stream !== 0, 'priorities are of streams');
    if (end - start !== 5) this.#resetForError(stream, errorCode.frameSize);
    this.#spendOnNothing();
  }

  #onReset({ stream: id, start, end }: Frame): void {
    this.#needsKnown(id);
    if (end - start !== 4) throw wrongSize();
    this.#spendOnReset();
    this.#streams.get(id)?.close();
  }

  #onSettings({ stream, flags, bytes, start, end }: Frame): void {
    needs(stream === 0, 'settings are of the connection');
    this.#spendOnNothing();
    if ((flags & frameFlag.acknowledge) !== 0) {
      if (start !== end) throw wrongSize();
      needs(this.#hasSettings, 'settings come first');
      return;
    }
    if ((end - start) % 6 !== 0) throw wrongSize();
    this.#hasSettings = true;
    for (let at = start; at < end; at += 6) {
      this.#apply(bytes.readUInt16BE(at), bytes.readUInt32BE(at + 2));
    }
    const head = { type: frameType.settings, flags: frameFlag.acknowledge, stream: 0 };
    this.#sender.frame(numbersFrame(head, []));
  }

  #apply(id: number, value: number): void {
    switch (id) {
      case setting.headerTableSize:
        this.#sender.setHeaderTableBytes(value);
        break;
      case setting.enablePush:
        needs(value <= 1, 'pushing is wished for or not');
        break;
      case setting.initialWindowSize:
        this.#setSendWindow(value);
        break;
      case setting.frameSizeMax:
        needs(value >= initially.frameBytesMax && value <= frameBytesMax, 'frames of that size');
        this.#sender.setFrameBytesMax(value);
        break;
      default:
      // The others are about what the server would ask, or are not known here.
    }
  }

  #setSendWindow(bytes: number): void {
    const tooMuch = new ConnectionError(errorCode.flowControl, 'a window that cannot be');
    if (bytes > windowBytesMax) throw tooMuch;
    const more = bytes - this.#sendWindow;
    this.#sendWindow = bytes;
    for (const stream of this.#streams.values()) {
      stream.sendWindow += more;
      if (stream.sendWindow > windowBytesMax) throw tooMuch;
      if (more > 0 && stream.waiting.bytes > 0) this.#sender.ready(stream);
    }
  }

  #onPing({ stream, flags, bytes, start, end }: Frame): void {
    needs(stream === 0, 'pings are of the connection');
    if (end - start !== 8) throw wrongSize();
    if ((flags & frameFlag.acknowledge) !== 0) return;
    const numbers = [bytes.readUInt32BE(start), bytes.readUInt32BE(start + 4)];
    const head = { type: frameType.ping, flags: frameFlag.acknowledge, stream: 0 };
    this.#sender.frame(numbersFrame(head, numbers));
  }

  #onWindowUpdate({ stream: id, bytes, start, end }: Frame): void {
    if (end - start !== 4) throw wrongSize();
    const more = bytes.readUInt32BE(start) & 0x7fffffff;
    if (id === 0) {
      needs(more > 0, 'a window that is opened by nothing');
      if (this.#sender.widen(more)) return;
      throw new ConnectionError(errorCode.flowControl, 'a window that cannot be');
    }
    this.#needsKnown(id);
    const stream = this.#streams.get(id);
    if (more === 0) this.#resetForError(id, errorCode.protocol);
    else if (stream !== undefined) {
      stream.sendWindow += more;
      if (stream.sendWindow > windowBytesMax) this.#resetForError(id, errorCode.flowControl);
      else if (stream.waiting.bytes > 0) this.#sender.ready(stream);
    }
  }

  /** It is or was open: none that is still to come is spoken of. */
  #needsKnown(id: number): void {
    needs(id !== 0 && id % 2 === 1 && id <= this.#lastStream, 'a stream that nobody has opened');
  }

  #resetForError(id: number, code: number): void {
    this.#spendOnReset();
    const stream = this.#streams.get(id);
    if (stream !== undefined) stream.reset(code);
    else this.#sendReset(id, code);
  }

  #spendOnReset(): void {
    if (this.#resets.take()) return;
    throw new ConnectionError(errorCode.enhanceYourCalm, 'too many streams are reset');
  }

  #spendOnNothing(): void {
    if (this.#empty.take()) return;
    throw new ConnectionError(errorCode.enhanceYourCalm, 'too many frames bring nothing');
  }

  #sendReset(id: number, code: number): void {
    if (this.#justReset.size >= limits.rememberedResets) {
      const [oldest] = this.#justReset;
      if (oldest !== undefined) this.#justReset.delete(oldest);
    }
    this.#justReset.add(id);
    this.#sender.frame(numbersFrame({ type: frameType.resetStream, flags: 0, stream: id }, [code]));
  }

  #sendWindowUpdate(id: number, bytes: number): void {
    this.#sender.frame(
      numbersFrame({ type: frameType.windowUpdate, flags: 0, stream: id }, [bytes]),
    );
  }

  // What streams ask for.

  sendFields(
    { id }: ServerStream,
    fields: readonly string[],
    how: { readonly ends: boolean },
  ): void {
    this.#sender.fields(id, fields, how);
  }

  sendWhole(stream: ServerStream, fields: readonly string[], body: Uint8Array): void {
    this.#sender.whole(stream, fields, body);
  }

  ready(stream: ServerStream): void {
    this.#sender.ready(stream);
  }

  sendReset({ id }: ServerStream, code: number): void {
    if (!this.#isOver) this.#sendReset(id, code);
  }

  closed(stream: ServerStream): void {
    this.#streams.delete(stream.id);
    this.#sender.forget(stream);
    if (this.#streams.size > 0 || this.#isOver) return;
    if (this.#isLeaving) this.#finish(limits.lastAnswersMs);
    else this.#options.onIdle?.(true);
  }
}

const nothing = Buffer.alloc(0);

function headBytes(part: Buffer): number {
  return Math.max(part.length, limits.headFrameBytesMin);
}
