/**
 * `coracle kubelet`: the kubelet alone, for any API server and any runtime that serves CRI v1.
 * Network and Services are the business of others, as with upstream's kubelet.
 *
 * It logs in with a kubeconfig; where that is no file yet it asks for a certificate with the
 * bootstrap kubeconfig and writes it. With `rotateCertificates` and `serverTLSBootstrap` it asks
 * for others before they end. Without any kubeconfig it runs static pods. Settings come from
 * `kubelet-settings.ts`.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname, resolve } from 'node:path';
import {
  type Client,
  type HttpConnections,
  type HttpTransportOptions,
  limitRequests,
  logRequests,
  openClient,
  openHttpTransport,
  openInformers,
} from '#client';
import { isGrpcCode, openRuntime, type Runtime } from '#cri';
import { aborted } from '#kit/aborted.ts';
import { enforcesAppArmor } from '#kit/apparmor.ts';
import type { Clock } from '#kit/clock.ts';
import { giveBackLater } from '#kit/give-back-later.ts';
import { createHttpServer } from '#kit/http-request.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import type { KeyPair } from '#kit/x509.ts';
import { type KubeletOptions, limits, runKubelet } from '#kubelet';
import type { Taint } from '#resources/types/core-v1.ts';
import { endMs, keepRenewed } from '../credentials/certificate-renewal.ts';
import { CertificateStore } from '../credentials/certificate-store.ts';
import { isLoginValid, readAccess } from '../credentials/kubeconfig-access.ts';
import {
  type Asked,
  isUsable,
  readPair,
  requestCertificate,
  selfSigned,
  writePair,
  writeSecret,
} from '../credentials/node-certificates.ts';
import type { KubeletConfig } from '../kubelet-settings/kubelet-settings.ts';
import { addressTowards } from '../node/address-towards.ts';
import { registryOptions } from '../node/image-source-files.ts';
import { ensureKernelDefaults } from '../node/kernel-defaults.ts';
import { findOwnAddress, readAddressFacts } from '../node/own-address.ts';
import { isLinkLocal } from '../node/second-address.ts';
import { ConfigError } from '../settings/config.ts';
import { familyWanted } from '../settings/node-ips.ts';
import { noServer } from './no-server.ts';

const defaults = {
  port: 10_250,
  healthzPort: 10_248,
  healthzAddress: '127.0.0.1',
  oomScoreAdj: -999,
} as const;

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
  const { clock, log } = deps;
  const { rootDir, strictProblem } = config;
  // As services have it: pods of any user read what is made for them, whoever started us.
  process.umask(0o022);
  if (strictProblem !== undefined) {
    log.warn('Using lenient decoding as strict decoding failed', { err: strictProblem });
  }
  for (const [flag, instead] of config.deprecated) log.warn('deprecated flag', { flag, instead });
  if (config.unused.length > 0) log.warn('fields that are not acted on', { fields: config.unused });
  const access = await openAccess(deps, config, signal);
  prepareMachine(deps, config.fields);
  const { secondNodeIP } = config.nodeIPs;
  const nodeIP = await ownAddress(deps, config, access);
  const addresses = secondNodeIP === undefined ? [nodeIP] : [nodeIP, secondNodeIP];
  mkdirSync(rootDir, { recursive: true });
  const { connectionsMax } = limits;
  using transport =
    access === undefined ? noServer() : openHttpTransport({ ...access, connectionsMax });
  const { rates, runtimeRequestTimeoutMs: requestTimeoutMs } = config.server;
  const told = logRequests(transport, deps, config);
  const limited = limitRequests({ transport: told, clock }, rates);
  const client = openClient({ transport: limited, clock, userAgent: 'kubelet' });
  const { runtimeSocket: socketPath, imageSocket: imageSocketPath } = config;
  const sockets = { socketPath, imageSocketPath, requestTimeoutMs };
  using runtime = await openRuntime({ clock, log }, sockets);
  await checkRuntime(runtime, socketPath, signal);
  const scope = new Scope(signal);
  const renewal = { deps: { ...deps, client }, config, addresses, scope };
  if (access !== undefined) renewClient(renewal, access, transport);
  let isReady = false;
  scope.spawn((ending) => serveHealthz(config.fields, () => isReady, ending));
  const isStandalone = access === undefined;
  const serving = servingOf(renewal, { isStandalone });
  const onReady = (): void => {
    isReady = true;
  };
  const options = {
    ...kubeletOptions(config, { nodeIP, secondNodeIP, isStandalone }),
    serving,
    onReady,
  };
  const informers = openInformers({ client, ...deps });
  scope.spawn((ending) => informers.run(ending));
  scope.spawn((ending) => giveBackLater(clock, { signal: ending }));
  const parts = { client, informers, runtime, ...deps };
  scope.spawn((ending) => runKubelet(parts, { ...options, signal: ending }));
  try {
    await scope.join();
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** One that is too old for CRI v1 stays so; one that does not answer yet is asked again later. */
async function checkRuntime(runtime: Runtime, path: string, signal: AbortSignal): Promise<void> {
  try {
    await runtime.version({ signal });
  } catch (error) {
    if (!isGrpcCode(error, 'UNIMPLEMENTED') || !(error instanceof Error)) return;
    throw new ConfigError(
      'failed to run Kubelet: validate service connection: validate CRI v1 runtime API for ' +
        `endpoint "unix://${path}": ${error.message}`,
    );
  }
}

