/**
 * A control plane without nodes' programs, for component tests: a real API server in memory, the
 * controllers, and a stand-in for scheduler and kubelet that binds each pod to a node, makes it
 * ready, and ends it when it is deleted. Everything runs under one virtual clock.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { isReason } from '#api/errors.ts';
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import { type Client, openClient, openInformers } from '#client';
import {
  ControllersMetrics,
  type ControllersSettings,
  type HostFolders,
  runControllers,
} from '#controllers';
import { formatMicroTime, formatTime } from '#kit/clock.ts';
import { seededRandom } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import type { Transport } from '#kit/transport.ts';
import { VirtualClock } from '#kit/virtual-clock.ts';
import { issueCertificate, type KeyPair } from '#kit/x509.ts';
import { leases, nodes, pods } from '#resources/kinds.ts';
import type { Node, Pod } from '#resources/types/core-v1.ts';
import { openTestServer, type TestServer } from '#test/fixtures.ts';
import { openTestLog } from '#test/test-log.ts';

export interface World {
  readonly clock: VirtualClock;
  readonly client: Client;
  readonly server: TestServer;
  readonly signal: AbortSignal;
  /** Signs the certificates that are asked for. */
  readonly issuer: KeyPair;
  /** What the controllers count. */
  readonly metrics: ControllersMetrics;
  /** Pods for which this answers false never become ready. */
  becomesReady: (pod: Pod) => boolean;
  /** Nodes whose kubelet still lives. */
  readonly living: Set<string>;
  /** Kills them where they are, and starts others that know nothing. */
  restartControllers(): Promise<void>;
  addNode(name: string, zone?: string): Promise<void>;
  list<T extends KubeObject>(kind: KindOf<T>, namespace?: string): Promise<readonly T[]>;
  /** Lets time pass. */
  pass(ms: number): Promise<void>;
  /** Lets time pass in steps of 100 ms until the check holds. */
  until(what: string, check: () => Promise<boolean>): Promise<void>;
}

export interface WorldOptions {
  /** The controllers hear of pods this much later than they happen. */
  readonly podDelayMs?: number;
  /** The same of replica sets. */
  readonly replicaSetDelayMs?: number;
  /** The controllers get answers to their deletions this much later than they hear of them. */
  readonly deletionDelayMs?: number;
  /** Stands in for the servers of metrics: the list for a path; undefined where there is none. */
  readonly metrics?: (path: string) => readonly object[] | undefined;
  /** Of the controllers, where not upstream's. */
  readonly settings?: ControllersSettings;
  /** Of the machine that they think they run on. */
  readonly folders?: HostFolders;
}

/** Opens it and ends it with the test. */
export async function openWorld(context: TestContext, options: WorldOptions = {}): Promise<World> {
  const clock = new VirtualClock();
  const server = await openTestServer({ clock });
  const client = openClient({ transport: server.transport, clock });
  const { podDelayMs = 0, replicaSetDelayMs = 0 } = options;
  const latePods = delayed(server.transport, clock, { path: '/api/v1/pods', ms: podDelayMs });
  const sets = { path: '/apis/apps/v1/replicasets', ms: replicaSetDelayMs };
  const late = delayed(latePods, clock, sets);
  const slow = slowDeletions(late, clock, options.deletionDelayMs ?? 0);
  const controllersTransport = withMetrics(slow, options.metrics);
  const controllersClient = openClient({ transport: controllersTransport, clock });
  const random = seededRandom(3);
  const metrics = new ControllersMetrics({ clock });
  const { settings, folders } = options;
  const log = openTestLog({ clock });
  const deps = { client: controllersClient, clock, random, log };
  const scope = new Scope(new AbortController().signal);
  const onBug = (error: Error): void => {
    throw error;
  };
  const issuer = issueCertificate(
    { random },
    {
      commonName: 'test-ca',
      role: 'ca',
      notBeforeMs: clock.now() - 3_600_000,
      notAfterMs: clock.now() + 10 * 365 * 24 * 3_600_000,
    },
  );
  const begin = (): Scope => {
    const controllers = new Scope(scope.signal);
    const informers = openInformers(deps, { freeze: true });
    controllers.spawn((signal) => informers.run(signal));
    controllers.spawn((signal) =>
      runControllers(
        { ...deps, informers, metrics, onBug },
        {
          ...{ clusterCIDR: '10.42.0.0/16', rootCA: 'the certificate', issuer },
          ...{ settings, folders, signal },
        },
      ),
    );
    return controllers;
  };
  let controllers = begin();
  const restartControllers = async (): Promise<void> => {
    controllers.abort(new Error('the controllers are killed'));
    await controllers.join();
    controllers = begin();
  };
  const own = { clock, client, server, issuer, metrics };
  const parts = { ...own, restartControllers, signal: scope.signal };
  const world = new ControlWorld(parts);
  scope.spawn((signal) => world.live(signal));
  context.after(async () => {
    scope.abort(new Error('the test is over'));
    await controllers.join();
    await scope.join();
    await server[Symbol.asyncDispose]();
  });
  await clock.advance(0);
  return world;
}

