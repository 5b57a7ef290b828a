/**
 * Sets of fields, in the very shape in which `managedFields[].fieldsV1` stores them, so that there
 * is nothing to encode or decode: a tree whose keys name a step (`f:spec`, `k:{"name":"web"}`,
 * `v:"x"`). A node without children is a member of the set; one with children is a member only
 * where it also holds `.`.
 *
 * Example: `{"f:labels": {".": {}, "f:app": {}}}` holds `.labels` and `.labels.app`, while
 * `{"f:labels": {"f:app": {}}}` holds the latter alone. The root is never a member; `{}` is empty.
 *
 * Nothing given is changed; results share what they can with what was given. `field-structure.ts`
 * makes sets from objects, `field-ownership.ts` computes with them.
 */
export interface FieldSet {
  readonly [step: string]: FieldSet;
}

export const self = '.';
/** A member without children. */
export const leaf: FieldSet = Object.freeze({});
const deepest = 100;

export function isEmptySet(set: FieldSet): boolean {
  for (const _ in set) return false;
  return true;
}

export function isMember(node: FieldSet): boolean {
  return node[self] !== undefined || isEmptySet(node);
}

export function unionOf(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b || isEmptySet(b)) return a;
  if (isEmptySet(a)) return b;
  const result: Record<string, FieldSet> = { ...a };
  for (const step in b) {
    const left = a[step];
    const right = b[step];
    if (right === undefined) continue;
    result[step] = left === undefined ? right : unionOfNodes(left, right);
  }
  return result;
}

function unionOfNodes(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b) return a;
  if (isEmptySet(a)) return asMember(b);
  if (isEmptySet(b)) return asMember(a);
  return unionOf(a, b);
}

function asMember(node: FieldSet): FieldSet {
  return isMember(node) ? node : { [self]: leaf, ...node };
}

/** What is in `a` and not in `b`. */
export function differenceOf(a: FieldSet, b: FieldSet): FieldSet {
  return isEmptySet(b) ? a : combined(a, b, false);
}

/** What is in both. */
export function intersectionOf(a: FieldSet, b: FieldSet): FieldSet {
  return combined(a, b, true);
}

/** Walks `a` and keeps the members whose presence in `b` is as `wanted`. */
function combined(a: FieldSet, b: FieldSet, wanted: boolean): FieldSet {
  const result: Record<string, FieldSet> = {};
  for (const step in a) {
    const left = a[step];
    if (left === undefined || step === self) continue;
    const right = b[step];
    if (right === undefined) {
      if (!wanted) result[step] = left;
      continue;
    }
    const keep = isMember(left) && isMember(right) === wanted;
    const below = isEmptySet(left) ? leaf : combined(left, right, wanted);
    if (!isEmptySet(below)) result[step] = keep ? { [self]: leaf, ...below } : below;
    else if (keep) result[step] = leaf;
  }
  return result;
}

export function sameSet(a: FieldSet, b: FieldSet): boolean {
  if (a === b) return true;
  let count = 0;
  for (const step in a) {
    const left = a[step];
    const right = b[step];
    if (left === undefined || right === undefined || !sameSet(left, right)) return false;
    count += 1;
  }
  for (const _ in b) count -= 1;
  return count === 0;
}

/** The same set with its steps in order, as it is stored. */
export function sortedSet(set: FieldSet): FieldSet {
  if (isSorted(set)) return set;
  const result: Record<string, FieldSet> = {};
  for (const step of Object.keys(set).sort()) {
    const below = set[step];
    if (below !== undefined) result[step] = sortedSet(below);
  }
  return result;
}

function isSorted(set: FieldSet): boolean {
  let last = '';
  for (const step in set) {
    const below = set[step];
    if (step < last || (below !== undefined && below !== leaf && !isSorted(below))) return false;
    last = step;
  }
  return true;
}

/** Every member as people read it: `.spec.template.spec.containers[name="web"].image`. */
export function pathsOf(set: FieldSet, prefix = ''): string[] {
  const paths: string[] = [];
  for (const step of Object.keys(set).sort()) {
    const below = set[step];
    if (below === undefined || step === self) continue;
    const path = prefix + stepText(step);
    if (isMember(below)) paths.push(path);
    paths.push(...pathsOf(below, path));
  }
  return paths;
}

export function stepText(step: string): string {
  const rest = step.slice(2);
  if (step.startsWith('f:')) return `.${rest}`;
  if (step.startsWith('v:')) return `[=${rest}]`;
  if (!step.startsWith('k:')) return `[${rest}]`;
  // Steps are made here or have passed `isFieldSet`.
  const members = Object.entries(JSON.parse(rest) as Record<string, unknown>);
  return `[${members.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(',')}]`;
}

/** Whether JSON from outside is a set: objects all the way down, every step well formed. */
export function isFieldSet(value: unknown, depth = 0): value is FieldSet {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  if (depth > deepest) return false;
  return Object.entries(value).every(
    ([step, below]) => isStep(step) && isFieldSet(below, depth + 1),
  );
}

function isStep(step: string): boolean {
  if (step === self || step.startsWith('f:')) return true;
  if (step.startsWith('i:')) return /^i:\d+$/.test(step);
  if (!step.startsWith('k:') && !step.startsWith('v:')) return false;
  try {
    const value: unknown = JSON.parse(step.slice(2));
    return step.startsWith('v:') || (typeof value === 'object' && value !== null);
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}
