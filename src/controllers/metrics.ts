/**
 * What the controllers count, under upstream's names and labels, as text in Prometheus' format:
 * their work queues (`workqueue_*`), whether this copy leads, and what each has of its own
 * (`figures.ts`).
 *
 * Counting is a look-up in a map; the text is made when somebody asks. Who serves it: `/metrics` of
 * the controllers' port.
 */
import type { Clock } from '#kit/clock.ts';
import { exponential, Family } from '#kit/metric-family.ts';
import type { QueueObserver, WorkQueue } from '#kit/work-queue.ts';
import { Figures } from './figures.ts';

/** Queues that upstream calls otherwise than their controller without `-controller`. */
const queueNames: Readonly<Record<string, string>> = {
  'bootstrap-signer-controller': 'bootstrap_signer_queue',
  'certificatesigningrequest-approving-controller': 'certificate',
  'certificatesigningrequest-signing-controller': 'certificate',
  'clusterrole-aggregation-controller': 'ClusterRoleAggregator',
  'endpoints-controller': 'endpoint',
  'endpointslice-controller': 'endpoint_slice',
  'endpointslice-mirroring-controller': 'endpoint_slice_mirroring',
  'ephemeral-volume-controller': 'ephemeral_volume',
  'garbage-collector-controller': 'garbage_collector_attempt_to_delete',
  'horizontal-pod-autoscaler-controller': 'horizontalpodautoscaler',
  'node-ipam-controller': 'cidrallocator_node',
  'node-lifecycle-controller': 'node_lifecycle_controller',
  'persistentvolume-binder-controller': 'claims',
  'persistentvolume-expander-controller': 'volume_expand',
  'persistentvolume-protection-controller': 'pvprotection',
  'persistentvolumeclaim-protection-controller': 'pvcprotection',
  'pod-garbage-collector-controller': 'orphaned_pods_nodes',
  'replicationcontroller-controller': 'replicationmanager',
  'resourceclaim-controller': 'resource_claim',
  'resourcequota-controller': 'resourcequota_primary',
  'root-ca-certificate-publisher-controller': 'root_ca_cert_publisher',
  'service-cidr-controller': 'ipaddresses',
  'serviceaccount-token-controller': 'serviceaccount_tokens_service',
  'taint-eviction-controller': 'noexec_taint_pod',
  'token-cleaner-controller': 'token_cleaner',
  'ttl-after-finished-controller': 'ttl_jobs_to_delete',
  'ttl-controller': 'ttlcontroller',
  'validatingadmissionpolicy-status-controller': 'validatingadmissionpolicy-status',
  'volumeattributesclass-protection-controller': 'vacprotection',
};

export class ControllersMetrics {
  readonly #clock: Clock;
  /** What single controllers count. */
  readonly figures = new Figures();
  /** Several queues can have one name. */
  readonly #queues: (readonly [string, Observed])[] = [];
  readonly #depth = new Family('gauge', {
    name: 'workqueue_depth',
    help: 'Keys that wait.',
    labels: ['name'],
  });
  readonly #adds = new Family('counter', {
    name: 'workqueue_adds_total',
    help: 'Keys that were added.',
    labels: ['name'],
  });
  readonly #waited = new Family('histogram', {
    name: 'workqueue_queue_duration_seconds',
    help: 'Seconds that keys waited.',
    labels: ['name'],
    buckets: exponential(1e-8, 10, 12),
  });
  readonly #worked = new Family('histogram', {
    name: 'workqueue_work_duration_seconds',
    help: 'Seconds that keys were worked on.',
    labels: ['name'],
    buckets: exponential(1e-8, 10, 12),
  });
  readonly #unfinished = new Family('gauge', {
    name: 'workqueue_unfinished_work_seconds',
    help: 'Seconds of work that is not done yet, all keys together.',
    labels: ['name'],
  });
  readonly #longest = new Family('gauge', {
    name: 'workqueue_longest_running_processor_seconds',
    help: 'Seconds of the work that takes longest at the moment.',
    labels: ['name'],
  });
  readonly #retries = new Family('counter', {
    name: 'workqueue_retries_total',
    help: 'Keys that were put back after a failure.',
    labels: ['name'],
  });
  readonly #leads = new Family('gauge', {
    name: 'leader_election_master_status',
    help: 'Whether this copy leads: 1, or waits: 0.',
    labels: ['name'],
  });

  constructor({ clock }: { readonly clock: Clock }) {
    this.#clock = clock;
  }

  watch(controller: string, queue: WorkQueue): void {
    const name =
      queueNames[controller] ?? controller.replace(/-controller$/, '').replaceAll('-', '_');
    const families = {
      adds: this.#adds,
      waited: this.#waited,
      worked: this.#worked,
      retries: this.#retries,
    };
    const observed = new Observed(name, this.#clock, families);
    this.#queues.push([name, observed]);
    queue.observe(observed);
  }

  leads(name: string, leading: boolean): void {
    this.#leads.set([name], leading ? 1 : 0);
  }

  format(): string {
    for (const [name, queues] of Map.groupBy(this.#queues, ([one]) => one)) {
      const running = queues.flatMap(([, queue]) => queue.runningSeconds);
      const sum = running.reduce((total, one) => total + one, 0);
      this.#depth.set(
        [name],
        queues.reduce((total, [, queue]) => total + queue.waiting, 0),
      );
      this.#unfinished.set([name], sum);
      this.#longest.set([name], Math.max(0, ...running));
    }
    return [
      this.#adds,
      this.#depth,
      this.#longest,
      this.#waited,
      this.#retries,
      this.#unfinished,
      this.#worked,
      this.#leads,
    ]
      .map((family) => family.format())
      .concat(this.figures.format())
      .join('');
  }
}

interface Families {
  readonly adds: Family;
  readonly waited: Family;
  readonly worked: Family;
  readonly retries: Family;
}

class Observed implements QueueObserver {
  readonly #labels: readonly [string];
  readonly #clock: Clock;
  readonly #families: Families;
  /** Key → since when. */
  readonly #waiting = new Map<string, number>();
  readonly #running = new Map<string, number>();

  constructor(name: string, clock: Clock, families: Families) {
    this.#labels = [name];
    this.#clock = clock;
    this.#families = families;
    families.adds.add(this.#labels, 0);
    families.retries.add(this.#labels, 0);
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  get runningSeconds(): readonly number[] {
    return [...this.#running.values()].map((sinceMs) => this.#secondsSince(sinceMs));
  }

  added(key: string): void {
    this.#families.adds.add(this.#labels, 1);
    this.#waiting.set(key, this.#clock.monotonic());
  }

  taken(key: string): void {
    const sinceMs = this.#waiting.get(key);
    this.#waiting.delete(key);
    this.#running.set(key, this.#clock.monotonic());
    if (sinceMs !== undefined) {
      this.#families.waited.observe(this.#labels, this.#secondsSince(sinceMs));
    }
  }

  done(key: string): void {
    const sinceMs = this.#running.get(key);
    this.#running.delete(key);
    if (sinceMs !== undefined) {
      this.#families.worked.observe(this.#labels, this.#secondsSince(sinceMs));
    }
  }

  retried(): void {
    this.#families.retries.add(this.#labels, 1);
  }

  #secondsSince(sinceMs: number): number {
    return (this.#clock.monotonic() - sinceMs) / 1000;
  }
}