function slowDeletions(transport: Transport, clock: VirtualClock, ms: number): Transport {
  if (ms === 0) return transport;
  return {
    send: async (request, options) => {
      const response = await transport.send(request, options);
      if (request.method === 'DELETE') await clock.sleep(ms, options);
      return response;
    },
  };
}

/** The same transport, with watches of that path that lag behind. */
function delayed(
  transport: Transport,
  clock: VirtualClock,
  { path, ms }: { readonly path: string; readonly ms: number },
): Transport {
  if (ms === 0) return transport;
  return {
    send: async (request, options) => {
      const response = await transport.send(request, options);
      const { body } = response;
      const isWatch = request.path.startsWith(`${path}?watch=true`);
      if (!isWatch || body instanceof Uint8Array) return response;
      const late = (async function* () {
        for await (const chunk of body) {
          await clock.sleep(ms, options);
          yield chunk;
        }
      })();
      return { ...response, body: late };
    },
  };
}

/** The same transport, where requests for metrics are answered by the stand-in. */
function withMetrics(transport: Transport, metrics: WorldOptions['metrics']): Transport {
  if (metrics === undefined) return transport;
  return {
    send: (request, options) => {
      const path = decodeURIComponent(request.path);
      const isAsked = /^\/apis\/(custom\.|external\.)?metrics\.k8s\.io\//.test(path);
      const items = isAsked ? metrics(path) : undefined;
      if (items === undefined) return transport.send(request, options);
      const body = new TextEncoder().encode(JSON.stringify({ items }));
      return Promise.resolve({ status: 200, headers: {}, body });
    },
  };
}

type Parts = Pick<
  World,
  'clock' | 'client' | 'server' | 'issuer' | 'metrics' | 'restartControllers' | 'signal'
>;

class ControlWorld implements World {
  readonly clock: VirtualClock;
  readonly client: Client;
  readonly server: TestServer;
  readonly signal: AbortSignal;
  readonly issuer: KeyPair;
  readonly metrics: ControllersMetrics;
  readonly restartControllers: () => Promise<void>;
  readonly living = new Set<string>();
  becomesReady: (pod: Pod) => boolean = () => true;
  #addresses = 0;

  constructor(parts: Parts) {
    this.clock = parts.clock;
    this.client = parts.client;
    this.server = parts.server;
    this.signal = parts.signal;
    this.issuer = parts.issuer;
    this.metrics = parts.metrics;
    this.restartControllers = parts.restartControllers;
  }

  async addNode(name: string, zone = `zone-of-${name}`): Promise<void> {
    const { signal } = this;
    const labels = { 'topology.kubernetes.io/zone': zone };
    const node: Node = { apiVersion: 'v1', kind: 'Node', metadata: { name, labels } };
    await this.client.create(nodes, node, { signal });
    this.living.add(name);
    await this.#beat(name);
  }