/** What upstream asks of the machine, and does to its own process. */
function prepareMachine({ log }: Deps, fields: KubeletConfig['fields']): void {
  const { failSwapOn = true, oomScoreAdj = defaults.oomScoreAdj } = fields;
  // Unlike upstream only where it was said: machines with the first version are fine here.
  const isVersion1 = !existsSync('/sys/fs/cgroup/cgroup.controllers');
  if (isVersion1 && fields.singleProcessOOMKill === false) {
    throw new ConfigError(
      'invalid configuration: singleProcessOOMKill must not be explicitly set to false ' +
        'when using cgroup v1',
    );
  }
  if (fields.failCgroupV1 === true && isVersion1) {
    throw new ConfigError(
      'kubelet is configured to not run on a host using cgroup v1. ' +
        'cgroup v1 support is unsupported and will be removed in a future release',
    );
  }
  const files = {
    read: (path: string) => (existsSync(path) ? readFileSync(path, 'utf8') : undefined),
    write: (path: string, text: string) => writeFileSync(path, text),
  };
  ensureKernelDefaults({ files, log }, { protects: fields.protectKernelDefaults === true });
  const [, ...swaps] = existsSync('/proc/swaps')
    ? readFileSync('/proc/swaps', 'utf8').trim().split('\n')
    : [];
  if (failSwapOn && swaps.length > 0) {
    throw new ConfigError(
      'running with swap on is not supported, ' +
        'please disable swap or set --fail-swap-on flag to false',
    );
  }
  try {
    writeFileSync('/proc/self/oom_score_adj', String(oomScoreAdj));
  } catch (error) {
    log.warn('cannot be kept from being killed for memory', { error });
  }
}

/** Of a node that waits for somebody to tell where it is. */
const cloudTaint: Taint = {
  key: 'node.cloudprovider.kubernetes.io/uninitialized',
  value: 'true',
  effect: 'NoSchedule',
};

