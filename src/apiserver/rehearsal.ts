/**
 * Writes as clients make them, before any comes: so that the first burst finds compiled what it
 * goes through, which is three times as fast as what Node has only just read.
 *
 * They are requests over HTTP like any others, on connections that do not leave the process, to a
 * server of its own that is thrown away (`apiserver.ts` makes it, `first-burst.ts` says when).
 * Who asks, how objects are written and how they arrive are as various as they will be: Node
 * throws away what it has compiled as soon as something comes that it has not seen, and the burst
 * that brings it goes the slow way. A few at a time, while the thread is quiet, so that others
 * hardly notice: a burst that comes meanwhile has it for itself. Requests go out by hand: a client
 * of Node's would have to be warmed as well.
 */

import { frameFlag, frameType, HeaderEncoder, setting, settingsFrame } from '#http2';
import { present } from '#kit/assert.ts';
import { type QuietDeps, untilQuiet } from '#kit/quiet.ts';
import { ownIdentity } from './auth/own-identity.ts';
import { connectWithin, type InnerConnection, type InnerOptions } from './http.ts';
import type { Parts } from './parts.ts';
import { withAuthenticatedGroup } from './stages/authenticate.ts';

/**
 * Node optimizes what has run some 400 times, not before it has run 500 times with nothing new, and
 * what is run much once more. With half as many rounds it did so in the middle of the first burst.
 */
