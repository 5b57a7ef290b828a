/**
 * How components reach the API server of the moment: a server that crashes takes all its
 * connections with it, and until the next one is there, nobody answers. What programs behind the
 * server would answer comes from a stand-in.
 */
import type { ApiServer } from '#apiserver';
import type { Identity, PlainRequest, PlainResponse, Transport } from '#kit/transport.ts';
import { ConnectionLost } from './faults.ts';

/** What another program behind the server would answer; undefined: the server itself does. */
export type StandIn = (path: string) => object | undefined;

export class Gateway {
  readonly #standIn: StandIn;
  #server: ApiServer | undefined;
  #life = new AbortController();

  constructor(standIn: StandIn) {
    this.#standIn = standIn;
  }

  open(server: ApiServer): void {
    this.#server = server;
    this.#life = new AbortController();
  }

  /** Breaks all connections; the server itself is its owner's to close. */
  close(): void {
    this.#server = undefined;
    this.#life.abort(new ConnectionLost('the server went away'));
  }

  transport(identity: Identity): Transport {
    return { send: (request, { signal }) => this.#send(identity, request, signal) };
  }

  async #send(
    identity: Identity,
    request: PlainRequest,
    signal: AbortSignal,
  ): Promise<PlainResponse> {
    signal.throwIfAborted();
    if (this.#server === undefined) throw new ConnectionLost('connection refused');
    const aside = this.#standIn(request.path);
    if (aside !== undefined) {
      const body = new TextEncoder().encode(JSON.stringify(aside));
      return { status: 200, headers: {}, body };
    }
    const connection = new AbortController();
    const life = this.#life.signal;
    const onCaller = (): void => connection.abort(signal.reason);
    const onLife = (): void => connection.abort(life.reason);
    signal.addEventListener('abort', onCaller, { once: true });
    life.addEventListener('abort', onLife, { once: true });
    const release = (): void => {
      signal.removeEventListener('abort', onCaller);
      life.removeEventListener('abort', onLife);
    };
    try {
      const answer = this.#server.direct(identity).send(request, { signal: connection.signal });
      const response = await unlessAborted(answer, connection.signal);
      if (response.body instanceof Uint8Array) {
        release();
        return response;
      }
      return { ...response, body: releasing(response.body, release) };
    } catch (error) {
      release();
      throw error;
    }
  }
}

/** A crashed server may never settle what it was doing; its caller hears of the crash at once. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

async function* releasing(
  body: AsyncIterable<Uint8Array>,
  release: () => void,
): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } finally {
    release();
  }
}
