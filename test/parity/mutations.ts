/**
 * Spoilt copies of an object: one field left out, of the wrong type, out of range, or just changed.
 *
 * Walks the object along its schema, so that each value is spoilt in the ways that its type can be.
 * Pure; `scenarios.ts` draws from what comes out.
 */
import type { Definitions, Schema } from '#api/schema.ts';
import type { Json } from './fixtures.ts';

export interface Mutation {
  /** `spec.replicas = -1`. */
  readonly what: string;
  readonly object: Json;
}

type Step = string | number;

interface Place {
  readonly steps: readonly Step[];
  readonly value: unknown;
  readonly schema: Schema;
}

const longText = 'x'.repeat(300);

/** Every field left out, one at a time. */
export function removals(object: Json, schema: Schema, definitions: Definitions): Mutation[] {
  return fieldsOf(object, schema, definitions).map(({ steps }) => ({
    what: `without ${textOf(steps)}`,
    object: withValue(object, steps, undefined),
  }));
}

/** Every value once of a type that it cannot be. */
export function mistypes(object: Json, schema: Schema, definitions: Definitions): Mutation[] {
  return fieldsOf(object, schema, definitions).map(({ steps, schema: of }) =>
    changed(object, steps, wrongType(of)),
  );
}

/** Every value of its type, but outside of what makes sense. */
export function outOfRange(object: Json, schema: Schema, definitions: Definitions): Mutation[] {
  return fieldsOf(object, schema, definitions).flatMap(({ steps, value, schema: of }) =>
    extremes(value, of).map((extreme) => changed(object, steps, extreme)),
  );
}

/** Every single value exchanged for another of its kind. */
export function changes(object: Json, schema: Schema, definitions: Definitions): Mutation[] {
  return fieldsOf(object, schema, definitions).flatMap(({ steps, value }) => {
    const other = another(value);
    return other === undefined ? [] : [changed(object, steps, other)];
  });
}

function changed(object: Json, steps: readonly Step[], value: unknown): Mutation {
  const shown = JSON.stringify(value);
  const text = shown.length > 40 ? `${shown.slice(0, 40)}…` : shown;
  return { what: `${textOf(steps)} = ${text}`, object: withValue(object, steps, value) };
}

/** All members of objects, at any depth, except names and kinds of the object itself. */
function fieldsOf(object: Json, schema: Schema, definitions: Definitions): Place[] {
  const places: Place[] = [];
  const visit = (value: unknown, of: Schema, steps: readonly Step[]): void => {
    const known = resolve(of, definitions);
    if (Array.isArray(value)) {
      for (const [index, item] of value.entries()) {
        visit(item, known.items ?? { opaque: true }, [...steps, index]);
      }
      return;
    }
    if (typeof value !== 'object' || value === null) return;
    for (const [key, member] of Object.entries(value)) {
      const field = known.fields?.[key] ?? known.values ?? { opaque: true };
      const next = [...steps, key];
      if (!ownWords.has(next.join('.'))) {
        places.push({ steps: next, value: member, schema: resolve(field, definitions) });
      }
      visit(member, field, next);
    }
  };
  visit(object, schema, []);
  return places;
}

/** Spoilt by cases of their own (`create-cases.ts`). */
const ownWords: ReadonlySet<string> = new Set(['kind', 'apiVersion', 'metadata', 'metadata.name']);

function resolve(schema: Schema, definitions: Definitions): Schema {
  if (schema.ref === undefined) return schema;
  const target = definitions.get(schema.ref);
  return target === undefined
    ? { opaque: true }
    : { ...resolve(target, definitions), ref: schema.ref };
}

function wrongType(schema: Schema): unknown {
  if (schema.format === 'int-or-string') return true;
  if (schema.format === 'quantity') return ['1'];
  switch (schema.type) {
    case 'string':
      return 17;
    case 'integer':
    case 'number':
      return 'seven';
    case 'boolean':
      return 'yes';
    case 'array':
      return { a: 'b' };
    default:
      return 'text';
  }
}

function extremes(value: unknown, schema: Schema): readonly unknown[] {
  if (schema.format === 'quantity') return ['-1', '1500m', 'nope', '0'];
  if (schema.format === 'int-or-string') return ['150%', 'Not A Name', -1, 70_000, ''];
  if (schema.format?.endsWith('-time')) return ['yesterday'];
  if (schema.format === 'byte') return ['***', ''];
  switch (schema.type) {
    case 'string':
      return ['', 'Not_Valid!', longText];
    case 'integer':
      return [-1, 0, 70_000, 2 ** 31, 1.5];
    case 'boolean':
      return [value !== true, null];
    case 'array':
      return [[], Array.isArray(value) ? [...value, ...value] : []];
    default:
      if (schema.values !== undefined) return [{ 'bad key!': firstOf(value) }, {}];
      return [{}, null];
  }
}

function firstOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? (Object.values(value)[0] ?? '1') : '1';
}

function another(value: unknown): unknown {
  switch (typeof value) {
    case 'string':
      return /^\d+$/.test(value) ? String(Number(value) + 1) : `${value}x`;
    case 'number':
      return value + 1;
    case 'boolean':
      return !value;
    default:
      return undefined;
  }
}

/** A copy in which one place has another value; undefined takes it away. */
function withValue(object: Json, steps: readonly Step[], value: unknown): Json {
  // A copy of an object is an object.
  return put(object, steps, value) as Json;
}

function put(target: unknown, steps: readonly Step[], value: unknown): unknown {
  const [step, ...rest] = steps;
  if (step === undefined) return value;
  if (Array.isArray(target)) {
    return target.map((item, index) => (index === step ? put(item, rest, value) : item));
  }
  // Only objects have members; the path was read from this very object.
  const members = { ...(target as Record<string, unknown> | undefined) };
  const next = put(members[step], rest, value);
  if (next === undefined) delete members[step];
  else members[step] = next;
  return members;
}

function textOf(steps: readonly Step[]): string {
  return steps.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`;
    return text === '' ? step : `${text}.${step}`;
  }, '');
}
