/**
 * The paths of one kind in OpenAPI v3: for each, its operations with the marks by which kubectl
 * finds the kind (`x-kubernetes-group-version-kind`) and knows what an operation accepts.
 */
import { formatGroupVersion } from '#api/object.ts';
import type { Resource, ResourceView } from '#api/resource.ts';

const patchTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
] as const;

export function pathsOf(resource: Resource, view: ResourceView): Record<string, object> {
  const groupVersion = formatGroupVersion(view);
  const root = view.group === '' ? `/api/${groupVersion}` : `/apis/${groupVersion}`;
  const base = resource.namespaced ? `${root}/namespaces/{namespace}` : root;
  const collection = `${base}/${resource.plural}`;
  const operation = (action: string, content: readonly string[]): object => ({
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': {
      group: view.group,
      version: view.version,
      kind: resource.kind,
    },
    parameters: parametersOf(action),
    ...(content.length === 0 ? {} : { requestBody: { content: contentOf(view, content) } }),
    responses: { 200: { description: 'OK', content: contentOf(view, ['application/json']) } },
  });
  const json = ['application/json', 'application/yaml'];
  return {
    [collection]: {
      get: operation('list', []),
      post: operation('post', json),
      delete: operation('deletecollection', []),
    },
    [`${collection}/{name}`]: {
      get: operation('get', []),
      put: operation('put', json),
      patch: operation('patch', patchTypes),
      delete: operation('delete', []),
    },
  };
}

function contentOf(view: ResourceView, types: readonly string[]): object {
  const schema = { $ref: `#/components/schemas/${view.definition}` };
  return Object.fromEntries(types.map((type) => [type, { schema }]));
}

/** kubectl looks for `dryRun` and `fieldValidation` before it uses them. */
function parametersOf(action: string): readonly object[] {
  const query = (name: string): object => ({ name, in: 'query', schema: { type: 'string' } });
  const writes = action === 'post' || action === 'put' || action === 'patch';
  if (writes) return ['dryRun', 'fieldManager', 'fieldValidation'].map(query);
  return action === 'delete' ? ['dryRun', 'propagationPolicy'].map(query) : [];
}
