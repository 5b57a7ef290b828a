/**
 * DaemonSet: one pod of a template on every node that suits. Stored as apps/v1; apps/v1beta2 and
 * extensions/v1beta1 are old views of the same object. How often the template has changed is kept
 * in an annotation, where the oldest view had a field.
 */
import type { KubeObject } from '#api/object.ts';
import { type Column, defineResource, type Resource, type ResourceView } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { templateWarnings } from '#resources/core/pod/warnings.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { setPodTemplateDefaults } from '../core/pod/defaults.ts';
import { fillIn } from '../fill-in.ts';
import type { DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy } from '../types/apps-v1.ts';
import {
  validateDaemonSet,
  validateDaemonSetStatus,
  validateDaemonSetUpdate,
} from './daemon-set-validation.ts';
import { formatPlainLabels, templateColumns } from './workload-columns.ts';

export const templateGenerationAnnotation = 'deprecated.daemonset.template.generation';

export function daemonSetResource(): Resource {
  return defineResource<DaemonSet>({
    kind: 'DaemonSet',
    plural: 'daemonsets',
    singular: 'daemonset',
    shortNames: ['ds'],
    categories: ['all'],
    namespaced: true,
    storagePrefix: 'daemonsets',
    metadataRechecked: 'change',
    views: [view('apps', 'v1'), legacyView('apps', 'v1beta2'), legacyView('extensions', 'v1beta1')],
    hasStatus: true,
    specChanged: (next, old) => !jsonEqual(next.spec, old.spec),
    prepareForCreate: (daemonSet) => ({
      ...withTemplateGeneration(daemonSet, Math.max(1, templateGenerationOf(daemonSet))),
      status: emptyStatus,
    }),
    prepareForUpdate: (next, old) => {
      const changed = !jsonEqual(next.spec?.template, old.spec?.template);
      const generation = templateGenerationOf(old) + (changed ? 1 : 0);
      return { ...withTemplateGeneration(next, generation), status: old.status };
    },
    prepareForStatusUpdate: (next, old) => ({
      ...withTemplateGeneration(next, templateGenerationOf(old)),
      spec: old.spec,
    }),
    // Upstream keeps a field in place of the annotation, which is empty in what a client writes.
    asWritten: (prepared, given) => withTemplateGeneration(prepared, templateGenerationOf(given)),
    validate: validateDaemonSet,
    validateUpdate: validateDaemonSetUpdate,
    validateStatusUpdate: validateDaemonSetStatus,
    warnings: ({ metadata, spec }, old) =>
      metadata.generation === old?.metadata.generation
        ? []
        : templateWarnings(spec?.template, 'spec.template'),
    columns: daemonSetColumns(),
  });
}

const emptyStatus = {
  currentNumberScheduled: 0,
  numberMisscheduled: 0,
  desiredNumberScheduled: 0,
  numberReady: 0,
};

function templateGenerationOf({ metadata }: DaemonSet): number {
  const value = Number(metadata.annotations?.[templateGenerationAnnotation] ?? 0);
  return Number.isSafeInteger(value) && value > 0 ? value : 0;
}

function withTemplateGeneration(daemonSet: DaemonSet, generation: number): DaemonSet {
  const text = String(generation);
  if (daemonSet.metadata.annotations?.[templateGenerationAnnotation] === text) return daemonSet;
  const annotations = {
    ...daemonSet.metadata.annotations,
    [templateGenerationAnnotation]: text,
  };
  return { ...daemonSet, metadata: { ...daemonSet.metadata, annotations } };
}

function view(group: 'apps' | 'extensions', version: string): ResourceView<DaemonSet> {
  const definition = `io.k8s.api.${group}.${version}.DaemonSet`;
  return {
    group,
    version,
    definition,
    schema: { ref: definition },
    // The view's schema has checked the shape.
    setDefaults: (object) => {
      const daemonSet = setDaemonSetDefaults(object as DaemonSet, group === 'extensions');
      // Every writer comes to own the annotation: upstream keeps a field in its place.
      return withTemplateGeneration(daemonSet, templateGenerationOf(daemonSet));
    },
  };
}

