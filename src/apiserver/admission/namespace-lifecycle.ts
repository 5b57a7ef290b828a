/**
 * Nothing is created in a namespace that does not exist or is going away.
 */
import { ApiError, forbidden, notFound } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import type { Resource } from '#api/resource.ts';
import type { Store } from '#store';
import { decodeEntry, registryRoot } from '../registry.ts';

export interface NamespaceCheck {
  readonly resource: Resource;
  readonly hub: KubeObject;
  readonly namespace: string;
}

export function checkNamespaceAccepts(
  { store }: { readonly store: Store },
  { resource, hub, namespace }: NamespaceCheck,
): void {
  const entry = store.get(`${registryRoot}namespaces/${namespace}`);
  if (entry === undefined) throw notFound({ group: '', resource: 'namespaces' }, namespace);
  // Looks into the object only where the bytes make it worth while.
  if (!Buffer.from(entry.value.buffer, entry.value.byteOffset, entry.value.length).includes(mark)) {
    return;
  }
  if (decodeEntry(entry).metadata.deletionTimestamp === undefined) return;
  throw terminating(resource, hub, namespace);
}

const mark = '"deletionTimestamp"';

function terminating(resource: Resource, hub: KubeObject, namespace: string): ApiError {
  const group = resource.views[0]?.group ?? '';
  const { name = '' } = hub.metadata;
  const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
  const { status } = forbidden({ group, resource: resource.plural }, name, why);
  const cause = {
    reason: 'NamespaceTerminating',
    message: `namespace ${namespace} is being terminated`,
    field: 'metadata.namespace',
  };
  return new ApiError({ ...status, details: { ...status.details, causes: [cause] } });
}
