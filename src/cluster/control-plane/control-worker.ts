/**
 * The inside of the worker `control`: controllers, scheduler and (where asked for) hollow nodes,
 * each with an identity of its own, over message ports to the API server. Informers are shared.
 *
 * `control.ts` starts this worker and hands it the ports; it ends when it is told to stop.
 */
import { isMainThread, type MessagePort, parentPort, workerData } from 'node:worker_threads';
import {
  type Client,
  logRequests,
  openClient,
  openInformers,
  openPortTransport,
  RequestFigures,
  runAsLeader,
} from '#client';
import { type ControllersDeps, ControllersMetrics, runControllers } from '#controllers';
import type { HollowDeps, HollowOptions } from '#hollow';
import { assert, present } from '#kit/assert.ts';
import { type Clock, systemClock } from '#kit/clock.ts';
import { giveBackLater } from '#kit/give-back-later.ts';
import { type Level, openLog } from '#kit/log.ts';
import { nameSuffix, systemRandom } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import type { KeyPair } from '#kit/x509.ts';
import {
  readConfiguration,
  runScheduler,
  runSchedulerAsLeader,
  type SchedulerDeps,
  SchedulerMetrics,
} from '#scheduler';
import type { JoinToken } from '../credentials/join-token.ts';
import { runClusterDns } from './cluster-dns.ts';
import { type ClusterFacts, publishCluster } from './cluster-facts.ts';
import { hostFolders } from './host-folders.ts';

/** Everything the worker is told. */
export interface ControlData {
  readonly ports: {
    readonly controllers: MessagePort;
    readonly scheduler: MessagePort;
    readonly hollow: MessagePort | undefined;
  };
  readonly clusterCIDR: string;
  readonly rootCA: string;
  /** The cluster's authority with its key: it signs what is asked for. */
  readonly issuer: KeyPair;
  /** The Service in front of the nodes' DNS, or none where nodes are hollow. */
  readonly dns: { readonly clusterIP: string } | undefined;
  /** What nodes that join are told. */
  readonly joining: {
    readonly server: string;
    readonly token: JoinToken;
    readonly facts: ClusterFacts;
  };
  readonly hollowNodes: number;
  readonly logLevel: Level;
  readonly logsRequests: boolean;
  /** The controllers begin when they hold their Lease. */
  readonly leaderElect: boolean;
  /** Text of a `KubeSchedulerConfiguration`. */
  readonly schedulerConfig: string | undefined;
}

/** From the worker to its parent. */
export type ControlMessage =
  | { readonly log: string }
  /** The answer to a request. */
  | { readonly id: number; readonly text: string };

/** From the parent to the worker. */
export type ControlRequest =
  | { readonly do: 'stop' }
  | { readonly do: 'tell figures'; readonly of: ControlComponent; readonly id: number };

export type ControlComponent = 'scheduler' | 'controllers';

/** By then everything is loaded. */
const collectAfterMs = 5000;

