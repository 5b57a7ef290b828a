/**
 * Requests over a MessagePort, between a worker and the thread of the API server.
 *
 * `servePort` answers on the server's side with any transport (the server's `direct`, so that the
 * identity is bound there); `openPortTransport` is what the worker's client sends through. Bytes
 * are copied once and then handed over, never shared. Streams have credit: the server's side sends
 * no further than the reader has made room for, so a slow reader slows its own watch and nobody
 * else.
 */
import type { MessagePort } from 'node:worker_threads';
import { messageOf } from '#kit/error-message.ts';
import type { PlainRequest, PlainResponse, Transport } from '#kit/transport.ts';

export const portLimits = {
  /** Bytes of one stream on their way or not yet read. */
  windowBytes: 256 * 1024,
  /** A body above this goes as a stream. */
  wholeBytesMax: 256 * 1024,
} as const;

type ToServer =
  | { readonly do: 'send'; readonly id: number; readonly request: PlainRequest }
  | { readonly do: 'credit'; readonly id: number; readonly bytes: number }
  | { readonly do: 'cancel'; readonly id: number };

type ToClient =
  | {
      readonly do: 'answer';
      readonly id: number;
      readonly status: number;
      readonly headers: PlainResponse['headers'];
      /** Absent where the body follows as chunks. */
      readonly body?: Uint8Array;
    }
  | { readonly do: 'chunk'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly do: 'end'; readonly id: number }
  | { readonly do: 'fail'; readonly id: number; readonly message: string };

/** The other side is gone, or could not be reached. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

/** Answers what comes in through the port until it is disposed of or the other side closes it. */
export function servePort(port: MessagePort, transport: Transport): Disposable {
  const answers = new Map<number, Answer>();
  port.on('message', (message: ToServer) => {
    switch (message.do) {
      case 'send': {
        const answer = new Answer(port, message.id, () => answers.delete(message.id));
        answers.set(message.id, answer);
        answer.give(transport, message.request);
        break;
      }
      case 'credit':
        answers.get(message.id)?.credit(message.bytes);
        break;
      case 'cancel':
        answers.get(message.id)?.cancel(new Error('the client cancelled the request'));
        break;
      default:
        message satisfies never;
    }
  });
  const cancelAll = (): void => {
    for (const answer of answers.values()) answer.cancel(new ConnectionLost('the port was closed'));
  };
  port.on('close', cancelAll);
  return {
    [Symbol.dispose]: () => {
      cancelAll();
      port.close();
    },
  };
}

/** One request on the server's side, from its arrival to its last byte. */
class Answer {
  readonly #port: MessagePort;
  readonly #id: number;
  readonly #onDone: () => void;
  readonly #controller = new AbortController();
  #credit: number = portLimits.windowBytes;
  #onCredit: (() => void) | undefined;

  constructor(port: MessagePort, id: number, onDone: () => void) {
    this.#port = port;
    this.#id = id;
    this.#onDone = onDone;
  }

  credit(bytes: number): void {
    this.#credit += bytes;
    if (this.#credit > 0) this.#onCredit?.();
  }

  cancel(reason: Error): void {
    this.#controller.abort(reason);
    this.#onCredit?.();
  }

  /** Every failure is told to the other side, so this never fails itself. */
  give(transport: Transport, request: PlainRequest): void {
    const { signal } = this.#controller;
    transport
      .send(request, { signal })
      .then((response) => this.#pass(response, signal))
      .catch((error: unknown) => {
        if (signal.aborted) return;
        const message = messageOf(error);
        this.#post({ do: 'fail', id: this.#id, message });
      })
      .finally(this.#onDone);
  }

  async #pass({ status, headers, body }: PlainResponse, signal: AbortSignal): Promise<void> {
    const head = { do: 'answer', id: this.#id, status, headers } as const;
    if (body instanceof Uint8Array && body.byteLength <= portLimits.wholeBytesMax) {
      const bytes = new Uint8Array(body);
      this.#post({ ...head, body: bytes }, bytes);
      return;
    }
    this.#post(head);
    for await (const part of body instanceof Uint8Array ? slices(body) : body) {
      while (this.#credit <= 0 && !signal.aborted) await this.#moreCredit();
      if (signal.aborted) return;
      this.#credit -= part.byteLength;
      const bytes = new Uint8Array(part);
      this.#post({ do: 'chunk', id: this.#id, bytes }, bytes);
    }
    this.#post({ do: 'end', id: this.#id });
  }

  #moreCredit(): Promise<void> {
    return new Promise((resolve) => {
      this.#onCredit = () => {
        this.#onCredit = undefined;
        resolve();
      };
    });
  }

  #post(message: ToClient, handOver?: Uint8Array<ArrayBuffer>): void {
    this.#port.postMessage(message, handOver === undefined ? [] : [handOver.buffer]);
  }
}

function* slices(body: Uint8Array): Generator<Uint8Array> {
  for (let from = 0; from < body.byteLength; from += portLimits.wholeBytesMax) {
    yield body.subarray(from, from + portLimits.wholeBytesMax);
  }
}

/** Sends requests through the port. Disposing of it closes the port and fails what is open. */
export function openPortTransport(port: MessagePort): Transport & Disposable {
  return new PortTransport(port);
}

class PortTransport implements Transport, Disposable {
  readonly #port: MessagePort;
  readonly #asked = new Map<number, Asked>();
  #lastId = 0;
  #closed = false;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', (message: ToClient) => this.#receive(message));
    port.on('close', () => this.#lose());
  }

