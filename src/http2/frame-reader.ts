/**
 * What comes in on a connection, cut into frames (RFC 9113, sections 3.4 and 4.1).
 *
 * The client's preface comes first; then frames, wherever the reads of the socket happen to end. A
 * frame waits for its missing rest, except that of a body, of which most bytes are: it is given on
 * as two, so that bodies are not copied. `http2.ts` takes them.
 */
import {
  ConnectionError,
  errorCode,
  frameFlag,
  frameHeadBytes,
  frameType,
  needs,
  wrong,
  wrongSize,
} from './frames.ts';

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** Where a frame's payload stands; it is good until the call returns. */
export interface Frame {
  type: number;
  flags: number;
  stream: number;
  bytes: Buffer;
  start: number;
  end: number;
}

export interface FrameReaderOptions {
  readonly frameBytesMax: number;
  /** Says whether to go on. */
  readonly onFrame: (frame: Frame) => boolean;
}

export class FrameReader {
  readonly #options: FrameReaderOptions;
  /** One for all: a frame is over when its call is. */
  readonly #frame: Frame = {
    ...{ type: 0, flags: 0, stream: 0 },
    ...{ bytes: Buffer.alloc(0), start: 0, end: 0 },
  };
  #held: Buffer[] = [];
  #heldBytes = 0;
  #neededBytes: number = preface.length;
  #isGreeted = false;
  /** Of the frame of a body that was given on in part. */
  #restBytes = 0;
  #restStream = 0;
  #restFlags = 0;

  constructor(options: FrameReaderOptions) {
    this.#options = options;
  }

  /** Throws a {@link ConnectionError} where this is no HTTP/2. */
  read(chunk: Buffer): void {
    const rest = this.#restBytes > 0 ? this.#giveRest(chunk) : chunk;
    const bytes = rest.length > 0 ? this.#withHeld(rest) : undefined;
    if (bytes === undefined) return;
    let at = 0;
    if (!this.#isGreeted) {
      if (bytes.compare(preface, 0, preface.length, 0, preface.length) !== 0) {
        throw wrong('the connection does not begin as HTTP/2');
      }
      this.#isGreeted = true;
      at = preface.length;
    }
    const frame = this.#frame;
    frame.bytes = bytes;
    for (;;) {
      const end = this.#take(bytes, at);
      if (end > bytes.length) {
        const hasPayload = at + frameHeadBytes < bytes.length;
        if (hasPayload && isBare(frame)) this.#giveBeginning(frame);
        else this.#hold(bytes, at, end);
        break;
      }
      if (!this.#options.onFrame(frame)) break;
      at = end;
    }
    frame.bytes = empty;
  }

  /** What is here of a body; the end of its stream comes with the rest. */
  #giveBeginning(frame: Frame): void {
    this.#restBytes = frame.end - frame.bytes.length;
    this.#restStream = frame.stream;
    this.#restFlags = frame.flags;
    this.#neededBytes = frameHeadBytes;
    frame.flags = 0;
    frame.end = frame.bytes.length;
    this.#options.onFrame(frame);
  }

  /** Gives what follows it: nothing, when nobody wants to go on. */
  #giveRest(chunk: Buffer): Buffer {
    const frame = this.#frame;
    const end = Math.min(chunk.length, this.#restBytes);
    this.#restBytes -= end;
    frame.type = frameType.data;
    frame.flags = this.#restBytes === 0 ? this.#restFlags : 0;
    frame.stream = this.#restStream;
    frame.bytes = chunk;
    frame.start = 0;
    frame.end = end;
    const goesOn = this.#options.onFrame(frame);
    frame.bytes = empty;
    return goesOn ? chunk.subarray(end) : empty;
  }

  /** Where the frame that begins here ends, as far as can be told. */
  #take(bytes: Buffer, at: number): number {
    const start = at + frameHeadBytes;
    if (start > bytes.length) return start;
    const length = bytes.readUIntBE(at, 3);
    if (length > this.#options.frameBytesMax) {
      throw new ConnectionError(errorCode.frameSize, `a frame of ${length} bytes`);
    }
    const frame = this.#frame;
    frame.type = bytes[at + 3] ?? 0;
    frame.flags = bytes[at + 4] ?? 0;
    frame.stream = bytes.readUInt32BE(at + 5) & 0x7fffffff;
    frame.start = start;
    frame.end = start + length;
    return frame.end;
  }

  #hold(bytes: Buffer, at: number, end: number): void {
    this.#neededBytes = end - at;
    if (at === bytes.length) return;
    this.#held.push(bytes.subarray(at));
    this.#heldBytes = bytes.length - at;
  }

  #withHeld(chunk: Buffer): Buffer | undefined {
    if (this.#heldBytes + chunk.length < this.#neededBytes) {
      this.#held.push(chunk);
      this.#heldBytes += chunk.length;
      return undefined;
    }
    if (this.#heldBytes === 0) return chunk;
    this.#held.push(chunk);
    const whole = Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    return whole;
  }
}

const empty = Buffer.alloc(0);

/** Bytes of a body and nothing else. */
function isBare({ type, flags }: Frame): boolean {
  return type === frameType.data && (flags & frameFlag.padded) === 0;
}

export function withoutPadding({ flags, bytes, start, end }: Frame): Buffer {
  if ((flags & frameFlag.padded) === 0) return bytes.subarray(start, end);
  const padding = bytes[start] ?? 0;
  needs(start < end && start + 1 + padding <= end, 'more padding than there is');
  return bytes.subarray(start + 1, end - padding);
}

/** Of a frame of headers, which may have a priority in front. */
export function withoutPriority({ flags }: Frame, block: Buffer): Buffer {
  if ((flags & frameFlag.priority) === 0) return block;
  if (block.length < 5) throw wrongSize();
  return block.subarray(5);
}
