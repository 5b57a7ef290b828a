/**
 * An applied configuration laid over the live object, and the removal of fields that the applier
 * has dropped, both along the schema.
 *
 * Maps merge by key, keyed lists by key, sets by value; what is atomic is replaced. New items of a
 * list come in the configuration's order, and the live ones keep their place before them. A field
 * goes only where its last owner gave it up: `pruneFields(value, last, keep)`.
 */
import { isMembers } from '#kit/members.ts';
import { type FieldSet, isMember } from './field-set.ts';
import { fieldSchema, itemsByStep, keyStep, shapeOf, valueStep } from './field-structure.ts';
import type { Definitions, Schema } from './schema.ts';

export function mergeFields(
  live: unknown,
  applied: unknown,
  schema: Schema,
  definitions: Definitions,
): unknown {
  const shape = shapeOf(schema, definitions);
  if (live === undefined || shape.is === 'leaf') return applied;
  if (shape.is === 'map') {
    if (!isMembers(live) || !isMembers(applied)) return applied;
    const merged = new Map(Object.entries(live));
    for (const [key, value] of Object.entries(applied)) {
      const below = fieldSchema(shape, key);
      merged.set(key, mergeFields(merged.get(key), value, below, definitions));
    }
    return Object.fromEntries(merged);
  }
  const before = itemsByStep(live, shape);
  const after = itemsByStep(applied, shape);
  if (before === undefined || after === undefined) return applied;
  const merged = new Map(before);
  for (const [step, item] of after) {
    const old = before.get(step);
    const both = shape.is === 'list' && old !== undefined;
    merged.set(step, both ? mergeFields(old, item, shape.items, definitions) : item);
  }
  return inOrder(before, after, merged);
}

/** The applied order; live items that it does not name stay behind the item they followed. */
function inOrder(
  before: ReadonlyMap<string, unknown>,
  after: ReadonlyMap<string, unknown>,
  merged: ReadonlyMap<string, unknown>,
): readonly unknown[] {
  const steps: string[] = [];
  const live = [...before.keys()];
  let next = 0;
  for (const step of after.keys()) {
    const place = live.indexOf(step);
    for (; next <= place; next++) {
      const other = live[next];
      if (other !== undefined && !after.has(other)) steps.push(other);
    }
    steps.push(step);
  }
  steps.push(...live.slice(next).filter((step) => !after.has(step)));
  return steps.map((step) => merged.get(step));
}

export interface Pruning {
  /** What the applier owned before. */
  readonly last: FieldSet;
  /** What anybody, the applier included, owns now. */
  readonly keep: FieldSet;
}

const nothing: FieldSet = {};

/** The value without the fields that are in `last` and that nobody keeps. */
export function pruneFields(
  value: unknown,
  { last, keep }: Pruning,
  schema: Schema,
  definitions: Definitions,
): unknown {
  const shape = shapeOf(schema, definitions);
  /** Undefined: gone. A struct counts as owned by whoever owns something in it. */
  const judge = (step: string, item: unknown, below: Schema, struct: boolean): unknown => {
    const was = last[step];
    if (was === undefined) return item;
    const kept = keep[step];
    const owned = kept !== undefined && (struct || isMember(kept));
    if ((struct || isMember(was)) && !owned) return undefined;
    return pruneFields(item, { last: was, keep: kept ?? nothing }, below, definitions);
  };
  if (shape.is === 'map') {
    if (!isMembers(value)) return value;
    const result: [string, unknown][] = [];
    for (const [key, item] of Object.entries(value)) {
      const struct = Object.hasOwn(shape.fields, key);
      const left = judge(`f:${key}`, item, fieldSchema(shape, key), struct);
      if (left !== undefined) result.push([key, left]);
    }
    return Object.fromEntries(result);
  }
  if (shape.is === 'leaf' || !Array.isArray(value)) return value;
  return value
    .map((item: unknown) =>
      shape.is === 'set'
        ? judge(valueStep(item), item, {}, false)
        : judge(keyStep(item, shape.keys), item, shape.items, false),
    )
    .filter((item) => item !== undefined);
}
