/**
 * Schemas of group versions that Kubernetes no longer publishes but the documents' manifests use.
 * They are today's types with the few fields of their time added; `refs` point at today's.
 */
import type { Schema } from '#api/schema.ts';
import { ingressV1beta1Schema } from './networking/ingress-v1beta1-schema.ts';

const apps = 'io.k8s.api.apps.v1';
const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1';

const string: Schema = { type: 'string' };
const int32: Schema = { type: 'integer', format: 'int32' };

function kind(spec: Schema, status: Schema): Schema {
  return {
    type: 'object',
    fields: {
      apiVersion: string,
      kind: string,
      metadata: { ref: `${meta}.ObjectMeta` },
      spec,
      status,
    },
  };
}

const deploymentSpec: Schema = {
  type: 'object',
  fields: {
    minReadySeconds: int32,
    paused: { type: 'boolean' },
    progressDeadlineSeconds: int32,
    replicas: int32,
    revisionHistoryLimit: int32,
    rollbackTo: { type: 'object', fields: { revision: { type: 'integer', format: 'int64' } } },
    selector: { ref: `${meta}.LabelSelector` },
    strategy: { ref: `${apps}.DeploymentStrategy`, patchStrategy: 'retainKeys' },
    template: { ref: 'io.k8s.api.core.v1.PodTemplateSpec' },
  },
  required: ['template'],
};

const replicaSetSpec: Schema = {
  type: 'object',
  fields: {
    minReadySeconds: int32,
    replicas: int32,
    selector: { ref: `${meta}.LabelSelector` },
    template: { ref: 'io.k8s.api.core.v1.PodTemplateSpec' },
  },
};

const daemonSetSpec: Schema = {
  type: 'object',
  fields: {
    minReadySeconds: int32,
    revisionHistoryLimit: int32,
    selector: { ref: `${meta}.LabelSelector` },
    template: { ref: 'io.k8s.api.core.v1.PodTemplateSpec' },
    templateGeneration: { type: 'integer', format: 'int64' },
    updateStrategy: { ref: `${apps}.DaemonSetUpdateStrategy` },
  },
  required: ['template'],
};

/** Today's shape under an older name; what it required was less, and is validated anyway. */
const sameAs = (name: string): Schema => kind({ ref: `${name}Spec` }, { ref: `${name}Status` });

const controllerRevision: Schema = {
  type: 'object',
  fields: {
    apiVersion: string,
    data: { opaque: true },
    kind: string,
    metadata: { ref: `${meta}.ObjectMeta` },
    revision: { type: 'integer', format: 'int64' },
  },
  required: ['revision'],
};

/** A kind that has not changed at all since. */
const wholly = (name: string): Schema => ({ ref: name });

const deployment = (spec: string): Schema =>
  kind({ ref: spec }, { ref: `${apps}.DeploymentStatus` });

