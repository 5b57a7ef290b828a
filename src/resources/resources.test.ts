/** The catalog of built-in kinds: complete, consistent, and cheap to open. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Definitions, Schema, WireFacts } from '#api/schema.ts';
import { openDefinitions } from './definitions.ts';
import { formatKindFacts } from './kind-facts.ts';
import * as kinds from './kinds.ts';
import { builtinResources, loadDescriptors, openCatalog } from './resources.ts';

test('what is known of a kind before its descriptor is loaded agrees with the descriptor', () => {
  const written = readFileSync(new URL('./openapi/kinds.json', import.meta.url), 'utf8');
  const stale = 'write it again with: npm run generate -- kinds';
  assert.equal(written, formatKindFacts(loadDescriptors()), stale);
});

test('a deferred kind shows all that its descriptor has', () => {
  const descriptors = loadDescriptors();
  for (const [index, deferred] of builtinResources().entries()) {
    const whole = descriptors[index];
    assert.ok(whole);
    assert.deepEqual(shapeOf(whole, deferred), shapeOf(whole, whole), whole.kind);
    for (const [at, view] of whole.views.entries()) {
      assert.deepEqual(shapeOf(view, deferred.views[at] ?? {}), shapeOf(view, view), whole.kind);
    }
  }
});

/** Values of `source` for the members of `whole`; functions, which are made anew, as their sort. */
function shapeOf(whole: object, source: object): object {
  const values: Readonly<Record<string, unknown>> = { ...pick(source, Object.keys(whole)) };
  return JSON.parse(
    JSON.stringify(values, (key, value) => {
      if (key === 'views') return undefined;
      return typeof value === 'function' ? 'function' : value;
    }),
  );
}

function pick(source: object, keys: readonly string[]): object {
  return Object.fromEntries(keys.map((key) => [key, Reflect.get(source, key)]));
}

test('every view has a definition, and everything it refers to is there', () => {
  const definitions = openDefinitions();
  for (const { views } of builtinResources()) {
    for (const { definition, schema } of views) {
      assert.ok(definitions.get(definition), definition);
      follow(schema, definitions, new Set());
    }
  }
});

function follow(schema: Schema, definitions: Definitions, seen: Set<string>): void {
  if (schema.ref !== undefined) {
    if (seen.has(schema.ref)) return;
    seen.add(schema.ref);
    const target = definitions.get(schema.ref);
    assert.ok(target, schema.ref);
    follow(target, definitions, seen);
  }
  for (const part of [...Object.values(schema.fields ?? {}), schema.values, schema.items]) {
    if (part !== undefined) follow(part, definitions, seen);
  }
}

test('what is said of empty fields names fields that there are', () => {
  const file = new URL('./openapi/wire-v1.36.json', import.meta.url);
  const facts: Readonly<Record<string, WireFacts>> = JSON.parse(readFileSync(file, 'utf8'));
  const definitions = openDefinitions();
  for (const [definition, said] of Object.entries(facts)) {
    const { fields = {} } = definitions.get(definition) ?? {};
    const named = Object.values(said).flatMap((value) =>
      Array.isArray(value) ? value : Object.keys(value),
    );
    const unknown = named.filter((field) => !Object.hasOwn(fields, field));
    assert.deepEqual(unknown, [], definition);
  }
});

test('the constants that components use name kinds that are served', () => {
  const catalog = openCatalog();
  for (const [name, kind] of Object.entries(kinds)) {
    const served = catalog.findPlural(kind, kind.plural);
    assert.equal(served?.resource.kind, kind.kind, name);
    assert.equal(served?.resource.namespaced, kind.namespaced, name);
    assert.equal(catalog.findKind(kind, kind.kind)?.view, served?.view, name);
  }
});

test('every kind that is stored has a constant, so that nothing is left in a deleted namespace', () => {
  const named = new Set(Object.values(kinds).map(({ plural }) => plural));
  const stored = builtinResources().filter(({ verbs }) => verbs?.includes('delete') ?? true);
  const unnamed = stored.filter(({ plural }) => !named.has(plural));
  assert.deepEqual(
    unnamed.map(({ plural }) => plural),
    [],
  );
});

test('the storage version is a hub, and no legacy version comes before a current one', () => {
  for (const { kind, views } of builtinResources()) {
    assert.equal(views[0]?.toHub, undefined, kind);
    const legacy = views.map((view) => view.legacy === true);
    assert.deepEqual(legacy, legacy.toSorted(), kind);
  }
});

test('a definition is parsed when asked for, and only once', () => {
  const definitions = openDefinitions();
  const pod = definitions.get('io.k8s.api.core.v1.Pod');
  assert.equal(pod?.fields?.['spec']?.ref, 'io.k8s.api.core.v1.PodSpec');
  assert.equal(definitions.get('io.k8s.api.core.v1.Pod'), pod);
  assert.equal(definitions.get('io.k8s.api.core.v1.Pond'), undefined);
});

test('kinds can be added and removed while the catalog is in use', () => {
  const catalog = openCatalog();
  const [resource] = builtinResources();
  assert.ok(resource);
  const before = catalog.generation;
  catalog.remove(resource);
  assert.equal(
    catalog.findPlural({ group: '', version: 'v1' }, resource.plural)?.resource.kind,
    undefined,
  );
  catalog.add(resource);
  assert.equal(
    catalog.findPlural({ group: '', version: 'v1' }, resource.plural)?.resource,
    resource,
  );
  assert.ok(catalog.generation > before + 1);
});
