/**
 * Namespace: its name is a label, and the finalizer `kubernetes` in its spec keeps it until the
 * namespace controller has emptied it. Deleting one only marks it Terminating; the server finishes
 * once the last finalizer is gone.
 */
import { type FieldError, invalid } from '#api/field-error.ts';
import { validateFinalizerName } from '#api/object-meta.ts';
import { defineResource, type Resource } from '#api/resource.ts';
import { ageColumn, nameColumn } from '../columns.ts';
import { fillIn } from '../fill-in.ts';
import type { Namespace } from '../types/core-v1.ts';
import { hubView } from '../view.ts';

/** Present on every namespace, so that selectors can name one. */
const namespaceNameLabel = 'kubernetes.io/metadata.name';

export function namespaceResource(): Resource {
  return defineResource<Namespace>({
    kind: 'Namespace',
    plural: 'namespaces',
    singular: 'namespace',
    shortNames: ['ns'],
    categories: [],
    namespaced: false,
    storagePrefix: 'namespaces',
    views: [
      hubView<Namespace>({
        group: '',
        version: 'v1',
        definition: 'io.k8s.api.core.v1.Namespace',
        setDefaults: setNamespaceDefaults,
      }),
    ],
    verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
    hasStatus: true,
    nameRule: 'label',
    specChanged: () => false,
    prepareForCreate: prepareNew,
    // Finalizers are written through `finalize`; here one may only give them up.
    asWritten: (prepared, given, subresource) =>
      subresource === '' ? { ...prepared, spec: given.spec } : prepared,
    prepareForUpdate: (next, old) => ({ ...next, spec: old.spec, status: old.status }),
    prepareForStatusUpdate: (next, old) => ({
      ...old,
      metadata: next.metadata,
      status: next.status,
    }),
    validate: validateNamespace,
    validateStatusUpdate: validateNamespaceStatus,
    columns: [
      nameColumn(),
      {
        name: 'Status',
        type: 'string',
        description: 'Active, or Terminating while it is being emptied.',
        priority: 0,
        cell: ({ status }) => status?.phase ?? '',
      },
      ageColumn(),
    ],
    selectableFields: {
      'status.phase': ({ status }) => status?.phase ?? '',
      name: ({ metadata }) => metadata.name ?? '',
    },
  });
}

function prepareNew(namespace: Namespace): Namespace {
  const given = namespace.spec?.finalizers ?? [];
  const finalizers = given.includes('kubernetes') ? given : [...given, 'kubernetes'];
  return {
    ...withNameLabel(namespace),
    spec: { ...namespace.spec, finalizers },
    status: { phase: 'Active' },
  };
}

function setNamespaceDefaults(namespace: Namespace): Namespace {
  const { status } = namespace;
  return withNameLabel({ ...namespace, status: fillIn(status ?? {}, { phase: 'Active' }) });
}

/** A name that the server makes is known only later; then the label follows. */
function withNameLabel(namespace: Namespace): Namespace {
  const { name } = namespace.metadata;
  if (!name || namespace.metadata.labels?.[namespaceNameLabel] === name) return namespace;
  const labels = { ...namespace.metadata.labels, [namespaceNameLabel]: name };
  return { ...namespace, metadata: { ...namespace.metadata, labels } };
}

function validateNamespace({ spec }: Namespace): FieldError[] {
  return (spec?.finalizers ?? []).flatMap((finalizer, index) =>
    validateFinalizerName(finalizer, `spec.finalizers[${index}]`),
  );
}

function validateNamespaceStatus(next: Namespace): FieldError[] {
  const phase = next.status?.phase ?? '';
  if (next.metadata.deletionTimestamp === undefined) {
    if (phase === 'Active') return [];
    const detail = "may only be 'Active' if `deletionTimestamp` is empty";
    return [invalid('status.Phase', phase, detail)];
  }
  if (phase === 'Terminating') return [];
  const detail = "may only be 'Terminating' if `deletionTimestamp` is not empty";
  return [invalid('status.Phase', phase, detail)];
}
