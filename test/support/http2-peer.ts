/**
 * The client's end of a connection of HTTP/2, without a network: bytes go to an `Http2Connection`
 * as they are given, and what it says is kept frame by frame. Nothing is answered by itself, so
 * that a test can do what no client would. Time stands still until the test moves it.
 */
import { type Duplex, duplexPair } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { Http2Connection, type Http2Stream } from '#http2';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { type Frame, flag, frameOf, frameType, headerBlock } from './raw-http2.ts';

export const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

const frameHeadBytes = 9;
/** So many turns of the loop bring nothing new. */
const quietTurns = 4;

export interface Http2PeerOptions {
  readonly streamsMax?: number;
  readonly windowBytes?: number;
  readonly headerBytesMax?: number;
  readonly onRequest?: (stream: Http2Stream) => void;
}

/** One request as it reached the server. */
export interface Arrived {
  readonly stream: Http2Stream;
  /** What of the body came. */
  readonly body: Buffer[];
  /** `end` of the body and `close` of the stream, in the order of their coming. */
  readonly told: string[];
}

const get = {
  ':method': 'GET',
  ':scheme': 'https',
  ':path': '/',
  ':authority': 'x',
};

export class Http2Peer {
  readonly clock = new VirtualClock();
  readonly connection: Http2Connection;
  /** The client's end: paused, it reads nothing. */
  readonly socket: Duplex;
  readonly frames: Frame[] = [];
  readonly arrived: Arrived[] = [];
  /** What the connection said of itself: `idle`, `busy`, each where it is another than before. */
  readonly said: string[] = [];
  /** How often the connection said that it is closed. */
  closings = 0;
  /** The server has said all. */
  isEnded = false;
  readonly #servers: Duplex;
  #rest: Buffer = Buffer.alloc(0);
  #reads = 0;

  constructor(given: Http2PeerOptions = {}) {
    const [ours, theirs] = duplexPair();
    this.socket = ours;
    this.#servers = theirs;
    ours.on('data', (part: Buffer) => this.#onData(part));
    ours.on('end', () => {
      this.isEnded = true;
    });
    ours.on('error', () => {});
    const { onRequest, ...options } = given;
    this.connection = new Http2Connection({ clock: this.clock }, theirs, {
      ...{ streamsMax: 100, windowBytes: 65_535, headerBytesMax: 16_384 },
      ...options,
      onRequest: (stream) => {
        this.#onRequest(stream);
        onRequest?.(stream);
      },
      onIdle: (isIdle) => {
        const state = isIdle ? 'idle' : 'busy';
        if (this.said.at(-1) !== state) this.said.push(state);
      },
      onClose: () => {
        this.closings += 1;
      },
    });
  }

  /** Greeted from both sides, with these settings of the client's; what was said is forgotten. */
  static async open(
    options: Http2PeerOptions = {},
    settings: readonly (readonly [id: number, value: number])[] = [],
  ): Promise<Http2Peer> {
    const peer = new Http2Peer(options);
    peer.write(preface);
    peer.settings(...settings);
    peer.send(frameType.settings, flag.acknowledge, 0);
    await peer.settled();
    peer.forget();
    return peer;
  }

  #onRequest(stream: Http2Stream): void {
    const arrived: Arrived = { stream, body: [], told: [] };
    this.arrived.push(arrived);
    stream.read({
      onPart: (part) => arrived.body.push(Buffer.from(part)),
      onEnd: () => arrived.told.push('end'),
    });
    stream.onceClosed(() => arrived.told.push('close'));
  }

