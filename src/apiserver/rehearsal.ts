/**
 * Writes as clients make them, before any comes: so that the first burst finds compiled what it
 * goes through, which is three times as fast as what Node has only just read.
 *
 * They are requests over HTTP like any others, on connections that do not leave the process, to a
 * server of its own whose store keeps nothing (`apiserver.ts` makes it, a while after the start).
 * Who asks, how objects are written and how they arrive are as various as they will be: Node
 * throws away what it has compiled as soon as something comes that it has not seen, and the burst
 * that brings it goes the slow way. A few at a time, while the thread is quiet, so that others
 * hardly notice: a burst that comes meanwhile has it for itself. Requests go out by hand: a client
 * of Node's would have to be warmed as well. Compiling leaves 15 MiB and more with the C library,
 * which are given back in the end.
 */

import { HeaderEncoder } from '#http2';
import { present } from '#kit/assert.ts';
import { type QuietDeps, untilQuiet } from '#kit/quiet.ts';
import { ownIdentity } from './auth/own-identity.ts';
import { connectWithin, type InnerConnection, type InnerOptions } from './http.ts';
import type { Parts } from './parts.ts';
import { withAuthenticatedGroup } from './stages/authenticate.ts';

/**
 * Node optimizes what has run some 400 times, and not before it has run 500 times with nothing new.
 * With half as many rounds it did so in the middle of the first burst.
 */
const rounds = 300;
/** Between two rounds. A thread that stays busy has compiled what it needs. */
const rest = { forMs: 2, limitMs: 60_000 } as const;

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
/** Written less often: what is of the whole cluster takes other ways, and what says nothing. */
const seldom = [
  { path: '/api/v1/namespaces', kind: 'Namespace', content: {} },
  {
    path: `${namespace}/serviceaccounts`,
    kind: 'ServiceAccount',
    content: { automountServiceAccountToken: false },
  },
];
const seldomEvery = 8;

type Written = (kind: string, name: string, content: object) => object;

const labels = { app: 'rehearsal' };
const annotations = { 'example.com/note': 'rehearsal' };
/**
 * The orders in which clients write members: people, the typed clients in Go and the others in Go,
 * who sort them; and what they say or leave out. Code that is compiled for one of them alone is
 * thrown away at the first object of another.
 */
const orders: readonly Written[] = [
  (kind, name, content) => ({ apiVersion: 'v1', kind, metadata: { name, labels }, ...content }),
  (kind, name, content) => ({
    ...{ kind, apiVersion: 'v1' },
    metadata: { name, namespace: 'default', creationTimestamp: null, labels },
    ...content,
  }),
  (kind, name, content) => ({ apiVersion: 'v1', ...content, kind, metadata: { labels, name } }),
  (kind, name, content) => ({ apiVersion: 'v1', kind, metadata: { name }, ...content }),
  (kind, name, content) => ({
    ...{ apiVersion: 'v1', kind, metadata: { annotations, labels, name } },
    ...content,
  }),
];

/** Who asks, as the transports say it: a component, a certificate, a token. */
const groups = ['system:masters'];
const extra = { 'authentication.kubernetes.io/credential-id': ['rehearsal'] };
const askers: readonly Pick<InnerOptions, 'protocol' | 'peer'>[] = [
  { protocol: 'h2', peer: ownIdentity },
  { protocol: 'h2', peer: withAuthenticatedGroup({ name: 'rehearsal', groups, extra }) },
  { protocol: 'h2', peer: withAuthenticatedGroup({ name: 'rehearsal', uid: '1', groups }) },
  { protocol: 'http/1.1', peer: withAuthenticatedGroup({ name: 'rehearsal', groups, extra }) },
];

export interface RehearsalOptions
  extends Pick<InnerOptions, 'cert' | 'key'>,
    Pick<QuietDeps, 'utilization'> {
  readonly signal: AbortSignal;
}

