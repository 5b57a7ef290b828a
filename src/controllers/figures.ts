/**
 * What single controllers count, under upstream's names and labels.
 *
 * The table says which figures there are; a controller counts into it by name (`deps.figures`), and
 * says how to come by a gauge, which is asked for only when somebody reads. `metrics.ts` tells them
 * together with those of all work queues.
 */
import { exponential, Family } from '#kit/metric-family.ts';

interface Row {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets?: readonly number[];
}

const counter = (help: string, ...labels: string[]): Row => ({ type: 'counter', help, labels });
const gauge = (help: string, ...labels: string[]): Row => ({ type: 'gauge', help, labels });
const histogram = (help: string, buckets: readonly number[], ...labels: string[]): Row => ({
  ...{ type: 'histogram', help, buckets, labels },
});

const perSync = exponential(2, 2, 15);
const quick = exponential(0.001, 2, 15);
const slow = exponential(0.004, 2, 15);
const deletion = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 30, 60, 120, 180, 240];
const usual = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

const table = {
  cronjob_controller_job_creation_skew_duration_seconds: histogram(
    'Seconds from the time of a CronJob to its Job.',
    exponential(1, 2, 10),
  ),
  device_taint_eviction_controller_pod_deletion_duration_seconds: histogram(
    'Seconds from the moment when a pod should go until it is deleted.',
    deletion,
  ),
  device_taint_eviction_controller_pod_deletions_total: counter('Pods deleted.'),
  endpoint_slice_controller_changes: counter('Slices written.', 'operation'),
  endpoint_slice_controller_desired_endpoint_slices: gauge('Slices, were each as full as can be.'),
  endpoint_slice_controller_endpoints_added_per_sync: histogram('Endpoints added.', perSync),
  endpoint_slice_controller_endpoints_desired: gauge('Endpoints in all slices.'),
  endpoint_slice_controller_endpoints_removed_per_sync: histogram('Endpoints gone.', perSync),
  endpoint_slice_controller_endpointslices_changed_per_sync: histogram(
    ...(['Slices written for one Service.', usual, 'topology', 'traffic_distribution'] as const),
  ),
  endpoint_slice_controller_num_endpoint_slices: gauge('Slices.'),
  endpoint_slice_controller_syncs: counter('Looks at a Service.', 'result'),
  endpoint_slice_mirroring_controller_addresses_skipped_per_sync: histogram(
    'Addresses that were left out.',
    perSync,
  ),
  endpoint_slice_mirroring_controller_changes: counter('Slices written.', 'operation'),
  endpoint_slice_mirroring_controller_desired_endpoint_slices: gauge(
    'Slices, were each as full as can be.',
  ),
  endpoint_slice_mirroring_controller_endpoints_added_per_sync: histogram('Added.', perSync),
  endpoint_slice_mirroring_controller_endpoints_desired: gauge('Endpoints in all slices.'),
  endpoint_slice_mirroring_controller_endpoints_removed_per_sync: histogram('Gone.', perSync),
  endpoint_slice_mirroring_controller_endpoints_sync_duration: histogram(
    'Seconds for one look at Endpoints.',
    quick,
  ),
  endpoint_slice_mirroring_controller_endpoints_updated_per_sync: histogram('Changed.', perSync),
  endpoint_slice_mirroring_controller_num_endpoint_slices: gauge('Slices.'),
  ephemeral_volume_controller_create_failures_total: counter('Claims that could not be made.'),
  ephemeral_volume_controller_create_total: counter('Claims that were to be made.'),
  horizontal_pod_autoscaler_controller_metric_computation_duration_seconds: histogram(
    ...(['Seconds for one metric.', quick, 'action', 'error', 'metric_type'] as const),
  ),
  horizontal_pod_autoscaler_controller_metric_computation_total: counter(
    ...(['Metrics weighed.', 'action', 'error', 'metric_type'] as const),
  ),
  horizontal_pod_autoscaler_controller_num_horizontal_pod_autoscalers: gauge('Autoscalers.'),
  horizontal_pod_autoscaler_controller_reconciliation_duration_seconds: histogram(
    ...(['Seconds for one look.', quick, 'action', 'error'] as const),
  ),
  horizontal_pod_autoscaler_controller_reconciliations_total: counter(
    ...(['Looks at an autoscaler.', 'action', 'error'] as const),
  ),
  job_controller_job_finished_indexes_total: counter('Indexes done.', 'status', 'backoffLimit'),
  job_controller_job_pods_creation_total: counter('Pods made.', 'reason', 'status'),
  job_controller_job_pods_finished_total: counter('Pods counted.', 'completion_mode', 'result'),
  job_controller_job_sync_duration_seconds: histogram(
    ...(['Seconds for one look.', slow, 'completion_mode', 'result', 'action'] as const),
  ),
  job_controller_job_syncs_total: counter(
    ...(['Looks at a Job.', 'completion_mode', 'result', 'action'] as const),
  ),
  job_controller_jobs_by_external_controller_total: counter(
    'Jobs that somebody else looks after.',
    'controller_name',
  ),
  job_controller_jobs_finished_total: counter(
    ...(['Jobs done.', 'completion_mode', 'result', 'reason'] as const),
  ),
  job_controller_terminated_pods_tracking_finalizer_total: counter(
    'Ended pods that got the finalizer, or lost it.',
    'event',
  ),
  node_collector_evictions_total: counter('Nodes given up.', 'zone'),
  node_collector_unhealthy_nodes_in_zone: gauge('Nodes that are not ready.', 'zone'),
  node_collector_update_node_health_duration_seconds: histogram(
    'Seconds for one look at a node.',
    exponential(0.001, 4, 8),
  ),
  node_collector_zone_health: gauge('Percent of the nodes that are ready.', 'zone'),
  node_collector_zone_size: gauge('Nodes.', 'zone'),
  node_ipam_controller_cidrset_allocation_tries_per_request: histogram(
    ...(['Blocks tried for a node.', exponential(1, 5, 5), 'clusterCIDR'] as const),
  ),
  node_ipam_controller_cidrset_cidrs_allocations_total: counter('Blocks given.', 'clusterCIDR'),
  node_ipam_controller_cidrset_cidrs_releases_total: counter('Blocks freed.', 'clusterCIDR'),
  node_ipam_controller_cidrset_usage_cidrs: gauge('Share of blocks given.', 'clusterCIDR'),
  node_ipam_controller_cirdset_max_cidrs: gauge('Blocks that there are.', 'clusterCIDR'),
  pv_collector_bound_pv_count: gauge('Bound volumes.', 'storage_class'),
  pv_collector_bound_pvc_count: gauge(
    ...(['Bound claims.', 'namespace', 'storage_class', 'volume_attributes_class'] as const),
  ),
  pv_collector_total_pv_count: gauge('Volumes.', 'plugin_name', 'volume_mode'),
  pv_collector_unbound_pv_count: gauge('Volumes that are not bound.', 'storage_class'),
  pv_collector_unbound_pvc_count: gauge(
    ...(['Unbound claims.', 'namespace', 'storage_class', 'volume_attributes_class'] as const),
  ),
  replicaset_controller_sorting_deletion_age_ratio: histogram(
    'Age of a pod that is deleted, in ages of the youngest that is ready.',
    exponential(0.25, 2, 6),
  ),
  retroactive_storageclass_errors_total: counter('Claims that could get no class.'),
  retroactive_storageclass_total: counter('Claims that got a class after all.'),
  root_ca_cert_publisher_sync_duration_seconds: histogram('Seconds for one look.', quick, 'code'),
  root_ca_cert_publisher_sync_total: counter('Looks at a namespace.', 'code'),
  running_managed_controllers: gauge('Controllers that run.', 'name', 'manager'),
  taint_eviction_controller_pod_deletion_duration_seconds: histogram(
    'Seconds from the moment when a pod should go until it is deleted.',
    deletion,
  ),
  taint_eviction_controller_pod_deletions_total: counter('Pods deleted.'),
  ttl_after_finished_controller_job_deletion_duration_seconds: histogram(
    'Seconds from the moment when a Job should go until it is deleted.',
    exponential(0.1, 2, 14),
  ),
} as const satisfies Readonly<Record<string, Row>>;

