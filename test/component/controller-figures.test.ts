/** What the controllers count of their own: after some work, the figures under upstream's names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  cronJobs,
  deployments,
  endpoints,
  horizontalPodAutoscalers,
  jobs,
  persistentVolumeClaims,
  persistentVolumes,
  pods,
  replicaSets,
  services,
} from '#resources/kinds.ts';
import type { PodTemplateSpec } from '#resources/types/core-v1.ts';
import { openWorld, type World } from './control-world.ts';

const namespace = 'default';
const template = (app: string, more: object = {}): PodTemplateSpec => ({
  metadata: { labels: { app } },
  spec: { ...more, containers: [{ name: 'c', image: 'web' }] },
});

/** The value of a series; undefined where there is none. */
function figure(world: World, series: string): number | undefined {
  const line = world.metrics
    .format()
    .split('\n')
    .find((text) => text.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

async function end(world: World, name: string, phase: string): Promise<void> {
  const { client, signal } = world;
  const options = { type: 'merge', subresource: 'status', signal } as const;
  await client.patch(pods, { namespace, name }, { status: { phase } }, options);
}

test('slices, replica sets, volumes and autoscalers are counted', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1', 'a');
  await world.addNode('n2', 'a');
  await client.create(
    services,
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace, name: 'web' },
      spec: { selector: { app: 'web' }, ports: [{ port: 80 }] },
    },
    { signal },
  );
  const metadata = { namespace, name: 'own' };
  const ports = [{ port: 80 }];
  const own = { apiVersion: 'v1', kind: 'Service', metadata, spec: { ports } };
  await client.create(services, own, { signal });
  const subsets = [{ addresses: [{ ip: '10.1.2.3' }, { ip: '10.1.2.4' }], ports }];
  await client.create(
    endpoints,
    { apiVersion: 'v1', kind: 'Endpoints', metadata, subsets },
    { signal },
  );
  await client.create(
    deployments,
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { namespace, name: 'web' },
      spec: { replicas: 3, selector: { matchLabels: { app: 'web' } }, template: template('web') },
    },
    { signal },
  );
  const volume = { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'] };
  await client.create(
    persistentVolumes,
    {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: 'v' },
      spec: { ...volume, hostPath: { path: '/data' } },
    },
    { signal },
  );
  await client.create(
    persistentVolumeClaims,
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { namespace, name: 'c' },
      spec: {
        storageClassName: 'none',
        accessModes: ['ReadWriteOnce'],
        resources: { requests: { storage: '1Gi' } },
      },
    },
    { signal },
  );
  await client.create(
    horizontalPodAutoscalers,
    {
      apiVersion: 'autoscaling/v2',
      kind: 'HorizontalPodAutoscaler',
      metadata: { namespace, name: 'web' },
      spec: {
        maxReplicas: 5,
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
        metrics: [
          {
            type: 'Resource',
            resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } },
          },
        ],
      },
    },
    { signal },
  );
  const slices = 'endpoint_slice_controller';
  await world.until(
    'all are there',
    async () => figure(world, `${slices}_endpoints_desired`) === 3,
  );
  await world.pass(20_000);
  assert.equal(figure(world, `${slices}_num_endpoint_slices`), 1);
  assert.equal(figure(world, `${slices}_desired_endpoint_slices`), 1);
  assert.equal(figure(world, `${slices}_changes{operation="create"}`), 1);
  assert.equal(figure(world, `${slices}_endpoints_added_per_sync_sum`), 3);
  assert.ok((figure(world, `${slices}_syncs{result="success"}`) ?? 0) > 0);
  const changed = `${slices}_endpointslices_changed_per_sync_sum`;
  const updates = figure(world, `${slices}_changes{operation="update"}`) ?? 0;
  assert.equal(
    figure(world, `${changed}{topology="Disabled",traffic_distribution=""}`),
    updates + 1,
  );
  const mirror = 'endpoint_slice_mirroring_controller';
  assert.equal(figure(world, `${mirror}_changes{operation="create"}`), 1);
  assert.equal(figure(world, `${mirror}_endpoints_desired`), 2);
  assert.equal(figure(world, `${mirror}_addresses_skipped_per_sync_sum`), 0);
  assert.equal(figure(world, `${mirror}_endpoints_updated_per_sync_sum`), 0);
  assert.equal(
    figure(
      world,
      'pv_collector_total_pv_count{plugin_name="kubernetes.io/host-path",volume_mode="Filesystem"}',
    ),
    1,
  );
  assert.equal(figure(world, 'pv_collector_unbound_pv_count{storage_class=""}'), 1);
  const claim = 'namespace="default",storage_class="none",volume_attributes_class=""';
  assert.equal(figure(world, `pv_collector_unbound_pvc_count{${claim}}`), 1);
  const scaler = 'horizontal_pod_autoscaler_controller';
  assert.equal(figure(world, `${scaler}_num_horizontal_pod_autoscalers`), 1);
  assert.equal(
    figure(world, `${scaler}_reconciliations_total{action="none",error="internal"}`),
    1,
    'nobody measures here',
  );
  const weighed = `${scaler}_metric_computation_total`;
  const labels = 'action="none",error="internal",metric_type="Resource"';
  assert.equal(figure(world, `${weighed}{${labels}}`), 1);
  const [range] = ['clusterCIDR="10.42.0.0/16"'];
  const ipam = 'node_ipam_controller';
  assert.equal(figure(world, `${ipam}_cidrset_cidrs_allocations_total{${range}}`), 2);
  assert.equal(figure(world, `${ipam}_cidrset_usage_cidrs{${range}}`), 2 / 256);
  assert.equal(figure(world, `${ipam}_cirdset_max_cidrs{${range}}`), 256);
  assert.equal(figure(world, 'root_ca_cert_publisher_sync_total{code="200"}'), 4);
  const running = 'running_managed_controllers';
  const who = 'name="job-controller",manager="kube-controller-manager"';
  assert.equal(figure(world, `${running}{${who}}`), 1);

  const sets = await world.list(replicaSets, namespace);
  const [set] = sets;
  const at = { namespace, name: set?.metadata.name ?? '' };
  const options = { type: 'merge', signal } as const;
  await client.patch(deployments, { namespace, name: 'web' }, { spec: { replicas: 1 } }, options);
  await world.until('two go', async () => {
    const { status } = await client.get(replicaSets, at, { signal });
    return status?.replicas === 1;
  });
  assert.equal(figure(world, 'replicaset_controller_sorting_deletion_age_ratio_count'), 2);
  assert.ok((figure(world, `${slices}_endpoints_removed_per_sync_sum`) ?? 0) >= 2);
});

