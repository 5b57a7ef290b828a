/**
 * The API server: requests in, objects out. `openApiServer` assembles it; `lifecycle.ts` is the
 * walk of one request; `http.ts` is the only file that knows Node's HTTP.
 */
import { defaultPlugins } from '#api/admission-plugins.ts';
import type { Catalog } from '#api/catalog.ts';
import type { RuntimeConfig } from '#api/runtime-config.ts';
import { versionDocument } from '#api/version.ts';
import type { Clock } from '#kit/clock.ts';
import { type Logger, silentLog } from '#kit/log.ts';
import { threadUtilization } from '#kit/quiet.ts';
import type { Random } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import type { Identity, Transport } from '#kit/transport.ts';
import { type Entry, openMemoryStore, type Store, ValueUnreadable } from '#store';
import type { TolerationSeconds } from './admission/default-tolerations.ts';
import { QuotaLedger } from './admission/resource-quota.ts';
import { currentSubjects } from './auth/current-subjects.ts';
import { NodeGraph } from './auth/node-graph.ts';
import { TokenUses } from './auth/token-uses.ts';
import { Tokens } from './auth/tokens.ts';
import { bootstrap } from './bootstrap.ts';
import { directTransport } from './direct-transport.ts';
import { Discovery } from './discovery/discovery.ts';
import { Health, type HealthCheck } from './discovery/health.ts';
import { Metrics } from './discovery/metrics.ts';
import { OpenApi } from './discovery/openapi.ts';
import { prepareFirstBurst } from './first-burst.ts';
import type { HttpServer } from './http.ts';
import { keepObjects } from './kept-objects.ts';
import { WatchOutput } from './output/event-encoder.ts';
import { ProtobufOutput } from './output/protobuf.ts';
import { KeptRows } from './output/stored-row.ts';
import type { Parts } from './parts.ts';
import { ProtobufBodies } from './protobuf-body.ts';
import { decodeEntry, registryRoot } from './registry.ts';
import type { RehearsalOptions } from './rehearsal.ts';
import { repairServices, runRepair } from './services/repair.ts';
import { ServiceAllocator } from './services/service-allocator.ts';
import { withAuthenticatedGroup } from './stages/authenticate.ts';
import { InFlight, type InFlightLimits } from './stages/in-flight.ts';
import type { Component } from './subresources/component-status.ts';
import { KubeletProxy } from './subresources/kubelet-proxy.ts';
import { reviewFacts } from './subresources/reviews.ts';
import { WatchHub } from './watch/watch-hub.ts';

export type { HealthCheck } from './discovery/health.ts';
export { KeyIndex, registryRoot } from './registry.ts';

