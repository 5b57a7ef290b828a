/**
 * All built-in kinds, in order of discovery: the file of each descriptor and the function in it.
 * `openCatalog` is what a server starts from; it reads the facts of all kinds and parses no schema,
 * and a descriptor is loaded when its kind is first written or shown, so that opening costs a few
 * milliseconds and little memory. A kind that is new here, or has new names or versions, needs
 * `npm run generate -- kinds`.
 */
import { createRequire } from 'node:module';
import { Catalog } from '#api/catalog.ts';
import type { Resource } from '#api/resource.ts';
import { present } from '#kit/assert.ts';
import { deferResource } from './deferred-resource.ts';
import { openDefinitions } from './definitions.ts';
import { readKindFacts } from './kind-facts.ts';

type Make = () => Resource;

// Each file exports functions that make descriptors, and maybe more; a test calls them all.
const require = createRequire(import.meta.url) as (file: string) => Readonly<Record<string, Make>>;

const descriptors: Readonly<Record<string, () => Make | undefined>> = {
  Binding: () => require('./core/binding.ts').bindingResource,
  ComponentStatus: () => require('./core/component-status.ts').componentStatusResource,
  ConfigMap: () => require('./core/config-map.ts').configMapResource,
  Endpoints: () => require('./core/endpoints.ts').endpointsResource,
  Event: () => require('./core/event.ts').eventResource,
  LimitRange: () => require('./core/limit-range.ts').limitRangeResource,
  Namespace: () => require('./core/namespace.ts').namespaceResource,
  Node: () => require('./core/node.ts').nodeResource,
  PersistentVolume: () => require('./core/persistent-volume.ts').persistentVolumeResource,
  PersistentVolumeClaim: () =>
    require('./core/persistent-volume-claim.ts').persistentVolumeClaimResource,
  Pod: () => require('./core/pod/pod.ts').podResource,
  PodTemplate: () => require('./core/pod-template.ts').podTemplateResource,
  ReplicationController: () =>
    require('./core/replication-controller.ts').replicationControllerResource,
  ResourceQuota: () => require('./core/resource-quota.ts').resourceQuotaResource,
  Secret: () => require('./core/secret.ts').secretResource,
  Service: () => require('./core/service/service.ts').serviceResource,
  ServiceAccount: () => require('./core/service-account.ts').serviceAccountResource,
  ControllerRevision: () => require('./apps/controller-revision.ts').controllerRevisionResource,
  DaemonSet: () => require('./apps/daemon-set.ts').daemonSetResource,
  Deployment: () => require('./apps/deployment.ts').deploymentResource,
  ReplicaSet: () => require('./apps/replica-set.ts').replicaSetResource,
  StatefulSet: () => require('./apps/stateful-set.ts').statefulSetResource,
  HorizontalPodAutoscaler: () =>
    require('./autoscaling/horizontal-pod-autoscaler.ts').horizontalPodAutoscalerResource,
  CronJob: () => require('./batch/cron-job.ts').cronJobResource,
  Job: () => require('./batch/job.ts').jobResource,
  Lease: () => require('./coordination/lease.ts').leaseResource,
  EndpointSlice: () => require('./discovery/endpoint-slice.ts').endpointSliceResource,
  PodDisruptionBudget: () =>
    require('./policy/pod-disruption-budget.ts').podDisruptionBudgetResource,
  PriorityClass: () => require('./scheduling/priority-class.ts').priorityClassResource,
  ClusterRole: () => require('./rbac/role.ts').clusterRoleResource,
  Role: () => require('./rbac/role.ts').roleResource,
  ClusterRoleBinding: () => require('./rbac/role-binding.ts').clusterRoleBindingResource,
  RoleBinding: () => require('./rbac/role-binding.ts').roleBindingResource,
  Ingress: () => require('./networking/ingress.ts').ingressResource,
  IngressClass: () => require('./networking/ingress-class.ts').ingressClassResource,
  IPAddress: () => require('./networking/ip-address.ts').ipAddressResource,
  ServiceCIDR: () => require('./networking/ip-address.ts').serviceCIDRResource,
  NetworkPolicy: () => require('./networking/network-policy.ts').networkPolicyResource,
  CSIDriver: () => require('./storage/csi-driver.ts').csiDriverResource,
  CSINode: () => require('./storage/csi-node.ts').csiNodeResource,
  CSIStorageCapacity: () => require('./storage/csi-node.ts').csiStorageCapacityResource,
  StorageClass: () => require('./storage/storage-class.ts').storageClassResource,
  VolumeAttributesClass: () => require('./storage/storage-class.ts').volumeAttributesClassResource,
  VolumeAttachment: () => require('./storage/volume-attachment.ts').volumeAttachmentResource,
  RuntimeClass: () => require('./node/runtime-class.ts').runtimeClassResource,
  CertificateSigningRequest: () =>
    require('./certificates/certificate-signing-request.ts').certificateSigningRequestResource,
  MutatingAdmissionPolicy: () =>
    require('./admission-registration/admission-policy.ts').mutatingAdmissionPolicyResource,
  ValidatingAdmissionPolicy: () =>
    require('./admission-registration/admission-policy.ts').validatingAdmissionPolicyResource,
  MutatingAdmissionPolicyBinding: () =>
    require('./admission-registration/admission-policy-binding.ts')
      .mutatingAdmissionPolicyBindingResource,
  ValidatingAdmissionPolicyBinding: () =>
    require('./admission-registration/admission-policy-binding.ts')
      .validatingAdmissionPolicyBindingResource,
  MutatingWebhookConfiguration: () =>
    require('./admission-registration/webhook-configuration.ts')
      .mutatingWebhookConfigurationResource,
  ValidatingWebhookConfiguration: () =>
    require('./admission-registration/webhook-configuration.ts')
      .validatingWebhookConfigurationResource,
  FlowSchema: () => require('./flow-control/flow-schema.ts').flowSchemaResource,
  PriorityLevelConfiguration: () =>
    require('./flow-control/priority-level.ts').priorityLevelConfigurationResource,
  DeviceClass: () => require('./resource/resource-slice.ts').deviceClassResource,
  ResourceSlice: () => require('./resource/resource-slice.ts').resourceSliceResource,
  ResourceClaim: () => require('./resource/resource-claim.ts').resourceClaimResource,
  ResourceClaimTemplate: () =>
    require('./resource/resource-claim.ts').resourceClaimTemplateResource,
};

/** The descriptors themselves, all loaded. */
export function loadDescriptors(): readonly Resource[] {
  return Object.values(descriptors).map(make);
}

function make(find: () => Make | undefined): Resource {
  return present(find(), 'the file of a kind has the function that makes its descriptor')();
}

export function builtinResources(): readonly Resource[] {
  const facts = readKindFacts();
  return Object.entries(descriptors).map(([kind, find]) =>
    deferResource(present(facts[kind], `${kind} has facts: npm run generate -- kinds`), () =>
      make(find),
    ),
  );
}

export function openCatalog(): Catalog {
  return new Catalog(builtinResources(), openDefinitions());
}
