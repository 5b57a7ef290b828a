/**
 * JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386) on plain JSON values.
 *
 * Nothing given is changed: every step copies what lies on its path and shares the rest. A patch
 * that is not a patch is a `PatchFormatError`, one that does not fit the value (a missing path, a
 * test that fails) a `PatchConflict`; the caller words the answer.
 */
import { jsonEqual } from './json-equal.ts';
import { parsePointer } from './json-pointer.ts';
import { isMembers, type Members } from './members.ts';

export class PatchFormatError extends Error {
  override readonly name = 'PatchFormatError';
}

/** A patch of more operations than are taken. */
export class PatchTooLarge extends Error {
  override readonly name = 'PatchTooLarge';
}

export class PatchConflict extends Error {
  override readonly name = 'PatchConflict';
}

/** More operations than this in one patch are refused. */
const operationsMax = 10_000;

interface Operation {
  readonly op: 'add' | 'remove' | 'replace' | 'move' | 'copy' | 'test';
  readonly path: readonly string[];
  readonly from: readonly string[];
  readonly pathText: string;
  readonly value: unknown;
}

export function applyJsonPatch(target: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) {
    const word = typeof patch === 'boolean' ? 'bool' : typeof patch;
    const why = `json: cannot unmarshal ${word} into Go value of type []handlers.jsonPatchOp`;
    throw new PatchFormatError(`error decoding patch: ${why}`);
  }
  if (patch.length > operationsMax) {
    throw new PatchTooLarge(
      `The allowed maximum operations in a JSON patch is ${operationsMax}, got ${patch.length}`,
    );
  }
  return patch.map(operationOf).reduce(applyOperation, target);
}

function operationOf(json: unknown): Operation {
  if (!isMembers(json)) throw new PatchFormatError('an operation must be an object');
  const { op, path, from } = json;
  switch (op) {
    case 'add':
    case 'remove':
    case 'replace':
    case 'move':
    case 'copy':
    case 'test':
      break;
    default:
      throw new PatchConflict(`Unexpected kind: ${String(op)}`);
  }
  if (typeof path !== 'string') throw new PatchConflict('operation missing path field');
  const needsFrom = op === 'move' || op === 'copy';
  if (needsFrom && typeof from !== 'string') {
    throw new PatchConflict(`${op} operation missing from field`);
  }
  const parsed = parsePointer(path);
  const parsedFrom = needsFrom ? parsePointer(String(from)) : [];
  if (parsed === undefined || parsedFrom === undefined) {
    throw new PatchConflict(`${op} operation does not apply: doc is missing path: "${path}"`);
  }
  const value = Object.hasOwn(json, 'value') ? json['value'] : null;
  return { op, path: parsed, from: parsedFrom, pathText: path, value };
}

function applyOperation(target: unknown, operation: Operation): unknown {
  const { op, path, from, value } = operation;
  switch (op) {
    case 'add':
      return edit(target, path, operation, { do: 'add', value });
    case 'replace':
      return edit(target, path, operation, { do: 'replace', value });
    case 'remove':
      return edit(target, path, operation, { do: 'remove' });
    case 'copy':
      return edit(target, path, operation, { do: 'add', value: read(target, from, operation) });
    case 'move': {
      const moved = read(target, from, operation);
      const without = edit(target, from, operation, { do: 'remove' });
      return edit(without, path, operation, { do: 'add', value: moved });
    }
    case 'test': {
      const found = read(target, path, operation, { absent: 'null' });
      if (jsonEqual(found ?? null, value ?? null)) return target;
      throw new PatchConflict(`testing value ${operation.pathText} failed`);
    }
    default:
      return op satisfies never;
  }
}

function missing(operation: Operation): PatchConflict {
  return new PatchConflict(
    `${operation.op} operation does not apply: doc is missing path: "${operation.pathText}": missing value`,
  );
}

function read(
  target: unknown,
  path: readonly string[],
  operation: Operation,
  { absent }: { readonly absent: 'error' | 'null' } = { absent: 'error' },
): unknown {
  let value = target;
  for (const [depth, part] of path.entries()) {
    const last = depth === path.length - 1;
    if (Array.isArray(value)) value = value[indexOf(part, value.length - 1, operation)];
    else if (isMembers(value) && Object.hasOwn(value, part)) value = value[part];
    else if (last && absent === 'null' && isMembers(value)) return null;
    else throw missing(operation);
  }
  return value;
}

type Edit = { readonly do: 'add' | 'replace'; readonly value: unknown } | { readonly do: 'remove' };

function edit(
  target: unknown,
  path: readonly string[],
  operation: Operation,
  change: Edit,
): unknown {
  const [part, ...rest] = path;
  if (part === undefined) {
    if (change.do === 'remove') throw missing(operation);
    return change.value;
  }
  if (Array.isArray(target)) return editList(target, part, rest, operation, change);
  if (!isMembers(target)) throw missing(operation);
  const exists = Object.hasOwn(target, part);
  if (rest.length > 0) {
    if (!exists) throw missing(operation);
    return withMember(target, part, edit(target[part], rest, operation, change));
  }
  // The library that the servers use replaces a member that is not there by adding it.
  if (change.do !== 'remove') return withMember(target, part, change.value);
  if (!exists) throw missing(operation);
  const { [part]: _, ...others } = target;
  return others;
}

function editList(
  list: readonly unknown[],
  part: string,
  rest: readonly string[],
  operation: Operation,
  change: Edit,
): unknown {
  if (rest.length > 0) {
    const index = indexOf(part, list.length - 1, operation);
    return list.with(index, edit(list[index], rest, operation, change));
  }
  if (change.do === 'add') {
    const index = part === '-' ? list.length : indexOf(part, list.length, operation);
    return list.toSpliced(index, 0, change.value);
  }
  const index = indexOf(part, list.length - 1, operation);
  return change.do === 'remove' ? list.toSpliced(index, 1) : list.with(index, change.value);
}

/** Negative indices count from the end, as in the library that the servers use. */
function indexOf(part: string, indexMax: number, operation: Operation): number {
  if (!/^-?\d+$/.test(part)) throw missing(operation);
  const number = Number(part);
  const index = number < 0 ? number + indexMax + 1 : number;
  if (index >= 0 && index <= indexMax) return index;
  throw new PatchConflict(
    `${operation.op} operation does not apply: doc is missing path: "${operation.pathText}": invalid index referenced`,
  );
}

/** A null in the patch removes the member; objects are merged; all else replaces. */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isMembers(patch)) return patch;
  let result: Members = isMembers(target) ? target : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) {
      if (!Object.hasOwn(result, key)) continue;
      const { [key]: _, ...others } = result;
      result = others;
    } else {
      const before = Object.hasOwn(result, key) ? result[key] : undefined;
      result = withMember(result, key, applyMergePatch(before, value));
    }
  }
  return result;
}

/** A copy with one member set; `__proto__` is a name like any other. */
function withMember(members: Members, name: string, value: unknown): Members {
  if (name !== '__proto__') return { ...members, [name]: value };
  return Object.fromEntries([...Object.entries(members), [name, value]]);
}