export interface ApiServerDeps {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface ApiServerOptions {
  /** Address range of Services, as `10.43.0.0/16`. */
  readonly serviceCIDR: string;
  /** A range of the other family, where Services can have an address of both. */
  readonly secondServiceCIDR?: string | undefined;
  /** Inclusive. */
  readonly nodePortRange: { readonly first: number; readonly last: number };
  /**
   * Address and port under which clients in the cluster reach this server (Endpoints of
   * `kubernetes`).
   */
  readonly advertise: { readonly address: string; readonly port: number };
  /** PEM of the EC P-256 key that signs service-account tokens, and their issuer. */
  readonly serviceAccountKey: string;
  readonly serviceAccountIssuer: string;
  /** Put legacy group versions (extensions/v1beta1, …) into discovery. */
  readonly legacyVersions: boolean;
  /** Versions and resources that are not served; all are where this is absent. */
  readonly runtimeConfig?: RuntimeConfig | undefined;
  /** Make the roles and the flow control that upstream's server makes, a while after the start. */
  readonly defaultObjects?: boolean | undefined;
  /** Write as clients do, to nowhere, a while after the start: the first of them finds it warm. */
  readonly rehearsal?: boolean | undefined;
  /** Plugins that are on; those that are on by themselves where this is absent. */
  readonly admissionPlugins?: ReadonlySet<string> | undefined;
  /** False: containers may not be privileged. */
  readonly allowPrivileged?: boolean | undefined;
  /** How long pods stay on nodes that are not ready or not reachable. */
  readonly tolerationSeconds?: TolerationSeconds | undefined;
  /** How long an Event is kept, for ever where this is 0; an hour where it is absent. */
  readonly eventTTLMs?: number | undefined;
  /** False: who shows nothing is nobody, and is told so. */
  readonly anonymous?: boolean | undefined;
  /** Who is believed by a token that the cluster has not made. */
  readonly staticTokens?: ReadonlyMap<string, Identity> | undefined;
  /** Shortest life of a watch that names none; the longest is twice that. */
  readonly minRequestTimeoutMs?: number | undefined;
  /** Requests at a time, watches and the like aside; as many as come where this is absent. */
  readonly inFlight?: InFlightLimits | undefined;
  /** Share of HTTP/2 requests after which the client is sent to connect anew. */
  readonly goawayChance?: number | undefined;
  /** Requests at a time on one HTTP/2 connection. */
  readonly streamsMax?: number | undefined;
  /** How to reach kubelets: client certificate for the node proxy (logs, exec, port-forward). */
  readonly kubeletClient?:
    | { readonly ca: string; readonly cert: string; readonly key: string }
    | undefined;
  /** More checks of `/healthz` and `/readyz`, for parts that others made. */
  readonly healthChecks?: readonly HealthCheck[] | undefined;
  /** More for `/metrics`, in whole lines. */
  readonly figures?: (() => string) | undefined;
  /** Of nodes that do not say which port their kubelet has; 10250 where this is absent. */
  readonly kubeletPort?: number | undefined;
  /** Sorts of addresses by which nodes are reached, the first that is there; `InternalIP`. */
  readonly kubeletAddressTypes?: readonly string[] | undefined;
  /** The parts of the control plane that ComponentStatus reports, besides the store. */
  readonly components?: readonly Component[] | undefined;
  /**
   * Let broken invariants reject the request instead of answering 500: for tests and simulation,
   * where a bug must not look like a failing server.
   */
  readonly rethrowBugs?: boolean | undefined;
}

/** How long the start has the thread for itself before default objects are made. */
const defaultsAfterMs = 1500;

export interface ApiServer extends AsyncDisposable {
  /** A transport on this thread whose requests come from `identity`. */
  direct(identity: Identity): Transport;
  /** The same for requests whose sender proves itself with a token, or not at all. */
  unbound(): Transport;
  /** Serves HTTPS; resolves when listening. Port 0 picks one. */
  listen(options: {
    readonly host: string;
    readonly port: number;
    /** PEM. */
    readonly cert: string;
    readonly key: string;
    readonly clientCA: string;
  }): Promise<{ readonly port: number }>;
  /** Shows another certificate to whoever connects from now on. PEM. */
  useCertificate(pair: { readonly cert: string; readonly key: string }): void;
  /** Broken invariants seen so far. */
  readonly bugs: number;
  /** Makes readyz fail, before the server is closed. */
  drain(): void;
}

/**
 * Builds the server on an open store, and writes what every cluster has from the start; roles and
 * the like come a little later (`defaults/defaults.ts`).
 */
export async function openApiServer(
  deps: ApiServerDeps,
  given: ApiServerOptions,
): Promise<ApiServer> {
  // Of one shape with those of a rehearsal, whose compiled code would else be thrown away.
  const options = { ...given, inFlight: given.inFlight, goawayChance: given.goawayChance ?? 0 };
  const closing = new AbortController();
  const state = { draining: false };
  if (options.runtimeConfig !== undefined) deps.catalog.restrict(options.runtimeConfig);
  const parts = makeParts(deps, options, state);
  await bootstrap(parts);
  const first = await repairServices(parts);
  const work = new Scope(closing.signal);
  work.spawn((signal) => runRepair(parts, { signal, first }));
  work.spawn((signal) => keepObjects(parts, { signal }));
  work.spawn((signal) => parts.tokenUses.run(parts, { signal }));
  if (options.defaultObjects === true) {
    work.spawn(async (signal) => {
      await deps.clock.sleep(defaultsAfterMs, { signal });
      const { runDefaults } = await import('./defaults/defaults.ts');
      await runDefaults(parts, { signal });
    });
  }
  let server: HttpServer | undefined;
  return {
    get bugs() {
      return parts.metrics.bugs;
    },
    direct: (identity) => directTransport(parts, withAuthenticatedGroup(identity), closing.signal),
    unbound: () => directTransport(parts, undefined, closing.signal),
    listen: async (where) => {
      const { listenHttp } = await import('./http.ts');
      server = await listenHttp(parts, where);
      work.spawn((signal) => prepare(deps, options, { ...where, signal }));
      return { port: server.port };
    },
    useCertificate: (pair) => server?.useCertificate(pair),
    drain: () => {
      state.draining = true;
    },
    [Symbol.asyncDispose]: async () => {
      state.draining = true;
      parts.hub.close();
      await server?.[Symbol.asyncDispose]();
      closing.abort(new Error('the API server is closed'));
      await work.join();
    },
  };
}

/** As `batch/v1`, and `/v1` of the core: what could be served, whatever is switched off. */
export function knownVersions({ resources }: Catalog): ReadonlySet<string> {
  const all = [...resources].flatMap(({ views }) => views);
  return new Set([...all, ...reviewFacts].map(({ group, version }) => `${group}/${version}`));
}

/** Where some pod cannot be read, nodes get to see nothing for its sake. */
function podEntries({ store, log }: Pick<ApiServerDeps, 'store' | 'log'>): readonly Entry[] {
  try {
    return store.list({ prefix: `${registryRoot}pods/` }).entries;
  } catch (error) {
    if (!(error instanceof ValueUnreadable)) throw error;
    log.error('pods cannot be read', { error });
    return [];
  }
}

async function prepare(
  deps: ApiServerDeps,
  options: ApiServerOptions,
  { cert, key, signal }: Omit<RehearsalOptions, 'utilization'>,
): Promise<void> {
  const { catalog, clock } = deps;
  const utilization = threadUtilization();
  const rehearse = () => rehearseAlone(deps, options, { cert, key, utilization, signal });
  await prepareFirstBurst(
    {
      ...{ catalog, clock, utilization },
      rehearse: options.rehearsal === true ? rehearse : undefined,
      memory: async () => (await import('#kit/give-back.ts')).ownMemory('last-resort'),
    },
    { signal },
  );
}

/** On a server of its own, which nobody sees, keeps nothing and counts for itself. */
export async function rehearseAlone(
  deps: Omit<ApiServerDeps, 'store' | 'log'>,
  options: ApiServerOptions,
  rehearsal: RehearsalOptions,
): Promise<ReadonlyMap<number, number>> {
  const { rehearse } = await import('./rehearsal.ts');
  await using store = openMemoryStore(deps);
  const alone = { ...options, inFlight: undefined, goawayChance: 0 };
  const parts = makeParts({ ...deps, store, log: silentLog }, alone, { draining: false });
  try {
    return await rehearse(parts, rehearsal);
  } finally {
    parts.hub.close();
  }
}

function makeParts(
  { store, catalog, clock, random, log }: ApiServerDeps,
  options: ApiServerOptions,
  state: { readonly draining: boolean },
): Parts {
  const hub = new WatchHub({ store, catalog, clock });
  const nodeGraph = new NodeGraph();
  for (const entry of podEntries({ store, log })) nodeGraph.add(decodeEntry(entry));
  hub.observe((event) => nodeGraph.observe(event));
  const metrics = new Metrics();
  hub.observe(({ resource }) => metrics.countEvent(resource));
  const services = new ServiceAllocator({ store, catalog, clock, random }, options);
  const { address, port } = options.advertise;
  const discovery = new Discovery(
    { catalog },
    { legacyVersions: options.legacyVersions, serverAddress: `${address}:${port}` },
  );
  const protobufOutput = new ProtobufOutput(catalog);
  const tokenUses = new TokenUses(() => clock.now());
  const onHeldUse = tokenUses.note.bind(tokenUses);
  const tokens = new Tokens(
    { clock, random, problemOf: currentSubjects({ store, clock, onHeldUse }) },
    { key: options.serviceAccountKey, issuer: options.serviceAccountIssuer },
  );
  return {
    store,
    catalog,
    clock,
    random,
    log,
    options,
    hub,
    nodeGraph,
    services,
    plugins: options.admissionPlugins ?? defaultPlugins,
    inFlight: options.inFlight === undefined ? undefined : new InFlight(options.inFlight),
    quotas: new QuotaLedger({ store, catalog, clock }),
    discovery,
    tokens,
    tokenUses,
    openApi: new OpenApi({ catalog, discovery, clock }, { version: versionDocument().gitVersion }),
    health: new Health([
      { name: 'etcd', isHealthy: () => store.health.ok },
      { name: 'shutdown', only: 'readyz', isHealthy: () => !state.draining },
      ...(options.healthChecks ?? []),
    ]),
    metrics,
    protobuf: new ProtobufBodies(catalog),
    protobufOutput,
    watchOutput: new WatchOutput({ clock, protobufOutput }),
    keptRows: new KeptRows(),
    kubelet: new KubeletProxy(
      { store, random, log },
      {
        client: options.kubeletClient,
        port: options.kubeletPort,
        addressTypes: options.kubeletAddressTypes,
      },
    ),
  };
}