/** Says how many answers of each status there were. */
export async function rehearse(
  parts: Parts,
  { cert, key, utilization, signal }: RehearsalOptions,
): Promise<ReadonlyMap<number, number>> {
  const statuses = new Map<number, number>();
  const clients = askers.map(
    (asker) => new Client(parts, { ...asker, cert, key, signal, statuses }),
  );
  try {
    const [first] = clients;
    for (const { path, object } of needed) await first?.post([{ path, object }]);
    for (let round = 0; round < rounds; round++) {
      const client = present(clients[round % clients.length], 'there is a client');
      await client.post(writesOf(round));
      if (!(await untilQuiet({ clock: parts.clock, utilization }, { ...rest, signal }))) break;
    }
    return statuses;
  } finally {
    for (const client of clients) client.close();
  }
}

function writesOf(round: number): readonly Asked[] {
  const kinds = round % seldomEvery === 0 ? [...repeated, ...seldom] : repeated;
  const write = present(orders[round % orders.length], 'there is an order');
  const name = `rehearsal-${round}`;
  return kinds.map(({ path, kind, content }) => ({ path, object: write(kind, name, content) }));
}

interface Asked {
  readonly path: string;
  readonly object: object;
}

interface ClientOptions
  extends Omit<InnerOptions, 'onAnswered'>,
    Omit<RehearsalOptions, 'utilization'> {
  /** Of the answers, counted here. */
  readonly statuses: Map<number, number>;
}

/** As much of a client (RFC 9112, 9113) as this needs: it does not look at the answers. */
class Client {
  readonly #connection: InnerConnection;
  readonly #options: ClientOptions;
  readonly #encoder = new HeaderEncoder();
  #stream = 1;
  #running = 0;
  #whenAnswered: () => void = () => {};

  constructor(parts: Parts, options: ClientOptions) {
    this.#options = options;
    const { signal, statuses, protocol } = options;
    signal.addEventListener('abort', () => this.#whenAnswered(), { once: true });
    const onAnswered = (status: number): void => {
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      this.#running -= 1;
      if (this.#running === 0) this.#whenAnswered();
    };
    this.#connection = connectWithin(parts, { ...options, onAnswered });
    const { socket } = this.#connection;
    socket.resume();
    if (protocol === 'http/1.1') return;
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.write(frame({ type: 4, flags: 0, stream: 0 }, Buffer.alloc(0)));
    // All answers together may be as long as they like.
    socket.write(frame({ type: 8, flags: 0, stream: 0 }, Buffer.from([0x7f, 0, 0, 0])));
  }

  /** Resolves when all have their answers. */
  async post(asked: readonly Asked[]): Promise<void> {
    this.#running = asked.length;
    const answered = new Promise<void>((resolve) => {
      this.#whenAnswered = resolve;
    });
    for (const { path, object } of asked) {
      const body = Buffer.from(JSON.stringify(object));
      if (this.#options.protocol === 'h2') this.#writeFrames(path, body);
      else this.#connection.socket.write(plainRequest(path, body));
    }
    await answered;
    this.#options.signal.throwIfAborted();
  }

  /** Every other body comes in two parts, as those do that reach over the end of a packet. */
  #writeFrames(path: string, body: Buffer): void {
    const { socket } = this.#connection;
    const stream = this.#stream;
    this.#stream += 2;
    const length = stream % 4 === 1 ? [] : ['content-length', String(body.length)];
    const fields = [...fieldsOf(path), ...length];
    const block = stream % 8 === 1 ? plainBlock(fields) : this.#encoder.encode(fields);
    socket.write(frame({ type: 1, flags: 4, stream }, block));
    const at = stream % 4 === 1 ? 0 : 16;
    if (at > 0) socket.write(frame({ type: 0, flags: 0, stream }, body.subarray(0, at)));
    socket.write(frame({ type: 0, flags: 1, stream }, body.subarray(at)));
  }

  close(): void {
    this.#connection.close();
  }
}

function plainRequest(path: string, body: Buffer): Buffer {
  const head =
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
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

function fieldsOf(path: string): string[] {
  return [
    ...[':method', 'POST', ':scheme', 'https', ':path', path, ':authority', 'localhost'],
    ...['accept', 'application/json', 'content-type', 'application/json'],
  ];
}

/** Each field written out, as some clients do (RFC 7541); all are short. */
function plainBlock(fields: readonly string[]): Buffer {
  let block = '';
  for (const [index, text] of fields.entries()) {
    if (index % 2 === 0) block += '\0';
    block += String.fromCharCode(text.length) + text;
  }
  return Buffer.from(block, 'latin1');
}
