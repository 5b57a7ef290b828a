/**
 * JSON values → an object that fits its schema.
 *
 * Wrong types are refused with the words that Go's decoder uses (clients show them), unknown fields
 * are dropped and reported, nulls vanish, required values that are missing become empty ones, and
 * values with several spellings (times, quantities) get the one that is stored. Whatever needs no
 * change is passed through, not copied.
 *
 * Called by the server for each body and each patched object; `parseJson` comes before it, the
 * view's defaults come after it.
 */
import { isMembers } from '#kit/members.ts';
import { type ApiError, badRequest } from './errors.ts';
import { type JsonObject, parseGroupVersion } from './object.ts';
import { canonicalQuantity, quantityProblem } from './quantity.ts';
import type { Definitions, Schema } from './schema.ts';
import { canonicalTime, timeProblem } from './timestamp.ts';

export interface Decoded {
  readonly object: JsonObject;
  /** `unknown field "spec.foo"`, in order of appearance. */
  readonly problems: readonly string[];
}

const depthMax = 1000;
const base64RegExp = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

export function decodeObject(
  json: unknown,
  schema: Schema,
  definitions: Definitions,
  /** The answer to what does not fit; default: how a body is refused. */
  refuse: (why: string) => ApiError = (why) => badRequest(refusal(json, why)),
  /** Whose words say what is wrong: of JSON, or of a patched object that never was a text. */
  words: 'json' | 'restored' = 'json',
): Decoded {
  const decoder = new Decoder(definitions, words);
  try {
    return { object: decoder.root(json, schema), problems: decoder.problems };
  } catch (error) {
    if (!(error instanceof Mismatch)) throw error;
    throw refuse(error.message);
  }
}

/** `Pod in version "v1" cannot be handled as a Pod: …`: how a body that is no use is refused. */
export function refusal(json: unknown, why: string): string {
  const { kind, apiVersion } = isMembers(json) ? json : {};
  if (typeof kind !== 'string' || typeof apiVersion !== 'string') return why;
  const { version } = parseGroupVersion(apiVersion);
  return `${kind} in version "${version}" cannot be handled as a ${kind}: ${why}`;
}

/** Leaves the walk; `decodeObject` turns it into the 400. */
class Mismatch extends Error {}

/**
 * Where the walk is. Only a complaint needs it in words, so it is a chain of steps until then: of
 * all that is decoded, places would be the larger part.
 */
interface Place {
  readonly up: Place | undefined;
  /** Key of a field or map, index of a list. */
  readonly key: string | number;
  /** Go's word for a field, also of a part that JSON does not show; none for other steps. */
  readonly goKey: string | undefined;
  /** Definition of the innermost type that has a name. */
  readonly holder: string;
  readonly depth: number;
  /** Where the type has a name of its own in upstream's source. */
  readonly goType: string | undefined;
}

class Decoder {
  readonly problems: string[] = [];
  readonly #definitions: Definitions;

  readonly #words: 'json' | 'restored';

  constructor(definitions: Definitions, words: 'json' | 'restored') {
    this.#definitions = definitions;
    this.#words = words;
  }

  root(json: unknown, schema: Schema): JsonObject {
    const place: Place = {
      ...{ up: undefined, key: '', goKey: undefined },
      ...{ holder: '', depth: 0, goType: undefined },
    };
    if (!isMembers(json)) throw this.#wrongType(json, schema, place);
    const decoded = this.#value(json, schema, place);
    // A schema of an object gives back an object.
    return decoded as JsonObject;
  }