interface LegacyDaemonSet extends DaemonSet {
  readonly spec?:
    | (DaemonSetSpec & { readonly templateGeneration?: number | undefined })
    | undefined;
}

function legacyView(group: 'apps' | 'extensions', version: string): ResourceView<DaemonSet> {
  const apiVersion = `${group}/${version}`;
  return {
    ...view(group, version),
    legacy: true,
    // The view's schema has checked the shape.
    toHub: (object) => toHub(object as LegacyDaemonSet),
    fromHub: (hub) =>
      group === 'extensions' ? withGenerationField(hub, apiVersion) : { ...hub, apiVersion },
  };
}

function toHub(daemonSet: LegacyDaemonSet): DaemonSet {
  const { templateGeneration, ...spec } = daemonSet.spec ?? { selector: {}, template: {} };
  const hub: DaemonSet = {
    ...daemonSet,
    apiVersion: 'apps/v1',
    ...(daemonSet.spec === undefined ? {} : { spec }),
  };
  return templateGeneration === undefined ? hub : withTemplateGeneration(hub, templateGeneration);
}

function withGenerationField(hub: DaemonSet, apiVersion: string): KubeObject {
  const templateGeneration = templateGenerationOf(hub);
  const { annotations = {}, ...metadata } = hub.metadata;
  const { [templateGenerationAnnotation]: _, ...others } = annotations;
  const shown: LegacyDaemonSet = {
    ...hub,
    apiVersion,
    metadata: Object.keys(others).length > 0 ? { ...metadata, annotations: others } : metadata,
    ...(hub.spec === undefined ? {} : { spec: { ...hub.spec, templateGeneration } }),
  };
  return shown;
}

/** The first version updated pods only on delete, and took labels from the template. */
function setDaemonSetDefaults(daemonSet: DaemonSet, first: boolean): DaemonSet {
  if (daemonSet.spec === undefined) return daemonSet;
  const template = setPodTemplateDefaults(daemonSet.spec.template ?? {});
  const labels = first ? template.metadata?.labels : undefined;
  const spec = fillIn(
    { ...daemonSet.spec, template },
    {
      revisionHistoryLimit: 10,
      ...(labels === undefined ? {} : { selector: { matchLabels: labels } }),
    },
  );
  return {
    ...daemonSet,
    metadata: labels === undefined ? daemonSet.metadata : fillIn(daemonSet.metadata, { labels }),
    spec: { ...spec, updateStrategy: setStrategyDefaults(spec.updateStrategy ?? {}, first) },
  };
}

function setStrategyDefaults(
  strategy: DaemonSetUpdateStrategy,
  first: boolean,
): DaemonSetUpdateStrategy {
  const next = fillIn(strategy, { type: first ? 'OnDelete' : 'RollingUpdate' });
  if (next.type !== 'RollingUpdate') return next;
  return {
    ...next,
    rollingUpdate: fillIn(next.rollingUpdate ?? {}, { maxUnavailable: 1, maxSurge: 0 }),
  };
}

function daemonSetColumns(): readonly Column<DaemonSet>[] {
  const count = (
    name: string,
    description: string,
    cell: (status: NonNullable<DaemonSet['status']>) => number | undefined,
  ): Column<DaemonSet> => ({
    name,
    type: 'integer',
    description,
    priority: 0,
    cell: ({ status }) => cell(status ?? emptyStatus) ?? 0,
  });
  return [
    nameColumn(),
    count('Desired', 'Nodes that should run a pod.', (status) => status.desiredNumberScheduled),
    count('Current', 'Of these, nodes that have one.', (status) => status.currentNumberScheduled),
    count('Ready', 'Of these, nodes whose pod is ready.', (status) => status.numberReady),
    count('Up-to-date', 'Pods of the newest template.', (status) => status.updatedNumberScheduled),
    count('Available', 'Pods ready for long enough.', (status) => status.numberAvailable),
    {
      name: 'Node Selector',
      type: 'string',
      description: 'Labels that a node must have.',
      priority: 0,
      cell: ({ spec }) => formatPlainLabels(spec?.template?.spec?.nodeSelector),
    },
    ageColumn(),
    ...templateColumns<DaemonSet>(({ spec }) => spec),
  ];
}
