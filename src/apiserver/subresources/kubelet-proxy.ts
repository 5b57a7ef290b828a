/**
 * The way through this server to a node: logs, exec, attach, port-forward, the node's own paths,
 * and to pods and Services by `proxy`.
 *
 * Authorized first (by the lifecycle), then bytes pass as they are. A log is a streamed HTTPS
 * answer; exec and its kin are an upgraded connection whose request line is rebuilt for the kubelet
 * and which is then piped both ways, whatever is spoken inside. The kubelet is found from the Node
 * object: its InternalIP and the port that it reports.
 */
import type { ClientRequest, IncomingMessage } from 'node:http';
import { connect as connectPlain, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect, createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { badRequest, internalError, notFound, serviceUnavailable } from '#api/errors.ts';
import { endStream } from '#kit/end-stream.ts';
import { httpRequest, httpsRequest } from '#kit/http-request.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import type { PlainRequest } from '#kit/transport.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import type { Store } from '#store';
import { storedObject } from '../registry.ts';
import { limits, type ResourceInfo, type ServerResponse } from '../request.ts';
import { rewriteLink, rewritePage } from './proxied-page.ts';
import { findProxyTarget, parseProxyName, splitProxyPath } from './proxy-target.ts';

export interface KubeletProxyDeps {
  readonly store: Store;
  readonly random: Random;
  readonly log: Logger;
}

export interface KubeletProxyOptions {
  readonly client: { readonly ca: string; readonly cert: string; readonly key: string } | undefined;
  /** Where a node does not say which port its kubelet has. */
  readonly port?: number | undefined;
  /** Of the addresses of a node the first of these sorts that it has. */
  readonly addressTypes?: readonly string[] | undefined;
  /** How long a connection may take until something can be asked over it. */
  readonly connectLimitMs?: number;
}

/** Where a request goes: to a kubelet, or, with a scheme, to what a pod or a Service offers. */
export interface KubeletTarget {
  readonly scheme?: 'http' | 'https';
  readonly host: string;
  readonly port: number;
  readonly path: string;
}

/** Of a pod that has no node yet. */
const nowhere: KubeletTarget = { host: '', port: 0, path: '' };

interface Sending {
  readonly method: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | undefined;
  readonly signal: AbortSignal;
}

export interface UpgradeRequest {
  readonly method: string;
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly string[];
  /** What the client had already sent behind its request. */
  readonly head: Uint8Array;
  readonly socket: Duplex;
}

export interface Streams {
  readonly socket: Duplex;
  /** What came behind the answer. */
  readonly head: Uint8Array;
}

const kubeletPortDefault = 10250;
const connectLimitMsDefault = 10_000;

/** Sub-resource of pods → path on the kubelet. */
const kubeletPaths: Readonly<Record<string, string>> = {
  log: 'containerLogs',
  exec: 'exec',
  attach: 'attach',
  portforward: 'portForward',
};

export class KubeletProxy {
  readonly #deps: KubeletProxyDeps;
  readonly #client: KubeletProxyOptions['client'];
  readonly #port: number;
  readonly #addressTypes: readonly string[];
  readonly #connectLimitMs: number;
  /** Made once: each takes 0.3 ms, and 26 KiB that are not given back before a collection. */
  #secureContext: SecureContext | undefined;

  constructor(deps: KubeletProxyDeps, options: KubeletProxyOptions) {
    const { client, port = kubeletPortDefault, addressTypes = ['InternalIP'] } = options;
    const { connectLimitMs = connectLimitMsDefault } = options;
    this.#deps = deps;
    this.#client = client;
    this.#port = port;
    this.#addressTypes = addressTypes;
    this.#connectLimitMs = connectLimitMs;
  }

  /** Where a request for a sub-resource of a pod, or below a `proxy`, is served. */
  target(info: ResourceInfo, rawPath: string): KubeletTarget {
    if (info.plural === 'nodes') {
      return this.#nodeTarget(info, rawPath);
    }
    if (info.subresource === 'proxy') return findProxyTarget(this.#deps, info, rawPath);
    const pod = this.#pod(info.namespace, info.name);
    const node = pod.spec?.nodeName ?? '';
    // Where nothing runs yet there is nothing to read, which is no error.
    if (node === '' && info.subresource === 'log') return nowhere;
    if (node === '') throw badRequest(`pod ${info.name} does not have a host assigned`);
    const query = new URLSearchParams(info.query);
    const parts = [kubeletPaths[info.subresource] ?? '', info.namespace, info.name];
    if (info.subresource !== 'portforward') {
      parts.push(containerOf(pod, info.name, query.get('container') ?? ''));
      query.delete('container');
    }
    renameStreams(query);
    const path = `/${parts.map(encodeURIComponent).join('/')}${query.size === 0 ? '' : `?${query}`}`;
    return { ...this.#address(node), path };
  }

  /** The kubelet, or another port of its node, where nobody knows us. */
  #nodeTarget({ name: text }: ResourceInfo, rawPath: string): KubeletTarget {
    const parts = parseProxyName(text);
    if (parts === undefined) throw badRequest(`invalid node request ${JSON.stringify(text)}`);
    const { rest } = splitProxyPath(rawPath);
    const path = rest.startsWith('/') ? rest : `/${rest}`;
    const kubelet = this.#address(parts.name);
    if (parts.port === '' || parts.port === String(kubelet.port)) return { ...kubelet, path };
    const port = Number(parts.port);
    if (!/^\d+$/.test(parts.port) || port < 1 || port > 65_535) {
      throw badRequest(`invalid node request ${JSON.stringify(text)}`);
    }
    return { scheme: parts.scheme, host: kubelet.host, port, path };
  }

  /** Passes a request below `proxy` on, and the answer back as it comes. */
  async fetch(
    info: ResourceInfo,
    request: PlainRequest,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<ServerResponse> {
    const { method, path, body } = request;
    const { prefix, rest } = splitProxyPath(path);
    const isRead = method === 'GET' || method === 'HEAD';
    if (isRead && !rest.startsWith('/') && info.plural !== 'nodes') {
      // Without the slash at the end the links of a page would lead one level too high.
      return { status: 301, headers: { location: `${prefix}/${rest}` }, body: new Uint8Array() };
    }
    const target = this.target(info, path);
    const headers = { ...passedHeaders(request), 'x-forwarded-uri': path };
    const answer = await this.#send(target, { method, headers, body, signal });
    return passedAnswer(answer, { prefix, host: `${target.host}:${target.port}` });
  }

  /** A log: what the kubelet refuses becomes a Status. */
  async log(
    target: KubeletTarget,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<ServerResponse> {
    if (target === nowhere) {
      return { status: 200, headers: { 'content-type': 'text/plain' }, body: new Uint8Array() };
    }
    const answer = await this.#send(target, { method: 'GET', signal });
    const status = answer.statusCode ?? 500;
    if (status === 200) {
      return { status, headers: { 'content-type': 'text/plain' }, body: answer, live: true };
    }
    const why = await readText(answer);
    if (status === 404) throw notFound({ group: '', resource: 'pods/log' }, why);
    throw status === 400 ? badRequest(why) : internalError(why);
  }

  /** Connects to the kubelet, repeats the client's request there, and joins the two connections. */
  upgrade(target: KubeletTarget, request: UpgradeRequest): void {
    const { socket, head } = request;
    const upstream = this.#connect(target);
    let joined = false;
    upstream.once(target.scheme === 'http' ? 'connect' : 'secureConnect', () => {
      joined = true;
      upstream.setTimeout(0);
      upstream.write(requestHead(target, request));
      if (head.length > 0) upstream.write(head);
      socket.pipe(upstream);
      upstream.pipe(socket);
    });
    upstream.once('error', (error) => {
      this.#deps.log.warn('connection to a kubelet failed', { host: target.host, error });
      // What it has said before is on its way to the client; the end of it comes with the close.
      if (!joined) endStream(socket, plainFailure(502, 'error dialing backend'));
    });
    socket.once('error', () => upstream.destroy());
    socket.once('close', () => upstream.destroy());
    upstream.once('close', () => endStream(socket));
  }

  /** SPDY streams of a pod, by a request of our own; what the kubelet refuses becomes a Status. */
  openStreams(
    target: KubeletTarget,
    { protocol, signal }: { readonly protocol: string; readonly signal: AbortSignal },
  ): Promise<Streams> {
    const sent = httpsRequest({
      ...this.#tls(),
      host: target.host,
      port: target.port,
      path: target.path,
      method: 'POST',
      headers: {
        connection: 'Upgrade',
        upgrade: 'SPDY/3.1',
        'x-stream-protocol-version': protocol,
      },
      agent: false,
      signal,
      timeout: this.#connectLimitMs,
    });
    limitConnecting(sent);
    return new Promise((resolve, reject) => {
      sent.once('upgrade', (_answer, socket, head) => {
        socket.setTimeout(0);
        socket.setNoDelay(true);
        resolve({ socket, head });
      });
      sent.once('response', (answer) => {
        const isOurs = answer.statusCode === 400 || answer.statusCode === 404;
        const refuse = (why: string): void => reject(isOurs ? badRequest(why) : internalError(why));
        readText(answer).then(refuse, reject);
      });
      sent.once('error', (error) => {
        this.#deps.log.warn('connection to a kubelet failed', { host: target.host, error });
        reject(serviceUnavailable(`error dialing backend: ${error.message}`));
      });
      sent.end();
    });
  }

  #connect(target: KubeletTarget): Socket {
    const { host, port, scheme } = target;
    const upstream =
      scheme === 'http'
        ? connectPlain({ host, port })
        : connect({ ...this.#tlsFor(scheme), host, port });
    upstream.setTimeout(this.#connectLimitMs, () =>
      upstream.destroy(new Error('connect timed out')),
    );
    upstream.setNoDelay(true);
    return upstream;
  }

  #send(
    target: KubeletTarget,
    { method, headers, body, signal }: Sending,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const { host, port, path, scheme } = target;
      const options = {
        ...{ host, port, path, method, headers, signal },
        ...{ agent: false as const, timeout: this.#connectLimitMs },
      };
      const sent =
        scheme === 'http'
          ? httpRequest(options, resolve)
          : httpsRequest({ ...options, ...this.#tlsFor(scheme) }, resolve);
      limitConnecting(sent);
      sent.once('error', (error) => {
        if (signal.aborted) reject(signal.reason);
        else if (scheme === undefined) {
          reject(serviceUnavailable(`error trying to reach node: ${error.message}`));
        } else reject(serviceUnavailable(`error trying to reach service: ${error.message}`));
      });
      sent.end(body);
    });
  }

  /** Pods show certificates of their own making; only kubelets are known to us. */
  #tlsFor(scheme: KubeletTarget['scheme']): object {
    return scheme === 'https' ? { rejectUnauthorized: false } : this.#tls();
  }

  #tls(): { readonly secureContext: SecureContext } {
    if (this.#client === undefined) {
      throw serviceUnavailable('this server has no credentials for kubelets');
    }
    this.#secureContext ??= createSecureContext(this.#client);
    return { secureContext: this.#secureContext };
  }

  #pod(namespace: string, name: string): Pod {
    const pod = storedObject<Pod>(this.#deps.store, `pods/${namespace}/${name}`);
    if (pod === undefined) throw notFound({ group: '', resource: 'pods' }, name);
    return pod;
  }

  #address(name: string): { readonly host: string; readonly port: number } {
    const node = storedObject<Node>(this.#deps.store, `minions/${name}`);
    if (node === undefined) throw notFound({ group: '', resource: 'nodes' }, name);
    const { status } = node;
    const found = this.#addressTypes.map((wanted) =>
      status?.addresses?.find(({ type }) => type === wanted),
    );
    const host = found.find((address) => address !== undefined)?.address;
    if (host === undefined) {
      throw serviceUnavailable(`node ${name} has no ${this.#addressTypes.join(', ')}`);
    }
    // A node that has not said it yet has port 0.
    const port = status?.daemonEndpoints?.kubeletEndpoint?.Port || this.#port;
    return { host, port };
  }
}

/**
 * The limit is for connecting, up to the end of the handshake: a node that has stopped takes
 * connections and says nothing. A busy one, or a followed log, takes its time over the rest.
 */
function limitConnecting(sent: ClientRequest): void {
  sent.once('timeout', () => sent.destroy(new Error('connect timed out')));
  sent.once('socket', (socket) => {
    const connected = socket instanceof TLSSocket ? 'secureConnect' : 'connect';
    socket.once(connected, () => socket.setTimeout(0));
  });
}

function containerOf(pod: Pod, podName: string, wanted: string): string {
  const { containers = [], initContainers = [], ephemeralContainers = [] } = pod.spec ?? {};
  const all = [...containers, ...initContainers, ...ephemeralContainers].map(({ name }) => name);
  if (wanted !== '') {
    if (all.includes(wanted)) return wanted;
    throw badRequest(`container ${wanted} is not valid for pod ${podName}`);
  }
  const marked = pod.metadata.annotations?.['kubectl.kubernetes.io/default-container'];
  if (marked !== undefined && all.includes(marked)) return marked;
  const [only] = containers;
  if (only !== undefined && containers.length === 1) return only.name;
  const choice = containers.map(({ name }) => name).join(' ');
  throw badRequest(
    `a container name must be specified for pod ${podName}, choose one of: [${choice}]`,
  );
}

/** The kubelet names the streams differently from the API. */
function renameStreams(query: URLSearchParams): void {
  for (const [name, kubeletName] of [
    ['stdin', 'input'],
    ['stdout', 'output'],
    ['stderr', 'error'],
  ] as const) {
    const value = query.get(name);
    if (value === null) continue;
    query.delete(name);
    if (value === 'true' || value === '1') query.set(kubeletName, '1');
  }
  const tty = query.get('tty');
  if (tty !== null) query.set('tty', tty === 'true' || tty === '1' ? '1' : '0');
}

/** These speak of one connection, or of what the two ends of it agreed on. */
const connectionHeaders =
  /^(:.*|host|authorization|connection|keep-alive|te|trailer|transfer-encoding|upgrade|proxy-.*|impersonate-.*|accept-encoding)$/i;

/** What the server behind a proxy is told. */
function passedHeaders({ headers, body }: PlainRequest): Readonly<Record<string, string>> {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (!connectionHeaders.test(name) && name !== 'content-length') passed[name] = value;
  }
  if (body !== undefined) passed['content-length'] = String(body.length);
  return passed;
}

/** As it is, but for links and redirections of web pages. */
async function passedAnswer(
  answer: IncomingMessage,
  place: { readonly prefix: string; readonly host: string },
): Promise<ServerResponse> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(answer.headers)) {
    if (value === undefined || connectionHeaders.test(name)) continue;
    headers[name] = typeof value === 'string' ? value : value.join(', ');
  }
  const status = answer.statusCode ?? 500;
  const { location } = headers;
  if (location !== undefined) headers['location'] = rewriteLink(location, place);
  const type = headers['content-type'] ?? '';
  const length = Number(headers['content-length'] ?? 0);
  if (!type.startsWith('text/html') || length > limits.bodyBytesMax) {
    return { status, headers, body: answer, live: true };
  }
  delete headers['content-length'];
  return { status, headers, body: rewriteParts(answer, place), live: true };
}