  async list<T extends KubeObject>(kind: KindOf<T>, namespace?: string): Promise<readonly T[]> {
    const { items } = await this.client.list(kind, { namespace, signal: this.signal });
    return items;
  }

  pass(ms: number): Promise<void> {
    return this.clock.advance(ms);
  }

  async until(what: string, check: () => Promise<boolean>): Promise<void> {
    for (let turn = 0; turn < 600; turn++) {
      if (await check()) return;
      await this.clock.advance(100);
    }
    assert.fail(`${what} did not happen within a minute`);
  }

  /** Scheduler and kubelets, as far as controllers can see them. */
  async live(signal: AbortSignal): Promise<void> {
    for (let turn = 0; ; turn++) {
      if (turn % 100 === 0) for (const name of this.living) await this.#beat(name);
      for (const pod of await this.list(pods)) {
        await this.#step(pod).catch((error: unknown) => {
          if (!isReason(error, 'NotFound') && !isReason(error, 'Conflict')) throw error;
        });
      }
      await this.clock.sleep(100, { signal });
    }
  }

  async #step(pod: Pod): Promise<void> {
    const { signal } = this;
    const { namespace, name = '', deletionTimestamp } = pod.metadata;
    const { nodeName } = pod.spec ?? {};
    if (nodeName === undefined) {
      const target = namedNode(pod) ?? this.living.values().next().value;
      if (target === undefined || !this.living.has(target)) return;
      if (deletionTimestamp !== undefined) return;
      const body = {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { namespace, name },
        target: { kind: 'Node', name: target },
      };
      await this.client.createSubresource(pods, { namespace, name }, 'binding', body, { signal });
    } else if (!this.living.has(nodeName)) {
      return;
    } else if (deletionTimestamp !== undefined) {
      await this.client.delete(pods, { namespace, name }, { gracePeriodSeconds: 0, signal });
    } else if (pod.status?.phase !== 'Running' && this.becomesReady(pod)) {
      this.#addresses += 1;
      const podIP = `10.42.0.${this.#addresses}`;
      const lastTransitionTime = formatTime(this.clock.now());
      const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime }];
      const { startTime = lastTransitionTime } = pod.status ?? {};
      const containerStatuses = pod.spec?.containers.map(({ name, image = '' }) => ({
        name,
        image,
        imageID: '',
        ready: true,
        restartCount: 0,
        state: { running: {} },
      }));
      const ips = { podIP, podIPs: [{ ip: podIP }] };
      const status = { phase: 'Running', startTime, ...ips, conditions, containerStatuses };
      await this.client.update(pods, { ...pod, status }, { subresource: 'status', signal });
    }
  }

  /** Posts the status once and renews the lease. */
  async #beat(name: string): Promise<void> {
    const { client, clock, signal } = this;
    const node = await client.get(nodes, { name }, { signal });
    if (
      !node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')
    ) {
      const now = formatTime(clock.now());
      const times = { lastHeartbeatTime: now, lastTransitionTime: now };
      const conditions = [{ type: 'Ready', status: 'True', ...times }];
      const options = { type: 'merge', subresource: 'status', signal } as const;
      await client.patch(nodes, { name }, { status: { conditions } }, options);
    }
    const at = { namespace: 'kube-node-lease', name };
    const spec = { holderIdentity: name, renewTime: formatMicroTime(clock.now()) };
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: at, spec };
    try {
      await client.patch(leases, at, { spec }, { type: 'merge', signal });
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
      await client.create(leases, lease, { signal });
    }
  }
}

/** Where a pod of a DaemonSet insists to go. */
function namedNode({ spec }: Pod): string | undefined {
  const required = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required?.nodeSelectorTerms[0]?.matchFields?.[0]?.values?.[0];
}