function kubeletOptions(
  config: KubeletConfig,
  {
    nodeIP,
    secondNodeIP,
    isStandalone,
  }: {
    readonly nodeIP: string;
    readonly secondNodeIP: string | undefined;
    readonly isStandalone: boolean;
  },
): Omit<KubeletOptions, 'signal'> {
  const { fields, nodeName, rootDir } = config;
  const { staticPodPath: path, staticPodURL: url, staticPodURLHeader: headers } = fields;
  return {
    ...{ nodeName, nodeIP, secondNodeIP, dataDir: rootDir, rootDir, clusterId: 'kubelet' },
    labels: config.labels,
    settings: {
      ...config.settings,
      isCloudExternal: config.isCloudExternal,
      appArmor: enforcesAppArmor(),
    },
    registries: registryOptions(config.images, { root: rootDir, environment: process.env }),
    clusterDNS: fields.clusterDNS ?? [],
    clusterDomain: fields.clusterDomain ?? '',
    port: fields.port ?? defaults.port,
    podLogsDir: config.podLogsDir,
    maxPods: fields.maxPods,
    podPidsMax: (fields.podPidsLimit ?? -1) > 0 ? fields.podPidsLimit : undefined,
    cgroupRoot: (fields.cgroupRoot ?? '').replace(/\/+$/, ''),
    podCIDR: fields.podCIDR,
    taints: [...(fields.registerWithTaints ?? []), ...(config.isCloudExternal ? [cloudTaint] : [])],
    providerID: fields.providerID,
    address: fields.address,
    registers: isStandalone ? false : fields.registerNode,
    staticPods: { path, url, headers: joined(headers) },
    pluginsRoot: resolve(rootDir),
  };
}

function joined(headers: Readonly<Record<string, readonly string[]>> = {}) {
  return Object.fromEntries(Object.entries(headers).map(([name, all]) => [name, all.join(', ')]));
}

/** Without any kubeconfig the kubelet runs static pods, and nobody is asked. */
async function openAccess(
  deps: Deps,
  config: KubeletConfig,
  signal: AbortSignal,
): Promise<HttpTransportOptions | undefined> {
  const { kubeconfig, bootstrapKubeconfig, nodeName } = config;
  if (kubeconfig === undefined) {
    if (bootstrapKubeconfig === undefined) {
      deps.log.info('Standalone mode, no API client');
      return undefined;
    }
    throw new ConfigError('--kubeconfig: needed, since there is a --bootstrap-kubeconfig');
  }
  const store = clientStore(config);
  if (bootstrapKubeconfig === undefined && !existsSync(kubeconfig)) {
    throw new ConfigError(`invalid kubeconfig: stat ${kubeconfig}: no such file or directory`);
  }
  if (bootstrapKubeconfig !== undefined && !isLoginValid(deps, kubeconfig)) {
    store.write(await bootstrap(deps, { bootstrapKubeconfig, nodeName }, signal), deps.clock.now());
    mkdirSync(dirname(kubeconfig), { recursive: true });
    const access = readAccess(bootstrapKubeconfig, undefined);
    writeSecret(kubeconfig, ownKubeconfig(access, store.currentPath));
  }
  const access = readAccess(kubeconfig, undefined);
  // One that it got later than the kubeconfig was written counts more.
  const renewed = config.fields.rotateCertificates === true ? store.read() : undefined;
  const isGood =
    renewed !== undefined &&
    isUsable(renewed, { nodeName, caCert: access.ca ?? '', nowMs: deps.clock.now() });
  return isGood ? { ...access, ...renewed } : access;
}

/** A certificate, asked for with the login of those who have none yet. */
async function bootstrap(
  deps: Deps,
  of: { readonly bootstrapKubeconfig: string; readonly nodeName: string },
  signal: AbortSignal,
): Promise<KeyPair> {
  using transport = openHttpTransport(readAccess(of.bootstrapKubeconfig, undefined));
  const client = openClient({ transport, clock: deps.clock, userAgent: 'kubelet' });
  const asked = { nodeName: of.nodeName, sort: 'client' } as const;
  return await requestCertificate({ ...deps, client }, asked, { signal });
}

function clientStore({ certDir }: KubeletConfig): CertificateStore {
  return new CertificateStore(certDir, 'kubelet-client');
}

/** It names the file that always has the newest certificate. */
function ownKubeconfig({ server, ca = '' }: HttpTransportOptions, pem: string): string {
  const name = 'default-auth';
  return `apiVersion: v1
kind: Config
clusters:
  - name: default-cluster
    cluster:
      server: ${server}
      certificate-authority-data: ${Buffer.from(ca).toString('base64')}
users:
  - name: ${name}
    user:
      client-certificate: ${JSON.stringify(pem)}
      client-key: ${JSON.stringify(pem)}
contexts:
  - name: default-context
    context:
      cluster: default-cluster
      namespace: default
      user: ${name}
current-context: default-context
`;
}

