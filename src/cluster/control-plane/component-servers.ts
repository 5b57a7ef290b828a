/**
 * Health and figures of the scheduler and the controllers, each on a port of its own over TLS, as
 * upstream's programs have them: 10259 and 10257, on this machine only.
 *
 * `/healthz`, `/livez` and `/readyz` are for everybody. `/metrics` is for whoever may `get` that
 * path: a client certificate of the cluster or a token says who asks, and the API server decides.
 * Under `up` the components live in the worker `control`, which is asked for its text; the servers
 * are on the API server's thread, where TLS is loaded already. A port that is taken costs the
 * figures, not the cluster. A scheduler that runs alone has one of its own. Figures of the process
 * are added to what the component counts. A new certificate is shown to connections from then on.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { buildFigures } from '#api/version.ts';
import { type Client, type ReviewedUser, reviewAccess, reviewToken } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import { processFigures } from '#kit/process-figures.ts';
import type { ControlComponent } from './control-worker.ts';

/** Who counts. */
export interface Figures {
  readonly runs: boolean;
  read(of: ControlComponent): Promise<string>;
}

export interface ComponentServersDeps {
  readonly clock: Clock;
  /** May review tokens and access. */
  readonly client: Client;
  readonly figures: Figures;
  readonly log: Logger;
}

interface ServingPair {
  readonly cert: string;
  readonly key: string;
}

export interface ComponentServersOptions {
  /** A component without a port is not served. */
  readonly ports: Readonly<Partial<Record<ControlComponent, number | undefined>>>;
  readonly host: string;
  /** Paths that anybody may read, besides those of health. */
  readonly openPaths?: readonly string[] | undefined;
  /** What the servers show; `ca`: who signs certificates of clients. */
  readonly tls: ServingPair & { readonly ca: string | undefined };
  /** Calls back with each certificate that comes in the place of the first. */
  readonly onRenewal?: ((use: (pair: ServingPair) => void) => void) | undefined;
  readonly signal: AbortSignal;
}

const limits = { requestMs: 10_000, connectionsMax: 100 } as const;

export async function runComponentServers(
  deps: ComponentServersDeps,
  options: ComponentServersOptions,
): Promise<void> {
  const { createServer } = await import('node:https');
  const servers: Server[] = [];
  for (const component of ['scheduler', 'controllers'] as const) {
    const port = options.ports[component];
    if (port === undefined) continue;
    const { cert, key, ca } = options.tls;
    const trust = ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: false };
    const server = createServer({ cert, key, ...trust, requestTimeout: limits.requestMs });
    server.maxConnections = limits.connectionsMax;
    server.on('request', answering(deps, { ...options, component }));
    server.on('error', (error) => deps.log.warn('no figures', { component, port, error }));
    server.listen({ host: options.host, port });
    server.unref();
    servers.push(server);
  }
  const { ca } = options.tls;
  options.onRenewal?.(({ cert, key }) => {
    const trust = ca === undefined ? {} : { ca };
    for (const server of servers) server.setSecureContext({ cert, key, ...trust });
  });
  await new Promise<void>((resolve) => {
    if (options.signal.aborted) resolve();
    else options.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
}

type Answering = Pick<ComponentServersOptions, 'openPaths' | 'signal'> & {
  readonly component: ControlComponent;
};

function answering(deps: ComponentServersDeps, options: Answering): RequestListener {
  return (request, response) => {
    answer(deps, options, request, response).catch((error: unknown) => {
      deps.log.warn('figures were not told', { component: options.component, error });
      if (!response.headersSent) say(response, 500, 'Internal Server Error');
    });
  };
}

async function answer(
  { client, clock, figures }: ComponentServersDeps,
  { component, openPaths = [], signal }: Answering,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = new URL(request.url ?? '/', 'https://component').pathname;
  if (['/healthz', '/livez', '/readyz'].includes(path)) {
    say(response, figures.runs ? 200 : 500, figures.runs ? 'ok' : 'its thread does not run');
    return;
  }
  if (!openPaths.includes(path)) {
    const user = certifiedUser(request) ?? (await tokenUser(client, request, signal));
    if (user === undefined) {
      say(response, 401, 'Unauthorized');
      return;
    }
    const verb = request.method?.toLowerCase() ?? '';
    const asked = { nonResourceAttributes: { path, verb } };
    const trusted = user.groups.includes('system:masters');
    if (!trusted && !(await reviewAccess(client, user, asked, { signal }))) {
      say(response, 403, `Forbidden: User "${user.name}" cannot ${verb} path "${path}"`);
      return;
    }
  }
  if (path !== '/metrics') {
    say(response, 404, '404 page not found');
    return;
  }
  const type = 'text/plain; version=0.0.4; charset=utf-8';
  const own = [...processFigures(clock.now()), ...buildFigures()].join('\n');
  response.writeHead(200, { 'Content-Type': type }).end(`${await figures.read(component)}${own}\n`);
}

function say(response: ServerResponse, status: number, text: string): void {
  const type = 'text/plain; charset=utf-8';
  response.writeHead(status, { 'Content-Type': type }).end(status === 200 ? text : `${text}\n`);
}

function certifiedUser({ socket }: IncomingMessage): ReviewedUser | undefined {
  // The server is HTTPS, so its sockets are TLS sockets.
  const tls = socket as TLSSocket;
  if (!tls.authorized) return undefined;
  const { CN, O } = tls.getPeerCertificate().subject;
  const [name] = [CN].flat();
  return name === undefined ? undefined : { name, groups: [O ?? []].flat() };
}

async function tokenUser(
  client: Client,
  { headers }: IncomingMessage,
  signal: AbortSignal,
): Promise<ReviewedUser | undefined> {
  const token = /^Bearer (\S+)$/i.exec(headers.authorization ?? '')?.[1];
  return token === undefined ? undefined : await reviewToken(client, token, { signal });
}
