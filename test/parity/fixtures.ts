/**
 * What the parity run knows of each kind: a minimal object, a full one that names most of its
 * fields, a few odd ones, and a status. They stand in `objects/*.yaml`, a document for each kind;
 * what the catalog knows (paths, schemas, sub-resources) is not repeated there. Next:
 * `scenarios.ts`, which makes requests of them.
 */
import { globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Catalog, Served } from '#api/catalog.ts';
import type { Schema } from '#api/schema.ts';
import { parseYaml } from '#kit/yaml.ts';

export type Json = Readonly<Record<string, unknown>>;

export interface Fixture {
  /** Distinct among all: `pods`, `events.events.k8s.io`. */
  readonly title: string;
  readonly apiVersion: string;
  readonly kind: string;
  /** Of the collection; `NAMESPACE` stands for one. */
  readonly path: string;
  readonly namespaced: boolean;
  readonly schema: Schema;
  /** Absent for what is only created (reviews), and where this server has no such kind. */
  readonly served: Served | undefined;
  readonly createOnly: boolean;
  /** `NAME` in it stands for what makes it distinct. */
  readonly name: string;
  readonly minimal: Json;
  readonly full: Json;
  readonly others: readonly Json[];
  readonly status: Json | undefined;
  /** Status for the `approval` sub-resource. */
  readonly approval: Json | undefined;
}

/** A document of `objects/*.yaml`. */
interface Written {
  readonly plural: string;
  readonly group?: string;
  readonly version?: string;
  readonly kind?: string;
  readonly apiVersion?: string;
  readonly path?: string;
  readonly definition?: string;
  readonly name?: string;
  readonly minimal?: Json;
  readonly full?: Json;
  readonly others?: readonly Json[];
  readonly status?: Json;
  readonly approval?: Json;
}

const folder = new URL('./objects/', import.meta.url);

export function readFixtures(catalog: Catalog): readonly Fixture[] {
  const files = globSync('*.yaml', { cwd: folder }).sort();
  return files.flatMap((file) => {
    const text = readFileSync(new URL(basename(file), folder), 'utf8');
    // Our own files, whose documents have this shape.
    return text.split(/^---$/m).map((part) => fixtureOf(catalog, parseYaml(part) as Written));
  });
}

function fixtureOf(catalog: Catalog, written: Written): Fixture {
  const { plural, minimal, others = [] } = written;
  const full = written.full ?? minimal ?? {};
  const common = {
    name: written.name ?? 'NAME',
    minimal: minimal ?? full,
    full,
    others,
    status: written.status,
    approval: written.approval,
  };
  const served = written.path === undefined ? findServed(catalog, written) : undefined;
  if (served !== undefined) {
    const { resource, view } = served;
    return {
      ...common,
      ...at(view.group, view.version, plural, resource.namespaced),
      kind: resource.kind,
      schema: view.schema,
      served,
      createOnly: false,
      name: plural === 'ipaddresses' ? 'ADDRESS' : common.name,
    };
  }
  const { group = '', version = 'v1', kind = '', apiVersion, path, definition } = written;
  const place = at(group, version, plural, false);
  return {
    ...common,
    ...place,
    ...(path === undefined ? {} : { path, namespaced: path.includes('NAMESPACE'), title: plural }),
    apiVersion: apiVersion ?? place.apiVersion,
    kind,
    schema: definition === undefined ? { opaque: true } : { ref: definition },
    served,
    createOnly: path !== undefined,
  };
}

function findServed(catalog: Catalog, { plural, group, version }: Written): Served | undefined {
  for (const resource of catalog.resources) {
    if (resource.plural !== plural) continue;
    const view = resource.views.find(
      (one) =>
        (group === undefined && one.legacy !== true) ||
        (one.group === group && one.version === version),
    );
    if (view !== undefined) return { resource, view };
  }
  return undefined;
}

function at(group: string, version: string, plural: string, namespaced: boolean) {
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  return {
    title: group === '' ? plural : `${plural}.${version}.${group}`,
    apiVersion: group === '' ? version : `${group}/${version}`,
    path: `${root}/${namespaced ? 'namespaces/NAMESPACE/' : ''}${plural}`,
    namespaced,
  };
}