  #value(value: unknown, schema: Schema, place: Place): unknown {
    if (place.depth > depthMax) throw new Mismatch('exceeded max depth');
    if (schema.opaque === true) return value;
    if (schema.ref !== undefined) {
      const target = this.#definitions.get(schema.ref);
      // A definition without content (raw JSON) is kept as it comes.
      if (target === undefined) return value;
      if (target.fields === undefined) return this.#value(value, target, place);
      if (!isMembers(value)) throw this.#wrongType(value, schema, place);
      return this.#fields(value, target, place, schema);
    }
    if (schema.fields !== undefined) return this.#fields(value, schema, place, schema);
    if (schema.values !== undefined) return this.#map(value, schema, schema.values, place);
    if (schema.items !== undefined) return this.#list(value, schema, schema.items, place);
    return this.#scalar(value, schema, place);
  }

  #fields(value: unknown, schema: Schema, place: Place, named: Schema): unknown {
    if (!isMembers(value)) throw this.#wrongType(value, named, place);
    const fields = schema.fields ?? {};
    const holder = named.ref ?? place.holder;
    let changed: Record<string, unknown> | undefined;
    const dropped: string[] = [];
    for (const key of Object.keys(value)) {
      const field = Object.hasOwn(fields, key) ? fields[key] : undefined;
      const before = value[key];
      if (field === undefined) {
        this.problems.push(`unknown field "${pathOf({ ...place, up: place, key })}"`);
      }
      const after =
        field === undefined || before === null || before === undefined
          ? undefined
          : isPlainly(before, field)
            ? before
            : this.#value(before, field, step(place, key, schema, holder));
      const drop =
        after === undefined ||
        (isEmpty(after, field) &&
          !schema.required?.includes(key) &&
          schema.wire?.null?.includes(key) !== true) ||
        (isZero(after) && schema.wire?.drop?.includes(key) === true);
      if (drop) dropped.push(key);
      else if (after !== before) {
        changed ??= { ...value };
        changed[key] = after;
      }
    }
    return this.#withRequired(without(changed ?? value, dropped), schema);
  }

  /**
   * What a type cannot be without is there, if only empty, as in a Go struct: what comes after need
   * not ask. Selectors stay absent, since an empty one means something else than none.
   */
  #withRequired(
    value: Readonly<Record<string, unknown>>,
    { required, wire, fields = {} }: Schema,
  ): Readonly<Record<string, unknown>> {
    let filled: Record<string, unknown> | undefined;
    const fill = (key: string, empty: unknown): void => {
      if (empty === undefined) return;
      filled ??= { ...value };
      filled[key] = empty;
    };
    if (wire?.null !== undefined) {
      for (const key of wire.null) if (value[key] === undefined) fill(key, null);
    }
    const keys = wire === undefined ? required : wire.filled;
    if (keys === undefined) return filled ?? value;
    for (const key of keys) {
      const field = fields[key];
      if (field === undefined || (filled ?? value)[key] !== undefined) continue;
      fill(key, this.#emptyValue(field));
    }
    return filled ?? value;
  }

  #emptyValue(schema: Schema): unknown {
    if (schema.ref !== undefined) {
      const target = this.#definitions.get(schema.ref);
      if (target?.fields === undefined || schema.ref.endsWith('.LabelSelector')) return undefined;
      return this.#withRequired({}, target);
    }
    if (schema.format === 'int-or-string') return 0;
    if (schema.format === 'quantity') return '0';
    if (schema.format?.endsWith('-time')) return undefined;
    return schema.type === 'object' || schema.type === undefined ? undefined : zero(schema);
  }

  #map(value: unknown, schema: Schema, values: Schema, place: Place): unknown {
    if (!isMembers(value)) throw this.#wrongType(value, schema, place);
    let changed: Record<string, unknown> | undefined;
    for (const key of Object.keys(value)) {
      const before = value[key];
      if (isPlainly(before, values)) continue;
      const at = { ...place, up: place, key, goKey: undefined, depth: place.depth + 1 };
      const after = this.#value(before === null ? zero(values) : before, values, at);
      if (after === before) continue;
      changed ??= { ...value };
      Object.defineProperty(changed, key, {
        value: after,
        writable: true,
        enumerable: true,
        configurable: true,
      });
    }
    return changed ?? value;
  }

  #list(value: unknown, schema: Schema, items: Schema, place: Place): unknown {
    if (!Array.isArray(value)) throw this.#wrongType(value, schema, place);
    let changed: unknown[] | undefined;
    for (let index = 0; index < value.length; index++) {
      const before: unknown = value[index];
      if (isPlainly(before, items)) continue;
      const goType = place.goType?.replace(/^\[\]/, '');
      const [depth, goKey] = [place.depth + 1, undefined];
      const at = { ...place, up: place, key: index, goKey, depth, goType };
      const after = this.#value(before === null ? zero(items) : before, items, at);
      if (after === before) continue;
      changed ??= [...value];
      changed[index] = after;
    }
    return changed ?? value;
  }

  #scalar(value: unknown, schema: Schema, place: Place): unknown {
    switch (schema.format) {
      case 'quantity':
        return quantityText(value);
      case 'int-or-string':
        if (typeof value === 'string' || isInteger32(value)) return value;
        throw this.#wrongType(value, { type: 'integer', format: 'int32' }, place);
      case 'date-time':
        return this.#time(value, schema, place, 'second');
      case 'micro-time':
        return this.#time(value, schema, place, 'micro');
      case 'byte':
        if (typeof value !== 'string') throw this.#wrongType(value, schema, place);
        return base64Text(value);
    }
    switch (schema.type) {
      case 'string':
        if (typeof value === 'string') return value;
        break;
      case 'boolean':
        if (typeof value === 'boolean') return value;
        break;
      case 'integer':
        if (schema.format === 'int32' ? isInteger32(value) : isInteger64(value)) return value;
        break;
      case 'number':
        if (typeof value === 'number') return value;
        break;
      default:
        return value;
    }
    throw this.#wrongType(value, schema, place);
  }

  #time(value: unknown, schema: Schema, place: Place, precision: 'second' | 'micro'): string {
    if (typeof value !== 'string') throw this.#wrongType(value, schema, place);
    const text = canonicalTime(value, precision);
    if (text !== undefined) return text;
    throw new Mismatch(timeProblem(value, precision));
  }

  #wrongType(value: unknown, schema: Schema, place: Place): Mismatch {
    if (this.#words === 'restored') return new Mismatch(unrestored(value, schema));
    const goPath = goPathOf(place);
    const holder = typeName(place.holder);
    const target = goPath === '' ? 'Go value' : `Go struct field ${holder}.${goPath}`;
    return new Mismatch(
      `json: cannot unmarshal ${jsonType(value, schema)} into ${target} of type ${place.goType ?? goType(schema)}`,
    );
  }
}

