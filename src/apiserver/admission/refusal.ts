/**
 * How admission says no: upstream's 403, about the object as its creator named it. While admission
 * may still change an object, one without a name goes by the beginning of the name that it will get
 * (`web-5d8c9d5d4-`), since upstream makes names up later.
 */
import { type ApiError, forbidden, type GroupResource } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import type { Resource } from '#api/resource.ts';

export interface Judged {
  readonly resource: Resource;
  readonly hub: KubeObject;
  /** Whether the server made the name up. */
  readonly generated?: boolean;
}

export function groupResourceOf({ views, plural }: Resource): GroupResource {
  return { group: views[0]?.group ?? '', resource: plural };
}

export function refusal({ resource, hub, generated = false }: Judged, why: string): ApiError {
  const { name = '', generateName = '' } = hub.metadata;
  const shown = generated && generateName !== '' ? generateName : name;
  return forbidden(groupResourceOf(resource), shown === '' ? 'Unknown' : shown, why);
}
