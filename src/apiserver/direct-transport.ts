/**
 * The transport of components on the server's own thread: requests go straight into the lifecycle,
 * with an identity that was bound when the cluster was wired.
 */
import type { Identity, PlainRequest, PlainResponse, Transport } from '#kit/transport.ts';
import { handle } from './lifecycle.ts';
import type { Parts } from './parts.ts';

export function directTransport(
  parts: Parts,
  peer: Identity | undefined,
  closing: AbortSignal,
): Transport {
  return {
    send: async (
      request: PlainRequest,
      { signal }: { readonly signal: AbortSignal },
    ): Promise<PlainResponse> => {
      signal.throwIfAborted();
      if (closing.aborted) throw new Error('the API server is closed', { cause: closing.reason });
      const { status, headers, body } = await handle(parts, { request, peer, signal });
      if (body instanceof Uint8Array) {
        signal.throwIfAborted();
        return { status, headers, body };
      }
      return { status, headers, body: new BoundParts(body[Symbol.asyncIterator](), signal) };
    },
  };
}

/** Parts that end, as with the connection of a remote client, when their reader's signal aborts. */
class BoundParts implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #parts: AsyncIterator<Uint8Array>;
  readonly #signal: AbortSignal;
  readonly #onAbort = (): void => {
    // Whoever reads is told why by `next`.
    this.#parts.return?.().catch(() => {});
  };

  constructor(parts: AsyncIterator<Uint8Array>, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = signal;
    if (signal.aborted) this.#onAbort();
    else signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#signal.throwIfAborted();
    const part = await this.#parts.next();
    this.#signal.throwIfAborted();
    if (part.done !== true) return part;
    this.#signal.removeEventListener('abort', this.#onAbort);
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#signal.removeEventListener('abort', this.#onAbort);
    await this.#parts.return?.();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
