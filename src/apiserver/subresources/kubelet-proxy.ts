/**
 * The way through this server to a node: logs, exec, attach, port-forward, and the node's own
 * paths.
 *
 * Authorized first (by the lifecycle), then bytes pass as they are. A log is a streamed HTTPS
 * answer; exec and its kin are an upgraded connection whose request line is rebuilt for the kubelet
 * and which is then piped both ways, whatever is spoken inside. The kubelet is found from the Node
 * object: its InternalIP and the port that it reports.
 */
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import { badRequest, internalError, notFound, serviceUnavailable } from '#api/errors.ts';
import type { Logger } from '#kit/log.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import type { Store } from '#store';
import { decodeEntry, registryRoot } from '../registry.ts';
import type { ResourceInfo, ServerResponse } from '../request.ts';

export interface KubeletProxyDeps {
  readonly store: Store;
  readonly log: Logger;
}

export interface KubeletProxyOptions {
  readonly client: { readonly ca: string; readonly cert: string; readonly key: string } | undefined;
}

/** Where on which kubelet a request goes. */
export interface KubeletTarget {
  readonly host: string;
  readonly port: number;
  readonly path: string;
}

export interface UpgradeRequest {
  readonly method: string;
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly string[];
  /** What the client had already sent behind its request. */
  readonly head: Uint8Array;
  readonly socket: Duplex;
}

const kubeletPortDefault = 10250;
const connectLimitMs = 10_000;

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

  constructor(deps: KubeletProxyDeps, { client }: KubeletProxyOptions) {
    this.#deps = deps;
    this.#client = client;
  }

  /** Where a request for a sub-resource of a pod, or below a node's `proxy`, is served. */
  target(info: ResourceInfo): KubeletTarget {
    const search = info.query.size === 0 ? '' : `?${info.query}`;
    if (info.plural === 'nodes') {
      return { ...this.#address(info.name), path: `/${info.rest}${search}` };
    }
    const pod = this.#pod(info.namespace, info.name);
    const node = pod.spec?.nodeName ?? '';
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

  /** Asks the kubelet and passes its answer on as it comes. */
  async fetch(
    target: KubeletTarget,
    options: { readonly method: string; readonly signal: AbortSignal },
  ): Promise<ServerResponse> {
    const answer = await this.#send(target, options);
    const status = answer.statusCode ?? 500;
    const type = answer.headers['content-type'] ?? 'text/plain';
    return { status, headers: { 'content-type': type }, body: answer, live: true };
  }

  /** A log: what the kubelet refuses becomes a Status. */
  async log(
    target: KubeletTarget,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<ServerResponse> {
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
    const upstream = connect({ ...this.#tls(), host: target.host, port: target.port });
    upstream.setTimeout(connectLimitMs, () => upstream.destroy(new Error('connect timed out')));
    upstream.setNoDelay(true);
    let joined = false;
    upstream.once('secureConnect', () => {
      joined = true;
      upstream.setTimeout(0);
      upstream.write(requestHead(target, request));
      if (head.length > 0) upstream.write(head);
      socket.pipe(upstream);
      upstream.pipe(socket);
    });
    upstream.once('error', (error) => {
      this.#deps.log.warn('connection to a kubelet failed', { host: target.host, error });
      if (joined || socket.destroyed) socket.destroy();
      else socket.end(plainFailure(502, 'error dialing backend'));
    });
    socket.once('error', () => upstream.destroy());
    socket.once('close', () => upstream.destroy());
    upstream.once('close', () => socket.end());
  }

  #send(
    target: KubeletTarget,
    { method, signal }: { readonly method: string; readonly signal: AbortSignal },
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const { host, port, path } = target;
      const options = { ...this.#tls(), host, port, path, method, signal, agent: false as const };
      const sent = httpsRequest(options, resolve);
      // The limit is for connecting; a followed log may stay silent for as long as it likes.
      sent.setTimeout(connectLimitMs, () => {
        if (sent.socket?.connecting !== false) sent.destroy(new Error('connect timed out'));
      });
      sent.once('error', (error) => {
        if (signal.aborted) reject(signal.reason);
        else reject(serviceUnavailable(`error trying to reach node: ${error.message}`));
      });
      sent.end();
    });
  }

  #tls(): { readonly ca: string; readonly cert: string; readonly key: string } {
    if (this.#client === undefined) {
      throw serviceUnavailable('this server has no credentials for kubelets');
    }
    return this.#client;
  }

  #pod(namespace: string, name: string): Pod {
    const entry = this.#deps.store.get(`${registryRoot}pods/${namespace}/${name}`);
    if (entry === undefined) throw notFound({ group: '', resource: 'pods' }, name);
    // Stored pods have this shape.
    return decodeEntry(entry) as unknown as Pod;
  }

  #address(name: string): { readonly host: string; readonly port: number } {
    const entry = this.#deps.store.get(`${registryRoot}minions/${name}`);
    if (entry === undefined) throw notFound({ group: '', resource: 'nodes' }, name);
    // Stored nodes have this shape.
    const { status } = decodeEntry(entry) as unknown as Node;
    const host = status?.addresses?.find(({ type }) => type === 'InternalIP')?.address;
    if (host === undefined) throw serviceUnavailable(`node ${name} has no InternalIP`);
    const port = status?.daemonEndpoints?.kubeletEndpoint?.Port ?? kubeletPortDefault;
    return { host, port };
  }
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

export function plainFailure(status: number, message: string): string {
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
