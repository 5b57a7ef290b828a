/**
 * Deployment: a pod template, a count, and how to get from one template to the next. Stored as
 * apps/v1; extensions/v1beta1, apps/v1beta1 and apps/v1beta2 are old views of the same object.
 * Next in the walk: `apiserver/verbs/create.ts`.
 */
import type { KubeObject } from '#api/object.ts';
import { type Column, defineResource, type Resource, type ResourceView } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { workloadWarnings } from '#resources/core/pod/warnings.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import type { Deployment, DeploymentSpec } from '../types/apps-v1.ts';
import { type deploymentDefaults, setDeploymentDefaults } from './deployment-defaults.ts';
import {
  validateDeployment,
  validateDeploymentStatus,
  validateDeploymentUpdate,
} from './deployment-validation.ts';
import { templateColumns } from './workload-columns.ts';
import { workloadScale } from './workload-scale.ts';

export function deploymentResource(): Resource {
  return defineResource<Deployment>({
    kind: 'Deployment',
    plural: 'deployments',
    singular: 'deployment',
    shortNames: ['deploy'],
    categories: ['all'],
    namespaced: true,
    storagePrefix: 'deployments',
    metadataRechecked: 'change',
    views: [
      {
        group: 'apps',
        version: 'v1',
        definition: 'io.k8s.api.apps.v1.Deployment',
        schema: { ref: 'io.k8s.api.apps.v1.Deployment' },
        setDefaults: (object) => setDeploymentDefaults(object, 'apps/v1'),
      },
      legacyView('apps', 'v1beta2'),
      legacyView('apps', 'v1beta1'),
      legacyView('extensions', 'v1beta1'),
    ],
    hasStatus: true,
    scale: workloadScale(),
    // Annotations count, because the controller copies them to the replica sets.
    specChanged: (next, old) =>
      !jsonEqual(next.spec, old.spec) ||
      !jsonEqual(next.metadata.annotations ?? {}, old.metadata.annotations ?? {}),
    prepareForCreate: (deployment) => ({ ...deployment, status: {} }),
    prepareForUpdate: (next, old) => ({ ...next, status: old.status }),
    prepareForStatusUpdate: (next, old) => ({
      ...next,
      metadata: { ...next.metadata, labels: old.metadata.labels },
      spec: old.spec,
    }),
    validate: validateDeployment,
    validateUpdate: validateDeploymentUpdate,
    validateStatusUpdate: validateDeploymentStatus,
    warnings: workloadWarnings,
    columns: deploymentColumns(),
  });
}

function deploymentColumns(): readonly Column<Deployment>[] {
  return [
    nameColumn(),
    {
      name: 'Ready',
      type: 'string',
      description: 'Pods that are ready, of those wanted.',
      priority: 0,
      cell: ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 0}`,
    },
    {
      name: 'Up-to-date',
      type: 'string',
      description: 'Pods that have the newest template.',
      priority: 0,
      cell: ({ status }) => status?.updatedReplicas ?? 0,
    },
    {
      name: 'Available',
      type: 'string',
      description: 'Pods that have been ready for long enough.',
      priority: 0,
      cell: ({ status }) => status?.availableReplicas ?? 0,
    },
    ageColumn(),
    ...templateColumns<Deployment>(({ spec }) => spec),
  ];
}

const rollbackAnnotation = 'deprecated.deployment.rollback.to';

interface LegacyDeployment extends Deployment {
  readonly spec?:
    | (DeploymentSpec & { readonly rollbackTo?: { readonly revision?: number } | undefined })
    | undefined;
}

function legacyView(
  group: 'apps' | 'extensions',
  version: 'v1beta1' | 'v1beta2',
): ResourceView<Deployment> {
  const definition = `io.k8s.api.${group}.${version}.Deployment`;
  // Only these combinations are asked for, above.
  const apiVersion = `${group}/${version}` as keyof typeof deploymentDefaults;
  return {
    group,
    version,
    definition,
    schema: { ref: definition },
    legacy: true,
    setDefaults: (object) => setDeploymentDefaults(object, apiVersion),
    // The view's schema has checked the shape.
    toHub: (object) => toHub(object as LegacyDeployment),
    fromHub: (hub) => fromHub(hub, { apiVersion, hasRollback: version === 'v1beta1' }),
  };
}

/** A wish to roll back is kept in an annotation, since today's shape has no field for it. */
function toHub(deployment: LegacyDeployment): Deployment {
  const { rollbackTo, ...spec } = deployment.spec ?? { selector: {}, template: {} };
  if (rollbackTo === undefined) return { ...deployment, apiVersion: 'apps/v1', spec };
  const annotations = {
    ...deployment.metadata.annotations,
    [rollbackAnnotation]: String(rollbackTo.revision ?? 0),
  };
  const metadata = { ...deployment.metadata, annotations };
  return { ...deployment, apiVersion: 'apps/v1', metadata, spec };
}

function fromHub(
  hub: Deployment,
  { apiVersion, hasRollback }: { readonly apiVersion: string; readonly hasRollback: boolean },
): KubeObject {
  const wish = hub.metadata.annotations?.[rollbackAnnotation];
  if (wish === undefined || !hasRollback) return { ...hub, apiVersion };
  const { annotations, ...metadata } = hub.metadata;
  const { [rollbackAnnotation]: _, ...others } = annotations ?? {};
  const legacy: LegacyDeployment = {
    ...hub,
    apiVersion,
    metadata: Object.keys(others).length > 0 ? { ...metadata, annotations: others } : metadata,
    spec: {
      ...(hub.spec ?? { selector: {}, template: {} }),
      rollbackTo: { revision: Number(wish) },
    },
  };
  return legacy;
}
