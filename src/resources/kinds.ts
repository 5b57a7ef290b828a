/**
 * The kinds that components ask for, as light constants: importing one loads no descriptor, so a
 * kubelet or a proxy stays small.
 */
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import type {
  ControllerRevision,
  DaemonSet,
  Deployment,
  ReplicaSet,
  StatefulSet,
} from './types/apps-v1.ts';
import type { HorizontalPodAutoscaler } from './types/autoscaling-v2.ts';
import type { CronJob, Job } from './types/batch-v1.ts';
import type { Lease } from './types/coordination-v1.ts';
import type {
  ConfigMap,
  Endpoints,
  LimitRange,
  Namespace,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  PodTemplate,
  ReplicationController,
  ResourceQuota,
  Secret,
  Service,
  ServiceAccount,
} from './types/core-v1.ts';
import type { EndpointSlice } from './types/discovery-v1.ts';
import type { Event } from './types/events-v1.ts';
import type { PodDisruptionBudget } from './types/policy-v1.ts';
import type { PriorityClass } from './types/scheduling-v1.ts';

function kindOf<T extends KubeObject>(
  apiVersion: string,
  kind: string,
  plural: string,
  scope: 'namespaced' | 'cluster' = 'namespaced',
): KindOf<T> {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  return {
    group: group ?? '',
    version: version ?? '',
    plural,
    kind,
    namespaced: scope === 'namespaced',
  };
}

export const configMaps = kindOf<ConfigMap>('v1', 'ConfigMap', 'configmaps');
export const namespaces = kindOf<Namespace>('v1', 'Namespace', 'namespaces', 'cluster');
export const nodes = kindOf<Node>('v1', 'Node', 'nodes', 'cluster');
export const pods = kindOf<Pod>('v1', 'Pod', 'pods');
export const secrets = kindOf<Secret>('v1', 'Secret', 'secrets');
export const serviceAccounts = kindOf<ServiceAccount>('v1', 'ServiceAccount', 'serviceaccounts');
export const services = kindOf<Service>('v1', 'Service', 'services');
export const events = kindOf<Event>('events.k8s.io/v1', 'Event', 'events');
export const leases = kindOf<Lease>('coordination.k8s.io/v1', 'Lease', 'leases');
export const endpointSlices = kindOf<EndpointSlice>(
  'discovery.k8s.io/v1',
  'EndpointSlice',
  'endpointslices',
);
export const deployments = kindOf<Deployment>('apps/v1', 'Deployment', 'deployments');
export const replicaSets = kindOf<ReplicaSet>('apps/v1', 'ReplicaSet', 'replicasets');
export const statefulSets = kindOf<StatefulSet>('apps/v1', 'StatefulSet', 'statefulsets');
export const daemonSets = kindOf<DaemonSet>('apps/v1', 'DaemonSet', 'daemonsets');
export const controllerRevisions = kindOf<ControllerRevision>(
  'apps/v1',
  'ControllerRevision',
  'controllerrevisions',
);
export const horizontalPodAutoscalers = kindOf<HorizontalPodAutoscaler>(
  'autoscaling/v2',
  'HorizontalPodAutoscaler',
  'horizontalpodautoscalers',
);
export const endpoints = kindOf<Endpoints>('v1', 'Endpoints', 'endpoints');
export const jobs = kindOf<Job>('batch/v1', 'Job', 'jobs');
export const cronJobs = kindOf<CronJob>('batch/v1', 'CronJob', 'cronjobs');
export const podDisruptionBudgets = kindOf<PodDisruptionBudget>(
  'policy/v1',
  'PodDisruptionBudget',
  'poddisruptionbudgets',
);
export const persistentVolumes = kindOf<PersistentVolume>(
  'v1',
  'PersistentVolume',
  'persistentvolumes',
  'cluster',
);
export const persistentVolumeClaims = kindOf<PersistentVolumeClaim>(
  'v1',
  'PersistentVolumeClaim',
  'persistentvolumeclaims',
);
export const podTemplates = kindOf<PodTemplate>('v1', 'PodTemplate', 'podtemplates');
export const replicationControllers = kindOf<ReplicationController>(
  'v1',
  'ReplicationController',
  'replicationcontrollers',
);
export const priorityClasses = kindOf<PriorityClass>(
  'scheduling.k8s.io/v1',
  'PriorityClass',
  'priorityclasses',
  'cluster',
);
export const limitRanges = kindOf<LimitRange>('v1', 'LimitRange', 'limitranges');
export const resourceQuotas = kindOf<ResourceQuota>('v1', 'ResourceQuota', 'resourcequotas');
