/**
 * HTTP/2 in bytes (RFC 9113, sections 4, 6 and 7): what frames are called, and how those look that
 * the server sends. `frame-reader.ts` takes apart what comes in.
 */

export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  resetStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const frameFlag = {
  endStream: 0x1,
  acknowledge: 0x1,
  endHeaders: 0x4,
  padded: 0x8,
  priority: 0x20,
} as const;

export const errorCode = {
  none: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  streamClosed: 5,
  frameSize: 6,
  refusedStream: 7,
  cancel: 8,
  compression: 9,
  enhanceYourCalm: 11,
} as const;

export const setting = {
  headerTableSize: 1,
  enablePush: 2,
  concurrentStreamsMax: 3,
  initialWindowSize: 4,
  frameSizeMax: 5,
  headerListSizeMax: 6,
} as const;

/** What holds until settings say otherwise. */
export const initially = {
  headerTableBytes: 4096,
  windowBytes: 65_535,
  frameBytesMax: 16_384,
} as const;

/** The protocol's own bounds of a window and of a frame. */
export const windowBytesMax = 2 ** 31 - 1;
export const frameBytesMax = 2 ** 24 - 1;

export const frameHeadBytes = 9;

/** The connection cannot go on: it is said goodbye to, with this code. */
export class ConnectionError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = 'ConnectionError';
    this.code = code;
  }
}

export function wrong(message: string): ConnectionError {
  return new ConnectionError(errorCode.protocol, message);
}

export function wrongSize(): ConnectionError {
  return new ConnectionError(errorCode.frameSize, 'a frame of the wrong size');
}

export function needs(isSo: boolean, message: string): void {
  if (!isSo) throw wrong(message);
}

export interface FrameHead {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
}

/** Writes the head of a frame whose payload has so many bytes; the payload follows it. */
export function writeFrameHead(
  into: Buffer,
  at: number,
  { type, flags, stream }: FrameHead,
  payloadBytes: number,
): void {
  into[at] = payloadBytes >>> 16;
  into[at + 1] = payloadBytes >>> 8;
  into[at + 2] = payloadBytes;
  into[at + 3] = type;
  into[at + 4] = flags;
  into[at + 5] = stream >>> 24;
  into[at + 6] = stream >>> 16;
  into[at + 7] = stream >>> 8;
  into[at + 8] = stream;
}

/** A frame whose payload is such numbers of four bytes. */
export function numbersFrame(head: FrameHead, numbers: readonly number[]): Buffer {
  const frame = Buffer.allocUnsafe(frameHeadBytes + 4 * numbers.length);
  writeFrameHead(frame, 0, head, 4 * numbers.length);
  let at = frameHeadBytes;
  for (const number of numbers) at = frame.writeUInt32BE(number, at);
  return frame;
}

export function settingsFrame(settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const frame = Buffer.allocUnsafe(frameHeadBytes + 6 * settings.length);
  const head = { type: frameType.settings, flags: 0, stream: 0 };
  writeFrameHead(frame, 0, head, 6 * settings.length);
  let at = frameHeadBytes;
  for (const [id, value] of settings) {
    at = frame.writeUInt16BE(id, at);
    at = frame.writeUInt32BE(value, at);
  }
  return frame;
}
