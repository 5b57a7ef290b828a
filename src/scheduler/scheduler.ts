/**
 * The scheduler: gives each pod without a node the best node that takes it.
 *
 * Informers fill `queue.ts` (pods that wait) and the cluster (nodes and what is on them). The loop
 * in `attempt.ts` takes one pod at a time: the rules of its profile decide (filter → score →
 * choose), the place is reserved, and `binding.ts` tells the API server while the loop goes on with
 * the next pod. Next in the walk: the API server's binding sub-resource, then the kubelet of the
 * chosen node.
 *
 * A pod that fits nowhere waits with the reasons in its PodScheduled condition, and may make room
 * by removing pods of lower priority (`preemptor.ts`). Several profiles, each with a scheduler name
 * and rules of its own, share all this.
 */
import type { Client, Informers, Recorder } from '#client';
import { openSeriesRecorder, runAsLeader } from '#client';
import type { Clock } from '#kit/clock.ts';
import type { Logger } from '#kit/log.ts';
import type { Random } from '#kit/random.ts';
import { Scope } from '#kit/scope.ts';
import { nodes, pods } from '#resources/kinds.ts';
import { Cluster, defaultProfile, type Profile, SchedulingCycle } from '#scheduling';
import { Attempts } from './attempt.ts';
import { StepPerformer, stepDefaults } from './bind-steps.ts';
import { Binder } from './binding.ts';
import type { LeaderElection, SchedulerConfiguration } from './configuration/configuration.ts';
import type { ExtenderOptions } from './configuration/extender-options.ts';
import { DeviceWriter } from './device-writer.ts';
import { followNodes, followPods, noteWritten } from './events.ts';
import type { Extender, Post } from './extender.ts';
import type { SchedulerExtension } from './extension.ts';
import { FactInformers, type FactListener } from './fact-informers.ts';
import { SchedulerMetrics } from './metrics.ts';
import { Preemptor } from './preemptor.ts';
import { type QueueOptions, queueDefaults, SchedulingQueue } from './queue.ts';
import { Reporter } from './report.ts';

export interface SchedulerDeps {
  readonly client: Client;
  /** Shared by the controllers and the scheduler of one process; run by whoever made it. */
  readonly informers: Informers;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Where somebody wants to read the figures. */
  readonly metrics?: SchedulerMetrics | undefined;
  /** How extenders are reached; by HTTP where nothing is said. */
  readonly post?: Post | undefined;
}

export interface SchedulerOptions {
  readonly signal: AbortSignal;
  /** Takes the pods whose `spec.schedulerName` is this; default `default-scheduler`. */
  readonly schedulerName?: string | undefined;
  /** Instead of one profile with the default rules. */
  readonly profiles?: readonly Profile[] | undefined;
  readonly queue?: QueueOptions | undefined;
  readonly extenders?: readonly ExtenderOptions[] | undefined;
  /** Within this time the claims of a pod must be bound. */
  readonly bindTimeoutMs?: number | undefined;
  /** Within this time the devices of a pod must be ready. */
  readonly deviceTimeoutMs?: number | undefined;
  readonly extensions?: readonly SchedulerExtension[] | undefined;
}

export const limits = {
  /** Bindings on their way to the API server; the loop pauses at this number. */
  bindingsMax: 64,
  /** Time that decisions may take in a row before other work of this thread gets its turn. */
  turnMsMax: 4,
} as const;

