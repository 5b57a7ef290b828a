/**
 * Bodies of requests on their way: each held to a size and a time, and all together to so much
 * memory.
 *
 * Whoever connects may send one before anybody has asked who it is. So small parts, of which each
 * would keep what it came with, are put together, and where all are too many the one that has taken
 * longest is given up: an honest one is whole within moments. `http.ts` has one for the server.
 */
import type { Clock } from '#kit/clock.ts';
import { Deadlines } from './deadlines.ts';
import { limits } from './request.ts';
import type { Wire } from './wire.ts';

const bodyLimits = {
  /** How long a body may take to arrive. */
  bodyLimitMs: 60_000,
  /** What of all bodies may be there before they are whole. */
  bodiesBytesMax: 256 * 1024 * 1024,
} as const;

/** How much of a body that is too large is read, and thrown away, before the refusal. */
const bodyBytesRead = 4 * limits.bodyBytesMax;

/** Parts that are smaller than the one are put together in pieces of the other. */
const partBytesMin = 4 * 1024;
const pieceBytes = 16 * 1024;

/** Undefined is a request without one. */
export type ReadBody = Uint8Array | undefined | 'too large' | 'gone';

export class Bodies {
  readonly #deadlines: Deadlines;
  /** Of bodies that are not whole yet. */
  #bytes = 0;

  constructor(deps: { readonly clock: Clock }) {
    this.#deadlines = new Deadlines(deps, { limitMs: bodyLimits.bodyLimitMs });
  }

  read(wire: Wire, done: (body: ReadBody) => void): void {
    const { method, headers } = wire;
    const { 'content-length': length, 'transfer-encoding': encoding } = headers;
    const bare = (method === 'GET' || method === 'HEAD') && length === undefined;
    if (bare && encoding === undefined) {
      wire.letBodyGo();
      done(undefined);
      return;
    }
    const body = new GatheredBody();
    let size = 0;
    let over = false;
    const finish = (result: ReadBody): void => {
      if (over) return;
      over = true;
      this.#bytes -= body.bytes;
      body.clear();
      this.#deadlines.delete(giveUp);
      done(result);
    };
    const giveUp = (): void => {
      finish('gone');
      wire.destroy();
    };
    this.#deadlines.add(giveUp);
    wire.readBody({
      onPart: (part) => {
        if (over) return;
        size += part.length;
        this.#bytes -= body.bytes;
        if (size <= limits.bodyBytesMax) body.push(part);
        else body.clear();
        this.#bytes += body.bytes;
        // Who is still sending would not read the answer; most have not much more to send.
        if (size > bodyBytesRead) finish('too large');
        else if (this.#bytes > bodyLimits.bodiesBytesMax) this.#deadlines.endFirst();
      },
      onEnd: () => finish(size > limits.bodyBytesMax ? 'too large' : body.all()),
    });
    wire.onceClosed(() => finish('gone'));
  }

  close(): void {
    this.#deadlines.close();
  }
}

/** Takes parts as they come, which are views of what was read with them, and keeps little more. */
class GatheredBody {
  /** What it holds. */
  bytes = 0;
  #parts: Uint8Array[] = [];
  /** Where small parts are put, and how far it is full. */
  #piece: Buffer | undefined;
  #pieceBytes = 0;

  push(part: Buffer): void {
    this.bytes += part.length;
    // A body that comes at once is what most are.
    if (part.length >= partBytesMin || this.bytes === part.length) {
      this.#closePiece();
      this.#parts.push(part);
      return;
    }
    if (this.#pieceBytes + part.length > pieceBytes) this.#closePiece();
    this.#piece ??= Buffer.allocUnsafeSlow(pieceBytes);
    this.#pieceBytes += part.copy(this.#piece, this.#pieceBytes);
  }

  #closePiece(): void {
    if (this.#piece === undefined) return;
    this.#parts.push(this.#piece.subarray(0, this.#pieceBytes));
    this.#piece = undefined;
    this.#pieceBytes = 0;
  }

  all(): Uint8Array | undefined {
    this.#closePiece();
    const [first] = this.#parts;
    return this.#parts.length > 1 ? Buffer.concat(this.#parts) : first;
  }

  clear(): void {
    this.#parts = [];
    this.#piece = undefined;
    this.#pieceBytes = 0;
    this.bytes = 0;
  }
}