/** Nearly always few, which this way costs least; a body may have any number of wrong names. */
function without(
  value: Readonly<Record<string, unknown>>,
  keys: readonly string[],
): Readonly<Record<string, unknown>> {
  if (keys.length > 8) {
    const gone = new Set(keys);
    return Object.fromEntries(Object.entries(value).filter(([key]) => !gone.has(key)));
  }
  let rest = value;
  for (const key of keys) {
    const { [key]: _dropped, ...kept } = rest;
    rest = kept;
  }
  return rest;
}

/** Beyond the precision of numbers the last one below the bound is taken for the bound. */
function isInteger64(value: unknown): boolean {
  return Number.isInteger(value) && Math.abs(Number(value)) <= 2 ** 63;
}

function isInteger32(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= -(2 ** 31) && Number(value) < 2 ** 31;
}

/** Empty lists and maps say nothing and are not stored; empty objects with known fields may. */
function isEmpty(value: unknown, schema: Schema | undefined): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (schema?.values === undefined || !isMembers(value)) return false;
  return Object.keys(value).length === 0;
}

function isZero(value: unknown): boolean {
  return value === '' || value === 0 || value === false;
}

/** Scalars that any value of their type is fine for and stays as it is: most of an object. */
function isPlainly(value: unknown, { type, format, ref }: Schema): boolean {
  if (format !== undefined || ref !== undefined) return false;
  if (type === 'string') return typeof value === 'string';
  return type === 'boolean' && typeof value === 'boolean';
}

