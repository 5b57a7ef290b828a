/**
 * StatefulSet: pods with names, order and volumes of their own. Stored as apps/v1; apps/v1beta1 and
 * apps/v1beta2 are old views of the same object. `stateful-set-validation.ts` says what is refused.
 */
import type { KubeObject } from '#api/object.ts';
import { defineResource, type Resource, type ResourceView } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { setPersistentVolumeClaimDefaults } from '../core/persistent-volume-claim-defaults.ts';
import { setPodTemplateDefaults } from '../core/pod/defaults.ts';
import { changeMember, fillIn, mapItems } from '../fill-in.ts';
import type { StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy } from '../types/apps-v1.ts';
import {
  statefulSetWarnings,
  validateNewStatefulSet,
  validateStatefulSet,
  validateStatefulSetStatus,
  validateStatefulSetUpdate,
} from './stateful-set-validation.ts';
import { templateColumns } from './workload-columns.ts';
import { workloadScale } from './workload-scale.ts';

export function statefulSetResource(): Resource {
  return defineResource<StatefulSet>({
    kind: 'StatefulSet',
    plural: 'statefulsets',
    singular: 'statefulset',
    shortNames: ['sts'],
    categories: ['all'],
    namespaced: true,
    storagePrefix: 'statefulsets',
    metadataRechecked: 'change',
    views: [view('v1'), legacyView('v1beta2'), legacyView('v1beta1')],
    hasStatus: true,
    scale: workloadScale(),
    specChanged: (next, old) => !jsonEqual(next.spec, old.spec),
    prepareForCreate: (statefulSet) => ({
      ...statefulSet,
      status: { replicas: 0, availableReplicas: 0 },
    }),
    prepareForUpdate: (next, old) => ({ ...next, status: old.status }),
    prepareForStatusUpdate: (next, old) => ({ ...next, spec: old.spec }),
    nameRule: 'label',
    validate: validateStatefulSet,
    validateNew: validateNewStatefulSet,
    validateUpdate: validateStatefulSetUpdate,
    validateStatusUpdate: validateStatefulSetStatus,
    warnings: statefulSetWarnings,
    columns: [
      nameColumn(),
      {
        name: 'Ready',
        type: 'string',
        description: 'Pods that are ready, of those wanted.',
        priority: 0,
        cell: ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 0}`,
      },
      ageColumn(),
      ...templateColumns<StatefulSet>(({ spec }) => spec).slice(0, 2),
    ],
  });
}

type Version = 'v1' | 'v1beta1' | 'v1beta2';

function view(version: Version): ResourceView<StatefulSet> {
  const definition = `io.k8s.api.apps.${version}.StatefulSet`;
  return {
    group: 'apps',
    version,
    definition,
    schema: { ref: definition },
    // The view's schema has checked the shape.
    setDefaults: (object) => setStatefulSetDefaults(object as StatefulSet, version),
  };
}

function legacyView(version: Version): ResourceView<StatefulSet> {
  return {
    ...view(version),
    legacy: true,
    // The shape is the same; only the name of the version differs.
    toHub: (object) => ({ ...object, apiVersion: 'apps/v1' }) as StatefulSet,
    fromHub: (hub): KubeObject => ({ ...hub, apiVersion: `apps/${version}` }),
  };
}

/** The first version updated pods only on delete, and took labels from the template. */
function setStatefulSetDefaults(statefulSet: StatefulSet, version: Version): StatefulSet {
  if (statefulSet.spec === undefined) return statefulSet;
  const first = version === 'v1beta1';
  const template = setPodTemplateDefaults(statefulSet.spec.template ?? {});
  const labels = first ? template.metadata?.labels : undefined;
  const spec: StatefulSetSpec = fillIn(
    { ...statefulSet.spec, template },
    {
      podManagementPolicy: 'OrderedReady',
      replicas: 1,
      revisionHistoryLimit: 10,
      ...(labels === undefined ? {} : { selector: { matchLabels: labels } }),
    },
  );
  return {
    ...statefulSet,
    metadata:
      labels === undefined ? statefulSet.metadata : fillIn(statefulSet.metadata, { labels }),
    spec: {
      ...changeMember(spec, 'volumeClaimTemplates', (claims) =>
        mapItems(claims, (claim) =>
          fillIn(setPersistentVolumeClaimDefaults(claim), {
            apiVersion: 'v1',
            kind: 'PersistentVolumeClaim',
          }),
        ),
      ),
      updateStrategy: setStrategyDefaults(spec.updateStrategy ?? {}, first),
      persistentVolumeClaimRetentionPolicy: fillIn(
        spec.persistentVolumeClaimRetentionPolicy ?? {},
        { whenDeleted: 'Retain', whenScaled: 'Retain' },
      ),
    },
  };
}

function setStrategyDefaults(
  strategy: StatefulSetUpdateStrategy,
  first: boolean,
): StatefulSetUpdateStrategy {
  let next = strategy;
  if (!next.type) {
    next = first
      ? { ...next, type: 'OnDelete' }
      : { ...next, type: 'RollingUpdate', rollingUpdate: next.rollingUpdate ?? {} };
  }
  if (next.type !== 'RollingUpdate') return next;
  return changeMember(next, 'rollingUpdate', (rolling) => fillIn(rolling, { partition: 0 }));
}