const rounds = 1200;
/** Each connection lasts so long: what differs between two of them is nothing new either. */
const roundsEach = 50;
/** Between two rounds. A thread that stays busy has compiled what it needs. */
const rest = { forMs: 1, limitMs: 60_000 } as const;
/** Now and then more comes at once than begins in one turn of the loop. */
const burst = { every: 100, writes: 48 } as const;

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
/** `text` and the names that it has are of another length and shape each time. */
const repeated = [
  {
    path: `${namespace}/secrets`,
    kind: 'Secret',
    content: (text: string, round: number) =>
      round % 2 === 0
        ? { stringData: { [`key-${round % 9}`]: text } }
        : { type: 'Opaque', data: { [`key-${round % 9}`]: Buffer.from(text).toString('base64') } },
  },
  {
    path: `${namespace}/configmaps`,
    kind: 'ConfigMap',
    content: (text: string, round: number) => ({ data: { [`key-${round % 9}`]: text } }),
  },
  {
    path: `${namespace}/pods`,
    kind: 'Pod',
    content: (text: string) => ({
      spec: {
        containers: [
          {
            name: 'main',
            image: 'example:1',
            env: [{ name: 'A', value: text }],
            ports: [{ containerPort: 80, name: 'http' }],
            resources: { requests: { cpu: '10m', memory: '16Mi' } },
          },
        ],
      },
    }),
  },
];
/** Written less often: what is of the whole cluster takes other ways, and what says nothing. */
const seldom = [
  { path: '/api/v1/namespaces', kind: 'Namespace', content: () => ({}) },
  {
    path: `${namespace}/serviceaccounts`,
    kind: 'ServiceAccount',
    content: () => ({ automountServiceAccountToken: false }),
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

/**
 * What clients tell of themselves (RFC 9113, section 6.5.2): nothing, no table of names and large
 * windows, what Go's tell, and a table that is made smaller.
 */
const settings: readonly Parameters<typeof settingsFrame>[0][] = [
  [],
  [
    [setting.headerTableSize, 0],
    [setting.initialWindowSize, 2 ** 30],
  ],
  [
    [setting.enablePush, 0],
    [setting.initialWindowSize, 4 * 1024 * 1024],
    [setting.frameSizeMax, 16_384],
    [setting.headerListSizeMax, 10 * 1024 * 1024],
  ],
  [
    [setting.headerTableSize, 2048],
    [setting.concurrentStreamsMax, 100],
    [setting.frameSizeMax, 32_768],
  ],
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
  let client: Client | undefined;
  try {
    for (let round = 0; round < rounds; round++) {
      if (round % roundsEach === 0) {
        client?.close();
        const [asker, said] = [round / roundsEach, Math.floor(round / roundsEach / askers.length)];
        client = new Client(parts, {
          ...present(askers[asker % askers.length], 'somebody asks'),
          ...{ cert, key, signal, statuses },
          settings: present(settings[said % settings.length], 'something is said'),
        });
      }
      const current = present(client, 'the first round opens a connection');
      if (round === 0) for (const each of needed) await current.post([each], round);
      await current.post(writesOf(round), round);
      if (!(await untilQuiet({ clock: parts.clock, utilization }, { ...rest, signal }))) break;
    }
    return statuses;
  } finally {
    client?.close();
  }
}

function writesOf(round: number): readonly Asked[] {
  const write = present(orders[round % orders.length], 'there is an order');
  const text = 'value '.repeat(1 + (round % 5) * 8).slice(round % 3);
  const kinds = round % seldomEvery === 0 ? [...repeated, ...seldom] : repeated;
  const count = round % burst.every === burst.every - 1 ? burst.writes : kinds.length;
  return Array.from({ length: count }, (_, i) => {
    const { path, kind, content } = present(kinds[i % kinds.length], 'there is a kind');
    return { path, object: write(kind, `rehearsal-${round}-${i}`, content(text, round)) };
  });
}

interface Asked {
  readonly path: string;
  readonly object: object;
}

interface ClientOptions
  extends Omit<InnerOptions, 'onAnswered'>,
    Omit<RehearsalOptions, 'utilization'> {
  readonly settings: Parameters<typeof settingsFrame>[0];
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
  readonly #onAbort = (): void => this.#whenAnswered();

  constructor(parts: Parts, options: ClientOptions) {
    this.#options = options;
    const { signal, statuses, protocol } = options;
    signal.addEventListener('abort', this.#onAbort, { once: true });
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
    socket.write(settingsFrame(options.settings));
    // All answers together may be as long as they like.
    const window = { type: frameType.windowUpdate, flags: 0, stream: 0 };
    socket.write(frame(window, Buffer.from([0x7f, 0, 0, 0])));
  }

  /** Resolves when all have their answers. */
  async post(asked: readonly Asked[], round: number): Promise<void> {
    this.#running = asked.length;
    const answered = new Promise<void>((resolve) => {
      this.#whenAnswered = resolve;
    });
    const bytes = Buffer.concat(
      asked.flatMap(({ path, object }) => {
        const body = Buffer.from(JSON.stringify(object));
        return this.#options.protocol === 'h2' ? this.#frames(path, body) : [plain(path, body)];
      }),
    );
    // In two parts now and then, as what reaches over the end of a packet.
    const at = round % 3 === 0 ? Math.floor(bytes.length / 2) : 0;
    const { socket } = this.#connection;
    if (at > 0) socket.write(bytes.subarray(0, at));
    socket.write(bytes.subarray(at));
    await answered;
    this.#options.signal.throwIfAborted();
  }

  /** Every other body comes in two frames. */
  #frames(path: string, body: Buffer): readonly Buffer[] {
    const stream = this.#stream;
    this.#stream += 2;
    const length = stream % 4 === 1 ? [] : ['content-length', String(body.length)];
    const fields = [...fieldsOf(path), ...length];
    const block = stream % 8 === 1 ? plainBlock(fields) : this.#encoder.encode(fields);
    const at = stream % 4 === 1 ? 0 : 16;
    const { headers: head, data } = frameType;
    return [
      frame({ type: head, flags: frameFlag.endHeaders, stream }, block),
      ...(at > 0 ? [frame({ type: data, flags: 0, stream }, body.subarray(0, at))] : []),
      frame({ type: data, flags: frameFlag.endStream, stream }, body.subarray(at)),
    ];
  }

  /** Holds nothing any more: the signal is that of the server, and lives as long. */
  close(): void {
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    this.#connection.close();
  }
}

function plain(path: string, body: Buffer): Buffer {
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
