/**
 * Table and PartialObjectMetadata: what `kubectl get` prints, and what caches of metadata read.
 *
 * The cells come from the kind's columns. Each row carries the object's metadata (or the whole
 * object, or nothing) as `includeObject` says. Called by respond, list and watch.
 */
import type { Served } from '#api/catalog.ts';
import { badRequest } from '#api/errors.ts';
import type { KubeObject } from '#api/object.ts';
import { viewObject } from '../registry.ts';

export type IncludeObject = 'None' | 'Metadata' | 'Object';

export interface TableRow {
  readonly cells: readonly (string | number | boolean | null)[];
  readonly object: object | null;
}

export interface TableOptions {
  readonly includeObject: IncludeObject;
  readonly nowMs: number;
}

const metaApiVersion = 'meta.k8s.io/v1';

export function includeObjectOf(query: URLSearchParams): IncludeObject {
  const value = query.get('includeObject') ?? '';
  if (value === '') return 'Metadata';
  if (value === 'None' || value === 'Metadata' || value === 'Object') return value;
  throw badRequest(`unrecognized includeObject value: "${value}"`);
}

export function partialObject(hub: KubeObject): object {
  return {
    kind: 'PartialObjectMetadata',
    apiVersion: metaApiVersion,
    metadata: hub.metadata,
  };
}

export function partialList(hubs: readonly KubeObject[], metadata: object): object {
  return {
    kind: 'PartialObjectMetadataList',
    apiVersion: metaApiVersion,
    metadata,
    items: hubs.map(partialObject),
  };
}

export function columnDefinitions({ resource }: Served): readonly object[] {
  return resource.columns.map(({ name, type, format, description, priority }) => ({
    name,
    type,
    format: format ?? '',
    description,
    priority,
  }));
}

export function tableRow(served: Served, hub: KubeObject, options: TableOptions): TableRow {
  const cells = served.resource.columns.map((column) => column.cell(hub, options.nowMs));
  switch (options.includeObject) {
    case 'None':
      return { cells, object: null };
    case 'Metadata':
      return { cells, object: partialObject(hub) };
    case 'Object':
      return { cells, object: viewObject(served, hub) };
    default:
      return options.includeObject satisfies never;
  }
}

export function table(
  served: Served,
  rows: readonly TableRow[],
  metadata: object,
  { hasColumns = true }: { readonly hasColumns?: boolean } = {},
): object {
  return {
    kind: 'Table',
    apiVersion: metaApiVersion,
    metadata,
    columnDefinitions: hasColumns ? columnDefinitions(served) : null,
    rows,
  };
}
