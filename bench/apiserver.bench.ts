/**
 * The API server over HTTPS: creates, gets, merge patches and lists (JSON and protobuf) with 16
 * clients in a closed loop, beside a bare HTTPS echo in the same run, so that the ratio says what
 * the server adds to Node's own TLS and HTTP. Client and servers share one thread, so absolute
 * numbers are low; the ratios count. `npm run bench -- apiserver`.
 */
import { createSecureServer } from 'node:http2';
import { Agent, request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { openApiServer } from '#apiserver';
import { systemClock } from '#kit/clock.ts';
import { silentLog } from '#kit/log.ts';
import { systemRandom } from '#kit/random.ts';
import { createPrivateKeyPem, issueCertificate, type KeyPair } from '#kit/x509.ts';
import { openCatalog } from '#resources/resources.ts';
import { openMemoryStore } from '#store';

const clock = systemClock();
const random = systemRandom();
const clients = 16;
const protobufType = 'application/vnd.kubernetes.protobuf';
const space = '/api/v1/namespaces/default/configmaps';
const text = 'x'.repeat(1024);

interface Target {
  readonly port: number;
  readonly ca: string;
  readonly identity: KeyPair;
  readonly agent: Agent;
}

interface Call {
  readonly method: string;
  readonly path: string;
  readonly body?: string;
  readonly type?: string;
  readonly accept?: string;
}

export default async function run({ small }: { readonly small: boolean }): Promise<void> {
  const durationMs = small ? 300 : 3000;
  const certificates = issueAll();
  const { ca, client } = certificates;
  const echo = await startEcho(certificates);
  const api = await startApi(certificates);
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  const at = (port: number): Target => ({ port, ca: ca.cert, identity: client, agent });
  try {
    const bareGet = await measure(at(echo.port), durationMs, () => ({ method: 'GET', path: '/' }));
    const barePost = await measure(at(echo.port), durationMs, () => configMap('POST', '/', 0));
    report('echo get', bareGet, bareGet);
    report('echo post of 1 KiB', barePost, barePost);
    const create = await measure(at(api.port), durationMs, (n) => configMap('POST', space, n));
    report('create ConfigMap of 1 KiB', create, barePost);
    const path = `${space}/c0`;
    report(
      'get ConfigMap',
      await measure(at(api.port), durationMs, () => ({ method: 'GET', path })),
      bareGet,
    );
    const patched = await measure(at(api.port), durationMs, (n) => ({
      method: 'PATCH',
      path: `${space}/c${n % clients}`,
      body: JSON.stringify({ metadata: { labels: { n: String(n) } } }),
      type: 'application/merge-patch+json',
    }));
    report('merge patch', patched, barePost);
    const protobuf = { method: 'GET', path, accept: protobufType };
    report(
      'get ConfigMap as protobuf',
      await measure(at(api.port), durationMs, () => protobuf),
      bareGet,
    );
    const jsonMs = await measureList(at(api.port), small ? 5 : 20, 'application/json');
    const protobufMs = await measureList(at(api.port), small ? 5 : 20, protobufType);
    console.log(`list as protobuf: ${(protobufMs / jsonMs).toFixed(2)} of the time as JSON`);
  } finally {
    agent.destroy();
    await api.close();
    await echo.close();
  }
}

function configMap(method: string, path: string, n: number): Call {
  return { method, path, body: JSON.stringify({ metadata: { name: `c${n}` }, data: { text } }) };
}

interface Figures {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

async function measure(
  target: Target,
  durationMs: number,
  call: (n: number) => Call,
): Promise<Figures> {
  const latencies: number[] = [];
  let next = 0;
  // Connections are made and code is compiled before anything is counted.
  const warmUntilMs = clock.monotonic() + durationMs / 2;
  const warm = async (): Promise<void> => {
    while (clock.monotonic() < warmUntilMs) await send(target, call(next++));
  };
  await Promise.all(Array.from({ length: clients }, warm));
  const startedMs = clock.monotonic();
  const loop = async (): Promise<void> => {
    while (clock.monotonic() - startedMs < durationMs) {
      const sentMs = clock.monotonic();
      await send(target, call(next++));
      latencies.push(clock.monotonic() - sentMs);
    }
  };
  await Promise.all(Array.from({ length: clients }, loop));
  const seconds = (clock.monotonic() - startedMs) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? 0;
  return { perSecond: latencies.length / seconds, p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** Median in milliseconds; the first, which finds no cache, is told apart. */
async function measureList(target: Target, repeat: number, accept: string): Promise<number> {
  const timesMs: number[] = [];
  let bytes = 0;
  for (let index = 0; index < repeat; index++) {
    const startedMs = clock.monotonic();
    bytes = await send(target, { method: 'GET', path: space, accept });
    timesMs.push(clock.monotonic() - startedMs);
  }
  const [firstMs = 0] = timesMs;
  timesMs.sort((a, b) => a - b);
  const medianMs = timesMs[Math.floor(timesMs.length / 2)] ?? 0;
  const rate = bytes / 1e6 / (medianMs / 1000);
  console.log(
    `list of ${(bytes / 1e6).toFixed(1)} MB as ${accept}: ${medianMs.toFixed(1)} ms, ` +
      `${rate.toFixed(0)} MB/s, the first ${firstMs.toFixed(1)} ms`,
  );
  return medianMs;
}

function report(name: string, figures: Figures, bare: Figures): void {
  const { perSecond, p50Ms, p99Ms } = figures;
  const ratio = perSecond / bare.perSecond;
  console.log(
    `${name}: ${perSecond.toFixed(0)}/s, p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms, ` +
      `${ratio.toFixed(2)} of the bare echo`,
  );
}

/** Length of the answer. */
function send({ port, ca, identity, agent }: Target, call: Call): Promise<number> {
  const { method, path, body, type = 'application/json', accept = 'application/json' } = call;
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? { accept } : { 'content-type': type, accept };
    const options = { host: '127.0.0.1', port, ca, ...identity, agent, method, path, headers };
    const sent = httpsRequest(options, (answer) => {
      let length = 0;
      answer.on('data', (part: Buffer) => {
        length += part.length;
      });
      answer.on('end', () => {
        if ((answer.statusCode ?? 0) < 300) resolve(length);
        else reject(new Error(`${method} ${path} was answered with ${answer.statusCode}`));
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

interface Certificates {
  readonly ca: KeyPair;
  readonly serving: KeyPair;
  readonly client: KeyPair;
}

function issueAll(): Certificates {
  const nowMs = clock.now();
  const validity = { notBeforeMs: nowMs - 60_000, notAfterMs: nowMs + 3_600_000 };
  const issue = (commonName: string, role: 'ca' | 'server' | 'client', issuer?: KeyPair): KeyPair =>
    issueCertificate(
      { random },
      {
        commonName,
        role,
        organizations: role === 'client' ? ['system:masters'] : [],
        ipAddresses: role === 'server' ? ['127.0.0.1'] : [],
        ...(issuer === undefined ? {} : { issuer }),
        ...validity,
      },
    );
  const ca = issue('ca', 'ca');
  return { ca, serving: issue('server', 'server', ca), client: issue('bench', 'client', ca) };
}

interface Running {
  readonly port: number;
  close(): Promise<void>;
}

/** The least that a server can do: read the body, send 1 KiB. */
async function startEcho({ ca, serving }: Certificates): Promise<Running> {
  const options = { ...serving, ca: ca.cert, requestCert: true, allowHTTP1: true };
  const server = createSecureServer(options, (request, response) => {
    request.resume();
    request.once('end', () => response.end(text));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { port, close: () => new Promise((resolve) => server.close(() => resolve())) };
}

async function startApi({ ca, serving }: Certificates): Promise<Running> {
  const store = openMemoryStore({ clock });
  const server = await openApiServer(
    { store, catalog: openCatalog(), clock, random, log: silentLog },
    {
      serviceCIDR: '10.43.0.0/16',
      nodePortRange: { first: 30_000, last: 32_767 },
      advertise: { address: '192.0.2.1', port: 6443 },
      serviceAccountKey: createPrivateKeyPem(),
      serviceAccountIssuer: 'https://kubernetes.default.svc',
      legacyVersions: false,
    },
  );
  const listen = { host: '127.0.0.1', port: 0, ...serving, clientCA: ca.cert };
  const { port } = await server.listen(listen);
  return {
    port,
    close: async () => {
      await server[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}
