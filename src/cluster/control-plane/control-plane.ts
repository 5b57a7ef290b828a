/**
 * The control plane of one cluster: store, API server, and the worker with controllers and
 * scheduler.
 *
 * The API server has the main thread to itself; the store's log and the control worker have threads
 * of their own. The order below is the start-up path, so what can wait comes after `listen`.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Catalog } from '#api/catalog.ts';
import { type RuntimeConfig, versionsAskedFor } from '#api/runtime-config.ts';
import { type ApiServer, knownVersions, openApiServer } from '#apiserver';
import { type Client, openClient } from '#client';
import type { Clock } from '#kit/clock.ts';
import { giveBackLater } from '#kit/give-back-later.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import type { KeyPair } from '#kit/x509.ts';
import { openCatalog } from '#resources/resources.ts';
import {
  type Copied,
  openMemoryStore,
  openSqliteStore,
  type Store,
  type ValueTransformer,
} from '#store';
import type { Certificates } from '../credentials/certificates.ts';
import type { JoinToken } from '../credentials/join-token.ts';
import type { Encryption } from '../encryption/encryption-file.ts';
import { plainTransformer } from '../encryption/plain.ts';
import { type ClusterConfig, ConfigError } from '../settings/config.ts';
import { type ClusterState, clusterRangesText, nthAddress } from '../state.ts';
import { backupFolder, runBackups, storePath } from './backups.ts';
import { runComponentServers } from './component-servers.ts';
import { ControlFigures, runControl } from './control.ts';
import { removeUnreadable, storedValue } from './stored-values.ts';

/** How often certificates are looked at while the cluster runs. */
const renewalIntervalMs = 24 * 3600 * 1000;

export interface ClusterDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly writeLog: (line: string) => void;
}

export interface ControlPlaneOptions {
  readonly config: ClusterConfig;
  readonly state: ClusterState;
  readonly certificates: Certificates;
  readonly nodeIP: string;
  /** With which nodes join. */
  readonly token: JoinToken;
  /** The certificates as they shall be from now on: those that are near their end are new. */
  readonly renew: () => Certificates;
}

export interface ControlPlane extends AsyncDisposable {
  readonly server: ApiServer;
  readonly port: number;
  /** Rejects when a part of it has failed for good. */
  readonly ended: Promise<void>;
  /** Copies the store to a new file. */
  backup(file: string): Promise<Copied>;
  /** A value as it is kept, in base64; undefined where there is no such key. */
  stored(key: string): Promise<string | undefined>;
  /** Removes a value that cannot be read, and no other. */
  removeUnreadable(key: string): Promise<void>;
  /** Not ready any more, but serving for a while, so that clients turn away before it closes. */
  drain(): Promise<void>;
}

