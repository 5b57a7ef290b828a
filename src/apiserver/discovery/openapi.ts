/**
 * OpenAPI v3, one document per group version, derived from the descriptors' schemas: enough for
 * `kubectl explain`, for validation before `apply`, and for clients that read types.
 *
 * Schemas are written from the catalog's definitions with everything they refer to. The index names
 * each document with a hash of its content, so that clients may keep it for good. Made on demand
 * and kept until the catalog changes.
 */
import { createHash } from 'node:crypto';
import type { Catalog } from '#api/catalog.ts';
import { formatGroupVersion } from '#api/object.ts';
import type { Resource, ResourceView } from '#api/resource.ts';
import type { Schema } from '#api/schema.ts';
import type { Discovery } from './discovery.ts';
import { pathsOf } from './openapi-paths.ts';

interface Document {
  readonly text: string;
  readonly hash: string;
}

export class OpenApi {
  readonly #catalog: Catalog;
  readonly #discovery: Discovery;
  #generation = -1;
  #documents = new Map<string, Document>();

  constructor(deps: { readonly catalog: Catalog; readonly discovery: Discovery }) {
    this.#catalog = deps.catalog;
    this.#discovery = deps.discovery;
  }

  /** `/openapi/v3`. */
  index(): object {
    const paths: Record<string, object> = {};
    for (const { group, version } of this.#discovery.groupVersions()) {
      const path = group === '' ? `api/${version}` : `apis/${group}/${version}`;
      const hash = this.#document(group, version)?.hash ?? '';
      paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` };
    }
    return { paths };
  }

  /** `/openapi/v3/api/v1`, `/openapi/v3/apis/G/V`: JSON text, or undefined. */
  group(group: string, version: string): string | undefined {
    return this.#document(group, version)?.text;
  }

  #document(group: string, version: string): Document | undefined {
    if (this.#generation !== this.#catalog.generation) {
      this.#documents = new Map();
      this.#generation = this.#catalog.generation;
    }
    const key = formatGroupVersion({ group, version });
    let document = this.#documents.get(key);
    if (document !== undefined) return document;
    const kinds = this.#discovery.kindsOf(group, version);
    if (kinds.length === 0) return undefined;
    const text = JSON.stringify(openApiDocument(this.#catalog, kinds));
    const hash = createHash('sha256').update(text).digest('hex').toUpperCase();
    document = { text, hash };
    this.#documents.set(key, document);
    return document;
  }
}

function openApiDocument(
  catalog: Catalog,
  kinds: readonly { readonly resource: Resource; readonly view: ResourceView }[],
): object {
  const schemas: Record<string, object> = {};
  const paths: Record<string, object> = {};
  for (const { resource, view } of kinds) {
    const { ref } = view.schema;
    const schema = (ref === undefined ? undefined : catalog.get(ref)) ?? view.schema;
    const mark = { group: view.group, kind: resource.kind, version: view.version };
    schemas[view.definition] = {
      ...schemaDocument(schema),
      'x-kubernetes-group-version-kind': [mark],
    };
    collect(catalog, schema, schemas);
    Object.assign(paths, pathsOf(resource, view));
  }
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: 'v1.36.0' },
    paths,
    components: { schemas },
  };
}

/** Adds everything that a schema refers to. */
function collect(catalog: Catalog, schema: Schema, schemas: Record<string, object>): void {
  const pending: Schema[] = [schema];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    pending.push(...Object.values(next.fields ?? {}));
    if (next.values !== undefined) pending.push(next.values);
    if (next.items !== undefined) pending.push(next.items);
    const { ref } = next;
    if (ref === undefined || schemas[ref] !== undefined) continue;
    const target = catalog.get(ref);
    if (target === undefined) continue;
    schemas[ref] = schemaDocument(target);
    pending.push(target);
  }
}

function schemaDocument(schema: Schema): Record<string, unknown> {
  if (schema.ref !== undefined) {
    return { allOf: [{ $ref: `#/components/schemas/${schema.ref}` }], ...extensions(schema) };
  }
  const { type, format, fields, values, items, required } = schema;
  if (format === 'quantity' || format === 'int-or-string') {
    return { oneOf: [{ type: 'string' }, { type: format === 'quantity' ? 'number' : 'integer' }] };
  }
  return {
    ...(type === undefined ? (fields === undefined ? {} : { type: 'object' }) : { type }),
    ...(format === undefined ? {} : { format: format === 'micro-time' ? 'date-time' : format }),
    ...(fields === undefined ? {} : { properties: properties(fields) }),
    ...(values === undefined ? {} : { additionalProperties: schemaDocument(values) }),
    ...(items === undefined ? {} : { items: schemaDocument(items) }),
    ...(required === undefined || required.length === 0 ? {} : { required }),
    ...extensions(schema),
  };
}

function properties(fields: Readonly<Record<string, Schema>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, schema]) => [name, schemaDocument(schema)]),
  );
}

function extensions(schema: Schema): Record<string, unknown> {
  const { opaque, listType, listMapKeys, mapType, patchMergeKey, patchStrategy } = schema;
  return {
    ...(opaque === true ? { 'x-kubernetes-preserve-unknown-fields': true } : {}),
    ...(listType === undefined ? {} : { 'x-kubernetes-list-type': listType }),
    ...(listMapKeys === undefined ? {} : { 'x-kubernetes-list-map-keys': listMapKeys }),
    ...(mapType === undefined ? {} : { 'x-kubernetes-map-type': mapType }),
    ...(patchMergeKey === undefined ? {} : { 'x-kubernetes-patch-merge-key': patchMergeKey }),
    ...(patchStrategy === undefined ? {} : { 'x-kubernetes-patch-strategy': patchStrategy }),
  };
}
