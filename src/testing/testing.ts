/**
 * `import { startCluster } from 'coracle/testing'`: a whole cluster in the process of a test.
 *
 * The components are those of `coracle up` (API server, controllers, scheduler, hollow nodes), on
 * the test's own thread, over a store in memory. Nothing touches the disk, and clusters share
 * nothing, so as many as wanted run side by side. Under the virtual clock time passes only in
 * `advance` and `until`. Next: `components.ts`; how to use it: `docs/testing-operators.md`.
 */
import { type ApiServer, openApiServer } from '#apiserver';
import { type Client, openClient } from '#client';
import { assert } from '#kit/assert.ts';
import { type Clock, systemClock } from '#kit/clock.ts';
import { parseDuration } from '#kit/duration.ts';
import { type Level, type Logger, openLog, silentLog } from '#kit/log.ts';
import { type Random, seededRandom, systemRandom } from '#kit/random.ts';
import type { Identity } from '#kit/transport.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { createPrivateKeyPem } from '#kit/x509.ts';
import { openCatalog } from '#resources/resources.ts';
import { openMemoryStore, type Store } from '#store';
import { Access } from './access.ts';
import { Components, type NodeOptions, type RunningNode } from './components.ts';

export type { NodeOptions, RunningNode } from './components.ts';

/** `'90s'`, `'10m'`, `'1h30m'`, or milliseconds. */
export type Duration = string | number;

export interface ClusterOptions {
  /** `virtual`: time stands still but for `advance` and `until`. Default: `real`. */
  readonly clock?: 'real' | 'virtual' | undefined;
  /** Where virtual time begins; default 2026-01-01T00:00:00Z. */
  readonly startTime?: Date | undefined;
  /** How many hollow nodes (`hollow-0`, `hollow-1`, …), or each by name; default 1. */
  readonly nodes?: number | readonly NodeOptions[] | undefined;
  /** The same seed gives the same names and uids under the virtual clock; default: by chance. */
  readonly seed?: number | undefined;
  /** Gets every line that the components log, from `logLevel` (default `info`) on. */
  readonly log?: ((line: string) => void) | undefined;
  readonly logLevel?: Level | undefined;
}

export interface TestCluster extends AsyncDisposable {
  /** An administrator's client; requests never leave the process. */
  readonly client: Client;
  /** For the client's calls: aborts when the cluster stops. */
  readonly signal: AbortSignal;
  /** The cluster's clock, for code under test that takes one. */
  readonly clock: Clock;
  /** The client of somebody else. */
  clientOf(identity: Identity): Client;
  /** An administrator's kubeconfig. The first call opens an HTTPS port on 127.0.0.1. */
  kubeconfig(): Promise<string>;
  /** Lets virtual time pass, and everything happen that becomes due in it. */
  advance(duration: Duration): Promise<void>;
  /** Resolves once the check holds; rejects, naming `what`, when it does not within the limit. */
  until(
    what: string,
    check: () => boolean | Promise<boolean>,
    options?: { readonly limit?: Duration | undefined },
  ): Promise<void>;
  /** Another node, Ready when this resolves; disposing of it is its sudden death. */
  addNode(options: NodeOptions): Promise<RunningNode>;
}

export const limits = {
  /** How long nodes may take to become Ready, of the cluster's time. */
  startMs: 60_000,
  /** How long `until` waits if not told otherwise, of the cluster's time. */
  untilMs: 60_000,
} as const;

const turnMs = { real: 5, virtual: 100 } as const;
const addresses = { clusterCIDR: '10.42.0.0/16', serviceCIDR: '10.43.0.0/16' } as const;
const admin: Identity = { name: 'kubernetes-admin', groups: ['system:masters'] };

/** Resolves when the nodes are Ready and pods can be created in the namespace `default`. */
export async function startCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  const startMs = options.startTime?.getTime();
  const virtual =
    options.clock === 'virtual'
      ? new VirtualClock(startMs === undefined ? {} : { startMs })
      : undefined;
  const clock = virtual ?? systemClock();
  const random = options.seed === undefined ? systemRandom() : seededRandom(options.seed);
  const log = openClusterLog(clock, options);
  const access = new Access({ random });
  const store = openMemoryStore({ clock, log });
  const server = await openServer({ store, clock, random, log });
  const components = new Components(
    { server, clock, random, log },
    { clusterCIDR: addresses.clusterCIDR, rootCA: access.caCert, issuer: access.issuer },
  );
  const cluster = new InProcessCluster({ clock, virtual, store, server, components, access });
  try {
    const { nodes = 1 } = options;
    components.startControl();
    if (typeof nodes !== 'number') for (const node of nodes) components.startNode(node);
    else if (nodes > 0) components.startNodes(nodes);
    const count = typeof nodes === 'number' ? nodes : nodes.length;
    await cluster.until('the start of the cluster', () => components.isUsable(count), {
      limit: limits.startMs,
    });
    return cluster;
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}