export async function openControlPlane(
  deps: ClusterDeps,
  options: ControlPlaneOptions,
): Promise<ControlPlane> {
  const { config, state } = options;
  let { certificates } = options;
  const schedulerConfig = await readSchedulerConfig(config);
  for (const note of config.server.notes) deps.log.warn(note);
  const catalog = openCatalog();
  requireVersions(catalog, config.runtimeConfig);
  const encryption = await readEncryptionOf(config, { ...deps, catalog });
  const store = await openClusterStore(deps, config, encryption?.transformer);
  const figures = new ControlFigures();
  const server = await openApiServer(
    { ...deps, store, catalog },
    {
      ...serverOptions(options),
      components: controlComponents(() => figures.runs),
      kubeletClient: kubeletClient(() => certificates),
      healthChecks: encryption?.healthChecks,
      figures: encryption?.figures,
    },
  );
  const scope = new Scope(new AbortController().signal);
  /** Who shows the API server's certificate. */
  const showing = [(pair: KeyPair) => server.useCertificate(pair)];
  const { port } = await server.listen({
    host: config.bindAddress,
    port: state.apiPort,
    ...certificates.apiServer,
    clientCA: certificates.ca.cert,
  });
  scope.spawn((signal) =>
    runControl(
      { ...deps, server, figures },
      { ...controlOptions(options), schedulerConfig },
      signal,
    ),
  );
  scope.spawn((signal) =>
    runComponentServers(
      { ...deps, client: reviewer(server, deps.clock), figures },
      { ...componentServers(options), onRenewal: (use) => showing.push(use), signal },
    ),
  );
  scope.spawn(async (signal) => {
    for (;;) {
      await deps.clock.sleep(renewalIntervalMs, { signal });
      certificates = options.renew();
      for (const use of showing) use(certificates.apiServer);
    }
  });
  spawnUpkeep({ ...deps, store }, { config, encryption, scope });
  return {
    server,
    port,
    backup: (file) => store.backup(file),
    stored: (key) => storedValue(store, key),
    removeUnreadable: (key) => removeUnreadable(store, key),
    drain: () => drain(deps, { server, afterMs: config.shutdownDelayMs, signal: scope.signal }),
    ended: scope.join(),
    [Symbol.asyncDispose]: async () => {
      scope.abort(new Error('the control plane stops'));
      await scope.join();
      await server[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

async function drain(
  { clock, log }: ClusterDeps,
  options: { readonly server: ApiServer; readonly afterMs: number; readonly signal: AbortSignal },
): Promise<void> {
  const { server, afterMs, signal } = options;
  server.drain();
  if (afterMs === 0) return;
  log.info('control plane stops soon', { afterMs });
  await clock.sleep(afterMs, { signal });
}

function serverOptions({ config, state, certificates, nodeIP }: ControlPlaneOptions) {
  return {
    serviceCIDR: state.serviceCIDR,
    secondServiceCIDR: state.secondServiceCIDR,
    nodePortRange: state.nodePortRange,
    ...config.server,
    advertise: { address: config.server.advertiseAddress ?? nodeIP, port: state.apiPort },
    serviceAccountKey: certificates.serviceAccountKey,
    serviceAccountIssuer: `https://kubernetes.default.svc.${state.clusterDomain}`,
    legacyVersions: true,
    runtimeConfig: config.runtimeConfig,
    defaultObjects: true,
    rehearsal: true,
  };
}

/** Where controllers and scheduler are asked, on this machine only. */
function componentServers({ state, certificates }: ControlPlaneOptions) {
  return {
    ports: { controllers: state.controllersPort, scheduler: state.schedulerPort },
    host: '127.0.0.1',
    tls: { ...certificates.apiServer, ca: certificates.ca.cert },
  };
}

/** What upstream has in its code, and switches off, may not be there at all. */
function requireVersions(catalog: Catalog, config: RuntimeConfig): void {
  const known = knownVersions(catalog);
  const missing = versionsAskedFor(config).filter((version) => !known.has(version));
  if (missing.length === 0) return;
  throw new ConfigError(`--runtime-config: not served by this server: ${missing.join(', ')}`);
}

/** Asks who somebody is and what they may. */
function reviewer(server: ApiServer, clock: Clock): Client {
  const identity = { name: 'system:apiserver', groups: ['system:masters'] };
  return openClient({ transport: server.direct(identity), clock });
}

/** What ComponentStatus says of the thread that controllers and scheduler share. */
function controlComponents(runs: () => boolean) {
  return ['controller-manager', 'scheduler'].map((name) => ({
    name,
    problem: () => (runs() ? undefined : 'its thread does not run'),
  }));
}

/** What the API server shows to kubelets, as it is at the moment. */
function kubeletClient(current: () => Certificates) {
  return {
    ca: current().ca.cert,
    get cert() {
      return current().kubeletClient.cert;
    },
    get key() {
      return current().kubeletClient.key;
    },
  };
}

/** Refused before anything is started, where it is wrong. */
async function readSchedulerConfig({
  schedulerConfig,
}: ClusterConfig): Promise<string | undefined> {
  if (schedulerConfig === undefined) return undefined;
  const source = readFileSync(schedulerConfig, 'utf8');
  const { readConfiguration } = await import('#scheduler');
  await readConfiguration(source);
  return source;
}

/** Refused before anything is started, where it is wrong. */
async function readEncryptionOf(
  { encryption }: ClusterConfig,
  deps: ClusterDeps & { readonly catalog: Catalog },
): Promise<Encryption | undefined> {
  if (encryption === undefined) return undefined;
  const { openEncryption } = await import('../encryption/encryption-file.ts');
  return await openEncryption(deps, encryption);
}

async function openClusterStore(
  deps: ClusterDeps,
  config: ClusterConfig,
  transformer: ValueTransformer = plainTransformer,
): Promise<Store> {
  if (config.store === 'memory') return openMemoryStore(deps);
  const file = storePath(config.dataDir);
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const store = await openSqliteStore(deps, { file, transformer });
  const [key] = store.atRest?.unreadable ?? [];
  if (key !== undefined) {
    const values = store.atRest?.unreadable.length;
    deps.log.error('values cannot be read', { values, key, why: store.atRest?.why(key) });
  }
  return store;
}

/** Copies of the store, and a look now and then at how it is to be encrypted. */
function spawnUpkeep(
  deps: ClusterDeps & { readonly store: Store },
  options: {
    readonly config: ClusterConfig;
    readonly encryption: Encryption | undefined;
    readonly scope: Scope;
  },
): void {
  const { config, encryption, scope } = options;
  const forgottenBytes = (): number => deps.store.forgottenBytes;
  scope.spawn((signal) => giveBackLater(deps.clock, { signal, forgottenBytes }));
  if (encryption !== undefined) scope.spawn((signal) => encryption.run(deps.store, signal));
  if (config.store !== 'sqlite' || config.backupIntervalMs === 0) return;
  const { backupIntervalMs: intervalMs, backupKeep: keep } = config;
  const copies = { folder: backupFolder(config.dataDir), intervalMs, keep };
  scope.spawn((signal) => runBackups(deps, copies, signal));
}

function controlOptions(options: ControlPlaneOptions) {
  const { config, state, certificates, nodeIP, token } = options;
  const { clusterCIDR, secondClusterCIDR, serviceCIDR, clusterDNS, clusterDomain } = state;
  return {
    clusterCIDR: clusterRangesText(state),
    rootCA: certificates.ca.cert,
    issuer: certificates.ca,
    leaderElect: config.leaderElect,
    dns: config.node === 'hollow' ? undefined : { clusterIP: clusterDNS },
    joining: {
      server: `https://${nodeIP}:${state.apiPort}`,
      token,
      facts: { clusterCIDR, secondClusterCIDR, serviceCIDR, clusterDNS, clusterDomain },
    },
    hollowNodes: config.node === 'hollow' ? config.nodes : 0,
    logLevel: config.logLevel,
    logsRequests: config.logsRequests,
  };
}

/** The address of the Service `default/kubernetes`. */
export function apiServiceIP(state: ClusterState): string {
  return nthAddress(state.serviceCIDR, 1);
}
