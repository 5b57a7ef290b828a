/**
 * The node's own HTTPS server: logs, exec, attach, port-forward, figures, facts about the node.
 *
 * `access.ts` decides who may ask. Logs are read by `log-reader.ts`; the streaming requests are
 * handed through to the runtime by `streaming.ts`; figures come from `stats.ts` and `metrics.ts`.
 * Paths are upstream's: `/containerLogs/NS/POD/CONTAINER`, `/exec/…`, `/attach/…`,
 * `/portForward/NS/POD`, `/run/…`, `/pods`, `/stats/summary`, `/metrics/…`, `/healthz`, `/configz`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { endStream } from '#kit/end-stream.ts';
import type { Pod } from '#resources/types/core-v1.ts';
import { readNodeFigures } from '../node/node-figures.ts';
import { kubeletVersion } from '../node/node-status.ts';
import type { KubeletParts } from '../parts.ts';
import type { PodWorker } from '../pods/pod-worker.ts';
import { ServerAccess } from './access.ts';
import { noAddress, readAddress } from './address.ts';
import { cadvisorMetrics } from './cadvisor-metrics.ts';
import { countNode, readSwaps, withCgroups } from './counted-pods.ts';
import type { Metric } from './exposition.ts';
import { readLogQuery } from './log-query.ts';
import { answerLogs } from './log-server.ts';
import { kubeletMetrics, resourceMetrics } from './metrics.ts';
import { answerLogQuery, answerNodeLogs } from './node-logs.ts';
import { type Serving, serveReadOnly, streamIdleMsDefault, switchedOff } from './serving.ts';
import { Rates, readPodFigures, type StatsParts } from './stats.ts';
import { passStream } from './streaming.ts';
import { summaryOf } from './summary.ts';

export interface ServerOptions {
  readonly nodeName: string;
  readonly host: string;
  readonly port: number;
  readonly cert: string;
  readonly key: string;
  readonly clientCA: string;
  readonly serves?: Serving | undefined;
  readonly findPod: (namespace: string, name: string) => PodWorker | undefined;
  readonly pods: () => readonly Pod[];
}

export interface ServerParts
  extends StatsParts,
    Pick<
      KubeletParts,
      | 'client'
      | 'runtime'
      | 'clock'
      | 'node'
      | 'log'
      | 'paths'
      | 'settings'
      | 'placement'
      | 'counts'
    > {
  /** Figures that others have to tell. */
  readonly more: () => readonly Metric[];
}

const limits = {
  headersTimeoutMs: 10_000,
  /** All headers and the path, in which an exec has its whole command: as the API server takes. */
  headerBytesMax: 1024 * 1024 + 16 * 1024,
  runSeconds: 120,
} as const;

export interface KubeletServer {
  readonly port: number;
  /** Serves until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** What new connections are shown. */
  useCertificate(pair: { readonly cert: string; readonly key: string }): void;
}

/** Resolves when listening. */
export async function serveKubelet(
  parts: ServerParts,
  options: ServerOptions,
): Promise<KubeletServer> {
  const { cert, key, clientCA, host, port, serves = {} } = options;
  const server = createServer({
    cert,
    key,
    ca: clientCA,
    ...serves.tls,
    requestCert: true,
    // Checked below, so that strangers get an answer instead of a broken connection.
    rejectUnauthorized: false,
    headersTimeout: limits.headersTimeoutMs,
    maxHeaderSize: limits.headerBytesMax,
  });
  const stop = new AbortController();
  const { signal } = stop;
  const access = new ServerAccess(parts, { ...options, access: serves.access });
  const node = { parts, options, rates: new Rates(), signal };
  const onRequest = (request: IncomingMessage, response: ServerResponse, who?: ServerAccess) => {
    answer(node, who, request, response).catch((error: unknown) => {
      parts.log.warn('cannot answer a request', { path: request.url, error });
      if (!response.headersSent) response.writeHead(500);
      response.end(error instanceof Error ? error.message : 'internal error');
    });
  };
  server.on('request', (request, response) => onRequest(request, response, access));
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    access
      .refusalOf(request, { signal })
      .then((refusal) => {
        const off = switchedOff(serves, readAddress(request)?.path ?? '');
        if (refusal === undefined && off === undefined) {
          const { streamIdleMs: idleMs = streamIdleMsDefault } = serves;
          return passStream(parts, options, { request, socket, head, idleMs, signal });
        }
        const { status, text } = refusal ?? { status: 405, text: 'Method Not Allowed' };
        endStream(socket, `HTTP/1.1 ${status} ${text}\r\nContent-Length: 0\r\n\r\n`);
        return undefined;
      })
      .catch((error: unknown) => {
        parts.log.debug('a stream ended', { path: request.url, error });
        socket.destroy();
      });
  });
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const readOnly = await serveReadOnly({ host, port: serves.readOnlyPort ?? 0 }, onRequest);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    run: async (signal) => {
      await Promise.all([serveUntil(server, stop, signal), readOnly?.(signal)]);
    },
    useCertificate: (pair) => server.setSecureContext({ ...pair, ca: clientCA, ...serves.tls }),
  };
}

