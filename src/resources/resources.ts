/**
 * All built-in kinds. `openCatalog` is what a server starts from; it reads one file and parses none
 * of its schemas, so that it costs a few milliseconds and little memory.
 */
import { Catalog } from '#api/catalog.ts';
import type { Resource } from '#api/resource.ts';
import { controllerRevisionResource } from './apps/controller-revision.ts';
import { daemonSetResource } from './apps/daemon-set.ts';
import { deploymentResource } from './apps/deployment.ts';
import { replicaSetResource } from './apps/replica-set.ts';
import { statefulSetResource } from './apps/stateful-set.ts';
import { horizontalPodAutoscalerResource } from './autoscaling/horizontal-pod-autoscaler.ts';
import { leaseResource } from './coordination/lease.ts';
import { configMapResource } from './core/config-map.ts';
import { eventResource } from './core/event.ts';
import { namespaceResource } from './core/namespace.ts';
import { nodeResource } from './core/node.ts';
import { podResource } from './core/pod/pod.ts';
import { secretResource } from './core/secret.ts';
import { serviceResource } from './core/service/service.ts';
import { serviceAccountResource } from './core/service-account.ts';
import { openDefinitions } from './definitions.ts';
import { endpointSliceResource } from './discovery/endpoint-slice.ts';
import { clusterRoleResource, roleResource } from './rbac/role.ts';
import { clusterRoleBindingResource, roleBindingResource } from './rbac/role-binding.ts';

export function builtinResources(): readonly Resource[] {
  return [
    configMapResource(),
    eventResource(),
    namespaceResource(),
    nodeResource(),
    podResource(),
    secretResource(),
    serviceResource(),
    serviceAccountResource(),
    controllerRevisionResource(),
    daemonSetResource(),
    deploymentResource(),
    replicaSetResource(),
    statefulSetResource(),
    horizontalPodAutoscalerResource(),
    leaseResource(),
    endpointSliceResource(),
    clusterRoleResource(),
    roleResource(),
    clusterRoleBindingResource(),
    roleBindingResource(),
  ];
}

export function openCatalog(): Catalog {
  return new Catalog(builtinResources(), openDefinitions());
}