export const legacyDefinitions: Readonly<Record<string, Schema>> = {
  'io.k8s.api.extensions.v1beta1.DeploymentSpec': deploymentSpec,
  'io.k8s.api.extensions.v1beta1.Deployment': deployment(
    'io.k8s.api.extensions.v1beta1.DeploymentSpec',
  ),
  'io.k8s.api.apps.v1beta1.Deployment': deployment('io.k8s.api.extensions.v1beta1.DeploymentSpec'),
  'io.k8s.api.apps.v1beta2.Deployment': deployment(`${apps}.DeploymentSpec`),
  'io.k8s.api.extensions.v1beta1.ReplicaSetSpec': replicaSetSpec,
  'io.k8s.api.extensions.v1beta1.ReplicaSet': kind(
    { ref: 'io.k8s.api.extensions.v1beta1.ReplicaSetSpec' },
    { ref: `${apps}.ReplicaSetStatus` },
  ),
  'io.k8s.api.apps.v1beta2.ReplicaSet': kind(
    { ref: `${apps}.ReplicaSetSpec` },
    { ref: `${apps}.ReplicaSetStatus` },
  ),
  'io.k8s.api.apps.v1beta1.StatefulSet': sameAs(`${apps}.StatefulSet`),
  'io.k8s.api.apps.v1beta2.StatefulSet': sameAs(`${apps}.StatefulSet`),
  'io.k8s.api.apps.v1beta2.DaemonSet': sameAs(`${apps}.DaemonSet`),
  'io.k8s.api.extensions.v1beta1.DaemonSetSpec': daemonSetSpec,
  'io.k8s.api.extensions.v1beta1.DaemonSet': kind(
    { ref: 'io.k8s.api.extensions.v1beta1.DaemonSetSpec' },
    { ref: `${apps}.DaemonSetStatus` },
  ),
  'io.k8s.api.apps.v1beta1.ControllerRevision': controllerRevision,
  'io.k8s.api.apps.v1beta2.ControllerRevision': controllerRevision,
  'io.k8s.api.rbac.v1beta1.ClusterRole': wholly('io.k8s.api.rbac.v1.ClusterRole'),
  'io.k8s.api.rbac.v1beta1.ClusterRoleBinding': wholly('io.k8s.api.rbac.v1.ClusterRoleBinding'),
  'io.k8s.api.rbac.v1beta1.Role': wholly('io.k8s.api.rbac.v1.Role'),
  'io.k8s.api.rbac.v1beta1.RoleBinding': wholly('io.k8s.api.rbac.v1.RoleBinding'),
  'io.k8s.api.extensions.v1beta1.Ingress': ingressV1beta1Schema,
  'io.k8s.api.networking.v1beta1.Ingress': ingressV1beta1Schema,
  'io.k8s.api.networking.v1beta1.IngressClass': wholly('io.k8s.api.networking.v1.IngressClass'),
  'io.k8s.api.extensions.v1beta1.NetworkPolicy': wholly('io.k8s.api.networking.v1.NetworkPolicy'),
  'io.k8s.api.batch.v1beta1.CronJob': sameAs('io.k8s.api.batch.v1.CronJob'),
  'io.k8s.api.batch.v2alpha1.CronJob': sameAs('io.k8s.api.batch.v1.CronJob'),
  'io.k8s.api.policy.v1beta1.PodDisruptionBudget': sameAs(
    'io.k8s.api.policy.v1.PodDisruptionBudget',
  ),
  'io.k8s.api.storage.v1beta1.CSIDriver': wholly('io.k8s.api.storage.v1.CSIDriver'),
  'io.k8s.api.storage.v1beta1.CSINode': wholly('io.k8s.api.storage.v1.CSINode'),
  'io.k8s.api.storage.v1beta1.CSIStorageCapacity': wholly(
    'io.k8s.api.storage.v1.CSIStorageCapacity',
  ),
  'io.k8s.api.storage.v1beta1.StorageClass': wholly('io.k8s.api.storage.v1.StorageClass'),
  'io.k8s.api.storage.v1beta1.VolumeAttachment': wholly('io.k8s.api.storage.v1.VolumeAttachment'),
  'io.k8s.api.node.v1beta1.RuntimeClass': wholly('io.k8s.api.node.v1.RuntimeClass'),
  'io.k8s.api.node.v1alpha1.RuntimeClass': {
    type: 'object',
    fields: {
      apiVersion: string,
      kind: string,
      metadata: { ref: `${meta}.ObjectMeta` },
      spec: {
        type: 'object',
        fields: {
          overhead: { ref: 'io.k8s.api.node.v1.Overhead' },
          runtimeHandler: string,
          scheduling: { ref: 'io.k8s.api.node.v1.Scheduling' },
        },
        required: ['runtimeHandler'],
      },
    },
  },
  'io.k8s.api.scheduling.v1beta1.PriorityClass': wholly('io.k8s.api.scheduling.v1.PriorityClass'),
  'io.k8s.api.certificates.v1beta1.CertificateSigningRequest': wholly(
    'io.k8s.api.certificates.v1.CertificateSigningRequest',
  ),
};
