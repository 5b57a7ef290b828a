/**
 * What a write of the status may change, for the kinds that are strict about it: the status and
 * who owns its fields. Of most kinds labels and the rest of the metadata can be changed this way
 * too, as upstream lets them.
 */
import type { KubeObject } from '#api/object.ts';

/** The written status on the object as it was. */
export function statusAlone<Hub extends KubeObject>(next: Hub, old: Hub): Hub {
  const { managedFields, resourceVersion } = next.metadata;
  const metadata = {
    ...old.metadata,
    ...(managedFields === undefined ? {} : { managedFields }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
  return { ...next, metadata, spec: old.spec };
}