async function serveUntil(
  server: Server,
  stop: AbortController,
  signal: AbortSignal,
): Promise<void> {
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  stop.abort(signal.reason);
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

interface NodeServer {
  readonly parts: ServerParts;
  readonly options: ServerOptions;
  readonly rates: Rates;
  readonly signal: AbortSignal;
}

/** Without access everybody may ask; the port without TLS is for that. */
async function answer(
  node: NodeServer,
  access: ServerAccess | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const address = readAddress(request);
  if (address === undefined) {
    response.setHeader('connection', 'close');
    return say(response, 400, noAddress);
  }
  const { query } = address;
  const [, first = '', ...rest] = address.path.split('/');
  if (first === 'healthz' && rest.length === 0) return say(response, 200, 'ok');
  const refusal = await access?.refusalOf(request, node);
  if (refusal !== undefined) return say(response, refusal.status, refusal.text);
  const off = switchedOff(node.options.serves ?? {}, address.path);
  if (off !== undefined) return say(response, 405, off);
  const path = [first, ...rest].join('/').replace(/\/$/, '');
  const figures = await answerFigures(node, path);
  if (figures !== undefined) return say(response, 200, figures, 'text/plain; version=0.0.4');
  const facts = await answerFacts(node, path);
  if (facts !== undefined) return say(response, 200, JSON.stringify(facts), 'application/json');
  switch (first) {
    case 'containerLogs': {
      const [namespace = '', name = '', container = ''] = rest;
      const worker = node.options.findPod(namespace, name);
      const target = { worker, namespace, name, container };
      return answerLogs(node.parts, target, query, response, node.signal);
    }
    case 'logs':
      return answerMachineLogs(node, { request, query, path: rest.join('/') }, response);
    case 'run':
      return run(node, request, { names: rest, query }, response);
    case 'exec':
    case 'attach':
    case 'portForward':
      return say(
        response,
        400,
        'you must specify at least 1 of stdin, stdout, stderr over an upgraded connection',
      );
    default:
      return say(response, 404, '404 page not found\n');
  }
}

/** Texts for Prometheus, and the short word that all is well. */
async function answerFigures(
  { parts, options, signal }: NodeServer,
  path: string,
): Promise<string | undefined> {
  if (/^healthz\/(ping|log|syncloop)$/.test(path)) return 'ok';
  if (path === 'metrics') {
    const containers = await parts.runtime.listContainers({}, { signal });
    const states = new Map<string, number>();
    for (const { state } of containers) {
      const name = state.replace('CONTAINER_', '').toLowerCase();
      states.set(name, (states.get(name) ?? 0) + 1);
    }
    return kubeletMetrics({
      nodeName: options.nodeName,
      version: kubeletVersion,
      pods: options.pods(),
      cgroupVersion: parts.machine.cgroups.version,
      containers: states,
      more: [...parts.counts.metrics(), ...parts.placement().metrics(), ...parts.more()],
      process: {
        cpuSeconds: process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6,
        residentBytes: process.memoryUsage.rss(),
        startedAtMs: parts.clock.now() - process.uptime() * 1000,
      },
    });
  }
  if (path !== 'metrics/resource' && path !== 'metrics/cadvisor') return undefined;
  const node = readNodeFigures(parts.machine, parts.paths.root);
  const pods = await readPodFigures(parts, options.pods(), { signal });
  if (path === 'metrics/cadvisor') {
    const [counted, { root }] = await Promise.all([withCgroups(parts, pods), countNode(parts)]);
    return cadvisorMetrics(node, counted, { root, nowMs: parts.clock.now() });
  }
  const swaps = await readSwaps(parts, pods, node.memory);
  return resourceMetrics(node, pods, { swaps, nowMs: parts.clock.now() });
}

async function answerFacts(
  { parts, options, rates, signal }: NodeServer,
  path: string,
): Promise<unknown> {
  const pods = options.pods();
  const list = { kind: 'PodList', apiVersion: 'v1', metadata: {} };
  if (path === 'pods') return { ...list, items: pods };
  if (path === 'runningpods') {
    return { ...list, items: pods.filter(({ status }) => status?.phase === 'Running') };
  }
  if (path === 'configz') return { kubeletconfig: parts.settings };
  if (path !== 'stats/summary') return undefined;
  return summaryOf(parts, { nodeName: options.nodeName, pods, rates, signal });
}

/** Of the machine, by path; by name of service only where that is switched on. */
async function answerMachineLogs(
  node: NodeServer,
  asked: {
    readonly request: IncomingMessage;
    readonly query: URLSearchParams;
    readonly path: string;
  },
  response: ServerResponse,
): Promise<void> {
  const { request, query, path } = asked;
  const queries = node.options.serves?.logQueries === true;
  const question = queries ? readLogQuery(query) : undefined;
  if (question === undefined) return answerNodeLogs(path, response);
  if (question.do === 'refuse') return say(response, question.status, `${question.text}\n`);
  const gzip = request.headers['accept-encoding'] === 'gzip';
  return answerLogQuery(question, response, { gzip, clock: node.parts.clock, signal: node.signal });
}

/** `POST /run/NS/POD/CONTAINER?cmd=…`: the output of a command, without a stream. */
async function run(
  { parts, options, signal }: NodeServer,
  request: IncomingMessage,
  { names, query }: { readonly names: readonly string[]; readonly query: URLSearchParams },
  response: ServerResponse,
): Promise<void> {
  const [namespace = '', name = '', container = ''] = names;
  const worker = options.findPod(namespace, name);
  if (request.method !== 'POST') return say(response, 405, '405: Method Not Allowed');
  if (worker === undefined) return say(response, 404, 'pod does not exist');
  const { latest } = await worker.findContainer(container, signal);
  if (latest?.state !== 'running') return say(response, 404, `container ${container} not found`);
  const cmd = query.get('cmd') ?? '';
  const { stdout, stderr } = await parts.runtime.execSync(
    { containerId: latest.id, cmd: cmd.split(' ') },
    { timeoutSeconds: limits.runSeconds, signal },
  );
  say(response, 200, Buffer.concat([stdout, stderr]));
}

function say(
  response: ServerResponse,
  status: number,
  text: string | Uint8Array,
  type = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, { 'content-type': type });
  response.end(text);
}
