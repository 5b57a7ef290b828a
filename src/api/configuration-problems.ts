/**
 * What is wrong with an applied configuration before anybody compares it: an item that is named
 * twice, a value of another form than its schema has.
 *
 * Walks by the rules of `field-structure.ts` and tells of the first fault, in upstream's words.
 * What cannot be applied at all never comes to `field-merge.ts`. For `apiserver/verbs/apply.ts`.
 */
import { isMembers } from '#kit/members.ts';
import { stepText } from './field-set.ts';
import { fieldSchema, keyStep, shapeOf, valueStep } from './field-structure.ts';
import { goText } from './go-text.ts';
import type { Definitions, Schema } from './schema.ts';

/** Says where a configuration names one item twice: `.a: duplicate entries for key [name="c"]`. */
export function duplicateSteps(
  value: unknown,
  schema: Schema,
  definitions: Definitions,
  path = '',
): string | undefined {
  const shape = shapeOf(schema, definitions);
  if (shape.is === 'map' && isMembers(value)) {
    for (const [key, below] of Object.entries(value)) {
      const found = duplicateSteps(below, fieldSchema(shape, key), definitions, `${path}.${key}`);
      if (found !== undefined) return found;
    }
  }
  if ((shape.is !== 'list' && shape.is !== 'set') || !Array.isArray(value)) return undefined;
  const seen = new Set<string>();
  for (const item of value as readonly unknown[]) {
    const step = shape.is === 'set' ? valueStep(item) : keyStep(item, shape.keys);
    if (seen.has(step)) return `${path}: duplicate entries for key ${stepText(step)}`;
    seen.add(step);
    if (shape.is === 'set') continue;
    const found = duplicateSteps(item, shape.items, definitions, path + stepText(step));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Says where an applied configuration has a value of another form (`.a: expected map, …`). */
export function mismatchedField(
  value: unknown,
  schema: Schema,
  definitions: Definitions,
  path = '',
): string | undefined {
  if (value === null || value === undefined) return undefined;
  const shape = shapeOf(schema, definitions);
  const target = schema.ref === undefined ? schema : (definitions.get(schema.ref) ?? schema);
  if (target.opaque === true) return undefined;
  if (target.items !== undefined) {
    if (!Array.isArray(value)) return `${path}: expected list, got &{${goText(value)}}`;
    if (shape.is !== 'list') return undefined;
    for (const item of value as readonly unknown[]) {
      const at = path + stepText(keyStep(item, shape.keys));
      const found = mismatchedField(item, shape.items, definitions, at);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (target.fields === undefined && target.values === undefined) {
    return mismatchedScalar(value, target, path);
  }
  if (!isMembers(value)) return `${path}: expected map, got &{${goText(value)}}`;
  if (shape.is !== 'map') return undefined;
  for (const [key, below] of Object.entries(value)) {
    const at = `${path}.${key}`;
    const found = mismatchedField(below, fieldSchema(shape, key), definitions, at);
    if (found !== undefined) return found;
  }
  return undefined;
}

function mismatchedScalar(value: unknown, { type, format }: Schema, path: string) {
  if (format === 'quantity' || format === 'int-or-string') return undefined;
  if (type === 'string' && typeof value !== 'string') {
    return `${path}: expected string, got &value.valueUnstructured{Value:${goText(value)}}`;
  }
  if (type === 'boolean' && typeof value !== 'boolean') {
    return `${path}: expected boolean, got &{${goText(value)}}`;
  }
  if ((type === 'integer' || type === 'number') && typeof value !== 'number') {
    return `${path}: expected numeric (int or float), got ${typeof value}`;
  }
  return undefined;
}
