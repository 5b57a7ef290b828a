/**
 * Random objects of every kind and version, made from the schemas and damaged: decoding, defaults,
 * conversion and validation never fail in any other way than by refusing the object, defaults are
 * stable, and nothing that was given is changed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeObject } from '#api/decode.ts';
import { ApiError } from '#api/errors.ts';
import { formatFieldError } from '#api/field-error.ts';
import { formatGroupVersion, type KubeObject } from '#api/object.ts';
import { applyStrategicPatch } from '#api/patch.ts';
import type { Resource, ResourceView, WriteContext } from '#api/resource.ts';
import type { Definitions, Schema } from '#api/schema.ts';
import { type Random, seededRandom, systemRandom } from '#kit/random.ts';
import { loadDescriptors, openCatalog } from './resources.ts';

const seed = Number(process.env['CORACLE_SEED'] ?? systemRandom().integer(2 ** 31));
const rounds = Number(process.env['CORACLE_FUZZ_ITERATIONS'] ?? 2_000);

const words = [
  '',
  'a',
  'web',
  'Always',
  'None',
  'In',
  'TCP',
  'A_',
  '25%',
  '10.0.0.1',
  'x'.repeat(70),
];
const quantities = ['0', '1', '100m', '1Gi', '-1', '1.5', 2];
const depthMax = 9;

class Generator {
  readonly #random: Random;
  readonly #definitions: Definitions;

  constructor(random: Random, definitions: Definitions) {
    this.#random = random;
    this.#definitions = definitions;
  }

  pick<T>(from: readonly T[]): T {
    const picked = from[this.#random.integer(from.length)];
    assert.ok(picked !== undefined);
    return picked;
  }

  chance(oneIn: number): boolean {
    return this.#random.integer(oneIn) === 0;
  }

  value(schema: Schema, depth: number): unknown {
    if (this.chance(300)) return this.pick<unknown>([null, 1, 'x', true, [], {}, [null]]);
    if (depth > depthMax) return null;
    if (schema.ref !== undefined) {
      return this.value(this.#definitions.get(schema.ref) ?? { opaque: true }, depth);
    }
    if (schema.opaque) return { any: 'thing' };
    if (schema.fields !== undefined) return this.#object(schema.fields, depth);
    const count = this.#random.integer(3);
    if (schema.items !== undefined) {
      const { items } = schema;
      return Array.from({ length: count }, () => this.value(items, depth + 1));
    }
    if (schema.values !== undefined) {
      const { values } = schema;
      const entry = () => [this.pick(['cpu', 'memory', ...words]), this.value(values, depth + 1)];
      return Object.fromEntries(Array.from({ length: count }, entry));
    }
    return this.#scalar(schema);
  }

  #object(fields: Readonly<Record<string, Schema>>, depth: number): unknown {
    const entries = Object.entries(fields).filter(() => this.chance(depth < 2 ? 1 : 3));
    return Object.fromEntries(entries.map(([name, field]) => [name, this.value(field, depth + 1)]));
  }

  #scalar(schema: Schema): unknown {
    switch (schema.format) {
      case 'quantity':
        return this.pick<unknown>(quantities);
      case 'date-time':
      case 'micro-time':
        return '2026-01-01T00:00:00Z';
      case 'byte':
        return this.pick(['', 'YWJj', 'e30=']);
      case 'int-or-string':
        return this.pick<unknown>([...words, 0, 80]);
    }
    if (schema.type === 'boolean') return this.chance(2);
    if (schema.type === 'string') return this.pick(words);
    return this.pick([-1, 0, 1, 80, 70_000]);
  }
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) freeze(member);
  }
  return value;
}

const context: WriteContext = { now: '2026-01-01T00:00:00Z', user: 'x', random: seededRandom(1) };

/** The way of one object through its descriptor; true when it was not refused on decoding. */
function write(json: unknown, resource: Resource, view: ResourceView, known: Definitions): boolean {
  let object: KubeObject;
  try {
    const decoded = decodeObject(freeze(json), view.schema, known);
    object = decoded.object as unknown as KubeObject;
  } catch (error) {
    if (error instanceof ApiError && error.status.code === 400) return false;
    throw error;
  }
  const again = decodeObject(object, view.schema, known);
  assert.deepEqual(again.object, object, 'decoding is stable');
  assert.deepEqual(again.problems, []);
  // The server refuses a body without metadata before it gets here.
  const named = freeze({ ...object, metadata: object.metadata ?? {} });
  const defaulted = freeze(view.setDefaults(named, context));
  assert.deepEqual(view.setDefaults(defaulted, context), defaulted, 'defaults are stable');
  const hub = freeze(view.toHub?.(defaulted) ?? defaulted);
  const prepared = freeze(resource.prepareForCreate?.(hub, context) ?? hub);
  for (const error of resource.validate(prepared)) assert.ok(formatFieldError(error).length > 0);
  const next = freeze(resource.prepareForUpdate?.(hub, prepared, context) ?? hub);
  resource.validateUpdate?.(next, prepared);
  const status = freeze(resource.prepareForStatusUpdate?.(hub, prepared, context) ?? hub);
  resource.validateStatusUpdate?.(status, prepared);
  resource.specChanged?.(next, prepared);
  resource.warnings?.(prepared, undefined);
  if (resource.validate(status).length === 0) show(resource, status);
  patch(defaulted, json, view, known);
  return true;
}

