/**
 * `coracle kubelet`: the kubelet alone, for any API server and any runtime that serves CRI v1.
 * Network and Services are the business of others, as with upstream's kubelet.
 *
 * It logs in with a kubeconfig; where that is missing it asks for a certificate with the bootstrap
 * kubeconfig and writes it. Settings come from `kubelet-settings.ts`.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import {
  type HttpConnections,
  type HttpTransportOptions,
  kubeconfigText,
  openClient,
  openHttpTransport,
  openInformers,
} from '#client';
import { openRuntime } from '#cri';
import { aborted } from '#kit/aborted.ts';
import type { Clock } from '#kit/clock.ts';
import { createHttpServer } from '#kit/http-request.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import type { KeyPair } from '#kit/x509.ts';
import { runKubelet } from '#kubelet';
import { addressTowards } from './address-towards.ts';
import { ConfigError } from './config.ts';
import { readAccess } from './kubeconfig-access.ts';
import type { KubeletConfig } from './kubelet-settings.ts';
import { readPair, requestCertificate, selfSigned, writePair } from './node-certificates.ts';

const defaults = { port: 10_250, healthzPort: 10_248, healthzAddress: '127.0.0.1' } as const;

interface Deps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/** Runs until the signal aborts; containers go on running. */
export async function runKubeletAlone(
  deps: Deps,
  config: KubeletConfig,
  signal: AbortSignal,
): Promise<void> {
  const { clock, random, log } = deps;
  const { fields, nodeName, rootDir, strictProblem } = config;
  if (strictProblem !== undefined) {
    log.warn('Using lenient decoding as strict decoding failed', { err: strictProblem });
  }
  if (config.unused.length > 0) log.warn('fields that are not acted on', { fields: config.unused });
  const access = await openAccess(deps, config, signal);
  const nodeIP = config.nodeIP ?? (await addressTowards(access.server));
  mkdirSync(rootDir, { recursive: true });
  using transport: HttpConnections = openHttpTransport(access);
  const client = openClient({ transport, clock, userAgent: 'kubelet' });
  const informers = openInformers({ client, clock, random, log });
  using runtime = await openRuntime({ clock, log }, { socketPath: config.runtimeSocket });
  const serving = servingPair(deps, config, nodeIP);
  const clientCAFile = fields.authentication?.x509?.clientCAFile;
  const clientCA = clientCAFile === undefined ? '' : readFileSync(clientCAFile, 'utf8');
  const { staticPodPath: path, staticPodURL: url, staticPodURLHeader: headers } = fields;
  const scope = new Scope(signal);
  let isReady = false;
  scope.spawn((ending) => serveHealthz(fields, () => isReady, ending));
  scope.spawn((ending) => informers.run(ending));
  scope.spawn((ending) =>
    runKubelet(
      { client, informers, runtime, clock, random, log },
      {
        ...{ nodeName, nodeIP, dataDir: rootDir, rootDir, clusterId: 'kubelet' },
        labels: config.labels,
        settings: config.settings,
        clusterDNS: fields.clusterDNS ?? [],
        clusterDomain: fields.clusterDomain ?? '',
        port: fields.port ?? defaults.port,
        serving: fields.enableServer === false ? undefined : { ...serving, clientCA },
        podLogsDir: fields.podLogsDir ?? '/var/log/pods',
        maxPods: fields.maxPods,
        podPidsMax: (fields.podPidsLimit ?? -1) > 0 ? fields.podPidsLimit : undefined,
        cgroupRoot: (fields.cgroupRoot ?? '').replace(/\/+$/, ''),
        podCIDR: fields.podCIDR,
        taints: fields.registerWithTaints,
        registers: fields.registerNode,
        staticPods: { path, url, headers: joined(headers) },
        pluginsRoot: resolve(rootDir),
        onReady: () => {
          isReady = true;
        },
        signal: ending,
      },
    ),
  );
  try {
    await scope.join();
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function joined(headers: Readonly<Record<string, readonly string[]>> = {}) {
  return Object.fromEntries(Object.entries(headers).map(([name, all]) => [name, all.join(', ')]));
}

/** The kubeconfig, after it was made with the one to begin with. */
async function openAccess(
  deps: Deps,
  { kubeconfig, bootstrapKubeconfig, nodeName, certDir }: KubeletConfig,
  signal: AbortSignal,
): Promise<HttpTransportOptions> {
  if (kubeconfig === undefined) throw new ConfigError('--kubeconfig: needed');
  if (existsSync(kubeconfig)) return readAccess(kubeconfig, undefined);
  if (bootstrapKubeconfig === undefined) {
    throw new ConfigError(`invalid kubeconfig: stat ${kubeconfig}: no such file or directory`);
  }
  const access = readAccess(bootstrapKubeconfig, undefined);
  using transport = openHttpTransport(access);
  const client = openClient({ transport, clock: deps.clock, userAgent: 'kubelet' });
  const asked = { nodeName, sort: 'client' } as const;
  const pair = await requestCertificate({ ...deps, client }, asked, { signal });
  writePair(certDir, 'kubelet-client-current', pair);
  mkdirSync(dirname(kubeconfig), { recursive: true });
  const { server, ca = '' } = access;
  const text = kubeconfigText('default-auth', { server, caCert: ca, client: pair });
  writeFileSync(kubeconfig, text, { mode: 0o600 });
  return readAccess(kubeconfig, undefined);
}

/** The files that were named, or a pair that it signs itself and keeps, as upstream does. */
function servingPair(deps: Deps, config: KubeletConfig, nodeIP: string): KeyPair {
  const { tlsCertFile, tlsPrivateKeyFile } = config.fields;
  if (tlsCertFile !== undefined && tlsPrivateKeyFile !== undefined) {
    return {
      cert: readFileSync(tlsCertFile, 'utf8'),
      key: readFileSync(tlsPrivateKeyFile, 'utf8'),
    };
  }
  const kept = readPair(config.certDir, 'kubelet');
  if (kept !== undefined) return kept;
  const { nodeName } = config;
  const names = { nodeName, dnsNames: [nodeName], ipAddresses: [nodeIP] };
  const pair = selfSigned(deps, names);
  writePair(config.certDir, 'kubelet', pair);
  return pair;
}

/** Plain HTTP for whoever watches over the process, on this machine only by default. */
async function serveHealthz(
  { healthzPort = defaults.healthzPort, healthzBindAddress }: KubeletConfig['fields'],
  isReady: () => boolean,
  signal: AbortSignal,
): Promise<void> {
  if (healthzPort === 0) return;
  const server = createHttpServer((request, response) => {
    const isKnown = request.url === '/healthz';
    const code = isKnown ? (isReady() ? 200 : 500) : 404;
    response.writeHead(code, { 'content-type': 'text/plain; charset=utf-8' });
    response.end(code === 200 ? 'ok' : 'not ready');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(healthzPort, healthzBindAddress ?? defaults.healthzAddress, resolve);
  });
  await aborted(signal);
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}
