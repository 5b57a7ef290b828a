/**
 * PodTemplate: a template of pods on its own. No controller reads it; it is a place to keep one.
 */
import { type Column, defineResource, type Resource } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { formatPlainLabels } from '../apps/workload-columns.ts';
import { nameColumn } from '../columns.ts';
import { changeMember } from '../fill-in.ts';
import type { Container, PodTemplate } from '../types/core-v1.ts';
import { hubView } from '../view.ts';
import { setPodTemplateDefaults } from './pod/defaults.ts';
import { validatePodTemplate } from './pod/spec-validation.ts';
import { templateWarnings } from './pod/warnings.ts';

export function podTemplateResource(): Resource {
  return defineResource<PodTemplate>({
    kind: 'PodTemplate',
    plural: 'podtemplates',
    singular: 'podtemplate',
    shortNames: [],
    categories: [],
    namespaced: true,
    storagePrefix: 'podtemplates',
    metadataRechecked: 'change',
    views: [
      hubView<PodTemplate>({
        group: '',
        version: 'v1',
        definition: 'io.k8s.api.core.v1.PodTemplate',
        setDefaults: (object) => changeMember(object, 'template', setPodTemplateDefaults),
      }),
    ],
    hasStatus: false,
    // What counts is no `spec` here, so the first generation is said and not found out.
    prepareForCreate: (object) => ({ ...object, metadata: { ...object.metadata, generation: 1 } }),
    specChanged: (next, old) => !jsonEqual(next.template, old.template),
    validate: ({ template }) => validatePodTemplate(template ?? {}, 'template'),
    warnings: ({ metadata, template }, old) =>
      metadata.generation === old?.metadata.generation && old !== undefined
        ? []
        : templateWarnings(template, 'template'),
    columns: [
      nameColumn(),
      containersColumn('Containers', 'Names of the containers.', ({ name }) => name),
      containersColumn('Images', 'Images of the containers.', ({ image }) => image ?? ''),
      {
        name: 'Pod Labels',
        type: 'string',
        description: 'Labels that the pods would have.',
        priority: 0,
        cell: ({ template }) => formatPlainLabels(template?.metadata?.labels),
      },
    ],
  });
}

function containersColumn(
  name: string,
  description: string,
  text: (container: Container) => string,
): Column<PodTemplate> {
  return {
    name,
    type: 'string',
    description,
    priority: 0,
    cell: ({ template }) => (template?.spec?.containers ?? []).map(text).join(','),
  };
}
