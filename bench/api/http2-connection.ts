/**
 * Many requests at once on one HTTP/2 connection, with a client that costs little: see
 * `test/support/raw-http2.ts`. Each stream answers one request; the connection's window is opened
 * again as bytes come in. `workloads.ts` drives it.
 */
import { assert } from '#kit/assert.ts';
import {
  type Frame,
  flag,
  frameOf,
  frameType,
  headerBlock,
  RawHttp2,
  statusOf,
} from '#test/raw-http2.ts';
import type { Ask, Caller, Target, Told } from './connection.ts';

interface Running {
  readonly ask: Ask;
  readonly resolve: (told: Told) => void;
  readonly reject: (error: Error) => void;
  status: number;
  bytes: number;
  readonly parts: Buffer[];
}

/** Bytes after which the window of the connection is opened again. */
const windowStep = 2 ** 26;

export class Http2Connection implements Caller {
  readonly #running = new Map<number, Running>();
  #raw: RawHttp2 | undefined;
  #next = 1;
  #received = 0;
  /** What the server still takes on this connection; bodies beyond that wait. */
  #room = 65_535;
  readonly #held: { readonly bytes: Buffer; readonly room: number }[] = [];
  #isGathering = false;

  static async open(target: Target): Promise<Http2Connection> {
    const connection = new Http2Connection();
    const raw = await RawHttp2.open(target, (frame) => connection.#onFrame(frame));
    raw.socket.on('close', () => connection.#onClose());
    connection.#raw = raw;
    return connection;
  }

  send(ask: Ask): Promise<Told> {
    const { method, path, body, type = 'application/json', accept = 'application/json' } = ask;
    const stream = this.#next;
    this.#next += 2;
    const block = headerBlock({
      ':method': method,
      ':scheme': 'https',
      ':path': path,
      ':authority': '127.0.0.1',
      accept,
      ...(body === undefined ? {} : { 'content-type': type }),
    });
    const ends = body === undefined ? flag.endStream : 0;
    const head = frameOf(frameType.headers, flag.endHeaders | ends, stream, block);
    const data = body === undefined ? undefined : Buffer.from(body);
    assert((data?.length ?? 0) < 16_384, 'a body fits into one frame');
    const whole =
      data === undefined
        ? head
        : Buffer.concat([head, frameOf(frameType.data, flag.endStream, stream, data)]);
    return new Promise((resolve, reject) => {
      this.#running.set(stream, { ask, resolve, reject, status: 0, bytes: 0, parts: [] });
      this.#held.push({ bytes: whole, room: data?.length ?? 0 });
      this.#flush();
    });
  }

  #flush(): void {
    for (;;) {
      const [first] = this.#held;
      if (first === undefined || first.room > this.#room) return;
      this.#held.shift();
      this.#room -= first.room;
      this.#write(first.bytes);
    }
  }

  /** What is asked in one turn goes out in one write. */
  #write(bytes: Buffer): void {
    const socket = this.#raw?.socket;
    if (!this.#isGathering) {
      this.#isGathering = true;
      socket?.cork();
      process.nextTick(() => {
        this.#isGathering = false;
        socket?.uncork();
      });
    }
    socket?.write(bytes);
  }

  close(): void {
    this.#running.clear();
    this.#raw?.socket.destroy();
  }

  #onFrame({ type, flags, stream, payload }: Frame): void {
    if (type === frameType.data) this.#count(payload.length);
    if (type === frameType.windowUpdate && stream === 0) {
      this.#room += payload.readUInt32BE(0);
      this.#flush();
    }
    const running = this.#running.get(stream);
    if (running === undefined) return;
    if (type === frameType.resetStream) {
      this.#running.delete(stream);
      running.reject(new Error(`the stream was reset: ${payload.readUInt32BE(0)}`));
      return;
    }
    if (type === frameType.headers && running.status === 0) {
      running.status = statusOf(payload);
      running.ask.onHead?.(running.status);
    }
    if (type === frameType.data) {
      running.bytes += payload.length;
      const { keep, onPart } = running.ask;
      if (onPart !== undefined) onPart(payload);
      else if (keep === true || running.status >= 300) running.parts.push(Buffer.from(payload));
    }
    const isLast = type === frameType.data || type === frameType.headers;
    if (!isLast || (flags & flag.endStream) === 0) return;
    this.#running.delete(stream);
    const { status, bytes, parts } = running;
    running.resolve({ status, bytes, body: Buffer.concat(parts).toString('utf8') });
  }

  #count(bytes: number): void {
    this.#received += bytes;
    if (this.#received < windowStep) return;
    const more = Buffer.alloc(4);
    more.writeUInt32BE(this.#received);
    this.#received = 0;
    this.#raw?.send(frameType.windowUpdate, 0, 0, more);
  }

  #onClose(): void {
    for (const { reject } of this.#running.values()) reject(new Error('the connection was closed'));
    this.#running.clear();
  }
}
