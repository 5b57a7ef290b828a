/**
 * Takes an object out of the store for good and gives back what only it held (addresses, ports).
 * The last step of a delete, and of an update that removes the last finalizer.
 */
import type { KubeObject } from '#api/object.ts';
import type { Resource } from '#api/resource.ts';
import type { Entry } from '#store';
import type { Parts } from '../parts.ts';
import { encodeStored } from '../registry.ts';

/**
 * The object as it was when it went, with the revision of its deletion; undefined when somebody
 * else changed it meanwhile.
 */
export async function removeEntry(
  parts: Parts,
  resource: Resource,
  entry: Entry,
  last: KubeObject,
): Promise<Entry | undefined> {
  const { key, revision, createRevision } = entry;
  const written = await parts.store.delete({ key, expect: { revision } });
  if (!written.ok) return undefined;
  await parts.services.release(resource, last);
  return { key, value: encodeStored(resource, last), revision: written.revision, createRevision };
}