/** What is stored has passed validation, so only that is shown. */
function show(resource: Resource, hub: KubeObject): void {
  for (const { cell } of resource.columns) assert.notEqual(cell(hub, 0), undefined);
  for (const field of Object.values(resource.selectableFields ?? {})) {
    assert.equal(typeof field(hub), 'string');
  }
  for (const view of resource.views) view.fromHub?.(hub);
  resource.scale?.selector(hub);
  resource.gracePeriodSeconds?.(hub);
}

function patch(target: unknown, json: unknown, view: ResourceView, known: Definitions): void {
  try {
    applyStrategicPatch(target, json, view.schema, known);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}

test(`random objects are stored or refused, nothing else (seed ${seed})`, () => {
  const catalog = openCatalog();
  const random = seededRandom(seed);
  const generator = new Generator(random, catalog);
  const kinds = [...catalog.resources];
  let accepted = 0;
  for (let round = 0; round < rounds; round++) {
    const resource = generator.pick(kinds);
    const view = generator.pick(resource.views);
    const body = Object(generator.value(view.schema, 0));
    const json = { ...body, apiVersion: formatGroupVersion(view), kind: resource.kind };
    if (write(json, resource, view, catalog)) accepted += 1;
  }
  assert.ok(accepted > rounds / 20, `${accepted} of ${rounds} got through decoding`);
});

test('canary: a validator that trusts required fields to be there is caught', () => {
  const catalog = openCatalog();
  const generator = new Generator(seededRandom(1), catalog);
  const served = catalog.findKind({ group: 'apps', version: 'v1' }, 'Deployment');
  const deployment = loadDescriptors().find(({ kind }) => kind === 'Deployment');
  assert.ok(served && deployment);
  // Decoding fills in what is required, save selectors: there, none and an empty one differ.
  type Trusted = { readonly spec: { readonly selector: { readonly matchExpressions?: [] } } };
  const trusting: Resource = {
    ...deployment,
    validate: (hub) => (hub as unknown as Trusted).spec.selector.matchExpressions ?? [],
  };
  const writeAll = (resource: Resource): void => {
    for (let round = 0; round < 200; round++) {
      const body = Object(generator.value(served.view.schema, 0));
      write({ ...body, apiVersion: 'apps/v1', kind: 'Deployment' }, resource, served.view, catalog);
    }
  };
  writeAll(deployment);
  assert.throws(() => writeAll(trusting), /reading 'matchExpressions'/);
});
