/**
 * Requests over HTTPS, for components that run apart from the API server.
 *
 * Connections are kept and used again, a few for everything that ends soon; what goes on (watches),
 * what must not wait (Leases) and what the server may hold up for the sake of something that comes
 * behind it (new pods) has connections of its own. Bodies of answers are read as they come, with
 * TCP's own back-pressure; aborting closes the connection, which frees the server's side. Node's
 * HTTP modules are loaded with the first request: a worker that speaks through a port never pays
 * for them.
 */
import { readFileSync } from 'node:fs';
import type { Agent, ClientRequest, IncomingMessage, RequestOptions } from 'node:http';
import { httpRequest, openHttpAgent } from '#kit/http-request.ts';
import type { PlainRequest, PlainResponse, Transport } from '#kit/transport.ts';

export interface HttpTransportOptions {
  /** `https://10.0.0.1:6443`; plain `http:` is understood too. */
  readonly server: string;
  /** PEM. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly token?: string | undefined;
  /** Read again for each request, so that a renewed token is taken up. */
  readonly tokenFile?: string | undefined;
  /** Name to find in the server's certificate, where it is not the URL's. */
  readonly serverName?: string | undefined;
  /** Believe any certificate: for clusters whose kubeconfig says so. */
  readonly insecure?: boolean | undefined;
  /** For what ends soon, where the usual number is more than is worth its memory. */
  readonly connectionsMax?: number | undefined;
}

interface Connector {
  /** For what ends soon: the rest waits for a connection. */
  readonly usual: Agent;
  /** As few, for new pods alone. */
  readonly newPods: Agent;
  readonly unlimited: Agent;
  readonly request: (options: RequestOptions) => ClientRequest;
}

const limits = {
  /** Each costs a handshake, and 120 and 75 KiB on its two sides, for as long as it is there. */
  connectionsMax: 32,
  idleMs: 10_000,
} as const;

/** Disposing of it closes idle and busy connections. */
export interface HttpConnections extends Transport, Disposable {
  /** New connections show this certificate; requests under way go on over the old ones. */
  useCertificate(pair: { readonly cert: string; readonly key: string }): void;
}

export function openHttpTransport(options: HttpTransportOptions): HttpConnections {
  return new HttpTransport(options);
}

class HttpTransport implements HttpConnections {
  #options: HttpTransportOptions;
  readonly #url: URL;
  #connector: Promise<Connector> | undefined;
  readonly #agents: Agent[] = [];

  constructor(options: HttpTransportOptions) {
    this.#options = options;
    this.#url = new URL(options.server);
  }

  async send(
    request: PlainRequest,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<PlainResponse> {
    signal.throwIfAborted();
    this.#connector ??= this.#connect();
    const connector = await this.#connector;
    signal.throwIfAborted();
    const message = await this.#exchange(connector, request, signal);
    return {
      status: message.statusCode ?? 0,
      headers: plainHeaders(message),
      body: new Body(message, signal),
    };
  }

  [Symbol.dispose](): void {
    for (const agent of this.#agents) agent.destroy();
  }

  useCertificate({ cert, key }: { readonly cert: string; readonly key: string }): void {
    this.#options = { ...this.#options, cert, key };
    this.#connector = undefined;
  }

  async #connect(): Promise<Connector> {
    const { ca, cert, key, serverName, insecure } = this.#options;
    const { connectionsMax = limits.connectionsMax } = this.#options;
    const common = { keepAlive: true, scheduling: 'lifo', timeout: limits.idleMs } as const;
    const few = { maxSockets: connectionsMax };
    if (this.#url.protocol === 'http:') {
      const agents = {
        usual: openHttpAgent({ ...common, ...few }),
        newPods: openHttpAgent({ ...common, ...few }),
        unlimited: openHttpAgent(common),
      };
      this.#agents.push(...Object.values(agents));
      return { ...agents, request: (options) => httpRequest(options) };
    }
    const [https, tls] = await Promise.all([import('node:https'), import('node:tls')]);
    const secure = {
      ...common,
      ...(serverName === undefined ? {} : { servername: serverName }),
      // Read once, not for each connection.
      secureContext: tls.createSecureContext({ ca, cert, key }),
      rejectUnauthorized: insecure !== true,
    };
    const agents = {
      usual: new https.Agent({ ...secure, ...few }),
      newPods: new https.Agent({ ...secure, ...few }),
      unlimited: new https.Agent(secure),
    };
    this.#agents.push(...Object.values(agents));
    return { ...agents, request: (options) => https.request(options) };
  }

  #exchange(
    connector: Connector,
    request: PlainRequest,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const { hostname, port, protocol } = this.#url;
    const headers: Record<string, string | number> = { ...request.headers };
    const token = this.#token();
    if (token !== undefined) headers.authorization = `Bearer ${token}`;
    if (request.body !== undefined) headers['content-length'] = request.body.byteLength;
    return new Promise((resolve, reject) => {
      const outgoing = connector.request({
        agent: connector[lineOf(request)],
        protocol,
        // The brackets of an IPv6 address belong to URLs only.
        hostname: hostname.replace(/^\[|\]$/g, ''),
        port: port === '' ? undefined : Number(port),
        method: request.method,
        path: request.path,
        headers,
      });
      const onAbort = (): void => {
        outgoing.destroy();
        reject(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      outgoing.on('error', (error) => {
        signal.removeEventListener('abort', onAbort);
        reject(
          new Error(`${request.method} ${this.#url.host}: ${error.message}`, { cause: error }),
        );
      });
      outgoing.on('response', (message) => {
        signal.removeEventListener('abort', onAbort);
        resolve(message);
      });
      outgoing.end(request.body);
    });
  }

  #token(): string | undefined {
    const { token, tokenFile } = this.#options;
    return tokenFile === undefined ? token : readFileSync(tokenFile, 'utf8').trim();
  }
}

/**
 * No line for who goes on for long, nor for who would stop leading. New pods have one of their own:
 * in a new namespace the server holds them up until there is a service account, whose own request
 * must not stand behind them.
 */
function lineOf({ method, path }: PlainRequest): 'usual' | 'newPods' | 'unlimited' {
  if (/[?&](?:watch|follow)=(?:true|1)\b|\/leases\b/.test(path)) return 'unlimited';
  return method === 'POST' && /\/pods(?:\?|$)/.test(path) ? 'newPods' : 'usual';
}

/** The body of an answer. Ending it early closes the connection. */
class Body implements AsyncIterable<Uint8Array> {
  readonly #message: IncomingMessage;
  readonly #signal: AbortSignal;
  readonly #onAbort = (): void => {
    this.#message.destroy();
  };

  constructor(message: IncomingMessage, signal: AbortSignal) {
    this.#message = message;
    this.#signal = signal;
    if (signal.aborted) message.destroy();
    else signal.addEventListener('abort', this.#onAbort, { once: true });
    message.once('close', () => signal.removeEventListener('abort', this.#onAbort));
    // Who reads the body is told of errors; a body that nobody reads must not end the process.
    message.on('error', () => {});
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of this.#message) {
        this.#signal.throwIfAborted();
        yield chunk;
      }
    } catch (error) {
      this.#signal.throwIfAborted();
      throw error;
    }
    this.#signal.throwIfAborted();
    if (!this.#message.complete) throw new Error('the connection was lost');
  }
}

function plainHeaders(message: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(message.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return headers;
}
