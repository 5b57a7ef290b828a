/**
 * The fields of an object along its schema: which ones it has, and which ones two versions of it
 * have added, removed or changed.
 *
 * `listType` and `mapType` say what counts as one field: an atomic value is one, a `map` list has
 * one per key (`k:{"name":"web"}`), a `set` one per value. Untyped parts count as maps, their lists
 * as atomic. `field-merge.ts` and `configuration-problems.ts` walk by the same rules (`shapeOf`).
 */
import { jsonEqual } from '#kit/json-equal.ts';
import { isMembers, type Members } from '#kit/members.ts';
import { type FieldSet, isEmptySet, leaf, self } from './field-set.ts';
import type { Definitions, Schema } from './schema.ts';

export type Shape =
  | { readonly is: 'leaf' }
  | {
      readonly is: 'map';
      readonly fields: Readonly<Record<string, Schema>>;
      readonly values: Schema | undefined;
      /** Steps and schemas of the fields, so that no name is put together for each object. */
      readonly known: ReadonlyMap<string, Field>;
      /** What is there in every object, set or not: nobody comes to own it by filling it. */
      readonly always: (key: string) => boolean;
    }
  | { readonly is: 'list'; readonly keys: readonly string[]; readonly items: Schema }
  | { readonly is: 'set' };

interface Field {
  readonly step: string;
  readonly schema: Schema;
}

/** What only another program understands is one value. */
const rawExtension = 'io.k8s.apimachinery.pkg.runtime.RawExtension';

/** Names up to which sorting one by one is quicker. */
const shortList = 20;

const leafShape: Shape = { is: 'leaf' };
const setShape: Shape = { is: 'set' };
const untyped: Schema = { opaque: true };
const never = (): boolean => false;
const noFields: Readonly<Record<string, Schema>> = {};
const untypedShape = mapShape(noFields, untyped, never);

/** Shapes that have been looked up; they go with the definitions and the schemas. */
const known = new WeakMap<Definitions, WeakMap<Schema, Shape>>();

export function shapeOf(schema: Schema, definitions: Definitions): Shape {
  let shapes = known.get(definitions);
  if (shapes === undefined) {
    shapes = new WeakMap();
    known.set(definitions, shapes);
  }
  let shape = shapes.get(schema);
  if (shape === undefined) {
    shape = findShape(schema, definitions);
    shapes.set(schema, shape);
  }
  return shape;
}

function findShape(schema: Schema, definitions: Definitions): Shape {
  if (schema.ref === rawExtension) return leafShape;
  const target = schema.ref === undefined ? schema : definitions.get(schema.ref);
  // What a type keeps as it comes is one value; what no type speaks of is a map.
  if (target?.opaque === true && target !== untyped) return leafShape;
  if (target === undefined || target.opaque === true) return untypedShape;
  if ((schema.mapType ?? target.mapType) === 'atomic') return leafShape;
  if (target.items !== undefined) {
    const listType = schema.listType ?? target.listType;
    if (listType === 'set') return setShape;
    const keys = schema.listMapKeys ?? target.listMapKeys;
    if (listType === 'map' && keys !== undefined) {
      return { is: 'list', keys: [...keys].sort(), items: target.items };
    }
    return leafShape;
  }
  if (target.fields !== undefined || target.values !== undefined) {
    const { fields = noFields, values } = target;
    return mapShape(fields, values, alwaysIn(target));
  }
  const plain = (target.type ?? 'object') === 'object' && target.format === undefined;
  return plain ? untypedShape : leafShape;
}

function mapShape(
  fields: Readonly<Record<string, Schema>>,
  values: Schema | undefined,
  always: (key: string) => boolean,
): Shape {
  const known = new Map(
    Object.entries(fields).map(([key, schema]) => [key, { step: `f:${key}`, schema }]),
  );
  return { is: 'map', fields, values, known, always };
}

function alwaysIn({ required = [], wire }: Schema): (key: string) => boolean {
  if (wire === undefined) return required.length === 0 ? never : (key) => required.includes(key);
  return (key) =>
    wire.struct?.includes(key) === true ||
    wire.zero?.includes(key) === true ||
    wire.null?.includes(key) === true ||
    wire.known?.includes(key) === true;
}

export function fieldSchema(shape: Extract<Shape, { is: 'map' }>, key: string): Schema {
  return shape.known.get(key)?.schema ?? shape.values ?? untyped;
}

function fieldStep(shape: Extract<Shape, { is: 'map' }>, key: string): string {
  return shape.known.get(key)?.step ?? `f:${key}`;
}

/**
 * `k:{"containerPort":80,"protocol":"TCP"}`; the one key that has a default gets it. The keys come
 * in order.
 */