test('nodes that are given up, and the pods that go with them', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1', 'a');
  await world.addNode('n2', 'a');
  const zone = '{zone=":\0:a"}';
  assert.equal(figure(world, `node_collector_zone_size${zone}`), 2);
  assert.equal(figure(world, `node_collector_zone_health${zone}`), 100);
  assert.equal(figure(world, `node_collector_evictions_total${zone}`), 0);
  await client.create(
    pods,
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace, name: 'p' },
      spec: { nodeName: 'n2', ...template('p').spec, containers: [{ name: 'c', image: 'web' }] },
    },
    { signal },
  );
  await world.pass(1_000);
  world.living.delete('n2');
  await world.pass(70_000);
  assert.equal(figure(world, `node_collector_unhealthy_nodes_in_zone${zone}`), 1);
  assert.equal(figure(world, `node_collector_zone_health${zone}`), 50);
  assert.equal(figure(world, `node_collector_evictions_total${zone}`), 1);
  assert.equal(figure(world, 'taint_eviction_controller_pod_deletions_total'), 0);
  await world.pass(300_000);
  assert.equal(figure(world, 'taint_eviction_controller_pod_deletions_total'), 1);
  const late = 'taint_eviction_controller_pod_deletion_duration_seconds';
  assert.equal(figure(world, `${late}_count`), 1);
  assert.ok((figure(world, `${late}_sum`) ?? 9) < 1);
});

test('Jobs, their pods, and what deletes them', async (t) => {
  const world = await openWorld(t);
  const { client, signal } = world;
  await world.addNode('n1', '');
  assert.equal(figure(world, 'node_collector_zone_size{zone=""}'), 1);
  const job = (name: string, spec: object) => ({
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { namespace, name },
    spec: { template: template(name, { restartPolicy: 'Never' }), ...spec },
  });
  const completionMode = 'Indexed';
  const indexed = { completionMode, completions: 2, parallelism: 2, ttlSecondsAfterFinished: 5 };
  await client.create(jobs, job('good', indexed), { signal });
  await client.create(jobs, job('bad', { backoffLimit: 0 }), { signal });
  await client.create(jobs, job('other', { managedBy: 'example.com/x' }), { signal });
  await world.until('the pods run', async () => {
    const all = await world.list(pods, namespace);
    return all.length === 3 && all.every(({ status }) => status?.phase === 'Running');
  });
  for (const { metadata } of await world.list(pods, namespace)) {
    const isGood = metadata.labels?.['app'] === 'good';
    await end(world, metadata.name ?? '', isGood ? 'Succeeded' : 'Failed');
  }
  const prefix = 'job_controller';
  const finished = `${prefix}_jobs_finished_total`;
  const good = 'completion_mode="Indexed",result="succeeded",reason="CompletionsReached"';
  const bad = 'completion_mode="NonIndexed",result="failed",reason="BackoffLimitExceeded"';
  await world.until('both are over', async () => figure(world, `${finished}{${bad}}`) === 1);
  await world.until('both are over', async () => figure(world, `${finished}{${good}}`) === 1);
  const counted = `${prefix}_job_pods_finished_total`;
  assert.equal(figure(world, `${counted}{completion_mode="Indexed",result="succeeded"}`), 2);
  assert.equal(figure(world, `${counted}{completion_mode="NonIndexed",result="failed"}`), 1);
  const indexes = `${prefix}_job_finished_indexes_total`;
  assert.equal(figure(world, `${indexes}{status="succeeded",backoffLimit="global"}`), 2);
  const made = `${prefix}_job_pods_creation_total{reason="new",status="succeeded"}`;
  assert.equal(figure(world, made), 3);
  const labels = 'completion_mode="Indexed",result="success",action="pods_created"';
  assert.equal(figure(world, `${prefix}_job_syncs_total{${labels}}`), 1);
  const external = `${prefix}_jobs_by_external_controller_total`;
  assert.equal(figure(world, `${external}{controller_name="example.com/x"}`), 1);
  const finalizer = `${prefix}_terminated_pods_tracking_finalizer_total`;
  assert.equal(figure(world, `${finalizer}{event="add"}`), 3);
  await world.pass(10_000);
  assert.equal(figure(world, `${finalizer}{event="delete"}`), 3);
  const deleted = 'ttl_after_finished_controller_job_deletion_duration_seconds';
  assert.equal(figure(world, `${deleted}_count`), 1);

  await client.create(
    cronJobs,
    {
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata: { namespace, name: 'often' },
      spec: { schedule: '* * * * *', jobTemplate: { spec: job('x', {}).spec } },
    },
    { signal },
  );
  await world.pass(61_000);
  const skew = 'cronjob_controller_job_creation_skew_duration_seconds';
  assert.equal(figure(world, `${skew}_count`), 1);
});