  send(
    request: PlainRequest,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<PlainResponse> {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#closed) return Promise.reject(new ConnectionLost('the port is closed'));
    this.#lastId += 1;
    const id = this.#lastId;
    // A copy of its own: a Buffer's `slice` is a view of a pool that cannot be handed over.
    const body = request.body === undefined ? undefined : new Uint8Array(request.body);
    const asked = new Asked({
      signal,
      onCredit: (bytes) => this.#post({ do: 'credit', id, bytes }),
      onCancel: () => this.#post({ do: 'cancel', id }),
      onDone: () => this.#asked.delete(id),
    });
    this.#asked.set(id, asked);
    this.#post({ do: 'send', id, request: { ...request, body } }, body);
    return asked.response;
  }

  [Symbol.dispose](): void {
    this.#lose();
    this.#port.close();
  }

  #post(message: ToServer, handOver?: Uint8Array<ArrayBuffer>): void {
    if (this.#closed) return;
    this.#port.postMessage(message, handOver === undefined ? [] : [handOver.buffer]);
  }

  #lose(): void {
    this.#closed = true;
    for (const asked of this.#asked.values()) asked.fail(new ConnectionLost('the port was closed'));
  }

  #receive(message: ToClient): void {
    const asked = this.#asked.get(message.id);
    switch (message.do) {
      case 'answer':
        asked?.answer(message, message.body);
        break;
      case 'chunk':
        asked?.chunk(message.bytes);
        break;
      case 'end':
        asked?.end();
        break;
      case 'fail':
        asked?.fail(new ConnectionLost(message.message));
        break;
      default:
        message satisfies never;
    }
  }
}

interface AskedOptions {
  readonly signal: AbortSignal;
  readonly onCredit: (bytes: number) => void;
  readonly onCancel: () => void;
  readonly onDone: () => void;
}

/** One request on the worker's side; the body is its own iterator. */
class Asked implements AsyncIterableIterator<Uint8Array> {
  readonly response: Promise<PlainResponse>;
  readonly #options: AskedOptions;
  readonly #head = Promise.withResolvers<PlainResponse>();
  readonly #chunks: Uint8Array[] = [];
  readonly #onAbort = (): void => this.#cancel(this.#options.signal.reason);
  #ended: { readonly error: unknown } | 'well' | undefined;
  #waiting: PromiseWithResolvers<IteratorResult<Uint8Array>> | undefined;
  #uncredited = 0;

  constructor(options: AskedOptions) {
    this.#options = options;
    this.response = this.#head.promise;
    options.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  answer(head: Pick<PlainResponse, 'status' | 'headers'>, body: Uint8Array | undefined): void {
    const { status, headers } = head;
    if (body !== undefined) this.#finish('well');
    this.#head.resolve({ status, headers, body: body ?? this });
  }

  chunk(bytes: Uint8Array): void {
    const waiting = this.#waiting;
    if (waiting === undefined) {
      this.#chunks.push(bytes);
      return;
    }
    this.#waiting = undefined;
    this.#consumed(bytes);
    waiting.resolve({ done: false, value: bytes });
  }

  end(): void {
    this.#finish('well');
    this.#waiting?.resolve({ done: true, value: undefined });
  }

  fail(error: unknown): void {
    this.#finish({ error });
    this.#head.reject(error);
    this.#waiting?.reject(error);
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    if (this.#options.signal.aborted && this.#ended !== 'well') {
      return Promise.reject(this.#options.signal.reason);
    }
    const bytes = this.#chunks.shift();
    if (bytes !== undefined) {
      this.#consumed(bytes);
      return Promise.resolve({ done: false, value: bytes });
    }
    if (this.#ended === 'well') return Promise.resolve({ done: true, value: undefined });
    if (this.#ended !== undefined) return Promise.reject(this.#ended.error);
    this.#waiting = Promise.withResolvers();
    return this.#waiting.promise;
  }

  return(): Promise<IteratorResult<Uint8Array>> {
    if (this.#ended === undefined) {
      this.#options.onCancel();
      this.#finish('well');
    }
    this.#chunks.length = 0;
    return Promise.resolve({ done: true, value: undefined });
  }

  #cancel(reason: unknown): void {
    this.#options.onCancel();
    this.#chunks.length = 0;
    this.fail(reason);
  }

  #consumed(bytes: Uint8Array): void {
    this.#uncredited += bytes.byteLength;
    if (this.#uncredited < portLimits.windowBytes / 4 || this.#ended !== undefined) return;
    this.#options.onCredit(this.#uncredited);
    this.#uncredited = 0;
  }

  #finish(how: { readonly error: unknown } | 'well'): void {
    this.#ended = how;
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    this.#options.onDone();
  }
}
