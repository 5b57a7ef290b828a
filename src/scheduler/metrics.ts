/**
 * What the scheduler counts, under upstream's names, with upstream's labels and buckets, as text in
 * Prometheus' format. Counting costs a map look-up; the text is made when somebody asks.
 *
 * Who serves it: `/metrics` of the process that runs the scheduler.
 */
import { exponential, Family } from '#kit/metric-family.ts';
import type { CycleMeter, PointStatus } from '#scheduling';

export type AttemptResult = 'scheduled' | 'unschedulable' | 'error';

/** How things stand: pods by queue, what the picture holds, who turned which pods away. */
export interface Standing {
  readonly pending: Readonly<Record<string, number>>;
  readonly cache: Readonly<Record<string, number>>;
  /** Rule and profile, once for each pod. */
  readonly turnedAway: readonly (readonly [string, string])[];
  /** Pods that are being bound. */
  readonly binding: number;
  /** Pods that are being tried or bound. */
  readonly taken: number;
}

export class SchedulerMetrics {
  #read: (() => Standing) | undefined;
  readonly #attempts = new Family('counter', {
    name: 'scheduler_schedule_attempts_total',
    help: 'Tries to schedule pods, by what came of them.',
    labels: ['result', 'profile'],
  });
  readonly #attemptSeconds = new Family('histogram', {
    name: 'scheduler_scheduling_attempt_duration_seconds',
    help: 'Seconds from taking a pod up to its binding, or to its being turned away.',
    labels: ['result', 'profile'],
    buckets: exponential(0.001, 2, 15),
  });
  readonly #algorithmSeconds = new Family('histogram', {
    name: 'scheduler_scheduling_algorithm_duration_seconds',
    help: 'Seconds of deciding alone.',
    labels: [],
    buckets: exponential(0.001, 2, 15),
  });
  readonly #extensionSeconds = new Family('histogram', {
    name: 'scheduler_framework_extension_point_duration_seconds',
    help: 'Seconds of all rules of one extension point.',
    labels: ['extension_point', 'status', 'profile'],
    buckets: exponential(0.0001, 2, 12),
  });
  readonly #pluginSeconds = new Family('histogram', {
    name: 'scheduler_plugin_execution_duration_seconds',
    help: 'Seconds of one rule at one extension point, in one try of ten.',
    labels: ['plugin', 'extension_point', 'status'],
    buckets: exponential(0.00001, 1.5, 20),
  });
  readonly #evaluations = new Family('counter', {
    name: 'scheduler_plugin_evaluation_total',
    help: 'How often rules were asked.',
    labels: ['plugin', 'extension_point', 'profile'],
  });
  readonly #eventSeconds = new Family('histogram', {
    name: 'scheduler_event_handling_duration_seconds',
    help: 'Seconds of taking in what has changed in the cluster.',
    labels: ['event'],
    buckets: exponential(0.0001, 2, 12),
  });
  readonly #removalSeconds = new Family('histogram', {
    name: 'scheduler_preemption_goroutines_duration_seconds',
    help: 'Seconds of removing the pods that make room.',
    labels: ['result'],
    buckets: exponential(0.01, 2, 20),
  });
  readonly #removals = new Family('counter', {
    name: 'scheduler_preemption_goroutines_execution_total',
    help: 'Removals of pods that make room.',
    labels: ['result'],
  });
  readonly #flushed = new Family('counter', {
    name: 'scheduler_pod_scheduled_after_flush_total',
    help: 'Pods bound that were tried only because they had waited for so long.',
    labels: [],
  });
  readonly #claimsMade = new Family('counter', {
    name: 'scheduler_resourceclaim_creates_total',
    help: 'Claims made for extended resources that stand for devices.',
    labels: ['status'],
  });
  readonly #underWay = new Family('gauge', {
    name: 'scheduler_goroutines',
    help: 'Work beside the loop, by its sort.',
    labels: ['operation'],
  });
  readonly #inFlight = new Family('gauge', {
    name: 'scheduler_inflight_events',
    help: 'What the queue keeps track of at the moment.',
    labels: ['event'],
  });
  readonly #leads = new Family('gauge', {
    name: 'leader_election_master_status',
    help: 'Whether this copy leads: 1, or waits: 0.',
    labels: ['name'],
  });
  readonly #sliSeconds = new Family('histogram', {
    name: 'scheduler_pod_scheduling_sli_duration_seconds',
    help: 'Seconds from the first sight of a pod to its binding, all tries together.',
    labels: ['attempts'],
    buckets: exponential(0.01, 2, 20),
  });
  readonly #podAttempts = new Family('histogram', {
    name: 'scheduler_pod_scheduling_attempts',
    help: 'Tries that pods needed before they were bound.',
    labels: [],
    buckets: exponential(1, 2, 5),
  });
  readonly #preemptions = new Family('counter', {
    name: 'scheduler_preemption_attempts_total',
    help: 'Attempts to make room by removing pods.',
    labels: [],
  });
  readonly #victims = new Family('histogram', {
    name: 'scheduler_preemption_victims',
    help: 'Pods removed at a time.',
    labels: [],
    buckets: exponential(1, 2, 7),
  });
  readonly #incoming = new Family('counter', {
    name: 'scheduler_queue_incoming_pods_total',
    help: 'Pods that came to a queue, by the event that brought them.',
    labels: ['queue', 'event'],
  });
  readonly #permitSeconds = new Family('histogram', {
    name: 'scheduler_permit_wait_duration_seconds',
    help: 'Seconds of waiting for a permit.',
    labels: ['result'],
    buckets: exponential(0.001, 2, 15),
  });
  readonly #pending = new Family('gauge', {
    name: 'scheduler_pending_pods',
    help: 'Pods without a node, by queue.',
    labels: ['queue'],
  });
  readonly #cache = new Family('gauge', {
    name: 'scheduler_cache_size',
    help: 'What the picture of the cluster holds.',
    labels: ['type'],
  });
  readonly #unschedulable = new Family('gauge', {
    name: 'scheduler_unschedulable_pods',
    help: 'Pods that a rule turned away, for each rule.',
    labels: ['plugin', 'profile'],
  });

  constructor() {
    // There from the start, as upstream has them.
    for (const family of [this.#preemptions, this.#flushed]) family.add([], 0);
  }

  attempt(result: AttemptResult, profile: string, seconds: number): void {
    this.#attempts.add([result, profile], 1);
    this.#attemptSeconds.observe([result, profile], seconds);
  }

  algorithm(seconds: number): void {
    this.#algorithmSeconds.observe([], seconds);
  }

  extensionPoint(point: string, status: string, profile: string, seconds: number): void {
    this.#extensionSeconds.observe([point, status, profile], seconds);
  }

  /** What decisions count, by the clock given. */
  meter(clock: { monotonic(): number }): CycleMeter {
    return {
      monotonic: () => clock.monotonic(),
      point: (point, status, profile, seconds) =>
        this.extensionPoint(point, status, profile, seconds),
      plugin: (plugin, point, status, seconds) => this.plugin(plugin, point, status, seconds),
      evaluated: (plugin, point, profile, times) =>
        this.#evaluations.add([plugin, point, profile], times),
    };
  }

  plugin(plugin: string, point: string, status: PointStatus, seconds: number): void {
    this.#pluginSeconds.observe([plugin, point, status], seconds);
  }

  leads(name: string, leading: boolean): void {
    this.#leads.set([name], leading ? 1 : 0);
  }

  event(event: string, seconds: number): void {
    this.#eventSeconds.observe([event], seconds);
  }

  removed(result: 'success' | 'error', seconds: number): void {
    this.#removalSeconds.observe([result], seconds);
    this.#removals.add([result], 1);
  }

  claimMade(status: 'success' | 'failure'): void {
    this.#claimsMade.add([status], 1);
  }

  bound(attempts: number, seconds: number, flushed: boolean): void {
    if (flushed) this.#flushed.add([], 1);
    this.#podAttempts.observe([], attempts);
    this.#sliSeconds.observe([attempts >= 15 ? '15+' : String(attempts)], seconds);
  }

  preempted(victims: number): void {
    if (victims > 0) this.#victims.observe([], victims);
  }

  preemptionTried(): void {
    this.#preemptions.add([], 1);
  }

  queueIncoming(queue: string, event: string): void {
    this.#incoming.add([queue, event], 1);
  }

  permitWaited(result: string, seconds: number): void {
    this.#permitSeconds.observe([result], seconds);
  }

  /** Asked for what stands at the moment, when somebody wants the text. */
  watch(read: () => Standing): void {
    this.#read = read;
  }

  format(): string {
    const standing = this.#read?.();
    const { pending = {}, cache = {}, turnedAway = [], binding = 0, taken = 0 } = standing ?? {};
    this.#underWay.set(['binding'], binding);
    this.#inFlight.set(['PodPopped'], taken);
    for (const [queue, count] of Object.entries(pending)) this.#pending.set([queue], count);
    for (const [type, count] of Object.entries(cache)) this.#cache.set([type], count);
    this.#unschedulable.clear();
    for (const [plugin, profile] of turnedAway) this.#unschedulable.add([plugin, profile], 1);
    return [
      this.#attempts,
      this.#attemptSeconds,
      this.#algorithmSeconds,
      this.#extensionSeconds,
      this.#pluginSeconds,
      this.#evaluations,
      this.#eventSeconds,
      this.#sliSeconds,
      this.#podAttempts,
      this.#preemptions,
      this.#victims,
      this.#removalSeconds,
      this.#removals,
      this.#flushed,
      this.#claimsMade,
      this.#underWay,
      this.#inFlight,
      this.#incoming,
      this.#permitSeconds,
      this.#pending,
      this.#cache,
      this.#unschedulable,
      this.#leads,
    ]
      .map((family) => family.format())
      .join('');
  }
}