export function keyStep(item: unknown, keys: readonly string[]): string {
  const members = isMembers(item) ? item : {};
  let text = '';
  for (const name of keys) {
    const value = members[name] ?? (name === 'protocol' ? 'TCP' : undefined);
    if (value === undefined || value === null) continue;
    text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${JSON.stringify(value)}`;
  }
  return `k:{${text}}`;
}

export function valueStep(item: unknown): string {
  return `v:${JSON.stringify(item)}`;
}

/** The items of a keyed list by step; undefined where a key occurs twice or there is no list. */
export function itemsByStep(
  list: unknown,
  shape: Extract<Shape, { is: 'list' | 'set' }>,
): ReadonlyMap<string, unknown> | undefined {
  if (!Array.isArray(list)) return undefined;
  const items = new Map<string, unknown>();
  for (const item of list) {
    items.set(shape.is === 'set' ? valueStep(item) : keyStep(item, shape.keys), item);
  }
  return items.size === list.length ? items : undefined;
}

type Groups = ReadonlyMap<string, readonly unknown[]>;

/** The same where keys may occur twice; undefined where there is no list. */
function groupsByStep(
  list: unknown,
  shape: Extract<Shape, { is: 'list' | 'set' }>,
): Groups | undefined {
  if (!Array.isArray(list)) return undefined;
  const groups = new Map<string, unknown[]>();
  for (const item of list) {
    const step = shape.is === 'set' ? valueStep(item) : keyStep(item, shape.keys);
    const group = groups.get(step);
    if (group === undefined) groups.set(step, [item]);
    else group.push(item);
  }
  return groups;
}

/** Of a key that occurs twice only that it is there. */
function singlesOf(groups: Groups | undefined): ReadonlyMap<string, unknown> | undefined {
  if (groups === undefined) return undefined;
  return new Map(
    [...groups].map(([step, [item, ...more]]) => [step, more.length > 0 ? undefined : item]),
  );
}

function isContainer(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

function isHollow(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  return isMembers(value) && Object.keys(value).length === 0;
}

function isZero(value: unknown): boolean {
  return !value || value === '0' || isHollow(value);
}

/** All fields that an applied configuration speaks of. */
export function fieldsOf(value: unknown, schema: Schema, definitions: Definitions): FieldSet {
  const shape = shapeOf(schema, definitions);
  const set: Record<string, FieldSet> = {};
  if (shape.is === 'map' && isMembers(value)) {
    for (const key of Object.keys(value)) {
      const below = value[key];
      if (below === undefined) continue;
      const inner = fieldsOf(below, fieldSchema(shape, key), definitions);
      const named = isEmptySet(inner) || isHollow(below);
      const known = Object.hasOwn(shape.fields, key);
      set[`f:${key}`] = named ? leaf : known ? inner : { [self]: leaf, ...inner };
    }
    return set;
  }
  if (shape.is !== 'list' && shape.is !== 'set') return set;
  for (const [step, item] of itemsByStep(value, shape) ?? []) {
    const inner = shape.is === 'set' ? leaf : fieldsOf(item, shape.items, definitions);
    set[step] = isEmptySet(inner) ? leaf : { [self]: leaf, ...inner };
  }
  return set;
}

export interface FieldChanges {
  /** Fields that are new or have another value. */
  readonly set: FieldSet;
  readonly removed: FieldSet;
}

type Tree = Record<string, FieldSet>;

/** What `next` has that `old` had not or had otherwise, and what it no longer has. */
export function compareFields(
  old: unknown,
  next: unknown,
  schema: Schema,
  definitions: Definitions,
): FieldChanges {
  const set: Tree = {};
  const removed: Tree = {};
  new Comparison(definitions).value(old, next, schema, set, removed);
  return { set, removed };
}

class Comparison {
  readonly #definitions: Definitions;

  constructor(definitions: Definitions) {
    this.#definitions = definitions;
  }

  /** True where the value itself, and not only something below it, has changed. */
  value(
    old: unknown,
    next: unknown,
    schema: Schema,
    set: Tree,
    removed: Tree,
    /** Whether the object was there before, if only empty: what is always in it is not new. */
    existed = true,
  ): boolean {
    if (old === next) return false;
    const shape = shapeOf(schema, this.#definitions);
    if (shape.is === 'map') {
      const mapped =
        (old === undefined || isMembers(old)) && (next === undefined || isMembers(next));
      if (!mapped || ((!old || isHollow(old)) && (!next || isHollow(next)))) {
        return !jsonEqual(old, next);
      }
      this.#map(old ?? {}, next ?? {}, shape, set, removed, existed);
      return false;
    }
    if (shape.is === 'leaf') return !jsonEqual(old, next);
    const before = old === undefined ? new Map<string, unknown>() : itemsByStep(old, shape);
    const after = next === undefined ? new Map<string, unknown>() : itemsByStep(next, shape);
    if (before === undefined || after === undefined) {
      const [was, now] = [groupsByStep(old ?? [], shape), groupsByStep(next ?? [], shape)];
      if (was === undefined || now === undefined) return !jsonEqual(old, next);
      this.#groups(was, now, shape.is === 'list' ? shape.items : untyped, set, removed);
      return false;
    }
    if (before.size + after.size === 0) return !jsonEqual(old, next);
    const items = shape.is === 'list' ? shape.items : untyped;
    for (const [step, item] of after)
      this.#child(step, before.get(step), item, items, set, removed);
    for (const [step, item] of before) {
      if (!after.has(step)) this.#child(step, item, undefined, items, set, removed);
    }
    return false;
  }

  /** Lists in which a key occurs twice: its items are looked at together. */
  #groups(was: Groups, now: Groups, schema: Schema, set: Tree, removed: Tree): void {
    for (const [step, items] of now) {
      const before = was.get(step) ?? [];
      if (items.length === 1 && before.length <= 1) {
        this.#child(step, before[0], items[0], schema, set, removed);
      } else if (!jsonEqual(before, items)) {
        set[step] = leaf;
      }
    }
    for (const [step, items] of was) {
      if (now.has(step)) continue;
      if (items.length === 1) this.#child(step, items[0], undefined, schema, set, removed);
      else removed[step] = leaf;
    }
  }

  #map(
    old: Members,
    next: Members,
    shape: Extract<Shape, { is: 'map' }>,
    set: Tree,
    removed: Tree,
    existed: boolean,
  ): void {
    // Of a new object all is taken over, which is stored in order.
    const keys = isHollow(old) ? inOrder(Object.keys(next)) : Object.keys(next);
    for (const key of keys) {
      const value = next[key];
      if (value === undefined || value === old[key]) continue;
      const implied = existed && shape.always(key);
      // An empty list was given; nothing at all would be null.
      const isZeroValue = isZero(value) && !Array.isArray(value);
      if (implied && old[key] === undefined && isZeroValue) continue;
      const schema = fieldSchema(shape, key);
      this.#child(fieldStep(shape, key), old[key], value, schema, set, removed, implied);
    }
    for (const key in old) {
      if (old[key] === undefined || next[key] !== undefined) continue;
      const step = fieldStep(shape, key);
      this.#child(step, old[key], undefined, fieldSchema(shape, key), set, removed);
    }
  }

  #child(
    step: string,
    old: unknown,
    next: unknown,
    schema: Schema,
    set: Tree,
    removed: Tree,
    implied = false,
  ): void {
    if (old === next) return;
    if (!isContainer(old) && !isContainer(next)) {
      // Nothing is below, as in most fields.
      if (next === undefined) removed[step] = leaf;
      else set[step] = leaf;
      return;
    }
    if (old === undefined && !implied) {
      set[step] = this.#whollyNew(next, schema);
      return;
    }
    const below: Tree = {};
    const gone: Tree = {};
    const whole = this.value(old, next, schema, below, gone, old !== undefined || implied);
    const bare = isEmptySet(below);
    const added = next !== undefined && (whole || (old === undefined && !implied));
    if (bare ? added : true) {
      set[step] = bare ? leaf : added ? { [self]: leaf, ...below } : below;
    }
    const lost = next === undefined && old !== undefined;
    if (isEmptySet(gone)) {
      if (lost) removed[step] = leaf;
    } else {
      removed[step] = lost ? { [self]: leaf, ...gone } : gone;
    }
  }

  /** A part of which there was nothing before, as in all of a new object; its steps in order. */
  #whollyNew(value: unknown, schema: Schema): FieldSet {
    const shape = shapeOf(schema, this.#definitions);
    if (shape.is === 'leaf' || isHollow(value)) return leaf;
    const set: Tree = { [self]: leaf };
    if (shape.is === 'map') {
      if (!isMembers(value)) return leaf;
      let size = 0;
      for (const key of inOrder(Object.keys(value))) {
        const below = value[key];
        if (below === undefined) continue;
        size += 1;
        const field = shape.known.get(key);
        set[field?.step ?? `f:${key}`] = isContainer(below)
          ? this.#whollyNew(below, field?.schema ?? shape.values ?? untyped)
          : leaf;
      }
      return size === 0 ? leaf : set;
    }
    const items = itemsByStep(value, shape) ?? singlesOf(groupsByStep(value, shape));
    if (items === undefined) return leaf;
    const inner = shape.is === 'list' ? shape.items : untyped;
    for (const step of inOrder([...items.keys()])) {
      const item = items.get(step);
      set[step] = isContainer(item) ? this.#whollyNew(item, inner) : leaf;
    }
    return set;
  }
}

/** Sorts in place. Most lists are short and nearly in order, and sorting takes memory. */
function inOrder(names: string[]): readonly string[] {
  if (names.length > shortList) return names.sort();
  for (let at = 1; at < names.length; at++) {
    const name = names[at] ?? '';
    let to = at;
    for (; to > 0 && (names[to - 1] ?? '') > name; to--) names[to] = names[to - 1] ?? '';
    names[to] = name;
  }
  return names;
}