export async function runScheduler(deps: SchedulerDeps, options: SchedulerOptions): Promise<void> {
  const profiles = profilesByName(options);
  const metrics = deps.metrics ?? new SchedulerMetrics();
  const nodeInformer = deps.informers.of(nodes);
  const podInformer = deps.informers.of(pods);
  const listener: FactListener = {
    onFact: (change, object) => {
      noteWritten(cluster, change, object);
      queue.onChange(change);
    },
  };
  const factInformers = new FactInformers(deps.informers, listener, options.signal);
  const cluster = new Cluster(factInformers.facts);
  const knows = factInformers.knows.bind(factInformers);
  const queueDeps = { ...deps, cluster, knows, metrics };
  using queue = new SchedulingQueue(queueDeps, options.queue ?? queueDefaults);
  const meter = metrics.meter(deps.clock);
  const cycle = new SchedulingCycle({ cluster, random: deps.random, meter });

  const { signal } = options;
  const followers = { cluster, queue, signal, metrics, clock: deps.clock };
  followNodes(nodeInformer, followers);
  await Promise.all([nodeInformer.synced(options), factInformers.synced()]);
  let underWay: Binder | undefined;
  const onLeaving = (uid: string) => underWay?.cancel(uid, 'pod is deleted');
  followPods(podInformer, { ...followers, profiles, onLeaving });
  await podInformer.synced(options);

  const scope = new Scope(signal);
  const recorders = new Map<string, Recorder>();
  for (const name of profiles.keys()) {
    const recorder = openSeriesRecorder({ ...deps, component: name });
    recorders.set(name, recorder);
    scope.spawn((inner) => recorder.run(inner));
  }
  const shared = { ...deps, cluster, queue, metrics, scope };
  const reporter = new Reporter({ ...shared, recorders });
  const { extensions = [] } = options;
  const { facts } = cluster;
  const { bindTimeoutMs = stepDefaults.bindTimeoutMs } = options;
  const { deviceTimeoutMs = stepDefaults.deviceTimeoutMs } = options;
  const devices = new DeviceWriter({ ...deps, metrics });
  const steps = new StepPerformer({ ...deps, facts, devices }, { bindTimeoutMs, deviceTimeoutMs });
  const extenders = await openExtenders(deps, options.extenders ?? []);
  const binder = new Binder({ ...shared, reporter, steps, extensions, extenders });
  underWay = binder;
  metrics.watch(() => {
    const { active, backoff, waiting: unschedulable, gated, taken } = queue.counts;
    const pending = { active, backoff, unschedulable, gated };
    const { turnedAway } = queue;
    return { pending, cache: cluster.sizes, turnedAway, binding: binder.inFlight, taken };
  });
  const preemptor = new Preemptor({ ...shared, reporter, binder });
  const attempts = new Attempts({
    ...shared,
    reporter,
    binder,
    preemptor,
    cycle,
    podInformer,
    factInformers,
    extenders,
    devices,
  });
  scope.spawn((inner) => attempts.run({ ...limits, signal: inner }));
  await scope.join();
}

/** The modules of HTTP are loaded only where there is somebody to ask. */
async function openExtenders(
  deps: SchedulerDeps,
  options: readonly ExtenderOptions[],
): Promise<readonly Extender[]> {
  if (options.length === 0) return [];
  const { Extender: Opened } = await import('./extender.ts');
  const post = deps.post ?? (await import('./extender-http.ts')).openExtenderPost(deps);
  return options.map((one) => new Opened(one, post));
}

function profilesByName(options: SchedulerOptions): ReadonlyMap<string, Profile> {
  const profiles = options.profiles ?? [defaultProfile(options.schedulerName)];
  return new Map(profiles.map((profile) => [profile.schedulerName, profile]));
}

export type { Permission, Placement, SchedulerExtension } from './extension.ts';
/** Reads a `KubeSchedulerConfiguration` (or an old policy file); loaded when somebody has one. */
export async function readConfiguration(source: string): Promise<SchedulerConfiguration> {
  const { readSchedulerConfiguration } = await import('./configuration/configuration.ts');
  return readSchedulerConfiguration(source);
}

/** Runs only while this copy holds the Lease that the configuration names. */
export async function runSchedulerAsLeader(
  deps: SchedulerDeps,
  options: SchedulerOptions & { readonly election: LeaderElection; readonly identity: string },
): Promise<void> {
  const { election, identity, signal, ...rest } = options;
  if (!election.enabled) {
    await runScheduler(deps, { ...rest, signal });
    return;
  }
  deps.metrics?.leads(election.name, false);
  await runAsLeader(deps, { ...election, identity, signal }, (leading) => {
    deps.metrics?.leads(election.name, true);
    const stop = (): void => deps.metrics?.leads(election.name, false);
    leading.addEventListener('abort', stop, { once: true });
    return runScheduler(deps, { ...rest, signal: leading });
  });
}

export type { LeaderElection, SchedulerConfiguration } from './configuration/configuration.ts';
export { SchedulerMetrics } from './metrics.ts';
