/**
 * ReplicationController: so many pods of one template, chosen by plain labels. What ReplicaSets
 * replaced; still served, and its pods still stay by default when it is deleted.
 */
import { type FieldError, forbidden, invalid, notSupported, required } from '#api/field-error.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { mapMatches } from '#api/selectors.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { validateCounts } from '../apps/status-counts.ts';
import { formatPlainLabels, templateColumns } from '../apps/workload-columns.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { changeMember, fillIn } from '../fill-in.ts';
import type { ReplicationController } from '../types/core-v1.ts';
import { validateNotNegative } from '../value-validation.ts';
import { hubView } from '../view.ts';
import { setPodTemplateDefaults } from './pod/defaults.ts';
import { validatePodTemplate } from './pod/spec-validation.ts';
import { workloadWarnings } from './pod/warnings.ts';

export function replicationControllerResource(): Resource {
  return defineResource<ReplicationController>({
    kind: 'ReplicationController',
    plural: 'replicationcontrollers',
    singular: 'replicationcontroller',
    shortNames: ['rc'],
    categories: ['all'],
    namespaced: true,
    storagePrefix: 'controllers',
    metadataRechecked: 'change',
    views: [
      hubView<ReplicationController>({
        group: '',
        version: 'v1',
        definition: 'io.k8s.api.core.v1.ReplicationController',
        setDefaults: setControllerDefaults,
      }),
    ],
    hasStatus: true,
    scale: {
      specReplicas: ({ spec }) => spec?.replicas ?? 1,
      statusReplicas: ({ status }) => status?.replicas ?? 0,
      selector: ({ spec }) => {
        const text = formatPlainLabels(spec?.selector);
        return text === '<none>' ? '' : text;
      },
      withReplicas: (controller, replicas) => ({
        ...controller,
        spec: { ...controller.spec, replicas },
      }),
    },
    specChanged: (next, old) => !jsonEqual(next.spec, old.spec),
    prepareForCreate: (controller) => ({ ...controller, status: { replicas: 0 } }),
    prepareForUpdate: (next, old) => ({ ...next, status: old.status }),
    prepareForStatusUpdate: (next, old) => ({ ...next, spec: old.spec }),
    validate: validateController,
    validateStatusUpdate: validateControllerStatus,
    defaultPropagation: 'orphan',
    warnings: workloadWarnings,
    columns: [
      nameColumn(),
      count('Desired', 'Pods wanted.', ({ spec }) => spec?.replicas),
      count('Current', 'Pods that exist.', ({ status }) => status?.replicas),
      count('Ready', 'Pods that are ready.', ({ status }) => status?.readyReplicas),
      ageColumn(),
      ...templateColumns<ReplicationController>(({ spec }) => ({ template: spec?.template })).slice(
        0,
        2,
      ),
      {
        name: 'Selector',
        type: 'string',
        description: 'Labels of the pods that belong here.',
        priority: 1,
        cell: ({ spec }) => formatPlainLabels(spec?.selector),
      },
    ],
    selectableFields: { 'status.replicas': ({ status }) => String(status?.replicas ?? 0) },
  });
}

function count(
  name: string,
  description: string,
  value: (controller: ReplicationController) => number | undefined,
) {
  return {
    name,
    type: 'integer',
    description,
    priority: 0,
    cell: (controller: ReplicationController) => value(controller) ?? 0,
  } as const;
}

function setControllerDefaults(controller: ReplicationController): ReplicationController {
  const { metadata } = controller;
  const spec = changeMember(controller.spec ?? {}, 'template', setPodTemplateDefaults);
  const labels = spec.template?.metadata?.labels;
  const isEmpty = (map: object | undefined): boolean => Object.keys(map ?? {}).length === 0;
  return {
    ...controller,
    metadata: labels !== undefined && isEmpty(metadata.labels) ? { ...metadata, labels } : metadata,
    spec: fillIn(
      labels !== undefined && isEmpty(spec.selector) ? { ...spec, selector: labels } : spec,
      { replicas: 1 },
    ),
  };
}

function validateController({ spec = {} }: ReplicationController): FieldError[] {
  const { selector = {}, replicas, template } = spec;
  const errors = validateNotNegative(spec.minReadySeconds, 'spec.minReadySeconds');
  const empty = Object.keys(selector).length === 0;
  if (empty) errors.push(required('spec.selector'));
  errors.push(...validateNotNegative(replicas, 'spec.replicas'));
  if (template === undefined) return [...errors, required('spec.template')];
  const { labels } = template.metadata ?? {};
  if (!empty && !mapMatches(selector, labels)) {
    const detail = '`selector` does not match template `labels`';
    errors.push(invalid('spec.template.metadata.labels', labels ?? null, detail));
  }
  errors.push(...validatePodTemplate(template, 'spec.template'));
  const { restartPolicy, activeDeadlineSeconds } = template.spec ?? {};
  if (restartPolicy !== undefined && restartPolicy !== 'Always') {
    errors.push(notSupported('spec.template.spec.restartPolicy', restartPolicy, ['Always']));
  }
  if (activeDeadlineSeconds !== undefined) {
    const detail = 'activeDeadlineSeconds in ReplicationController is not Supported';
    errors.push(forbidden('spec.template.spec.activeDeadlineSeconds', detail));
  }
  return errors;
}

const parts = ['fullyLabeledReplicas', 'readyReplicas', 'availableReplicas'] as const;
const counts = ['replicas', ...parts, 'observedGeneration'] as const;

function validateControllerStatus({ status }: ReplicationController): FieldError[] {
  return validateCounts(status ?? {}, { all: counts, parts });
}