function openClusterLog(clock: Clock, options: ClusterOptions): Logger {
  const { log: write, logLevel: level = 'info' } = options;
  return write === undefined ? silentLog : openLog({ clock, level, format: 'text', write });
}

function openServer(deps: {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}): Promise<ApiServer> {
  return openApiServer(
    { ...deps, catalog: openCatalog() },
    {
      serviceCIDR: addresses.serviceCIDR,
      nodePortRange: { first: 30_000, last: 32_767 },
      advertise: { address: '192.168.255.1', port: 6443 },
      serviceAccountKey: createPrivateKeyPem(),
      serviceAccountIssuer: 'https://kubernetes.default.svc.cluster.local',
      legacyVersions: true,
    },
  );
}

interface ClusterParts {
  readonly clock: Clock;
  /** The same clock, where time is virtual. */
  readonly virtual: VirtualClock | undefined;
  readonly store: Store;
  readonly server: ApiServer;
  readonly components: Components;
  readonly access: Access;
}

class InProcessCluster implements TestCluster {
  readonly client: Client;
  readonly clock: Clock;
  readonly #parts: ClusterParts;
  readonly #stop = new AbortController();
  #kubeconfig: Promise<string> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(parts: ClusterParts) {
    this.#parts = parts;
    this.clock = parts.clock;
    this.client = this.clientOf(admin);
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  clientOf(identity: Identity): Client {
    const { server, clock } = this.#parts;
    return openClient({ transport: server.direct(identity), clock });
  }

  kubeconfig(): Promise<string> {
    this.signal.throwIfAborted();
    const { server, access } = this.#parts;
    this.#kubeconfig ??= access.listen(server);
    return this.#kubeconfig;
  }

  async advance(duration: Duration): Promise<void> {
    const { virtual, components } = this.#parts;
    const deltaMs = milliseconds(duration);
    if (virtual === undefined) {
      throw new Error("advance needs startCluster({ clock: 'virtual' })");
    }
    this.signal.throwIfAborted();
    await virtual.advance(deltaMs);
    components.throwIfFailed();
  }

  async until(
    what: string,
    check: () => boolean | Promise<boolean>,
    options: { readonly limit?: Duration | undefined } = {},
  ): Promise<void> {
    const { clock, virtual, components } = this.#parts;
    const limitMs = milliseconds(options.limit ?? limits.untilMs);
    const endMs = clock.monotonic() + limitMs;
    // What is due now may be all that is missing.
    await virtual?.advance(0);
    while (!(await check())) {
      components.throwIfFailed();
      this.signal.throwIfAborted();
      if (clock.monotonic() >= endMs) throw new Error(`${what}: not within ${limitMs} ms`);
      await this.#turn();
    }
  }

  /** One turn of waiting. Programs on a connection of their own need the machine's time too. */
  async #turn(): Promise<void> {
    const { virtual } = this.#parts;
    if (virtual === undefined || this.#kubeconfig !== undefined) {
      await systemClock().sleep(turnMs.real, { signal: this.signal });
    }
    await virtual?.advance(turnMs.virtual);
  }

  async addNode(options: NodeOptions): Promise<RunningNode> {
    const { components } = this.#parts;
    this.signal.throwIfAborted();
    const node = components.startNode(options);
    await this.until(`node ${options.name}`, () => components.isNodeUsable(options.name));
    return node;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stopped ??= this.#close();
    return this.#stopped;
  }

  async #close(): Promise<void> {
    const { virtual, components, server, store } = this.#parts;
    this.#stop.abort(new Error('the test cluster stops'));
    // A port that is still being opened would outlive its server.
    await this.#kubeconfig?.catch(() => {});
    let isClosed = false;
    const closing = (async () => {
      try {
        await components.stop();
      } finally {
        await server[Symbol.asyncDispose]();
        await store[Symbol.asyncDispose]();
      }
    })().finally(() => {
      isClosed = true;
    });
    // Nobody else lets the time limits of closing pass any more.
    while (virtual !== undefined && !isClosed) {
      await virtual.advance(turnMs.virtual);
    }
    await closing;
  }
}

function milliseconds(duration: Duration): number {
  const ms = typeof duration === 'number' ? duration : parseDuration(duration);
  assert(ms !== undefined && ms >= 0, `not a duration: ${duration}`);
  return ms;
}