/** A page is rewritten whole, so that no link is cut in two; a very long one as it comes. */
async function* rewriteParts(
  parts: AsyncIterable<Buffer>,
  place: { readonly prefix: string; readonly host: string },
): AsyncGenerator<Uint8Array> {
  let held: Buffer[] = [];
  let size = 0;
  const page = (): Buffer => Buffer.from(rewritePage(Buffer.concat(held).toString('utf8'), place));
  for await (const part of parts) {
    held.push(part);
    size += part.length;
    if (size < limits.bodyBytesMax) continue;
    yield page();
    held = [];
    size = 0;
  }
  yield page();
}

/** Credentials are for this server, not for the kubelet. */
const ownHeaders = /^(host|authorization|content-length|transfer-encoding|impersonate-.*)$/i;

function requestHead(target: KubeletTarget, { method, rawHeaders }: UpgradeRequest): string {
  let head = `${method} ${target.path} HTTP/1.1\r\n`;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? '';
    if (!ownHeaders.test(name)) head += `${name}: ${rawHeaders[index + 1] ?? ''}\r\n`;
  }
  return `${head}Host: ${target.host}:${target.port}\r\n\r\n`;
}

function plainFailure(status: number, message: string): string {
  const body = `${message}\n`;
  return (
    `HTTP/1.1 ${status} ${status === 502 ? 'Bad Gateway' : 'Error'}\r\nContent-Type: text/plain\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
  );
}

const errorTextMax = 64 * 1024;

async function readText(answer: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of answer) {
    text += String(part);
    if (text.length > errorTextMax) break;
  }
  return text.trim();
}