  #onData(part: Buffer): void {
    this.#reads += 1;
    let data = this.#rest.length === 0 ? part : Buffer.concat([this.#rest, part]);
    while (data.length >= frameHeadBytes) {
      const end = frameHeadBytes + data.readUIntBE(0, 3);
      if (data.length < end) break;
      const [type = 0, flags = 0] = [data[3], data[4]];
      const payload = data.subarray(frameHeadBytes, end);
      this.frames.push({ type, flags, stream: data.readUInt32BE(5), payload });
      data = data.subarray(end);
    }
    this.#rest = data;
  }

  /** The server will say nothing more, read or not. */
  get isLetGo(): boolean {
    return this.#servers.destroyed || this.#servers.writableEnded;
  }

  get isClosed(): boolean {
    if (this.closings > 1) throw new Error('it was told twice that the connection is closed');
    return this.closings === 1;
  }

  write(bytes: string | Uint8Array): void {
    if (this.socket.writable) this.socket.write(bytes);
  }

  send(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): void {
    this.write(frameOf(type, flags, stream, payload));
  }

  settings(...settings: readonly (readonly [id: number, value: number])[]): void {
    const payload = Buffer.alloc(6 * settings.length);
    for (const [index, [id, value]] of settings.entries()) {
      payload.writeUInt16BE(id, 6 * index);
      payload.writeUInt32BE(value, 6 * index + 2);
    }
    this.send(frameType.settings, 0, 0, payload);
  }

  /** A request without a body. */
  get(stream: number, fields: Readonly<Record<string, string>> = {}): void {
    const block = headerBlock({ ...get, ...fields });
    this.send(frameType.headers, flag.endHeaders | flag.endStream, stream, block);
  }

  /** The head of a request whose body follows. */
  post(stream: number, fields: Readonly<Record<string, string>> = {}): void {
    const block = headerBlock({ ...get, ':method': 'POST', ...fields });
    this.send(frameType.headers, flag.endHeaders, stream, block);
  }

  data(stream: number, payload: string | Buffer, { ends = false } = {}): void {
    this.send(frameType.data, ends ? flag.endStream : 0, stream, Buffer.from(payload));
  }

  reset(stream: number, code = 8): void {
    this.send(frameType.resetStream, 0, stream, numbers(code));
  }

  widen(stream: number, bytes: number): void {
    this.send(frameType.windowUpdate, 0, stream, numbers(bytes));
  }

  /** The network breaks. */
  cut(): void {
    this.#servers.destroy();
  }

  /** Both sides have nothing more to say for now. */
  async settled(): Promise<void> {
    for (let quiet = 0; quiet < quietTurns; quiet++) {
      const before = this.#reads + this.arrived.length;
      await turn();
      if (this.#reads + this.arrived.length !== before) quiet = 0;
    }
  }

  forget(): void {
    this.frames.length = 0;
  }

  of(type: number, stream?: number): readonly Frame[] {
    return this.frames.filter(
      (frame) => frame.type === type && (stream === undefined || frame.stream === stream),
    );
  }

  /** The bytes of an answer so far. */
  body(stream: number): Buffer {
    return Buffer.concat(this.of(frameType.data, stream).map(({ payload }) => payload));
  }

  /** The answer has ended with its last frame. */
  isWhole(stream: number): boolean {
    const frames = this.frames.filter((frame) => frame.stream === stream);
    const isLast = ({ type, flags }: Frame): boolean =>
      (type === frameType.data || type === frameType.headers) && (flags & flag.endStream) !== 0;
    return frames.some(isLast);
  }

  /** With which code the server reset it. */
  resetOf(stream: number): number | undefined {
    return this.of(frameType.resetStream, stream)[0]?.payload.readUInt32BE(0);
  }

  /** The last goodbye. */
  get goodbye(): { readonly lastStream: number; readonly code: number } | undefined {
    const payload = this.of(frameType.goAway).at(-1)?.payload;
    if (payload === undefined) return undefined;
    return { lastStream: payload.readUInt32BE(0), code: payload.readUInt32BE(4) };
  }
}

export function numbers(...given: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * given.length);
  for (const [index, number] of given.entries()) bytes.writeUInt32BE(number, 4 * index);
  return bytes;
}
