/**
 * ReplicaSet: so many pods of one template. Deployments own them; extensions/v1beta1 and
 * apps/v1beta2 are old views of the same object.
 */
import { type FieldError, invalid } from '#api/field-error.ts';
import type { KubeObject } from '#api/object.ts';
import { defineResource, type Resource, type ResourceView } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { workloadWarnings } from '#resources/core/pod/warnings.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { setPodTemplateDefaults } from '../core/pod/defaults.ts';
import { fillIn } from '../fill-in.ts';
import type { ReplicaSet } from '../types/apps-v1.ts';
import { validateNotNegative } from '../value-validation.ts';
import { validateCounts } from './status-counts.ts';
import { templateColumns } from './workload-columns.ts';
import { workloadScale } from './workload-scale.ts';
import { validateSelectedTemplate } from './workload-validation.ts';

export function replicaSetResource(): Resource {
  return defineResource<ReplicaSet>({
    kind: 'ReplicaSet',
    plural: 'replicasets',
    singular: 'replicaset',
    shortNames: ['rs'],
    categories: ['all'],
    namespaced: true,
    storagePrefix: 'replicasets',
    metadataRechecked: 'change',
    views: [
      view('apps', 'v1'),
      { ...view('apps', 'v1beta2'), ...legacy('apps/v1beta2') },
      { ...view('extensions', 'v1beta1'), ...legacy('extensions/v1beta1') },
    ],
    hasStatus: true,
    scale: workloadScale(),
    specChanged: (next, old) => !jsonEqual(next.spec, old.spec),
    prepareForCreate: (replicaSet) => ({ ...replicaSet, status: { replicas: 0 } }),
    prepareForUpdate: (next, old) => ({ ...next, status: old.status }),
    prepareForStatusUpdate: (next, old) => ({ ...next, spec: old.spec }),
    validate: validateReplicaSet,
    validateUpdate: (next, old) =>
      jsonEqual(next.spec?.selector, old.spec?.selector)
        ? []
        : [invalid('spec.selector', next.spec?.selector, 'field is immutable')],
    validateStatusUpdate: validateReplicaSetStatus,
    warnings: workloadWarnings,
    columns: [
      nameColumn(),
      {
        name: 'Desired',
        type: 'integer',
        description: 'Pods wanted.',
        priority: 0,
        cell: ({ spec }) => spec?.replicas ?? 0,
      },
      {
        name: 'Current',
        type: 'integer',
        description: 'Pods that exist.',
        priority: 0,
        cell: ({ status }) => status?.replicas ?? 0,
      },
      {
        name: 'Ready',
        type: 'integer',
        description: 'Pods that are ready.',
        priority: 0,
        cell: ({ status }) => status?.readyReplicas ?? 0,
      },
      ageColumn(),
      ...templateColumns<ReplicaSet>(({ spec }) => spec),
    ],
    selectableFields: { 'status.replicas': ({ status }) => String(status?.replicas ?? 0) },
  });
}

function view(group: string, version: string): ResourceView<ReplicaSet> {
  const definition = `io.k8s.api.${group}.${version}.ReplicaSet`;
  return {
    group,
    version,
    definition,
    schema: { ref: definition },
    // The view's schema has checked the shape.
    setDefaults: (object) =>
      setReplicaSetDefaults(object as ReplicaSet, {
        selectorFromTemplate: group === 'extensions',
      }),
  };
}

function legacy(
  apiVersion: string,
): Required<Pick<ResourceView<ReplicaSet>, 'legacy' | 'toHub' | 'fromHub'>> {
  return {
    legacy: true,
    // The shape is the same; only the name of the version differs.
    toHub: (object) => ({ ...object, apiVersion: 'apps/v1' }) as ReplicaSet,
    fromHub: (hub): KubeObject => ({ ...hub, apiVersion }),
  };
}

function setReplicaSetDefaults(
  replicaSet: ReplicaSet,
  { selectorFromTemplate }: { readonly selectorFromTemplate: boolean },
): ReplicaSet {
  if (replicaSet.spec === undefined) return replicaSet;
  const template = setPodTemplateDefaults(replicaSet.spec.template ?? {});
  const labels = selectorFromTemplate ? template.metadata?.labels : undefined;
  const selector = labels === undefined ? {} : { selector: { matchLabels: labels } };
  return {
    ...replicaSet,
    metadata: labels === undefined ? replicaSet.metadata : fillIn(replicaSet.metadata, { labels }),
    spec: fillIn({ ...replicaSet.spec, template }, { replicas: 1, ...selector }),
  };
}

function validateReplicaSet({ spec }: ReplicaSet): FieldError[] {
  return [
    ...validateNotNegative(spec?.replicas, 'spec.replicas'),
    ...validateNotNegative(spec?.minReadySeconds, 'spec.minReadySeconds'),
    ...validateSelectedTemplate(spec ?? {}, 'ReplicaSet'),
  ];
}

const parts = ['fullyLabeledReplicas', 'readyReplicas', 'availableReplicas'] as const;
const counts = ['replicas', ...parts, 'observedGeneration'] as const;

function validateReplicaSetStatus({ status }: ReplicaSet): FieldError[] {
  return validateCounts(status ?? {}, { all: counts, parts });
}
