/**
 * Writes as clients make them, before any comes: so that the first burst finds compiled what it
 * goes through, which is three times as fast as what Node has only just read.
 *
 * They are requests over HTTP/2 like any other's, on a connection that does not leave the process,
 * to a server of its own whose store keeps nothing (`apiserver.ts` makes it, a while after the
 * start). A few at a time, with a rest in between, so that others hardly notice. Frames go out by
 * hand: a client of Node's would have to be warmed as well. Compiling leaves 15 MiB and more with
 * the C library, which are given back in the end.
 */

import { present } from '#kit/assert.ts';
import { ownIdentity } from './auth/own-identity.ts';
import { connectWithin, type InnerConnection } from './http.ts';
import type { Parts } from './parts.ts';

/**
 * Node optimizes what has run some 400 times, and not before it has run 500 times with nothing new.
 * With half as many rounds it did so in the middle of the first burst.
 */
const rehearsal = { rounds: 300, restMs: 2 } as const;

const namespace = '/api/v1/namespaces/default';
/** What pods need, then what is written over and over. */
const needed = [
  {
    path: '/api/v1/namespaces',
    object: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } },
  },
  {
    path: `${namespace}/serviceaccounts`,
    object: { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } },
  },
];
const repeated = [
  { path: `${namespace}/secrets`, kind: 'Secret', content: { stringData: { key: 'value' } } },
  { path: `${namespace}/configmaps`, kind: 'ConfigMap', content: { data: { key: 'value' } } },
  {
    path: `${namespace}/pods`,
    kind: 'Pod',
    content: {
      spec: {
        containers: [
          {
            name: 'main',
            image: 'example:1',
            env: [{ name: 'A', value: '1' }],
            ports: [{ containerPort: 80, name: 'http' }],
            resources: { requests: { cpu: '10m', memory: '16Mi' } },
          },
        ],
      },
    },
  },
];

type Written = (kind: string, name: string, content: object) => object;

const labels = { app: 'rehearsal' };
/**
 * The orders in which clients write members: people, the typed clients in Go and the others in Go,
 * who sort them. Code that is compiled for one of them alone is thrown away at the first object of
 * another.
 */
const orders: readonly Written[] = [
  (kind, name, content) => ({ apiVersion: 'v1', kind, metadata: { name, labels }, ...content }),
  (kind, name, content) => ({ kind, apiVersion: 'v1', metadata: { name, labels }, ...content }),
  (kind, name, content) => ({ apiVersion: 'v1', ...content, kind, metadata: { labels, name } }),
];

/** Says how many answers of each status there were. */
export async function rehearse(
  parts: Parts,
  { signal }: { readonly signal: AbortSignal },
): Promise<ReadonlyMap<number, number>> {
  const client = new Client(parts, { signal });
  try {
    for (const { path, object } of needed) await client.post([{ path, object }]);
    client.acknowledge();
    for (let round = 0; round < rehearsal.rounds; round++) {
      const write = present(orders[round % orders.length], 'there is an order');
      const name = `rehearsal-${round}`;
      await client.post(
        repeated.map(({ path, kind, content }) => ({ path, object: write(kind, name, content) })),
      );
      await parts.clock.sleep(rehearsal.restMs, { signal });
    }
    return client.statuses;
  } finally {
    client.close();
  }
}

interface Asked {
  readonly path: string;
  readonly object: object;
}

/** As much of a client of HTTP/2 as this needs (RFC 9113): it does not look at the answers. */
class Client {
  readonly #connection: InnerConnection;
  readonly #signal: AbortSignal;
  readonly statuses = new Map<number, number>();
  #stream = 1;
  #running = 0;
  #whenAnswered: () => void = () => {};

  constructor(parts: Parts, { signal }: { readonly signal: AbortSignal }) {
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#whenAnswered(), { once: true });
    const onAnswered = (status: number): void => {
      this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
      this.#running -= 1;
      if (this.#running === 0) this.#whenAnswered();
    };
    this.#connection = connectWithin(parts, { peer: ownIdentity, onAnswered });
    const { socket } = this.#connection;
    socket.resume();
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.write(frame({ type: 4, flags: 0, stream: 0 }, Buffer.alloc(0)));
    // All answers together may be as long as they like.
    socket.write(frame({ type: 8, flags: 0, stream: 0 }, Buffer.from([0x7f, 0, 0, 0])));
  }

  /**
   * Of the server's settings, as all clients do: with it Node keeps them on its side of the
   * connection, which code that is compiled for connections without them would trip over.
   */
  acknowledge(): void {
    const acknowledged = 1;
    this.#connection.socket.write(
      frame({ type: 4, flags: acknowledged, stream: 0 }, Buffer.alloc(0)),
    );
  }

  /** Resolves when all have their answers. */
  async post(asked: readonly Asked[]): Promise<void> {
    this.#running = asked.length;
    const answered = new Promise<void>((resolve) => {
      this.#whenAnswered = resolve;
    });
    for (const { path, object } of asked) {
      const stream = this.#stream;
      this.#stream += 2;
      const body = Buffer.from(JSON.stringify(object));
      this.#connection.socket.write(frame({ type: 1, flags: 4, stream }, headersOf(path)));
      this.#connection.socket.write(frame({ type: 0, flags: 1, stream }, body));
    }
    await answered;
    this.#signal.throwIfAborted();
  }

  close(): void {
    this.#connection.close();
  }
}

function frame(
  { type, flags, stream }: Readonly<Record<'type' | 'flags' | 'stream', number>>,
  payload: Buffer,
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Literals that are never indexed (RFC 7541); all are short. */
function headersOf(path: string): Buffer {
  const headers = {
    ':method': 'POST',
    ':scheme': 'https',
    ':path': path,
    ':authority': 'localhost',
    accept: 'application/json',
    'content-type': 'application/json',
  };
  const texts = Object.entries(headers).flatMap(([name, value]) => [
    '\0',
    ...[name, value].map((text) => String.fromCharCode(text.length) + text),
  ]);
  return Buffer.from(texts.join(''), 'latin1');
}