interface Renewal {
  readonly deps: Deps & { readonly client: Client };
  readonly config: KubeletConfig;
  /** Of the node. */
  readonly addresses: readonly string[];
  readonly scope: Scope;
}

/** With `rotateCertificates`: as long as it runs, its certificate does not end. */
function renewClient(
  { deps, config, scope }: Renewal,
  { cert, key }: HttpTransportOptions,
  transport: HttpConnections,
): void {
  if (config.fields.rotateCertificates !== true || cert === undefined || key === undefined) return;
  const asked: Asked = { nodeName: config.nodeName, sort: 'client' };
  const use = (pair: KeyPair): void => {
    clientStore(config).write(pair, deps.clock.now());
    transport.useCertificate(pair);
  };
  const first = { cert, key };
  const { bootstrapKubeconfig, nodeName } = config;
  const anew =
    bootstrapKubeconfig === undefined
      ? undefined
      : (options: { readonly signal: AbortSignal }) =>
          bootstrap(deps, { bootstrapKubeconfig, nodeName }, options.signal);
  scope.spawn((ending) => keepRenewed(deps, { asked, first, anew, use, signal: ending }));
}

/** Undefined: it does not serve. */
function servingOf(
  renewal: Renewal,
  { isStandalone }: { readonly isStandalone: boolean },
): KubeletOptions['serving'] {
  const { deps, config, addresses, scope } = renewal;
  const { enableServer, serverTLSBootstrap, authentication } = config.fields;
  if (enableServer === false) return undefined;
  const clientCAFile = authentication?.x509?.clientCAFile;
  const clientCA = clientCAFile === undefined ? '' : readFileSync(clientCAFile, 'utf8');
  const own = servingPair(deps, config, addresses);
  const { serves } = config.server;
  if (serverTLSBootstrap !== true || isStandalone) return { ...own, clientCA, serves };
  const { nodeName, certDir } = config;
  const store = new CertificateStore(certDir, 'kubelet-server');
  const kept = store.read();
  const isGood = kept !== undefined && endMs(kept) > deps.clock.now();
  const asked: Asked = { nodeName, sort: 'serving', dnsNames: [nodeName], ipAddresses: addresses };
  return {
    // Until somebody has signed, the one that it signs itself.
    ...(isGood ? kept : own),
    clientCA,
    serves,
    onServe: (server) => {
      const use = (pair: KeyPair): void => {
        store.write(pair, deps.clock.now());
        server.useCertificate(pair);
      };
      const first = isGood ? kept : undefined;
      scope.spawn((ending) => keepRenewed(deps, { asked, first, use, signal: ending }));
    },
  };
}

/** The files that were named, or a pair that it signs itself and keeps, as upstream does. */
function servingPair(deps: Deps, config: KubeletConfig, addresses: readonly string[]): KeyPair {
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
  const names = { nodeName, dnsNames: [nodeName], ipAddresses: addresses };
  const pair = selfSigned(deps, names);
  writePair(config.certDir, 'kubelet', pair);
  return pair;
}

/** The one that was named, or found as upstream does; else the one towards the server. */
async function ownAddress(
  deps: Deps,
  { nodeName, nodeIPs }: KubeletConfig,
  access: HttpTransportOptions | undefined,
): Promise<string> {
  const wanted = familyWanted(nodeIPs);
  if (nodeIPs.nodeIP !== undefined && wanted === undefined) return nodeIPs.nodeIP;
  const found = await findOwnAddress(nodeName, wanted ?? 'IPv4', readAddressFacts(deps));
  if (found !== undefined) return found;
  if (access !== undefined && wanted === undefined) return addressTowards(access.server);
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const usable = all.find(
    ({ family, internal, address }) =>
      family === (wanted ?? 'IPv4') && !internal && !isLinkLocal(address),
  );
  return usable?.address ?? (wanted === 'IPv6' ? '::1' : '127.0.0.1');
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
