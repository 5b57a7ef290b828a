/**
 * What the scheduler counts, under upstream's names, with upstream's labels and buckets, as text in
 * Prometheus' format. Counting costs a map look-up; the text is made when somebody asks.
 *
 * Who serves it: `/metrics` of the process that runs the scheduler.
 */
import { exponential, Family } from '#kit/metric-family.ts';

export type AttemptResult = 'scheduled' | 'unschedulable' | 'error';

/** How things stand: pods by queue, what the picture holds, who turned which pods away. */
export interface Standing {
  readonly pending: Readonly<Record<string, number>>;
  readonly cache: Readonly<Record<string, number>>;
  /** Rule and profile, once for each pod. */
  readonly turnedAway: readonly (readonly [string, string])[];
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

  bound(attempts: number, seconds: number): void {
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
    const { pending = {}, cache = {}, turnedAway = [] } = this.#read?.() ?? {};
    for (const [queue, count] of Object.entries(pending)) this.#pending.set([queue], count);
    for (const [type, count] of Object.entries(cache)) this.#cache.set([type], count);
    this.#unschedulable.clear();
    for (const [plugin, profile] of turnedAway) this.#unschedulable.add([plugin, profile], 1);
    return [
      this.#attempts,
      this.#attemptSeconds,
      this.#algorithmSeconds,
      this.#extensionSeconds,
      this.#sliSeconds,
      this.#podAttempts,
      this.#preemptions,
      this.#victims,
      this.#incoming,
      this.#permitSeconds,
      this.#pending,
      this.#cache,
      this.#unschedulable,
    ]
      .map((family) => family.format())
      .join('');
  }
}
