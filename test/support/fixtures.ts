/**
 * One API server for a test: in memory, on the test's own thread, without sockets. Production
 * constructors are called here and nowhere else in tests.
 *
 * `openTestServer()` gives the server, its store and clock, an administrator's transport, and
 * `request` for those who want plain requests. Dispose of it at the end (`await using`).
 */
import { generateKeyPairSync } from 'node:crypto';
import type { Catalog } from '#api/catalog.ts';
import { type ApiServer, type ApiServerOptions, openApiServer } from '#apiserver';
import { type Clock, systemClock } from '#kit/clock.ts';
import { type Logger, silentLog } from '#kit/log.ts';
import { type Random, seededRandom } from '#kit/random.ts';
import type { Identity, Transport } from '#kit/transport.ts';
import { openCatalog } from '#resources/resources.ts';
import { openMemoryStore, type Store } from '#store';

export interface TestServerOptions {
  readonly clock?: Clock;
  readonly store?: Store;
  readonly random?: Random;
  readonly log?: Logger;
  readonly catalog?: Catalog;
  readonly options?: Partial<ApiServerOptions>;
}

export interface TestAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The body as JSON; a text where it is none. */
  readonly body: Body;
  readonly text: string;
}

/** JSON as tests look at it: they know what they expect. */
// biome-ignore lint/suspicious/noExplicitAny: a test asserts on the values it reads.
type Body = any;

export interface RequestOptions {
  readonly as?: Identity;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface TestServer extends AsyncDisposable {
  readonly server: ApiServer;
  readonly store: Store;
  readonly clock: Clock;
  readonly catalog: Catalog;
  /** An administrator's. */
  readonly transport: Transport;
  request(
    method: string,
    path: string,
    body?: unknown,
    options?: RequestOptions,
  ): Promise<TestAnswer>;
  /** A request over a connection that stands for nobody. */
  unbound(
    method: string,
    path: string,
    headers?: Readonly<Record<string, string>>,
  ): Promise<TestAnswer>;
  /** Starts a watch; `next()` gives its events one by one, as JSON. */
  watch(path: string, options?: RequestOptions): Promise<TestWatch>;
}

export interface TestWatch {
  readonly status: number;
  next(): Promise<Body>;
  stop(): void;
}

export const admin: Identity = { name: 'admin', groups: ['system:masters'] };

/** Makes a key that signs tokens; EC, so it takes no time. */
function testSigningKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

export async function openTestServer(given: TestServerOptions = {}): Promise<TestServer> {
  const clock = given.clock ?? systemClock();
  const random = given.random ?? seededRandom(1);
  const log = given.log ?? silentLog;
  const catalog = given.catalog ?? openCatalog();
  const store = given.store ?? openMemoryStore({ clock, log });
  const server = await openApiServer(
    { store, catalog, clock, random, log },
    {
      serviceCIDR: '10.43.0.0/16',
      nodePortRange: { first: 30_000, last: 32_767 },
      advertise: { address: '192.0.2.1', port: 6443 },
      serviceAccountKey: testSigningKey(),
      serviceAccountIssuer: 'https://kubernetes.default.svc.cluster.local',
      legacyVersions: false,
      rethrowBugs: true,
      ...given.options,
    },
  );
  const transportOf = (identity: Identity): Transport => server.direct(identity);
  return {
    server,
    store,
    clock,
    catalog,
    transport: transportOf(admin),
    request: (method, path, body, options = {}) =>
      send(transportOf(options.as ?? admin), { method, path, body, headers: options.headers }),
    unbound: (method, path, headers = {}) =>
      send(server.unbound(), { method, path, body: undefined, headers }),
    watch: (path, options = {}) => openWatch(transportOf(options.as ?? admin), path, options),
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      if (given.store === undefined) await store[Symbol.asyncDispose]();
    },
  };
}

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly headers: Readonly<Record<string, string>> | undefined;
}

async function send(transport: Transport, sent: Sent): Promise<TestAnswer> {
  const { method, path, body } = sent;
  const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const request = {
    method,
    path,
    headers: { 'content-type': type, ...sent.headers },
    body: body === undefined ? undefined : bytesOf(body),
  };
  const { signal } = new AbortController();
  const response = await transport.send(request, { signal });
  const parts: Uint8Array[] = [];
  if (response.body instanceof Uint8Array) parts.push(response.body);
  else for await (const part of response.body) parts.push(part);
  const text = Buffer.concat(parts).toString('utf8');
  const json = (response.headers['content-type'] ?? '').startsWith('application/json');
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: json ? JSON.parse(text) : text,
  };
}

function bytesOf(body: unknown): Uint8Array {
  if (body instanceof Uint8Array) return body;
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
}

async function openWatch(
  transport: Transport,
  path: string,
  { headers = {} }: RequestOptions,
): Promise<TestWatch> {
  const controller = new AbortController();
  const response = await transport.send(
    { method: 'GET', path, headers },
    { signal: controller.signal },
  );
  const { body } = response;
  const lines: string[] = [];
  const parts = body instanceof Uint8Array ? undefined : body[Symbol.asyncIterator]();
  if (body instanceof Uint8Array) lines.push(Buffer.from(body).toString());
  let rest = '';
  const next = async (): Promise<Body> => {
    for (;;) {
      const line = lines.shift();
      if (line !== undefined) return JSON.parse(line);
      const part = await parts?.next();
      if (part === undefined || part.done === true) return undefined;
      const text = rest + Buffer.from(part.value).toString('utf8');
      const pieces = text.split('\n');
      rest = pieces.pop() ?? '';
      lines.push(...pieces.filter((piece) => piece !== ''));
    }
  };
  return {
    status: response.status,
    next,
    stop: () => controller.abort(new Error('the test has seen enough')),
  };
}
