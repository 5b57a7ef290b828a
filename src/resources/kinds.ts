/**
 * The kinds that components ask for, as light constants: importing one loads no descriptor, so a
 * kubelet or a proxy stays small.
 */
import type { KindOf } from '#api/kind-of.ts';
import type { KubeObject } from '#api/object.ts';
import type {
  MutatingAdmissionPolicy,
  MutatingAdmissionPolicyBinding,
  MutatingWebhookConfiguration,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
  ValidatingWebhookConfiguration,
} from './types/admissionregistration-v1.ts';
import type {
  ControllerRevision,
  DaemonSet,
  Deployment,
  ReplicaSet,
  StatefulSet,
} from './types/apps-v1.ts';
import type { HorizontalPodAutoscaler } from './types/autoscaling-v2.ts';
import type { CronJob, Job } from './types/batch-v1.ts';
import type { CertificateSigningRequest } from './types/certificates-v1.ts';
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
import type { FlowSchema, PriorityLevelConfiguration } from './types/flowcontrol-v1.ts';
import type {
  Ingress,
  IngressClass,
  IPAddress,
  NetworkPolicy,
  ServiceCIDR,
} from './types/networking-v1.ts';
import type { RuntimeClass } from './types/node-v1.ts';
import type { PodDisruptionBudget } from './types/policy-v1.ts';
import type { ClusterRole, ClusterRoleBinding, Role, RoleBinding } from './types/rbac-v1.ts';
import type {
  DeviceClass,
  ResourceClaim,
  ResourceClaimTemplate,
  ResourceSlice,
} from './types/resource-v1.ts';
import type { PriorityClass } from './types/scheduling-v1.ts';
import type {
  CSIDriver,
  CSINode,
  CSIStorageCapacity,
  StorageClass,
  VolumeAttachment,
  VolumeAttributesClass,
} from './types/storage-v1.ts';

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
export const roles = kindOf<Role>('rbac.authorization.k8s.io/v1', 'Role', 'roles');
export const roleBindings = kindOf<RoleBinding>(
  'rbac.authorization.k8s.io/v1',
  'RoleBinding',
  'rolebindings',
);
export const clusterRoles = kindOf<ClusterRole>(
  'rbac.authorization.k8s.io/v1',
  'ClusterRole',
  'clusterroles',
  'cluster',
);
export const clusterRoleBindings = kindOf<ClusterRoleBinding>(
  'rbac.authorization.k8s.io/v1',
  'ClusterRoleBinding',
  'clusterrolebindings',
  'cluster',
);
export const ingresses = kindOf<Ingress>('networking.k8s.io/v1', 'Ingress', 'ingresses');
export const networkPolicies = kindOf<NetworkPolicy>(
  'networking.k8s.io/v1',
  'NetworkPolicy',
  'networkpolicies',
);
export const ingressClasses = kindOf<IngressClass>(
  'networking.k8s.io/v1',
  'IngressClass',
  'ingressclasses',
  'cluster',
);
export const ipAddresses = kindOf<IPAddress>(
  'networking.k8s.io/v1',
  'IPAddress',
  'ipaddresses',
  'cluster',
);
export const serviceCIDRs = kindOf<ServiceCIDR>(
  'networking.k8s.io/v1',
  'ServiceCIDR',
  'servicecidrs',
  'cluster',
);
export const storageClasses = kindOf<StorageClass>(
  'storage.k8s.io/v1',
  'StorageClass',
  'storageclasses',
  'cluster',
);
export const csiDrivers = kindOf<CSIDriver>(
  'storage.k8s.io/v1',
  'CSIDriver',
  'csidrivers',
  'cluster',
);
export const csiNodes = kindOf<CSINode>('storage.k8s.io/v1', 'CSINode', 'csinodes', 'cluster');
export const csiStorageCapacities = kindOf<CSIStorageCapacity>(
  'storage.k8s.io/v1',
  'CSIStorageCapacity',
  'csistoragecapacities',
);
export const volumeAttachments = kindOf<VolumeAttachment>(
  'storage.k8s.io/v1',
  'VolumeAttachment',
  'volumeattachments',
  'cluster',
);
export const volumeAttributesClasses = kindOf<VolumeAttributesClass>(
  'storage.k8s.io/v1',
  'VolumeAttributesClass',
  'volumeattributesclasses',
  'cluster',
);
export const runtimeClasses = kindOf<RuntimeClass>(
  'node.k8s.io/v1',
  'RuntimeClass',
  'runtimeclasses',
  'cluster',
);
export const certificateSigningRequests = kindOf<CertificateSigningRequest>(
  'certificates.k8s.io/v1',
  'CertificateSigningRequest',
  'certificatesigningrequests',
  'cluster',
);
export const mutatingWebhookConfigurations = kindOf<MutatingWebhookConfiguration>(
  'admissionregistration.k8s.io/v1',
  'MutatingWebhookConfiguration',
  'mutatingwebhookconfigurations',
  'cluster',
);
export const validatingWebhookConfigurations = kindOf<ValidatingWebhookConfiguration>(
  'admissionregistration.k8s.io/v1',
  'ValidatingWebhookConfiguration',
  'validatingwebhookconfigurations',
  'cluster',
);
export const validatingAdmissionPolicies = kindOf<ValidatingAdmissionPolicy>(
  'admissionregistration.k8s.io/v1',
  'ValidatingAdmissionPolicy',
  'validatingadmissionpolicies',
  'cluster',
);
export const validatingAdmissionPolicyBindings = kindOf<ValidatingAdmissionPolicyBinding>(
  'admissionregistration.k8s.io/v1',
  'ValidatingAdmissionPolicyBinding',
  'validatingadmissionpolicybindings',
  'cluster',
);
export const mutatingAdmissionPolicies = kindOf<MutatingAdmissionPolicy>(
  'admissionregistration.k8s.io/v1',
  'MutatingAdmissionPolicy',
  'mutatingadmissionpolicies',
  'cluster',
);
export const mutatingAdmissionPolicyBindings = kindOf<MutatingAdmissionPolicyBinding>(
  'admissionregistration.k8s.io/v1',
  'MutatingAdmissionPolicyBinding',
  'mutatingadmissionpolicybindings',
  'cluster',
);
export const limitRanges = kindOf<LimitRange>('v1', 'LimitRange', 'limitranges');
export const flowSchemas = kindOf<FlowSchema>(
  'flowcontrol.apiserver.k8s.io/v1',
  'FlowSchema',
  'flowschemas',
  'cluster',
);
export const priorityLevelConfigurations = kindOf<PriorityLevelConfiguration>(
  'flowcontrol.apiserver.k8s.io/v1',
  'PriorityLevelConfiguration',
  'prioritylevelconfigurations',
  'cluster',
);
export const resourceQuotas = kindOf<ResourceQuota>('v1', 'ResourceQuota', 'resourcequotas');
export const resourceClaims = kindOf<ResourceClaim>(
  'resource.k8s.io/v1',
  'ResourceClaim',
  'resourceclaims',
);
export const resourceClaimTemplates = kindOf<ResourceClaimTemplate>(
  'resource.k8s.io/v1',
  'ResourceClaimTemplate',
  'resourceclaimtemplates',
);
export const deviceClasses = kindOf<DeviceClass>(
  'resource.k8s.io/v1',
  'DeviceClass',
  'deviceclasses',
  'cluster',
);
export const resourceSlices = kindOf<ResourceSlice>(
  'resource.k8s.io/v1',
  'ResourceSlice',
  'resourceslices',
  'cluster',
);