function step(place: Place, key: string, { wire }: Schema, holder: string): Place {
  const part = wire?.inline?.[key];
  const goKey = part === undefined ? key : `${part}.${key}`;
  return { up: place, key, goKey, holder, depth: place.depth + 1, goType: wire?.types?.[key] };
}

/** `spec.containers[0].name`. */
function pathOf({ up, key }: Place): string {
  if (up === undefined) return '';
  const before = pathOf(up);
  if (typeof key === 'number') return `${before}[${key}]`;
  return before === '' ? key : `${before}.${key}`;
}

/** `spec.containers.name`. */
function goPathOf({ up, goKey }: Place): string {
  const before = up === undefined ? '' : goPathOf(up);
  if (goKey === undefined) return before;
  return before === '' ? goKey : `${before}.${goKey}`;
}

/** What a null inside a list or map stands for. */
function zero(schema: Schema): unknown {
  if (schema.format === 'quantity') return '0';
  if (schema.format?.endsWith('-time')) return '0001-01-01T00:00:00Z';
  switch (schema.type) {
    case 'string':
      return '';
    case 'integer':
    case 'number':
      return 0;
    case 'boolean':
      return false;
    case 'array':
      return [];
    default:
      return {};
  }
}

function quantityText(value: unknown): string {
  const text = typeof value === 'number' ? String(value) : value;
  const canonical = typeof text === 'string' ? canonicalQuantity(text.trim()) : undefined;
  if (canonical === undefined) throw new Mismatch(quantityProblem);
  return canonical;
}

function base64Text(value: string): string {
  const text = /[\r\n]/.test(value) ? value.replace(/[\r\n]/g, '') : value;
  if (base64RegExp.test(text)) return text;
  const letters = text.search(/[^A-Za-z0-9+/]/);
  // What follows a whole end is the fault, not the end.
  const end = /^[A-Za-z0-9+/]+={1,2}(?=[^=])/.exec(text)?.[0].length ?? 1;
  const bad = end % 4 === 0 ? end : letters;
  throw new Mismatch(`illegal base64 data at input byte ${bad < 0 ? text.length : bad}`);
}

/** A value of another form, in the words of Go's converter of untyped objects. */
function unrestored(value: unknown, schema: Schema): string {
  const found = Array.isArray(value) ? 'slice' : isMembers(value) ? 'map' : goScalar(value);
  if (schema.items !== undefined) return `cannot restore slice from ${found}`;
  if (schema.values !== undefined) return `cannot restore map from ${found}`;
  if (schema.ref !== undefined || schema.fields !== undefined) {
    return `cannot restore struct from: ${found}`;
  }
  return `cannot convert ${found} to ${goType(schema)}`;
}

function goScalar(value: unknown): string {
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int64' : 'float64';
  return typeof value;
}

function jsonType(value: unknown, { type }: Schema): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  switch (typeof value) {
    case 'number':
      // What is a number, but not one of this type, is shown.
      return type === 'integer' ? `number ${value}` : 'number';
    case 'boolean':
      return 'bool';
    default:
      return typeof value;
  }
}

function typeName(definition: string): string {
  return definition.slice(definition.lastIndexOf('.') + 1);
}

/** `v1.PodSpec`, `[]string`, `map[string]string`, `int32`, as Go names the type. */
function goType(schema: Schema): string {
  if (schema.ref !== undefined) return schema.ref.split('.').slice(-2).join('.');
  if (schema.items !== undefined) return `[]${goType(schema.items)}`;
  if (schema.values?.format === 'quantity') return 'v1.ResourceList';
  if (schema.values !== undefined) return `map[string]${goType(schema.values)}`;
  if (schema.format === 'byte') return '[]uint8';
  switch (schema.type) {
    case 'boolean':
      return 'bool';
    case 'integer':
      return schema.format ?? 'int64';
    case 'number':
      return 'float64';
    case 'object':
      return 'map[string]interface {}';
    default:
      return 'string';
  }
}