export type FigureName = keyof typeof table;

type Tell = () => Iterable<readonly [labels: readonly string[], value: number]>;

export class Figures {
  readonly #families = new Map<string, Family>();
  readonly #gauges = new Map<FigureName, Tell>();

  constructor() {
    const rows: Readonly<Record<string, Row>> = table;
    for (const [name, { type, ...row }] of Object.entries(rows)) {
      const family = new Family(type, { name, ...row });
      this.#families.set(name, family);
      // What has no labels is there from the beginning.
      if (row.labels.length === 0) family.add([], 0);
    }
  }

  count(name: FigureName, labels: readonly string[] = [], times = 1): void {
    this.#families.get(name)?.add(labels, times);
  }

  observe(name: FigureName, labels: readonly string[], value: number): void {
    this.#families.get(name)?.observe(labels, value);
  }

  /** Of several who tell the same, the last is asked: copies that lead follow one another. */
  gauge(name: FigureName, tell: Tell): void {
    this.#gauges.set(name, tell);
  }

  format(): string {
    for (const [name, tell] of this.#gauges) {
      const family = this.#families.get(name);
      family?.clear();
      for (const [labels, value] of tell()) family?.set(labels, value);
    }
    let text = '';
    for (const family of this.#families.values()) if (family.size > 0) text += family.format();
    return text;
  }
}

/** So many of each sort, for a gauge with labels. */
export function tally<T>(
  items: Iterable<T>,
  labelsOf: (item: T) => readonly string[] | undefined,
): Iterable<readonly [readonly string[], number]> {
  const counts = new Map<string, readonly [readonly string[], number]>();
  for (const item of items) {
    const labels = labelsOf(item);
    if (labels === undefined) continue;
    const key = labels.join('\n');
    counts.set(key, [labels, (counts.get(key)?.[1] ?? 0) + 1]);
  }
  return counts.values();
}