export async function runControlWorker(): Promise<void> {
  assert(!isMainThread, 'the control worker runs in a worker thread');
  const parent = present(parentPort, 'a worker has a parent');
  // The parent is our own code: `control.ts` passes exactly this.
  const data = workerData as ControlData;
  const clock = systemClock();
  const random = systemRandom();
  const log = openLog({
    clock,
    level: data.logLevel,
    format: 'text',
    write: (line) => parent.postMessage({ log: line } satisfies ControlMessage),
  });
  const metrics = {
    controllers: new ControllersMetrics({ clock }),
    scheduler: new SchedulerMetrics(),
  };
  const { host } = new URL(data.joining.server);
  const requests = {
    controllers: new RequestFigures({ clock }, { host }),
    scheduler: new RequestFigures({ clock }, { host }),
  };
  const stopped = followParent(parent, (of) => metrics[of].format() + requests[of].format());
  const clientOf = (port: MessagePort, userAgent: string, of?: ControlComponent): Client => {
    const plain = openPortTransport(port);
    const observed = of === undefined ? plain : requests[of].observed(plain);
    const deps = { clock, log: log.child({ component: userAgent }) };
    return openClient({ transport: logRequests(observed, deps, data), clock, userAgent });
  };

  const client = clientOf(data.ports.controllers, 'kube-controller-manager', 'controllers');
  const informers = openInformers({ client, clock, random, log });
  const scope = new Scope(stopped);
  scope.spawn((signal) => informers.run(signal));
  const controllers = {
    ...{ client, clock, random, log: log.child({ component: 'controllers' }) },
    metrics: metrics.controllers,
  };
  scope.spawn((signal) =>
    data.leaderElect
      ? leadControllers(controllers, data, signal)
      : runControllers({ ...controllers, informers }, { ...controlOptions(data), signal }),
  );
  const scheduler: SchedulerDeps = {
    client: clientOf(data.ports.scheduler, 'kube-scheduler', 'scheduler'),
    informers,
    clock,
    random,
    log: log.child({ component: 'scheduler' }),
    metrics: metrics.scheduler,
  };
  scope.spawn((signal) => runConfigured(scheduler, data.schedulerConfig, signal));
  const { dns } = data;
  if (dns !== undefined) {
    const parts = { client, informers, clock, log: log.child({ component: 'cluster-dns' }) };
    scope.spawn((signal) => runClusterDns(parts, { ...dns, signal }));
  }
  scope.spawn((signal) =>
    publishCluster({ client, clock, log }, { ...data.joining, caCert: data.rootCA, signal }),
  );
  const { hollow } = data.ports;
  if (hollow !== undefined) {
    const deps = { client: clientOf(hollow, 'hollow-node'), clock, random, log };
    scope.spawn((signal) => runHollow(deps, { count: data.hollowNodes, signal }));
  }
  scope.spawn((signal) => collectLater(clock, signal));
  scope.spawn((signal) => giveBackLater(clock, { signal }));
  await scope.join();
  for (const port of Object.values(data.ports)) port?.close();
}

/** Tells the parent what is counted when it asks; the signal aborts when it says so. */
function followParent(
  parent: MessagePort,
  figuresOf: (component: ControlComponent) => string,
): AbortSignal {
  const stop = new AbortController();
  const onRequest = (request: ControlRequest): void => {
    if (request.do === 'stop') {
      stop.abort(new Error('told to stop'));
      // A port that is listened to keeps the thread; `removeAllListeners` does not let it go.
      parent.off('message', onRequest);
      return;
    }
    const text = figuresOf(request.of);
    parent.postMessage({ id: request.id, text } satisfies ControlMessage);
  };
  parent.on('message', onRequest);
  return stop.signal;
}

async function runHollow(deps: HollowDeps, options: HollowOptions): Promise<void> {
  const { runHollowNodes } = await import('#hollow');
  await runHollowNodes(deps, options);
}

/** What the start has left behind is half of what the thread keeps. */
async function collectLater(clock: Clock, signal: AbortSignal): Promise<void> {
  await clock.sleep(collectAfterMs, { signal });
  const { collectWhenIdle, ownGarbage } = await import('#kit/collect-garbage.ts');
  await collectWhenIdle({ clock, ...ownGarbage() }, { signal });
}

function controlOptions({ clusterCIDR, rootCA, issuer, hollowNodes }: ControlData) {
  const folders = hollowNodes === 0 ? hostFolders : undefined;
  return { clusterCIDR, rootCA, issuer, approvesServing: true, folders };
}

/** Each time that they lead they begin with copies of their own, and end with them. */
function leadControllers(
  deps: Omit<ControllersDeps, 'informers'>,
  data: ControlData,
  signal: AbortSignal,
): Promise<void> {
  const lease = { namespace: 'kube-system', name: 'kube-controller-manager' };
  const identity = `coracle_${nameSuffix(deps.random, 10)}`;
  deps.metrics?.leads(lease.name, false);
  return runAsLeader(deps, { ...lease, identity, signal }, async (leading) => {
    deps.metrics?.leads(lease.name, true);
    leading.addEventListener('abort', () => deps.metrics?.leads(lease.name, false), { once: true });
    const scope = new Scope(leading);
    const informers = openInformers(deps);
    scope.spawn((inner) => informers.run(inner));
    scope.spawn((inner) =>
      runControllers({ ...deps, informers }, { ...controlOptions(data), signal: inner }),
    );
    await scope.join();
  });
}

/** With a configuration the scheduler takes the Lease that it names, so that others may wait. */
async function runConfigured(
  deps: SchedulerDeps,
  source: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (source === undefined) {
    await runScheduler(deps, { signal });
    return;
  }
  const { leaderElection: election, ...configured } = await readConfiguration(source);
  const identity = `coracle_${nameSuffix(deps.random, 10)}`;
  await runSchedulerAsLeader(deps, { ...configured, election, identity, signal });
}
