/**
 * All built-in kinds. `openCatalog` is what a server starts from; it reads one file and parses none
 * of its schemas, so that it costs a few milliseconds and little memory.
 */
import { Catalog } from '#api/catalog.ts';
import type { Resource } from '#api/resource.ts';
import {
  mutatingAdmissionPolicyResource,
  validatingAdmissionPolicyResource,
} from './admission-registration/admission-policy.ts';
import {
  mutatingAdmissionPolicyBindingResource,
  validatingAdmissionPolicyBindingResource,
} from './admission-registration/admission-policy-binding.ts';
import {
  mutatingWebhookConfigurationResource,
  validatingWebhookConfigurationResource,
} from './admission-registration/webhook-configuration.ts';
import { controllerRevisionResource } from './apps/controller-revision.ts';
import { daemonSetResource } from './apps/daemon-set.ts';
import { deploymentResource } from './apps/deployment.ts';
import { replicaSetResource } from './apps/replica-set.ts';
import { statefulSetResource } from './apps/stateful-set.ts';
import { horizontalPodAutoscalerResource } from './autoscaling/horizontal-pod-autoscaler.ts';
import { cronJobResource } from './batch/cron-job.ts';
import { jobResource } from './batch/job.ts';
import { certificateSigningRequestResource } from './certificates/certificate-signing-request.ts';
import { leaseResource } from './coordination/lease.ts';
import { configMapResource } from './core/config-map.ts';
import { endpointsResource } from './core/endpoints.ts';
import { eventResource } from './core/event.ts';
import { limitRangeResource } from './core/limit-range.ts';
import { namespaceResource } from './core/namespace.ts';
import { nodeResource } from './core/node.ts';
import { persistentVolumeResource } from './core/persistent-volume.ts';
import { persistentVolumeClaimResource } from './core/persistent-volume-claim.ts';
import { podResource } from './core/pod/pod.ts';
import { podTemplateResource } from './core/pod-template.ts';
import { replicationControllerResource } from './core/replication-controller.ts';
import { resourceQuotaResource } from './core/resource-quota.ts';
import { secretResource } from './core/secret.ts';
import { serviceResource } from './core/service/service.ts';
import { serviceAccountResource } from './core/service-account.ts';
import { openDefinitions } from './definitions.ts';
import { endpointSliceResource } from './discovery/endpoint-slice.ts';
import { flowSchemaResource } from './flow-control/flow-schema.ts';
import { priorityLevelConfigurationResource } from './flow-control/priority-level.ts';
import { ingressResource } from './networking/ingress.ts';
import { ingressClassResource } from './networking/ingress-class.ts';
import { ipAddressResource, serviceCIDRResource } from './networking/ip-address.ts';
import { networkPolicyResource } from './networking/network-policy.ts';
import { runtimeClassResource } from './node/runtime-class.ts';
import { podDisruptionBudgetResource } from './policy/pod-disruption-budget.ts';
import { clusterRoleResource, roleResource } from './rbac/role.ts';
import { clusterRoleBindingResource, roleBindingResource } from './rbac/role-binding.ts';
import { resourceClaimResource, resourceClaimTemplateResource } from './resource/resource-claim.ts';
import { deviceClassResource, resourceSliceResource } from './resource/resource-slice.ts';
import { priorityClassResource } from './scheduling/priority-class.ts';
import { csiDriverResource } from './storage/csi-driver.ts';
import { csiNodeResource, csiStorageCapacityResource } from './storage/csi-node.ts';
import { storageClassResource, volumeAttributesClassResource } from './storage/storage-class.ts';
import { volumeAttachmentResource } from './storage/volume-attachment.ts';

export function builtinResources(): readonly Resource[] {
  return [
    configMapResource(),
    endpointsResource(),
    eventResource(),
    limitRangeResource(),
    namespaceResource(),
    nodeResource(),
    persistentVolumeResource(),
    persistentVolumeClaimResource(),
    podResource(),
    podTemplateResource(),
    replicationControllerResource(),
    resourceQuotaResource(),
    secretResource(),
    serviceResource(),
    serviceAccountResource(),
    controllerRevisionResource(),
    daemonSetResource(),
    deploymentResource(),
    replicaSetResource(),
    statefulSetResource(),
    horizontalPodAutoscalerResource(),
    cronJobResource(),
    jobResource(),
    leaseResource(),
    endpointSliceResource(),
    podDisruptionBudgetResource(),
    priorityClassResource(),
    clusterRoleResource(),
    roleResource(),
    clusterRoleBindingResource(),
    roleBindingResource(),
    ingressResource(),
    ingressClassResource(),
    ipAddressResource(),
    serviceCIDRResource(),
    networkPolicyResource(),
    csiDriverResource(),
    csiNodeResource(),
    csiStorageCapacityResource(),
    storageClassResource(),
    volumeAttributesClassResource(),
    volumeAttachmentResource(),
    runtimeClassResource(),
    certificateSigningRequestResource(),
    mutatingAdmissionPolicyResource(),
    validatingAdmissionPolicyResource(),
    mutatingAdmissionPolicyBindingResource(),
    validatingAdmissionPolicyBindingResource(),
    mutatingWebhookConfigurationResource(),
    validatingWebhookConfigurationResource(),
    flowSchemaResource(),
    priorityLevelConfigurationResource(),
    deviceClassResource(),
    resourceSliceResource(),
    resourceClaimResource(),
    resourceClaimTemplateResource(),
  ];
}

export function openCatalog(): Catalog {
  return new Catalog(builtinResources(), openDefinitions());
}
