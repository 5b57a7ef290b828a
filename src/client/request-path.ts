/**
 * Paths of the API: `/api/v1/namespaces/web/pods/web-1/status?…`. Used by `client.ts`.
 */
import { assert } from '#kit/assert.ts';

interface Addressed {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

export interface ObjectAddress {
  readonly namespace?: string | undefined;
  readonly name: string;
}

/** All objects of the kind, or those of one namespace. */
export function collectionPath(kind: Addressed, namespace?: string | undefined): string {
  const root = kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
  if (!kind.namespaced || namespace === undefined || namespace === '') {
    return `${root}/${kind.plural}`;
  }
  return `${root}/namespaces/${encodeURIComponent(namespace)}/${kind.plural}`;
}

export function objectPath(kind: Addressed, at: ObjectAddress, subresource?: string): string {
  assert(at.name !== '', `a ${kind.plural} request needs a name`);
  assert(!kind.namespaced || at.namespace, `a ${kind.plural} request needs a namespace`);
  const path = `${collectionPath(kind, at.namespace)}/${encodeURIComponent(at.name)}`;
  return subresource === undefined ? path : `${path}/${subresource}`;
}

/** Adds what is defined, in the order given. */
export function withQuery(
  path: string,
  query: Readonly<Record<string, string | number | boolean | undefined>>,
): string {
  const parts: string[] = [];
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === '') continue;
    parts.push(`${name}=${encodeURIComponent(String(value))}`);
  }
  return parts.length === 0 ? path : `${path}?${parts.join('&')}`;
}
