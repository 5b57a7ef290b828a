/**
 * HTTP/2 by hand: frames as bytes, for tests that send what no library would, and for benchmarks
 * whose client must cost less than the server. Headers go out as literals without indexing, and
 * the peer is told to keep no table, so that the status is found without a decoder (RFC 9113, RFC
 * 7541).
 */
import { connect, type TLSSocket } from 'node:tls';

export interface RawTarget {
  readonly port: number;
  readonly ca: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export const frameType = {
  data: 0,
  headers: 1,
  resetStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flag = { endStream: 1, acknowledge: 1, endHeaders: 4 } as const;

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const headBytes = 9;
const windowBytes = 2 ** 31 - 1;

export function frameOf(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(headBytes + payload.length);
  frame.writeUIntBE(payload.length, 0, 3);
  frame[3] = type;
  frame[4] = flags;
  frame.writeUInt32BE(stream, 5);
  payload.copy(frame, headBytes);
  return frame;
}

/** A header block of literals that are never indexed. Values are shorter than 16 KiB. */
export function headerBlock(headers: Readonly<Record<string, string>>): Buffer {
  let block = '';
  for (const name in headers) block += `\0${literal(name)}${literal(headers[name] ?? '')}`;
  return Buffer.from(block, 'latin1');
}

/** Length and text, a letter for each byte. */
function literal(text: string): string {
  const { length } = text;
  if (length < 127) return String.fromCharCode(length) + text;
  const rest = length - 127;
  const low = rest & 127;
  const size = rest < 128 ? [127, low] : [127, low | 128, rest >> 7];
  return String.fromCharCode(...size) + text;
}

/** 20x of a header block as servers write it, from the static table or as a literal. */
export function statusOf(block: Buffer): number {
  const indexed: Readonly<Record<number, number>> = {
    136: 200,
    137: 204,
    138: 206,
    139: 304,
    140: 400,
    141: 404,
    142: 500,
  };
  // The table may be told to have no room before the first header.
  let at = 0;
  while (((block[at] ?? 0) & 0xe0) === 0x20) at += 1;
  const first = block[at] ?? 0;
  const known = indexed[first];
  if (known !== undefined) return known;
  const length = block[at + 1] ?? 0;
  if (length < 128) return Number(block.toString('latin1', at + 2, at + 2 + length));
  return digitsOf(block.subarray(at + 2, at + 2 + (length & 127)));
}

/** Three digits in the code of RFC 7541: 0, 1 and 2 in five bits, the others in six. */
function digitsOf(bytes: Buffer): number {
  let bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  let text = '';
  while (text.length < 3) {
    const short = Number.parseInt(bits.slice(0, 5), 2);
    const isShort = short < 3;
    const digit = isShort ? short : Number.parseInt(bits.slice(0, 6), 2) - 0x19 + 3;
    text += String(digit);
    bits = bits.slice(isShort ? 5 : 6);
  }
  return Number(text);
}

export class RawHttp2 {
  readonly socket: TLSSocket;
  readonly #onFrame: (frame: Frame) => void;
  #rest: Buffer = Buffer.alloc(0);

  private constructor(socket: TLSSocket, onFrame: (frame: Frame) => void) {
    this.socket = socket;
    this.#onFrame = onFrame;
    socket.on('data', (part: Buffer) => this.#onData(part));
    socket.on('error', () => {});
  }

  /** Connected, with settings sent: no header table, and windows that never fill. */
  static async open(target: RawTarget, onFrame: (frame: Frame) => void): Promise<RawHttp2> {
    const socket = await new Promise<TLSSocket>((resolve, reject) => {
      const options = { host: '127.0.0.1', ...target, ALPNProtocols: ['h2'] };
      const opening = connect(options, () => resolve(opening));
      opening.once('error', reject);
    });
    socket.setNoDelay(true);
    const raw = new RawHttp2(socket, onFrame);
    const settings = Buffer.alloc(12);
    settings.writeUInt16BE(1, 0);
    settings.writeUInt16BE(4, 6);
    settings.writeUInt32BE(windowBytes, 8);
    const more = Buffer.alloc(4);
    more.writeUInt32BE(windowBytes - 65_535);
    socket.write(preface);
    raw.send(frameType.settings, 0, 0, settings);
    raw.send(frameType.windowUpdate, 0, 0, more);
    return raw;
  }

  send(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): void {
    this.socket.write(frameOf(type, flags, stream, payload));
  }

  #onData(part: Buffer): void {
    let data = this.#rest.length === 0 ? part : Buffer.concat([this.#rest, part]);
    while (data.length >= headBytes) {
      const length = data.readUIntBE(0, 3);
      const end = headBytes + length;
      if (data.length < end) break;
      const frame = {
        type: data[3] ?? 0,
        flags: data[4] ?? 0,
        stream: data.readUInt32BE(5),
        payload: data.subarray(headBytes, end),
      };
      data = data.subarray(end);
      if (frame.type === frameType.settings && (frame.flags & flag.acknowledge) === 0) {
        this.send(frameType.settings, flag.acknowledge, 0);
      } else if (frame.type === frameType.ping && (frame.flags & flag.acknowledge) === 0) {
        this.send(frameType.ping, flag.acknowledge, 0, Buffer.from(frame.payload));
      } else this.#onFrame(frame);
    }
    this.#rest = data;
  }
}
