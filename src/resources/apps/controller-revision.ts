/**
 * ControllerRevision: a snapshot of a template under a number, kept by the controllers of
 * StatefulSets and DaemonSets so that they can go back. The data never changes; the number may.
 */
import { type FieldError, invalid, required } from '#api/field-error.ts';
import { controllerOf, type KubeObject, parseGroupVersion } from '#api/object.ts';
import { defineResource, type Resource, type ResourceView } from '#api/resource.ts';
import { jsonEqual } from '#kit/json-equal.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import type { ControllerRevision } from '../types/apps-v1.ts';
import { validateNotNegative } from '../value-validation.ts';
import { hubView } from '../view.ts';

export function controllerRevisionResource(): Resource {
  return defineResource<ControllerRevision>({
    kind: 'ControllerRevision',
    plural: 'controllerrevisions',
    singular: 'controllerrevision',
    shortNames: [],
    categories: [],
    namespaced: true,
    storagePrefix: 'controllerrevisions',
    views: [view('v1'), legacyView('v1beta2'), legacyView('v1beta1')],
    hasStatus: false,
    specChanged: () => false,
    validate: ({ data, revision }) => [
      ...validateNotNegative(revision, 'revision'),
      ...validateData(data),
    ],
    validateUpdate: (next, old) =>
      jsonEqual(next.data, old.data) ? [] : [invalid('data', next.data, 'field is immutable')],
    columns: [
      nameColumn(),
      {
        name: 'Controller',
        type: 'string',
        description: 'Controller whose template this is.',
        priority: 0,
        cell: controllerName,
      },
      {
        name: 'Revision',
        type: 'string',
        description: 'Number of the revision.',
        priority: 0,
        cell: ({ revision }) => revision ?? 0,
      },
      ageColumn(),
    ],
  });
}

function view(version: string): ResourceView<ControllerRevision> {
  const definition = `io.k8s.api.apps.${version}.ControllerRevision`;
  return hubView<ControllerRevision>({ group: 'apps', version, definition });
}

function legacyView(version: string): ResourceView<ControllerRevision> {
  return {
    ...view(version),
    legacy: true,
    // The shape is the same; only the name of the version differs.
    toHub: (object) => ({ ...object, apiVersion: 'apps/v1' }) as ControllerRevision,
    fromHub: (hub): KubeObject => ({ ...hub, apiVersion: `apps/${version}` }),
  };
}

function validateData(data: unknown): FieldError[] {
  if (data === undefined || data === null) return [required('data', 'data is mandatory')];
  if (typeof data === 'object' && !Array.isArray(data)) return [];
  return [required('data', 'data must be a valid JSON object')];
}

/** `statefulset.apps/web`. */
function controllerName(revision: ControllerRevision): string {
  const owner = controllerOf(revision);
  if (owner === undefined) return '<none>';
  const { group } = parseGroupVersion(owner.apiVersion);
  const kind = owner.kind.toLowerCase();
  return `${group === '' ? kind : `${kind}.${group}`}/${owner.name}`;
}
