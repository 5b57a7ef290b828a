/**
 * Nothing is created in a namespace that does not exist or is going away.
 */
import { ApiError, notFound } from '#api/errors.ts';
import type { Store } from '#store';
import { decodeEntry, mentions, registryRoot } from '../registry.ts';
import { type Judged, refusal } from './refusal.ts';

export interface NamespaceCheck extends Judged {
  readonly namespace: string;
}

export function checkNamespaceAccepts(
  { store }: { readonly store: Store },
  check: NamespaceCheck,
): void {
  const { namespace } = check;
  const entry = store.get(`${registryRoot}namespaces/${namespace}`);
  if (entry === undefined) throw notFound({ group: '', resource: 'namespaces' }, namespace);
  if (!mentions(entry.value, deletionMark)) return;
  if (decodeEntry(entry).metadata.deletionTimestamp === undefined) return;
  throw terminating(check);
}

/** Without it a namespace is not going away. */
export const deletionMark = Buffer.from('"deletionTimestamp"');

function terminating(check: NamespaceCheck): ApiError {
  const { namespace } = check;
  const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
  const { status } = refusal(check, why);
  const cause = {
    reason: 'NamespaceTerminating',
    message: `namespace ${namespace} is being terminated`,
    field: 'metadata.namespace',
  };
  return new ApiError({ ...status, details: { ...status.details, causes: [cause] } });
}
